//! Workers: who claims tasks, says that it lives, and tells what came of them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use larder_lock::{Cancellation, Guard, Mode, Wait};
use larder_storage::journal::{Durability, Exclusive, append};

use crate::claim::{Claim, Lost};
use crate::compact;
use crate::error::Error;
use crate::fold::Fold;
use crate::hold::{Hold, Now, back_off};
use crate::queue::{JOURNAL, Opened, Queue};
use crate::record::{self, Beat, Failed, Record};
use crate::task::{ERROR_BYTES_MAX, cut};

/// How often a worker looks whether another one lives.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often a worker that waits looks for new tasks.
const POLL_EVERY: Duration = Duration::from_millis(50);
/// How many workers may be lost over a task before it is left alone for a while.
const LOSSES_FREE: u32 = 2;
/// The longest name of a worker, in bytes.
const NAME_BYTES_MAX: usize = 256;
/// How often the system's random numbers may name a worker that is there already.
const DRAWS_MAX: u32 = 8;
/// The most that one claim takes.
const CLAIMS_MAX: usize = 10_000;

/// One worker. As long as it lives, a lock says so; when its process ends, however, what it has claimed is free for others
/// at once.
#[derive(Debug)]
#[must_use = "dropped, it is dead, and what it has claimed is free"]
pub struct Worker {
    queue: Queue,
    id: u64,
    name: std::sync::Arc<str>,
    /// When each other worker was last seen to live, in milliseconds of the monotonic clock.
    seen: Mutex<HashMap<u64, u64>>,
    alive: Option<Guard>,
}

/// How an attempt ended.
enum End<'a> {
    Done,
    Failed { error: &'a str, is_final: bool },
    Released,
}

pub(crate) fn begin(queue: &Queue, name: &str) -> Result<Worker, Error> {
    let opened = queue.shared.writing()?;
    for _ in 0..DRAWS_MAX {
        let id = larder_system::unique().map_err(|source| Error::Identity { source })?;
        match opened.locks.acquire(&lock_of(id), Mode::Exclusive, &Wait::none()) {
            Ok(alive) => {
                let name = cut(name, NAME_BYTES_MAX).into();
                return Ok(Worker { queue: queue.clone(), id, name, seen: Mutex::default(), alive: Some(alive) });
            }
            Err(error) if error.is_contention() => {}
            Err(source) => return Err(Error::Worker { source: Box::new(source) }),
        }
    }
    Err(Error::Identity { source: std::io::ErrorKind::AlreadyExists.into() })
}

/// The lock that says that a worker lives.
fn lock_of(worker: u64) -> String {
    format!("//queue/worker/{worker:016x}")
}

impl Worker {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Claims the next tasks, at most so many: those of the highest priority first, of one priority those that were added
    /// first. Does not wait for tasks; `wait` is for other processes that write to the queue at this moment.
    ///
    /// What workers had claimed that have died is free, and what those had that gave no sign of life for the length of
    /// their lease. A claim is not synced: loss of power gives the task back, and everybody's claims with it.
    ///
    /// A task over which a worker was lost comes alone: it may be what kills them, and takes no others with it.
    ///
    /// # Errors
    /// Nothing was claimed.
    pub fn claim(&self, tasks_max: usize, wait: &Wait) -> Result<Vec<Claim>, Error> {
        self.claim_if(tasks_max, wait, |_| true)
    }

    /// The same, of the tasks whose keys this worker can do: others are left for others. Each key that may come next is asked
    /// about, with the queue locked.
    ///
    /// # Errors
    /// Nothing was claimed.
    pub fn claim_if(
        &self,
        tasks_max: usize,
        wait: &Wait,
        mut is_wanted: impl FnMut(&str) -> bool,
    ) -> Result<Vec<Claim>, Error> {
        match self.try_claim(tasks_max, wait, &mut is_wanted) {
            Err(Error::Append(error)) if matches!(*error, append::Error::Full { .. }) => {
                self.opened()?.compact(wait, compact::is_worth_it)?;
                self.try_claim(tasks_max, wait, &mut is_wanted)
            }
            claimed => claimed,
        }
    }

    fn try_claim(
        &self,
        tasks_max: usize,
        wait: &Wait,
        is_wanted: &mut dyn FnMut(&str) -> bool,
    ) -> Result<Vec<Claim>, Error> {
        let opened = self.opened()?;
        let (mut exclusive, now) = (opened.journal.exclusive(wait)?, opened.now());
        let mut fold = opened.fold();
        fold.catch_up(&exclusive, &now)?;
        if exclusive.length() > opened.claimed_max {
            let (length, limit) = (exclusive.length(), opened.claimed_max);
            return Err(append::Error::Full { journal: JOURNAL.to_owned(), length, limit }.into());
        }
        let tasks_max = tasks_max.min(CLAIMS_MAX);
        let mut records = self.losses(opened, &fold, &now, tasks_max);
        if !records.is_empty() {
            // what is found lost is written first, so that this very claim may take it
            let lines: Vec<_> = records.iter().map(Record::encode).collect();
            let appended = exclusive.append(&lines, Durability::Unsynced)?;
            fold.append(&appended, std::mem::take(&mut records), &now);
            fold.catch_up(&exclusive, &now)?;
        }
        let lease = Hold::from(&now, self.queue.shared.options.lease);
        let mut claims = Vec::new();
        for entry in fold.state.ready().filter(|entry| is_wanted(&entry.spec.key)).take(tasks_max) {
            let is_suspect = entry.losses > 0;
            if is_suspect && !claims.is_empty() {
                break;
            }
            let (key, worker) = (entry.spec.key.clone(), self.id);
            records.push(Record {
                claim: Some(record::Claim { key, worker, name: self.name.clone(), lease }),
                ..Record::new()
            });
            claims.push(Claim::of(entry, self.id, 0));
            if is_suspect {
                break;
            }
        }
        if claims.is_empty() {
            return Ok(claims);
        }
        let first = finish(opened, exclusive, fold, records, Durability::Unsynced, &now)?;
        for (claim, token) in claims.iter_mut().zip(first..) {
            claim.token = token;
        }
        Ok(claims)
    }

    /// Waits until there may be something to claim, at most so long; false when there is not. It looks at the queue's end
    /// now and then, and ends early with the cancellation.
    ///
    /// # Errors
    /// The queue cannot be read.
    pub fn wait(&self, at_most: Duration, cancellation: &Cancellation) -> Result<bool, Error> {
        let opened = self.opened()?;
        let began = opened.clock.monotonic();
        loop {
            let next = {
                let mut fold = opened.fold();
                let now = fold.poll(&*opened.clock)?;
                if fold.state.has_ready() || self.has_lost(opened, &fold, &now) {
                    return Ok(true);
                }
                fold.state.next_ms(&now).map_or(POLL_EVERY, Duration::from_millis)
            };
            let left = at_most.saturating_sub(opened.clock.monotonic().saturating_sub(began));
            if left.is_zero() || cancellation.is_cancelled() {
                return Ok(false);
            }
            let pause = left.min(POLL_EVERY).min(next.max(Duration::from_millis(1)));
            opened.clock.sleep(pause);
        }
    }

    /// Says that this worker lives: the leases of all that it has claimed begin anew. Due well within the length of a
    /// lease, say at a third of it, as long as anything is claimed.
    ///
    /// # Errors
    /// It was not said.
    pub fn heartbeat(&self, wait: &Wait) -> Result<(), Error> {
        let opened = self.opened()?;
        let (exclusive, now) = (opened.journal.exclusive(wait)?, opened.now());
        let mut fold = opened.fold();
        fold.catch_up(&exclusive, &now)?;
        if !fold.state.workers.contains_key(&self.id) {
            return Ok(());
        }
        let lease = Hold::from(&now, self.queue.shared.options.lease);
        let beat = Record { beat: Some(Beat { worker: self.id, lease }), ..Record::new() };
        finish(opened, exclusive, fold, vec![beat], Durability::Unsynced, &now).map(drop)
    }

    /// The task is done, durably: unless it was added again meanwhile, it is gone.
    ///
    /// # Errors
    /// It cannot be written: it will be done again.
    pub fn complete(&self, claim: Claim, wait: &Wait) -> Result<Result<(), Lost>, Error> {
        self.end(vec![claim], &End::Done, wait).map(one)
    }

    /// The same for many, with one sync. Those whose claims were over come back.
    ///
    /// # Errors
    /// None is known to be done.
    pub fn complete_all(&self, claims: Vec<Claim>, wait: &Wait) -> Result<Vec<Lost>, Error> {
        self.complete_all_as(claims, Durability::Synced, wait)
    }

    /// The same with a choice of what it survives: unsynced, loss of power may bring the tasks back, to be done again.
    ///
    /// # Errors
    /// None is known to be done.
    pub fn complete_all_as(&self, claims: Vec<Claim>, durability: Durability, wait: &Wait) -> Result<Vec<Lost>, Error> {
        self.end_as(claims, &End::Done, durability, wait)
    }

    /// The attempt failed: the task is left alone for 30 s, doubling each time up to 15 minutes, and after the last attempt
    /// that [`Options::attempts_max`](crate::Options::attempts_max) allows it is a dead letter.
    ///
    /// # Errors
    /// It cannot be written: the claim stands, until its lease is over.
    pub fn fail(&self, claim: Claim, error: &str, wait: &Wait) -> Result<Result<(), Lost>, Error> {
        self.end(vec![claim], &End::Failed { error, is_final: false }, wait).map(one)
    }

    /// The attempt failed, and so would every other: the task is a dead letter at once.
    ///
    /// # Errors
    /// As [`Worker::fail`].
    pub fn fail_for_good(&self, claim: Claim, error: &str, wait: &Wait) -> Result<Result<(), Lost>, Error> {
        self.end(vec![claim], &End::Failed { error, is_final: true }, wait).map(one)
    }

    /// Gives tasks back that were not attempted, as at a worker's end. Those whose claims were over come back.
    ///
    /// # Errors
    /// They are free when this worker is dropped.
    pub fn release(&self, claims: Vec<Claim>, wait: &Wait) -> Result<Vec<Lost>, Error> {
        self.end(claims, &End::Released, wait)
    }

    /// Whether the claim still stands, as far as the queue tells now.
    ///
    /// # Errors
    /// The queue cannot be read.
    pub fn holds(&self, claim: &Claim) -> Result<bool, Error> {
        let opened = self.opened()?;
        let mut fold = opened.fold();
        fold.poll(&*opened.clock)?;
        Ok(fold.state.entries.get(claim.key()).is_some_and(|entry| entry.is_claimed_by(&claim.record())))
    }

    fn end(&self, claims: Vec<Claim>, end: &End<'_>, wait: &Wait) -> Result<Vec<Lost>, Error> {
        let durability = if matches!(end, End::Released) { Durability::Unsynced } else { Durability::Synced };
        self.end_as(claims, end, durability, wait)
    }

    fn end_as(
        &self,
        claims: Vec<Claim>,
        end: &End<'_>,
        durability: Durability,
        wait: &Wait,
    ) -> Result<Vec<Lost>, Error> {
        if claims.is_empty() {
            return Ok(Vec::new());
        }
        let opened = self.opened()?;
        let (exclusive, now) = (opened.journal.exclusive(wait)?, opened.now());
        let mut fold = opened.fold();
        fold.catch_up(&exclusive, &now)?;
        let (mut records, mut lost) = (Vec::with_capacity(claims.len()), Vec::new());
        for claim in claims {
            let (of, entry) = (claim.record(), fold.state.entries.get(claim.key()));
            let Some(entry) = entry.filter(|entry| entry.is_claimed_by(&of)) else {
                lost.push(claim.lost(entry.and_then(|entry| entry.claim.as_ref())));
                continue;
            };
            records.push(match end {
                End::Done => Record { done: Some(of), ..Record::new() },
                End::Released => Record { release: Some(of), ..Record::new() },
                End::Failed { error, is_final } => {
                    let attempts = entry.attempts.saturating_add(1);
                    let dead = *is_final || attempts >= self.queue.shared.options.attempts_max;
                    // also of a dead one: it may have been added meanwhile, and is tried again then
                    let hold = Some(Hold::from(&now, back_off(attempts)));
                    let error = Some(cut(error, ERROR_BYTES_MAX).into());
                    Record { failed: Some(Failed { of, error, hold, dead, lost: false }), ..Record::new() }
                }
            });
        }
        finish(opened, exclusive, fold, records, durability, &now)?;
        Ok(lost)
    }

    /// Records that give back what lost workers had claimed: those whose leases are over, and those who are dead, who are
    /// looked at now and then, and always when there is nothing else to claim.
    fn losses(&self, opened: &Opened, fold: &Fold, now: &Now, wanted: usize) -> Vec<Record> {
        let mut keys = fold.state.overdue(now);
        let must_look = fold.state.ready().take(wanted.max(1)).count() < wanted.max(1);
        for worker in self.dead_workers(opened, fold, now, must_look) {
            keys.extend(fold.state.workers.get(&worker).into_iter().flatten().cloned());
        }
        keys.sort_unstable();
        keys.dedup();
        // more are found with the next claim: all of one that held many would be more than a batch may have
        keys.truncate(CLAIMS_MAX);
        let entries = keys.iter().filter_map(|key| fold.state.entries.get(key));
        entries
            .filter_map(|entry| entry.claim.as_ref().map(|claim| (entry, claim)))
            .map(|(entry, claim)| {
                let of = record::Of { key: entry.spec.key.clone(), worker: claim.worker, token: claim.token };
                let losses = entry.losses.saturating_add(1);
                let dead = losses >= self.queue.shared.options.losses_max;
                // also of a dead one: it may have been added meanwhile, and is tried again then
                let hold = (losses > LOSSES_FREE).then(|| Hold::from(now, back_off(losses - LOSSES_FREE)));
                let error = format!("its worker, {}, died or was silent for longer than its lease", claim.name);
                let error = Some(cut(&error, ERROR_BYTES_MAX).into());
                Record { failed: Some(Failed { of, error, hold, dead, lost: true }), ..Record::new() }
            })
            .collect()
    }

    fn has_lost(&self, opened: &Opened, fold: &Fold, now: &Now) -> bool {
        !fold.state.overdue(now).is_empty() || !self.dead_workers(opened, fold, now, false).is_empty()
    }

    /// The workers that have claimed something and whose lock is free.
    fn dead_workers(&self, opened: &Opened, fold: &Fold, now: &Now, at_once: bool) -> Vec<u64> {
        let every = u64::try_from(LOOK_EVERY.as_millis()).unwrap_or(u64::MAX);
        let mut seen = self.seen();
        seen.retain(|worker, _| fold.state.workers.contains_key(worker));
        let mut dead = Vec::new();
        for &worker in fold.state.workers.keys().filter(|worker| **worker != self.id) {
            let looked = seen.get(&worker).copied();
            let is_due = looked.is_none_or(|looked| now.monotonic_ms.abs_diff(looked) >= every);
            if !at_once && !is_due {
                continue;
            }
            let free = opened.locks.wait_until_free(&lock_of(worker), &Wait::none().without_holder());
            if free.is_ok() {
                dead.push(worker);
            } else {
                seen.insert(worker, now.monotonic_ms);
            }
        }
        dead
    }

    fn opened(&self) -> Result<&Opened, Error> {
        self.queue.shared.writing()
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<u64, u64>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(alive) = self.alive.take() {
            // nobody will ask for this name again
            let _ = alive.retire();
        }
    }
}

fn one(lost: Vec<Lost>) -> Result<(), Lost> {
    lost.into_iter().next().map_or(Ok(()), Err)
}

/// Appends under the lock, lets that go, and syncs if so asked; the number of the first record comes back. What is in the
/// journal by then is folded, also when it is not durable. A journal that has grown is compacted instead of synced, which
/// syncs it; one that has no room takes what is not a claim by being compacted to what it then comes to.
pub(crate) fn finish(
    opened: &Opened,
    mut exclusive: Exclusive<'_>,
    mut fold: MutexGuard<'_, Fold>,
    records: Vec<Record>,
    durability: Durability,
    now: &Now,
) -> Result<u64, Error> {
    if records.is_empty() {
        return Ok(0);
    }
    let lines: Vec<_> = records.iter().map(Record::encode).collect();
    let mut ahead = None;
    let appended = match durability {
        Durability::Synced => exclusive.append_ahead(&lines).map(|appended| *ahead.insert(appended).appended()),
        Durability::Unsynced => exclusive.append(&lines, Durability::Unsynced),
    };
    let appended = match appended {
        Err(append::Error::Full { .. }) if records.iter().all(|record| record.claim.is_none()) => {
            return rewrite(opened, exclusive, fold, records, now);
        }
        appended => appended?,
    };
    fold.append(&appended, records, now);
    if compact::is_due(exclusive.length(), &fold) {
        match compact::run(opened, exclusive, &mut fold) {
            Ok(()) => return Ok(appended.first_sequence),
            Err(error) => tracing::debug!(%error, "a queue was not compacted"),
        }
    } else {
        drop(exclusive);
    }
    drop(fold);
    if let Some(ahead) = ahead {
        ahead.sync()?;
    }
    Ok(appended.first_sequence)
}

/// Has the journal say what it comes to with these records, instead of appending them.
fn rewrite(
    opened: &Opened,
    exclusive: Exclusive<'_>,
    mut fold: MutexGuard<'_, Fold>,
    records: Vec<Record>,
    now: &Now,
) -> Result<u64, Error> {
    let first = exclusive.next_sequence();
    for (record, sequence) in records.into_iter().zip(first..) {
        fold.state.apply(sequence, record, now);
    }
    compact::run(opened, exclusive, &mut fold).inspect_err(|_| fold.restart(&opened.journal))?;
    Ok(first)
}
