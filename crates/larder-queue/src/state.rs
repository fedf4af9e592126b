//! What the records of a queue come to: its tasks, and whose turn it is.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;

use crate::hold::{Hold, Now};
use crate::record::{Again, Claim, Claimed, Failed, Of, Record, Spec, Stored, Which, length};
use crate::task::Priority;

/// How many dead letters are kept; the oldest go.
pub(crate) const DEAD_MAX: usize = 1_000;
/// How many records of other kinds a compaction carries along; with more, the file is left as it is.
pub(crate) const FOREIGN_MAX: usize = 1_024;

type Key = Arc<str>;

/// Where a task stands in line, and by what it is found there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It can be claimed.
    Ready(Priority),
    /// It is not due before that moment.
    Later(u64),
    /// It is left alone until that moment of the monotonic clock.
    Held(u64),
    /// Somebody does it; its lease ends then.
    Claimed(u64),
    /// It is not tried again.
    Dead(u64),
}

/// A task, and what has happened to it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) spec: Spec,
    /// Its turn among those of its priority: the number of the record that added it.
    pub(crate) turn: u64,
    again: Option<Again>,
    pub(crate) attempts: u32,
    pub(crate) losses: u32,
    pub(crate) error: Option<Box<str>>,
    hold: Option<Hold>,
    pub(crate) claim: Option<Claimed>,
    dead: Option<u64>,
    others: BTreeMap<String, Value>,
    pub(crate) place: Place,
}

impl Entry {
    fn new(spec: Spec, turn: u64) -> Self {
        Self {
            spec,
            turn,
            again: None,
            attempts: 0,
            losses: 0,
            error: None,
            hold: None,
            claim: None,
            dead: None,
            others: BTreeMap::new(),
            place: Place::Ready(Priority::LOWEST),
        }
    }

    fn of(stored: Stored) -> Self {
        let Stored { spec, turn, again, attempts, losses, error, hold, claim, dead, others } = stored;
        Self { spec, turn, again, attempts, losses, error, hold, claim, dead, others, place: Place::Dead(0) }
    }

    pub(crate) fn stored(&self) -> Stored {
        Stored {
            spec: self.spec.clone(),
            turn: self.turn,
            again: self.again.clone(),
            attempts: self.attempts,
            losses: self.losses,
            error: self.error.clone(),
            hold: self.hold,
            claim: self.claim.clone(),
            dead: self.dead,
            others: self.others.clone(),
        }
    }

    pub(crate) const fn is_dead(&self) -> bool {
        self.dead.is_some() && self.claim.is_none()
    }

    /// Whether this claim of it stands.
    pub(crate) fn is_claimed_by(&self, of: &Of) -> bool {
        self.claim.as_ref().is_some_and(|claim| (claim.token, claim.worker) == (of.token, of.worker))
    }

    /// About how many bytes it takes in a compacted journal.
    fn weight(&self) -> u64 {
        let again = self.again.as_ref().map_or(0, |again| again.spec.weight() + 24);
        let error = self.error.as_ref().map_or(0, |error| length(error) as u64 + 10);
        let claim = self.claim.as_ref().map_or(0, |claim| length(&claim.name) as u64 + 160);
        let hold = self.hold.map_or(0, |_| 90);
        self.spec.weight() + again + error + claim + hold + 40
    }

    fn place_at(&self, now: &Now) -> Place {
        if let Some(claim) = &self.claim {
            return Place::Claimed(claim.lease.end_ms(now));
        }
        if let Some(dead) = self.dead {
            return Place::Dead(dead);
        }
        match self.hold {
            Some(hold) if !hold.is_over(now) => Place::Held(hold.end_ms(now)),
            _ if self.spec.due_ms > now.wall_ms => Place::Later(self.spec.due_ms),
            _ => Place::Ready(self.spec.priority),
        }
    }

    /// What was added meanwhile becomes the task; false when there is none.
    fn begin_again(&mut self) -> bool {
        let Some(Again { spec, turn }) = self.again.take() else { return false };
        (self.spec, self.turn) = (spec, turn);
        (self.attempts, self.losses, self.error, self.hold) = (0, 0, None, None);
        true
    }
}

/// All tasks.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) entries: HashMap<Key, Entry>,
    ready: BTreeSet<(Reverse<Priority>, u64, Key)>,
    later: BTreeSet<(u64, u64, Key)>,
    held: BTreeSet<(u64, u64, Key)>,
    leases: BTreeSet<(u64, u64, Key)>,
    dead: BTreeSet<(u64, Key)>,
    /// The keys that each worker has claimed.
    pub(crate) workers: BTreeMap<u64, BTreeSet<Key>>,
    /// Records that only other versions know.
    pub(crate) foreign: Vec<Box<[u8]>>,
    /// About how many bytes a compacted journal would take.
    pub(crate) weight: u64,
}

impl State {
    /// What one record says.
    pub(crate) fn apply(&mut self, sequence: u64, record: Record, now: &Now) {
        match record {
            Record { add: Some(spec), .. } => self.add(spec, sequence, now),
            Record { claim: Some(claim), .. } => self.claim(claim, sequence, now),
            Record { beat: Some(beat), .. } => {
                for key in self.workers.get(&beat.worker).cloned().unwrap_or_default() {
                    self.change(&key, now, |entry| {
                        if let Some(claim) = &mut entry.claim {
                            claim.lease = beat.lease;
                        }
                    });
                }
            }
            Record { done: Some(of), .. } => self.end(&of, now, Entry::begin_again),
            Record { failed: Some(failed), .. } => self.failed(failed, sequence, now),
            Record { release: Some(of), .. } => self.end(&of, now, |entry| {
                if let Some(Again { spec, .. }) = entry.again.take() {
                    entry.spec.merge(spec);
                }
                true
            }),
            Record { retry: Some(key), .. } => self.change(&key, now, |entry| {
                (entry.attempts, entry.losses, entry.dead, entry.hold) = (0, 0, None, None);
            }),
            Record { remove: Some(key), .. } => self.drop_entry(&key),
            Record { clear: Some(which), .. } => self.clear(which),
            Record { stored: Some(stored), .. } => {
                let key = Arc::clone(&stored.spec.key);
                self.drop_entry(&key);
                self.put(key, Entry::of(stored), now);
            }
            _ => {}
        }
        while self.dead.len() > DEAD_MAX {
            let Some((_, oldest)) = self.dead.first().cloned() else { break };
            self.drop_entry(&oldest);
        }
    }

    fn add(&mut self, spec: Spec, sequence: u64, now: &Now) {
        let key = Arc::clone(&spec.key);
        let Some(mut entry) = self.take(&key) else {
            self.put(key, Entry::new(spec, sequence), now);
            return;
        };
        if entry.claim.is_some() {
            match &mut entry.again {
                Some(again) => again.spec.merge(spec),
                None => entry.again = Some(Again { spec, turn: sequence }),
            }
        } else if entry.dead.take().is_some() {
            // what it was before is over: it is new work, as urgent as it is now
            let error = entry.error.take();
            entry = Entry { error, ..Entry::new(spec, sequence) };
        } else {
            entry.spec.merge(spec);
        }
        self.put(key, entry, now);
    }

    fn claim(&mut self, claim: Claim, token: u64, now: &Now) {
        let Claim { key, worker, name, lease } = claim;
        self.change(&key, now, |entry| {
            if entry.claim.is_none() && entry.dead.is_none() {
                entry.claim = Some(Claimed { token, worker, name, lease });
                entry.hold = None;
            }
        });
    }

    /// The claim is over. The task stays if `stays` says so.
    fn end(&mut self, of: &Of, now: &Now, stays: impl FnOnce(&mut Entry) -> bool) {
        if !self.entries.get(&of.key).is_some_and(|entry| entry.is_claimed_by(of)) {
            return;
        }
        let Some(mut entry) = self.take(&of.key) else { return };
        entry.claim = None;
        if stays(&mut entry) {
            self.put(Arc::clone(&of.key), entry, now);
        }
    }

    fn failed(&mut self, failed: Failed, sequence: u64, now: &Now) {
        let Failed { of, error, hold, dead, lost } = failed;
        self.end(&of, now, |entry| {
            let count = if lost { &mut entry.losses } else { &mut entry.attempts };
            *count = count.saturating_add(1);
            (entry.error, entry.hold) = (error.or(entry.error.take()), hold);
            match entry.again.take() {
                // somebody wants it once more, whatever came of this attempt
                Some(Again { spec, .. }) => entry.spec.merge(spec),
                None => entry.dead = dead.then_some(sequence),
            }
            true
        });
    }

    fn clear(&mut self, which: Which) {
        match which {
            Which::All => {
                let foreign = std::mem::take(&mut self.foreign);
                *self = Self { foreign, ..Self::default() };
            }
            Which::Dead => {
                for (_, key) in std::mem::take(&mut self.dead) {
                    self.drop_entry(&key);
                }
            }
        }
    }

    fn change(&mut self, key: &Key, now: &Now, change: impl FnOnce(&mut Entry)) {
        if let Some(mut entry) = self.take(key) {
            change(&mut entry);
            self.put(Arc::clone(key), entry, now);
        }
    }

    fn drop_entry(&mut self, key: &Key) {
        let _ = self.take(key);
    }

    /// Puts a task in line.
    fn put(&mut self, key: Key, mut entry: Entry, now: &Now) {
        entry.place = entry.place_at(now);
        self.weight = self.weight.saturating_add(entry.weight());
        let (turn, in_line) = (entry.turn, Arc::clone(&key));
        match entry.place {
            Place::Ready(priority) => _ = self.ready.insert((Reverse(priority), turn, in_line)),
            Place::Later(at) => _ = self.later.insert((at, turn, in_line)),
            Place::Held(until) => _ = self.held.insert((until, turn, in_line)),
            Place::Claimed(until) => {
                if let Some(claim) = &entry.claim {
                    self.workers.entry(claim.worker).or_default().insert(Arc::clone(&key));
                }
                self.leases.insert((until, turn, in_line));
            }
            Place::Dead(since) => _ = self.dead.insert((since, in_line)),
        }
        self.entries.insert(key, entry);
    }

    /// Takes a task out of its line.
    fn take(&mut self, key: &Key) -> Option<Entry> {
        let (key, entry) = self.entries.remove_entry(key)?;
        self.weight = self.weight.saturating_sub(entry.weight());
        let turn = entry.turn;
        match entry.place {
            Place::Ready(priority) => _ = self.ready.remove(&(Reverse(priority), turn, key)),
            Place::Later(at) => _ = self.later.remove(&(at, turn, key)),
            Place::Held(until) => _ = self.held.remove(&(until, turn, key)),
            Place::Claimed(until) => {
                if let Some(claim) = &entry.claim
                    && let Some(keys) = self.workers.get_mut(&claim.worker)
                {
                    keys.remove(&key);
                    if keys.is_empty() {
                        self.workers.remove(&claim.worker);
                    }
                }
                self.leases.remove(&(until, turn, key));
            }
            Place::Dead(since) => _ = self.dead.remove(&(since, key)),
        }
        Some(entry)
    }

    /// Lets those come forward whose time has come.
    pub(crate) fn advance(&mut self, now: &Now) {
        let held = self.held.iter().take_while(|(until, ..)| *until <= now.monotonic_ms);
        let later = self.later.iter().take_while(|(at, ..)| *at <= now.wall_ms);
        let due: Vec<Key> = held.chain(later).map(|(_, _, key)| Arc::clone(key)).collect();
        for key in due {
            self.change(&key, now, |_| {});
        }
    }

    /// Those that can be claimed, in their order.
    pub(crate) fn ready(&self) -> impl Iterator<Item = &Entry> {
        self.ready.iter().filter_map(|(_, _, key)| self.entries.get(key))
    }

    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The claims whose leases are over.
    pub(crate) fn overdue(&self, now: &Now) -> Vec<Key> {
        let overdue = self.leases.iter().take_while(|(until, ..)| *until <= now.monotonic_ms);
        overdue.map(|(_, _, key)| Arc::clone(key)).collect()
    }

    /// How long it takes until the next task comes forward by itself, or the next lease is over, in milliseconds; `None`
    /// when none will.
    pub(crate) fn next_ms(&self, now: &Now) -> Option<u64> {
        let by_wall = self.later.first().map(|(at, ..)| at.saturating_sub(now.wall_ms));
        let by_monotonic = [self.held.first(), self.leases.first()].into_iter().flatten();
        by_monotonic.map(|(until, ..)| until.saturating_sub(now.monotonic_ms)).chain(by_wall).min()
    }
}
