//! The worker: claims, errands, and what came of them.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use indicatif::ProgressBar;
use larder_lock::{Cancellation, Wait};
use larder_queue::{Claim, Queue, Selection, Standing, Task, Worker};
use larder_staleness::ms_of;
use larder_storage::{Key, Prefix, Store};
use larder_upstream::{About, Due};

use super::errand::{End, Ended, Errand};
use super::{Report, due, errand, progress};
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

/// The worker can do nothing.
#[derive(Debug, thiserror::Error)]
#[error("no process can be started for a task; all that were claimed are given back")]
struct Unable {
    #[source]
    source: std::io::Error,
}

/// Nobody can fetch what was asked for.
#[derive(Debug, thiserror::Error)]
#[error("{key} has no source in the configuration: add one to larder.yaml, see `larder config show`")]
struct NoSource {
    key: Key,
}

/// A worker and what it works with.
pub(super) struct Work<'a> {
    global: &'a Global,
    terms: &'a Refresh,
    loaded: &'a Loaded,
    store: &'a Arc<Store>,
    queue: Queue,
    worker: Worker,
    wait: Wait,
    /// This program, as it was when it began: it may be replaced meanwhile.
    program: PathBuf,
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
        let program = std::env::current_exe().map_err(|source| Failed::new(Exit::INPUT_OUTPUT, Unable { source }))?;
        let (ended, errands, begun) = (channel(), BTreeMap::new(), 0);
        let work = Self {
            global,
            terms,
            loaded,
            store,
            queue,
            worker,
            wait,
            program,
            cancellation,
            deadline,
            ended,
            errands,
            begun,
        };
        Ok(work)
    }

    /// Works until there is nothing more to be done, or it is to end. What it has begun and not finished is given back.
    pub(super) fn run(mut self, report: &mut Report, output: Output) -> Result<(), Failed> {
        let mut scanned = self.fill(report, true)?;
        let bar = progress::bar(output, self.queue.counts()?.ready.min(self.terms.max.unwrap_or(u64::MAX)));
        let mut beaten = self.store.clock().monotonic();
        let worked = loop {
            let has_done = match self.turn(report, &bar) {
                Ok(has_done) => has_done,
                Err(error) => break Err(error),
            };
            let now = self.store.clock().monotonic();
            if self.is_over() || (self.errands.is_empty() && !has_done) {
                match self.goes_on(now, &mut scanned, report) {
                    Ok(true) => {}
                    Ok(false) => break Ok(()),
                    Err(error) => break Err(error),
                }
            }
            if now.saturating_sub(beaten) >= BEAT_EVERY {
                beaten = now;
                // a beat that is missed is made up for by the next, long before the leases are over
                if let Err(error) = self.worker.heartbeat(&self.wait()) {
                    tracing::warn!(%error, "the leases of this worker run on");
                }
            }
        };
        let given_back = self.give_back(report);
        bar.finish_and_clear();
        report.left = self.queue.counts()?.open();
        report.unsourced = self.unsourced()?;
        worked.and(given_back)
    }

    /// Queues what is to be refreshed; the moment of the look comes back. What was asked for is queued at first, and later what
    /// has become due of it. What nobody asked for is left alone where it is queued already, or has failed too often.
    fn fill(&self, report: &mut Report, is_first: bool) -> Result<Duration, Failed> {
        let now = self.store.clock().monotonic();
        let is_due_wanted = self.terms.due || self.loaded.config.refresh().auto_queue;
        let tasks = match &self.terms.target {
            Some(Target::Key(key)) if self.loaded.source_of(key).is_none() => {
                return Err(Failed::new(Exit::ABSENT, NoSource { key: key.clone() }));
            }
            Some(Target::Key(_)) if !is_first => Vec::new(),
            Some(Target::Key(key)) => {
                vec![due::task(key.as_str(), Due::NAMED)?]
            }
            Some(Target::Prefix(prefix)) => due::tasks(self.store, self.loaded, prefix, is_first && !self.terms.due)?,
            None if is_due_wanted => {
                let all = "".parse::<Prefix>().map_err(|error| Failed::new(Exit::FAILURE, error))?;
                due::tasks(self.store, self.loaded, &all, false)?
            }
            None => Vec::new(),
        };
        let is_asked_for = is_first && self.terms.target.is_some() && !self.terms.due;
        let tasks = if is_asked_for { tasks } else { self.new_ones(tasks)? };
        report.found += tasks.len() as u64;
        if !tasks.is_empty() {
            self.queue.add(&tasks, &self.wait())?;
        }
        if is_asked_for {
            // who asks for it by its name does not wait until it would be tried again
            let keys = tasks.iter().map(|task| task.key().to_owned()).collect();
            self.queue.retry(&Selection::Keys(keys), &self.wait())?;
        }
        Ok(now)
    }

    /// Those that are not in the queue.
    fn new_ones(&self, tasks: Vec<Task>) -> Result<Vec<Task>, Failed> {
        if tasks.is_empty() {
            return Ok(tasks);
        }
        let queued: HashSet<String> = self.queue.snapshot()?.tasks.into_iter().map(|task| task.key).collect();
        Ok(tasks.into_iter().filter(|task| !queued.contains(task.key())).collect())
    }

    /// Begins as many errands as there is room for, and settles those that have ended; whether it has done any of that.
    fn turn(&mut self, report: &mut Report, bar: &ProgressBar) -> Result<bool, Failed> {
        let mut has_done = false;
        let jobs = usize::from(self.terms.jobs.get());
        let left = self.terms.max.map_or(u64::MAX, |max| max.saturating_sub(self.begun));
        let room = jobs.saturating_sub(self.errands.len()).min(usize::try_from(left).unwrap_or(usize::MAX));
        // a look without the lock first: most of them find nothing
        if room > 0 && !self.is_over() && self.worker.wait(Duration::ZERO, &Cancellation::new())? {
            let can_do = |key: &str| key.parse::<Key>().is_ok_and(|key| self.loaded.source_of(&key).is_some());
            let mut claims = self.worker.claim_if(room, &self.wait(), can_do)?.into_iter();
            while let Some(claim) = claims.next() {
                has_done = true;
                if let Err(error) = self.begin(claim, report) {
                    // those that were not begun are for others
                    self.worker.release(claims.collect(), &self.wait())?;
                    return Err(error);
                }
            }
        }
        if self.errands.is_empty() {
            return Ok(has_done);
        }
        let mut next = self.ended.1.recv_timeout(TURN);
        while let Ok(ended) = next {
            has_done = true;
            bar.inc(1);
            self.settle(ended, report)?;
            next = self.ended.1.try_recv().map_err(|_| RecvTimeoutError::Timeout);
        }
        Ok(has_done)
    }

    fn begin(&mut self, claim: Claim, report: &mut Report) -> Result<(), Failed> {
        self.begun += 1;
        let key = claim.key().to_owned();
        let source = key.parse::<Key>().ok().and_then(|key| self.loaded.source_of(&key));
        if let Some(Err(error)) = source.map(|source| self.loaded.check_trusted(source)) {
            // so it is with all others: this worker can do nothing
            self.worker.release(vec![claim], &self.wait())?;
            return Err(error.into());
        }
        if self.is_refreshed(&claim) {
            report.already += 1;
            report.lost += u64::from(self.worker.complete(claim, &self.wait())?.is_err());
            return Ok(());
        }
        let timeout = self.left().map(|left| format!("{}ms", left.as_millis().max(1)));
        let (number, root) = (self.begun, self.store.path().as_str());
        let command = errand::command(&self.program, self.global, root, &key, timeout.as_deref());
        match Errand::begin(number, claim, command, &self.ended.0) {
            Ok(errand) => _ = self.errands.insert(number, errand),
            Err(failed) => {
                // it is not the task's fault, and would be the same with each
                let (claim, source) = *failed;
                self.worker.release(vec![claim], &self.wait())?;
                return Err(Failed::new(Exit::INPUT_OUTPUT, Unable { source }));
            }
        }
        Ok(())
    }

    /// Whether somebody has fetched the document since the task was added, and was due.
    fn is_refreshed(&self, claim: &Claim) -> bool {
        let found = claim.key().parse::<Key>().ok().and_then(|key| self.store.get(&key).ok().flatten());
        found.is_some_and(|entry| {
            let life = About::of_or_default(&entry).life;
            life.fetched_ms > ms_of(claim.added().max(claim.due())) && life.is_fresh(self.store.clock().wall())
        })
    }

    fn settle(&mut self, ended: Ended, report: &mut Report) -> Result<(), Failed> {
        let Some(Errand { claim, .. }) = self.errands.remove(&ended.number) else { return Ok(()) };
        let key = claim.key().to_owned();
        let told = match ended.end {
            End::Refreshed => {
                report.refreshed += 1;
                self.worker.complete(claim, &self.wait())?
            }
            // it was this worker's end that ended it
            End::Failed(_) if self.is_over() => {
                let lost = self.worker.release(vec![claim], &self.wait())?;
                report.given_back += u64::from(lost.is_empty());
                lost.into_iter().next().map_or(Ok(()), Err)
            }
            End::Failed(error) => {
                report.failed += 1;
                report.tell(&key, &error);
                let told = self.worker.fail(claim, &error, &self.wait())?;
                let now = self.queue.find(&key)?;
                report.dead += u64::from(now.is_some_and(|task| task.standing == Standing::Dead));
                told
            }
        };
        report.lost += u64::from(told.is_err());
        Ok(())
    }

    /// With nothing under way and nothing to be claimed: whether there will be something to do.
    fn goes_on(&self, now: Duration, scanned: &mut Duration, report: &mut Report) -> Result<bool, Failed> {
        if self.is_over() || !self.terms.watch || self.terms.max.is_some_and(|max| self.begun >= max) {
            return Ok(false);
        }
        if now.saturating_sub(*scanned) >= SCAN_EVERY {
            *scanned = self.fill(report, false)?;
        }
        // tasks that are not for this worker may be there all the time
        if self.worker.wait(TURN, self.cancellation)? {
            self.store.clock().sleep(TURN);
        }
        Ok(true)
    }

    /// How many tasks could be done now by somebody who has a source for them.
    fn unsourced(&self) -> Result<u64, Failed> {
        if self.queue.counts()?.ready == 0 {
            return Ok(0);
        }
        let has_source = |key: &str| key.parse::<Key>().is_ok_and(|key| self.loaded.source_of(&key).is_some());
        let tasks = self.queue.snapshot()?.tasks;
        Ok(tasks.iter().filter(|task| task.standing == Standing::Ready && !has_source(&task.key)).count() as u64)
    }

    fn is_over(&self) -> bool {
        let now = || self.store.clock().monotonic();
        self.cancellation.is_cancelled() || self.deadline.is_some_and(|deadline| now() >= deadline)
    }

    /// How long a step of the queue waits for others. What is to be told at the end is told also when that was asked for.
    fn wait(&self) -> Wait {
        if self.cancellation.is_cancelled() { Wait::up_to(FAREWELL) } else { self.wait.clone() }
    }

    /// What is left of the time for the whole.
    fn left(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_sub(self.store.clock().monotonic()))
    }

    /// Ends what is under way, and gives back what did not come to an end by itself.
    fn give_back(&mut self, report: &mut Report) -> Result<(), Failed> {
        for errand in self.errands.values() {
            errand.interrupt();
        }
        let clock = self.store.clock();
        let until = clock.monotonic().saturating_add(FAREWELL);
        let mut claims: Vec<Claim> = Vec::new();
        while !self.errands.is_empty() {
            let left = until.saturating_sub(clock.monotonic());
            let Ok(ended) = self.ended.1.recv_timeout(left) else { break };
            // it was told to end: that it failed says nothing
            let is_over = matches!(ended.end, End::Failed(_));
            match self.errands.remove(&ended.number) {
                Some(errand) if is_over => claims.push(errand.claim),
                Some(errand) => {
                    self.errands.insert(ended.number, errand);
                    self.settle(ended, report)?;
                }
                None => {}
            }
        }
        claims.extend(std::mem::take(&mut self.errands).into_values().map(|errand| errand.claim));
        let count = claims.len() as u64;
        let lost = self.worker.release(claims, &Wait::up_to(FAREWELL))?.len() as u64;
        report.given_back += count.saturating_sub(lost);
        report.lost += lost;
        Ok(())
    }
}
