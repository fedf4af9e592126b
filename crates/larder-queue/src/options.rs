//! How a queue treats its tasks.

use std::time::Duration;

use larder_storage::journal;

/// Settings of a [`Queue`](crate::Queue). Processes that share a queue may differ in them: each applies its own to what it
/// does itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "options do nothing until a queue is opened with them"]
pub struct Options {
    pub(crate) lease: Duration,
    pub(crate) attempts_max: u32,
    pub(crate) losses_max: u32,
    pub(crate) length_max: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { lease: Duration::from_secs(60), attempts_max: 5, losses_max: 16, length_max: 1024 * 1024 * 1024 }
    }
}

impl Options {
    /// Leases of a minute, five attempts, sixteen lost workers, a file of at most 1 GiB.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long a claim holds without a sign of life ([`Worker::heartbeat`](crate::Worker::heartbeat)); at least 1 ms. It
    /// is for workers that are frozen: what one that has died had claimed is free at once.
    pub fn lease(mut self, length: Duration) -> Self {
        self.lease = length.max(Duration::from_millis(1));
        self
    }

    /// How often a task is attempted before it is a dead letter; at least once.
    pub fn attempts_max(mut self, attempts: u32) -> Self {
        self.attempts_max = attempts.max(1);
        self
    }

    /// How many workers may be lost over a task before it is a dead letter: it may be what kills them. At least one.
    pub fn losses_max(mut self, losses: u32) -> Self {
        self.losses_max = losses.max(1);
        self
    }

    /// The longest the queue's file may become, in bytes; what would not fit is refused. Adding ends at
    /// half of it, claiming at three quarters: the rest is for those who do the tasks. A task takes some 200 bytes and
    /// its payload, a finished one nothing after the next compaction.
    pub fn length_max(mut self, bytes: u64) -> Self {
        self.length_max = bytes;
        self
    }

    pub(crate) fn journal(&self) -> journal::Options {
        journal::Options::default().length_max(self.length_max)
    }
}
