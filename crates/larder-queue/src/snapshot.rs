//! A queue as people look at it.

use std::time::SystemTime;

use serde::Serialize;
use serde_json::Value;

use crate::hold::Now;
use crate::state::{Entry, Place, State};
use crate::task::{Priority, time_of};

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Standing {
    /// It can be claimed.
    Ready,
    /// It is not due yet.
    Scheduled,
    /// It has failed, and is left alone for a while.
    Held,
    /// A worker does it, or has had no time yet to be found dead.
    Claimed,
    /// It has failed too often, and is not tried again unless it is added or retried.
    Dead,
}

/// A task, as others see it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct View {
    /// Its key.
    pub key: String,
    /// Where it stands.
    pub standing: Standing,
    /// How urgent it is.
    pub priority: Priority,
    /// Why it is to be done.
    pub reason: String,
    /// What was given along with it.
    pub payload: Option<Value>,
    /// When it was added; the last time, when that was more than once.
    pub added: SystemTime,
    /// When it is due.
    pub due: SystemTime,
    /// How many attempts have failed.
    pub attempts: u32,
    /// How many workers were lost over it.
    pub losses: u32,
    /// How the last attempt failed.
    pub error: Option<String>,
    /// The worker that does it, by its name.
    pub worker: Option<String>,
    /// For how many milliseconds its lease, or the time it is left alone, still lasts.
    pub left_ms: Option<u64>,
}

/// How many tasks there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Counts {
    /// Those that can be claimed.
    pub ready: u64,
    /// Those that are not due yet.
    pub scheduled: u64,
    /// Those that are left alone after a failure.
    pub held: u64,
    /// Those that somebody does.
    pub claimed: u64,
    /// Those that are not tried again.
    pub dead: u64,
}

/// All tasks of a moment.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// They, in the order in which they would be claimed if all could be: by priority, then by age; dead letters last.
    pub tasks: Vec<View>,
    /// How many of each kind.
    pub counts: Counts,
    /// How many damaged records were passed over.
    pub lost_records: u64,
    /// How many records only a newer version can read.
    pub foreign_records: u64,
}

impl Snapshot {
    pub(crate) fn of(state: &State, lost_records: u64, now: &Now) -> Self {
        let mut entries: Vec<_> = state.entries.values().collect();
        entries.sort_unstable_by_key(|entry| {
            (matches!(entry.place, Place::Dead(_)), std::cmp::Reverse(entry.spec.priority), entry.turn)
        });
        let tasks = entries.into_iter().map(|entry| View::of(entry, now)).collect();
        Self { tasks, counts: Counts::of(state), lost_records, foreign_records: state.foreign.len() as u64 }
    }
}

impl Counts {
    pub(crate) fn of(state: &State) -> Self {
        let mut counts = Self::default();
        for entry in state.entries.values() {
            *match standing(entry) {
                Standing::Ready => &mut counts.ready,
                Standing::Scheduled => &mut counts.scheduled,
                Standing::Held => &mut counts.held,
                Standing::Claimed => &mut counts.claimed,
                Standing::Dead => &mut counts.dead,
            } += 1;
        }
        counts
    }

    /// All that is to be done: everything but the dead letters.
    pub const fn open(&self) -> u64 {
        self.ready + self.scheduled + self.held + self.claimed
    }
}

fn standing(entry: &Entry) -> Standing {
    match entry.place {
        Place::Ready(_) => Standing::Ready,
        Place::Later(_) => Standing::Scheduled,
        Place::Held(_) => Standing::Held,
        Place::Claimed(_) => Standing::Claimed,
        Place::Dead(_) => Standing::Dead,
    }
}

impl View {
    pub(crate) fn of(entry: &Entry, now: &Now) -> Self {
        let left_ms = match entry.place {
            Place::Held(until) | Place::Claimed(until) => Some(until.saturating_sub(now.monotonic_ms)),
            _ => None,
        };
        let spec = &entry.spec;
        Self {
            key: spec.key.to_string(),
            standing: standing(entry),
            priority: spec.priority,
            reason: spec.reason.to_string(),
            payload: spec.payload.as_ref().and_then(|payload| serde_json::from_str(payload.get()).ok()),
            added: time_of(spec.added_ms),
            due: time_of(if spec.due_ms == 0 { spec.added_ms } else { spec.due_ms }),
            attempts: entry.attempts,
            losses: entry.losses,
            error: entry.error.as_deref().map(str::to_owned),
            worker: entry.claim.as_ref().map(|claim| claim.name.to_string()),
            left_ms,
        }
    }
}
