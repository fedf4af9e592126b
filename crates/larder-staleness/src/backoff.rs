//! How long a failing upstream is left alone.

use std::time::Duration;

/// The least that a failing upstream is left alone when it says for how long.
const ASKED_MIN: Duration = Duration::from_secs(1);

/// The times between two calls of an upstream that fails: doubling, up to a cap, never with jitter, because all processes
/// of a machine share one memory of the failure and only one of them asks.
///
/// ```
/// use std::time::Duration;
/// use larder_staleness::Backoff;
///
/// let backoff = Backoff::default();
/// let seconds: Vec<u64> = (1..=7).map(|failures| backoff.after(failures, None).as_secs()).collect();
/// assert_eq!(seconds, [30, 60, 120, 240, 480, 900, 900]);
/// // what the upstream says wins, within a bound
/// assert_eq!(backoff.after(1, Some(Duration::from_secs(3_600))), Duration::from_secs(3_600));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure.
    pub first: Duration,
    /// The most that doubling comes to.
    pub cap: Duration,
    /// The most that an upstream may ask for (`Retry-After`).
    pub retry_after_max: Duration,
}

impl Default for Backoff {
    /// 30 seconds, doubling to 15 minutes; an upstream may ask for a day.
    fn default() -> Self {
        let (first, cap) = (Duration::from_secs(30), Duration::from_secs(15 * 60));
        Self { first, cap, retry_after_max: crate::time::DAY }
    }
}

impl Backoff {
    /// None: every caller asks.
    pub const NONE: Self = Self { first: Duration::ZERO, cap: Duration::ZERO, retry_after_max: Duration::ZERO };

    /// How long nobody asks after so many failures in a row, counted from 1, when the upstream asked for so much.
    pub fn after(&self, failures: u32, retry_after: Option<Duration>) -> Duration {
        if let Some(asked) = retry_after {
            // one that asks for nothing, or whose date has passed, is failing all the same
            return asked.max(ASKED_MIN).min(self.retry_after_max);
        }
        let doublings = failures.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.cap)
    }
}
