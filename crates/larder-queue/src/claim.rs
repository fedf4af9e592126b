//! Claims: the right of one worker to do one task.

use std::time::SystemTime;

use serde_json::Value;

use crate::record::{Claimed, Of};
use crate::state::Entry;
use crate::task::{Priority, time_of};

/// The right to do a task, which nobody else has until it is given back, or this worker is gone or silent.
///
/// Dropped without a word, it stands until the worker is dropped or its lease is over.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a claim keeps others from the task: complete it, fail it or release it"]
pub struct Claim {
    key: String,
    priority: Priority,
    reason: String,
    payload: Option<Value>,
    added_ms: u64,
    due_ms: u64,
    attempts: u32,
    losses: u32,
    pub(crate) worker: u64,
    pub(crate) token: u64,
}

/// A claim that is no more: its lease was over before its worker gave a sign of life, or somebody removed the task. What was
/// done may be done again by another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the claim of {key:?} is over: {}", holder.as_ref().map_or_else(|| "the task is free again, or gone".to_owned(), |holder| format!("{holder} has it now")))]
pub struct Lost {
    /// The task's key.
    pub key: String,
    /// The worker that has it now, by its name; `None` when nobody has.
    pub holder: Option<String>,
}

impl Claim {
    pub(crate) fn of(entry: &Entry, worker: u64, token: u64) -> Self {
        let spec = &entry.spec;
        Self {
            key: spec.key.to_string(),
            priority: spec.priority,
            reason: spec.reason.to_string(),
            payload: spec.payload.as_ref().and_then(|payload| serde_json::from_str(payload.get()).ok()),
            added_ms: spec.added_ms,
            due_ms: spec.due_ms,
            attempts: entry.attempts,
            losses: entry.losses,
            worker,
            token,
        }
    }

    /// The task's key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// How urgent it is.
    pub const fn priority(&self) -> Priority {
        self.priority
    }

    /// Why it is to be done.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// What was given along with it.
    pub const fn payload(&self) -> Option<&Value> {
        self.payload.as_ref()
    }

    /// When it was added, by the wall clock of whoever did; the last time, when it was added more than once.
    pub fn added(&self) -> SystemTime {
        time_of(self.added_ms)
    }

    /// When it was due; 1970 when it was due at once.
    pub fn due(&self) -> SystemTime {
        time_of(self.due_ms)
    }

    /// How many attempts have failed.
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// How many workers were lost over it.
    pub const fn losses(&self) -> u32 {
        self.losses
    }

    /// The number that fences it: larger than that of any earlier claim of this queue's file, for whatever else may be told to
    /// refuse what comes late. A file that was set aside or removed begins anew, and loss of power may take claims, whose numbers
    /// then come again.
    pub const fn token(&self) -> u64 {
        self.token
    }

    pub(crate) fn record(&self) -> Of {
        Of { key: self.key.as_str().into(), worker: self.worker, token: self.token }
    }

    pub(crate) fn lost(&self, now: Option<&Claimed>) -> Lost {
        Lost { key: self.key.clone(), holder: now.map(|claim| claim.name.to_string()) }
    }
}
