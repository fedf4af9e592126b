//! How a folder of locks works, and what is worth its cost.

use std::time::Duration;

pub use larder_system::LockMode as Mode;

/// What stands behind the locks of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Backend {
    /// What the folder's record says; without one, what its file system was found able to do. Given to
    /// [`Locks::in_folder`](crate::Locks::in_folder), which neither reads a record nor probes, it is [`Backend::Advisory`].
    #[default]
    Auto,
    /// The system's advisory file locks: `flock(2)`, `LockFileEx`. They die with their holder.
    Advisory,
    /// Files that a live holder keeps changing, for file systems whose locks lie or are missing. Exclusive only.
    Lease {
        /// How long a lease outlives its last heartbeat. Held between 50 ms and a day.
        length: Duration,
    },
}

/// The length of leases unless said otherwise.
pub(crate) const LEASE_DEFAULT: Duration = Duration::from_secs(10);
const LEASE_MIN: Duration = Duration::from_millis(50);
const LEASE_MAX: Duration = Duration::from_secs(24 * 3_600);

impl Backend {
    /// Leases of the default length, 10 s.
    pub const LEASE: Self = Self::Lease { length: LEASE_DEFAULT };

    pub(crate) fn clamped(self) -> Self {
        match self {
            Self::Lease { length } => Self::Lease { length: length.clamp(LEASE_MIN, LEASE_MAX) },
            other => other,
        }
    }
}

/// Settings of a [`Locks`](crate::Locks).
///
/// ```
/// use larder_lock::{Backend, Options};
/// let options = Options::new().backend(Backend::Advisory).kept_descriptors(64);
/// ```
#[derive(Clone, Debug)]
#[must_use = "options do nothing until locks are made with them"]
pub struct Options {
    pub(crate) backend: Backend,
    pub(crate) record_holder: bool,
    pub(crate) kept_descriptors: usize,
    pub(crate) label: Option<String>,
    pub(crate) report_every: Duration,
    pub(crate) probe_bound: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            backend: Backend::Auto,
            record_holder: true,
            kept_descriptors: 0,
            label: None,
            report_every: Duration::from_secs(5),
            probe_bound: Duration::from_secs(2),
        }
    }
}

impl Options {
    /// The defaults: [`Backend::Auto`], holders recorded, no descriptors kept, a report every 5 s, a probe of at most 2 s.
    pub fn new() -> Self {
        Self::default()
    }

    /// What stands behind the locks.
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backend = backend;
        self
    }

    /// Whether a holder of an advisory lock writes its pid, host and time into the lock file: one small `pwrite` for
    /// each acquisition, without which a holder on another machine cannot be named. Leases always carry their holder.
    pub fn record_holder(mut self, yes: bool) -> Self {
        self.record_holder = yes;
        self
    }

    /// How many unlocked descriptors stay open to be locked again without an `open`. With 0 each lock is opened and
    /// closed. The cost is file descriptors.
    pub fn kept_descriptors(mut self, count: usize) -> Self {
        self.kept_descriptors = count;
        self
    }

    /// What this process is doing, shown to those who wait for it; cut to 64 characters. It is stored in the clear: no
    /// secrets.
    pub fn label(mut self, label: &str) -> Self {
        self.label = Some(label.chars().filter(|c| !c.is_control()).take(64).collect());
        self
    }

    /// How often an [`Observer`](crate::Observer) hears that a wait goes on; at least 10 ms.
    pub fn report_every(mut self, interval: Duration) -> Self {
        self.report_every = interval.max(Duration::from_millis(10));
        self
    }

    /// How long [`Locks::open`](crate::Locks::open) lets the file system answer its probe before it counts as unable.
    pub fn probe_bound(mut self, bound: Duration) -> Self {
        self.probe_bound = bound;
        self
    }
}
