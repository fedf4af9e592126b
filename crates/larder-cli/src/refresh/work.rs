//! The worker: claims, errands, and what came of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use indicatif::ProgressBar;
use larder_lock::{Cancellation, Wait};
use larder_queue::{Claim, Queue, Worker};
use larder_staleness::ms_of;
use larder_storage::{Key, Prefix, Store};
use larder_upstream::{About, Due};

use super::errand::{End, Ended, Errand};
use super::{Report, due, progress};
use crate::args::{Global, Refresh};
use crate::config::Loaded;
use crate::exit::{Exit, Failed};
use crate::output::Output;
use crate::root;
use crate::terms::Target;

/// How often a worker that watches looks for what has become due.
const SCAN_EVERY: Duration = Duration::from_secs(60);
/// How often it looks for new tasks, for signs that it is to end, and whether its time is over.
const TURN: Duration = Duration::from_millis(200);
/// How often it says that it lives: a third of the length of its leases.
const BEAT_EVERY: Duration = Duration::from_secs(20);
/// How long errands that were asked to end have for it.
const FAREWELL: Duration = Duration::from_secs(5);

/// A worker and what it works with.
pub(super) struct Work<'a> {
    global: &'a Global,
    terms: &'a Refresh,
    loaded: &'a Loaded,
    store: &'a Arc<Store>,
    queue: Queue,
    worker: Worker,
    wait: Wait,
    cancellation: &'a Cancellation,
    /// When the whole must be over, by the monotonic clock.
    deadline: Option<Duration>,
    ended: (Sender<Ended>, Receiver<Ended>),
    errands: BTreeMap<u64, Errand>,
    begun: u64,
}

impl<'a> Work<'a> {
    pub(super) fn new(
        global: &'a Global,
        terms: &'a Refresh,
        loaded: &'a Loaded,
        store: &'a Arc<Store>,
        queue: Queue,
        cancellation: &'a Cancellation,
    ) -> Result<Self, Failed> {
        let worker = queue.worker(&format!("larder refresh, pid {}", std::process::id()))?;
        let bound = terms.timeout.map(|span| span.0);
        let deadline = bound.map(|bound| store.clock().monotonic().saturating_add(bound));
        let wait = root::wait(global, loaded)?.cancelled_by(cancellation);
        let (ended, errands) = (channel(), BTreeMap::new());
        Ok(Self { global, terms, loaded, store, queue, worker, wait, cancellation, deadline, ended, errands, begun: 0 })
    }

    /// Works until there is nothing more to be done, or it is to end. What it has begun and not finished is given back.
    pub(super) fn run(mut self, report: &mut Report, output: Output) -> Result<(), Failed> {
        let mut scanned = self.fill(report)?;
        let bar = progress::bar(output, self.queue.counts()?.ready.min(self.terms.max.unwrap_or(u64::MAX)));
        let mut beaten = self.store.clock().monotonic();
        let worked = loop {
            if let Err(error) = self.turn(report, &bar) {
                break Err(error);
            }
            let now = self.store.clock().monotonic();
            if self.is_over(now) || (self.errands.is_empty() && !self.goes_on(now, &mut scanned, report)?) {
                break Ok(());
            }
            if now.saturating_sub(beaten) >= BEAT_EVERY {
                beaten = now;
                // a beat that is missed is made up for by the next, long before the leases are over
                if let Err(error) = self.worker.heartbeat(&self.wait) {
                    tracing::warn!(%error, "the leases of this worker run on");
                }
            }
        };
        self.give_back(report)?;
        bar.finish_and_clear();
        report.left = self.queue.counts()?.open();
        worked
    }

    /// Queues what is to be refreshed; the moment of the look comes back.
    fn fill(&self, report: &mut Report) -> Result<Duration, Failed> {
        let now = self.store.clock().monotonic();
        let is_due_wanted = self.terms.due || self.loaded.config.refresh().auto_queue;
        let tasks = match &self.terms.target {
            Some(Target::Key(key)) => {
                vec![due::task(key.as_str(), Due::NAMED)?]
            }
            Some(Target::Prefix(prefix)) => due::tasks(self.store, self.loaded, prefix, !self.terms.due)?,
            None if is_due_wanted => {
                let all = "".parse::<Prefix>().map_err(|error| Failed::new(Exit::FAILURE, error))?;
                due::tasks(self.store, self.loaded, &all, false)?
            }
            None => Vec::new(),
        };
        report.found += tasks.len() as u64;
        if !tasks.is_empty() {
            self.queue.add(&tasks, &self.wait)?;
        }
        Ok(now)
    }

    /// Begins as many errands as there is room for, and settles those that have ended.
    fn turn(&mut self, report: &mut Report, bar: &ProgressBar) -> Result<(), Failed> {
        let jobs = usize::from(self.terms.jobs.get());
        let left = self.terms.max.map_or(u64::MAX, |max| max.saturating_sub(self.begun));
        let room = jobs.saturating_sub(self.errands.len()).min(usize::try_from(left).unwrap_or(usize::MAX));
        if room > 0 && !self.cancellation.is_cancelled() {
            for claim in self.worker.claim(room, &self.wait)? {
                self.begin(claim, report)?;
            }
        }
        if self.errands.is_empty() {
            return Ok(());
        }
        let mut next = self.ended.1.recv_timeout(TURN);
        while let Ok(ended) = next {
            bar.inc(1);
            self.settle(ended, report)?;
            next = self.ended.1.try_recv().map_err(|_| RecvTimeoutError::Timeout);
        }
        Ok(())
    }

    fn begin(&mut self, claim: Claim, report: &mut Report) -> Result<(), Failed> {
        self.begun += 1;
        let key = claim.key().to_owned();
        let source = key.parse::<Key>().ok().and_then(|key| self.loaded.source_of(&key));
        let Some(source) = source else {
            return self.bury(claim, "no source is configured for it", report);
        };
        if let Err(error) = self.loaded.check_trusted(source) {
            // so it is with all others: this worker can do nothing
            self.worker.release(vec![claim], &self.wait)?;
            return Err(error.into());
        }
        if self.is_refreshed(&claim) {
            report.already += 1;
            report.lost += u64::from(self.worker.complete(claim, &self.wait)?.is_err());
            return Ok(());
        }
        let timeout = self.left().map(|left| format!("{}ms", left.as_millis().max(1)));
        let (number, root) = (self.begun, self.store.path().as_str());
        match Errand::begin(number, claim, self.global, root, timeout.as_deref(), &self.ended.0) {
            Ok(errand) => _ = self.errands.insert(number, errand),
            Err(failed) => {
                let (claim, error) = *failed;
                report.failed += 1;
                report.tell(&key, &format!("no process can be started for it: {error}"));
                report.lost += u64::from(self.worker.fail(claim, &error.to_string(), &self.wait)?.is_err());
            }
        }
        Ok(())
    }

    /// Whether somebody has fetched the document since the task was added.
    fn is_refreshed(&self, claim: &Claim) -> bool {
        let found = claim.key().parse::<Key>().ok().and_then(|key| self.store.get(&key).ok().flatten());
        found.is_some_and(|entry| {
            let life = About::of_or_default(&entry).life;
            life.fetched_ms > ms_of(claim.added()) && life.is_fresh(self.store.clock().wall())
        })
    }

    fn settle(&mut self, ended: Ended, report: &mut Report) -> Result<(), Failed> {
        let Some(Errand { claim, .. }) = self.errands.remove(&ended.number) else { return Ok(()) };
        let key = claim.key().to_owned();
        let told = match ended.end {
            End::Refreshed => {
                report.refreshed += 1;
                self.worker.complete(claim, &self.wait)?
            }
            // it was this worker's end that ended it
            End::Failed(_) if self.cancellation.is_cancelled() => {
                report.given_back += 1;
                let lost = self.worker.release(vec![claim], &self.wait)?;
                lost.into_iter().next().map_or(Ok(()), Err)
            }
            End::Failed(error) => {
                report.failed += 1;
                report.tell(&key, &error);
                self.worker.fail(claim, &error, &self.wait)?
            }
            End::Hopeless(error) => return self.bury(claim, &error, report),
        };
        report.lost += u64::from(told.is_err());
        Ok(())
    }

    fn bury(&self, claim: Claim, error: &str, report: &mut Report) -> Result<(), Failed> {
        report.dead += 1;
        report.tell(claim.key(), error);
        report.lost += u64::from(self.worker.fail_for_good(claim, error, &self.wait)?.is_err());
        Ok(())
    }

    /// With nothing under way: whether there is, or will be, something to do.
    fn goes_on(&self, now: Duration, scanned: &mut Duration, report: &mut Report) -> Result<bool, Failed> {
        if self.terms.max.is_some_and(|max| self.begun >= max) {
            return Ok(false);
        }
        if !self.terms.watch {
            return Ok(self.queue.counts()?.ready > 0);
        }
        if now.saturating_sub(*scanned) >= SCAN_EVERY {
            *scanned = self.fill(report)?;
        }
        self.worker.wait(TURN, self.cancellation)?;
        Ok(true)
    }

    fn is_over(&self, now: Duration) -> bool {
        self.cancellation.is_cancelled() || self.deadline.is_some_and(|deadline| now >= deadline)
    }

    /// What is left of the time for the whole.
    fn left(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_sub(self.store.clock().monotonic()))
    }

    /// Ends what is under way, and gives back what did not come to an end by itself.
    fn give_back(&mut self, report: &mut Report) -> Result<(), Failed> {
        // with a cancelled wait nothing could be given back
        self.wait = Wait::up_to(FAREWELL);
        for errand in self.errands.values() {
            errand.interrupt();
        }
        let clock = self.store.clock();
        let until = clock.monotonic().saturating_add(FAREWELL);
        while !self.errands.is_empty() {
            let left = until.saturating_sub(clock.monotonic());
            let Ok(ended) = self.ended.1.recv_timeout(left) else { break };
            self.settle(ended, report)?;
        }
        let claims: Vec<Claim> = std::mem::take(&mut self.errands).into_values().map(|errand| errand.claim).collect();
        report.given_back += claims.len() as u64;
        report.lost += self.worker.release(claims, &self.wait)?.len() as u64;
        Ok(())
    }
}
