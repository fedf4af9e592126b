//! How long documents may be used, as configured.

use std::time::Duration;

use crate::early::Early;
use crate::time::DAY;

/// How long a document of one class may be used, and how it is kept fresh.
///
/// The windows for stale use both begin where freshness ends, as in RFC 5861. A zero switches a window off.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Policy {
    /// How old a document may be and still be fresh. It is stale when it is older than that, and not before.
    pub fresh: Duration,
    /// For how long after that it is given out while it is being refreshed.
    pub stale_while_revalidate: Duration,
    /// For how long after freshness it is given out when the upstream fails. Never less than
    /// [`stale_while_revalidate`](Self::stale_while_revalidate): what is good enough without asking is good enough in an
    /// outage.
    pub stale_if_error: Duration,
    /// For how long it is kept beyond all of these, for conditional requests and for those who ask offline.
    pub keep: Duration,
    /// For how long it is known that the upstream does not have it.
    pub negative: Duration,
    /// At most so much is added to `fresh`, drawn once when a document is stored: so that what was fetched together
    /// does not expire together.
    pub jitter: Duration,
    /// When a fresh document is refreshed before its time.
    pub early: Early,
    /// The least that an upstream, or the history, may make of `fresh`.
    pub fresh_min: Duration,
    /// The most.
    pub fresh_max: Duration,
    /// Whether what does not change is asked for less often, and what does more often.
    pub adaptive: bool,
}

impl Default for Policy {
    /// Fresh for 30 days, never given out stale, kept for 30 days more, absent for 30 seconds; no jitter, nothing early.
    fn default() -> Self {
        Self {
            fresh: DAY * 30,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            keep: DAY * 30,
            negative: Duration::from_secs(30),
            jitter: Duration::ZERO,
            early: Early::Never,
            fresh_min: Duration::ZERO,
            fresh_max: Duration::MAX,
            adaptive: false,
        }
    }
}

impl Policy {
    /// The default, with this time of freshness.
    pub fn fresh_for(fresh: Duration) -> Self {
        Self { fresh, ..Self::default() }
    }

    /// How long documents of this class are fresh when the upstream says so much: within the class's bounds.
    pub fn clamp(&self, fresh: Duration) -> Duration {
        // bounds that contradict each other are a mistake of the configuration; the larger one holds
        fresh.min(self.fresh_max).max(self.fresh_min)
    }
}
