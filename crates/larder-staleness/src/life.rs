//! The four instants of a document, and the verdict that follows from them.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::policy::Policy;
use crate::time::{ms_of, seconds, whole_ms};

/// The times of a document, by the wall clock of whoever fetched it, in milliseconds since 1970.
///
/// They are drawn once, when it is stored, so that all who read it agree. Each is the last moment of its time, and
/// `fetched_ms ≤ fresh_until_ms ≤ swr_until_ms ≤ sie_until_ms ≤ keep_until_ms`; two that are equal leave no time between.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use larder_staleness::{Life, Policy, Verdict};
///
/// let mut policy = Policy::fresh_for(Duration::from_secs(60));
/// policy.stale_while_revalidate = Duration::from_secs(10);
/// policy.stale_if_error = Duration::from_secs(3_600);
/// let fetched = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
/// let life = Life::new(fetched, &policy, Duration::from_millis(300));
///
/// let after = |seconds| life.verdict(fetched + Duration::from_secs(seconds));
/// assert_eq!(after(60), Verdict::Fresh); // stale when it is older than 60 s, and not before
/// assert_eq!(after(61), Verdict::StaleWhileRevalidate);
/// assert_eq!(after(71), Verdict::StaleIfError);
/// assert_eq!(after(3_661), Verdict::Kept);
/// assert_eq!(life.verdict(fetched - Duration::from_secs(1)), Verdict::Kept); // from the future: some clock was wrong
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// When the fetch that brought it, or that found it unchanged, was over.
    pub fetched_ms: u64,
    /// Until when it is fresh.
    pub fresh_until_ms: u64,
    /// Until when it is given out while it is being refreshed.
    pub swr_until_ms: u64,
    /// Until when it is given out if the upstream fails.
    pub sie_until_ms: u64,
    /// Until when it is kept, unless room is needed.
    pub keep_until_ms: u64,
    /// How long the fetch took.
    pub fetch_ms: u64,
}

/// What a document is good for at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// For everybody.
    Fresh,
    /// For everybody, while one refreshes it (RFC 5861, section 3).
    StaleWhileRevalidate,
    /// For those whom the upstream has failed (RFC 5861, section 4).
    StaleIfError,
    /// As the base of a conditional request, and for those who ask offline. Also that of a document from the future,
    /// whose age nobody knows.
    Kept,
    /// For nobody who does not ask offline: it may be removed at any time.
    Expired,
}

impl Verdict {
    /// The word for it in texts and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::StaleWhileRevalidate => "stale-while-revalidate",
            Self::StaleIfError => "stale-if-error",
            Self::Kept => "kept",
            Self::Expired => "expired",
        }
    }
}

impl Life {
    /// Of a document fetched at this moment, whose fetch took so long, without jitter.
    pub fn new(fetched: SystemTime, policy: &Policy, took: Duration) -> Self {
        Self::drawn(fetched, policy, took, 0.0)
    }

    /// The same with the part `draw`, of 0 to 1, of the policy's jitter added to its fresh time.
    pub fn drawn(fetched: SystemTime, policy: &Policy, took: Duration, draw: f64) -> Self {
        let fetched_ms = ms_of(fetched);
        let jitter = policy.jitter.as_secs_f64() * if draw.is_finite() { draw.clamp(0.0, 1.0) } else { 0.0 };
        // a floating-point number may be the next one above the maximum
        let jitter = if policy.fresh.is_zero() { Duration::ZERO } else { seconds_of(jitter).min(policy.jitter) };
        let fresh = policy.fresh.saturating_add(jitter);
        Self { fetched_ms, fetch_ms: whole_ms(took), ..Self::default() }.with_windows(
            fetched_ms.saturating_add(whole_ms(fresh)),
            policy.stale_while_revalidate,
            policy.stale_if_error,
            policy.keep,
        )
    }

    /// The same document with other windows for stale use, as one caller wants them; `None` leaves a window as it is.
    #[must_use]
    pub fn with_stale(self, while_revalidate: Option<Duration>, if_error: Option<Duration>) -> Self {
        if while_revalidate.is_none() && if_error.is_none() {
            return self;
        }
        let window = |until: u64| Duration::from_millis(until.saturating_sub(self.fresh_until_ms));
        let swr = while_revalidate.unwrap_or(window(self.swr_until_ms));
        let sie = if_error.unwrap_or(window(self.sie_until_ms));
        let keep_until_ms = self.keep_until_ms;
        let life = self.with_windows(self.fresh_until_ms, swr, sie, Duration::ZERO);
        Self { keep_until_ms: keep_until_ms.max(life.keep_until_ms), ..life }
    }

    fn with_windows(self, fresh_until_ms: u64, swr: Duration, sie: Duration, keep: Duration) -> Self {
        let swr_until_ms = fresh_until_ms.saturating_add(whole_ms(swr));
        let sie_until_ms = fresh_until_ms.saturating_add(whole_ms(sie.max(swr)));
        let keep_until_ms = sie_until_ms.saturating_add(whole_ms(keep));
        Self { fresh_until_ms, swr_until_ms, sie_until_ms, keep_until_ms, ..self }
    }

    /// What it is good for now. Nothing but these times and `now` counts, so that all processes agree.
    pub fn verdict(&self, now: SystemTime) -> Verdict {
        self.verdict_at(ms_of(now))
    }

    /// The same at a moment in milliseconds since 1970.
    pub const fn verdict_at(&self, now_ms: u64) -> Verdict {
        // a time of no length does not exist: what is fresh for nothing is never fresh
        if now_ms < self.fetched_ms {
            Verdict::Kept
        } else if now_ms <= self.fresh_until_ms && self.fresh_until_ms > self.fetched_ms {
            Verdict::Fresh
        } else if now_ms <= self.swr_until_ms && self.swr_until_ms > self.fresh_until_ms {
            Verdict::StaleWhileRevalidate
        } else if now_ms <= self.sie_until_ms && self.sie_until_ms > self.fresh_until_ms {
            Verdict::StaleIfError
        } else if now_ms <= self.keep_until_ms && self.keep_until_ms > self.sie_until_ms {
            Verdict::Kept
        } else {
            Verdict::Expired
        }
    }

    /// Whether it is fresh now.
    pub fn is_fresh(&self, now: SystemTime) -> bool {
        self.verdict(now) == Verdict::Fresh
    }

    /// How long ago it was fetched, in whole seconds; negative when that lies in the future.
    pub fn age(&self, now: SystemTime) -> i64 {
        seconds(ms_of(now), self.fetched_ms)
    }

    /// The same as a length of time; `None` when it lies in the future.
    pub fn age_exact(&self, now: SystemTime) -> Option<Duration> {
        ms_of(now).checked_sub(self.fetched_ms).map(Duration::from_millis)
    }

    /// How long it will be fresh, in whole seconds; negative since it is not.
    pub fn ttl_left(&self, now: SystemTime) -> i64 {
        seconds(self.fresh_until_ms, ms_of(now))
    }
}

impl Default for Life {
    /// Of a document from 1970, which is good for nothing any more.
    fn default() -> Self {
        let [fetched_ms, fresh_until_ms, swr_until_ms, sie_until_ms, keep_until_ms, fetch_ms] = [0; 6];
        Self { fetched_ms, fresh_until_ms, swr_until_ms, sie_until_ms, keep_until_ms, fetch_ms }
    }
}

fn seconds_of(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(ms)
    }

    fn fresh_for(ttl: Duration) -> Life {
        Life::new(at(5_000), &Policy::fresh_for(ttl), Duration::ZERO)
    }

    #[test]
    fn it_is_stale_when_it_is_older_than_its_time_and_not_before() {
        let life = fresh_for(Duration::from_millis(10));
        assert!(life.is_fresh(at(5_010)));
        assert!(!life.is_fresh(at(5_011)));
    }

    #[test]
    fn what_is_fresh_for_nothing_is_never_fresh() {
        assert!(!fresh_for(Duration::ZERO).is_fresh(at(5_000)));
    }

    #[test]
    fn a_document_from_the_future_is_not_fresh() {
        let life = fresh_for(Duration::from_secs(60));
        assert_eq!(life.verdict(at(4_999)), Verdict::Kept);
        assert_eq!((life.age(at(4_000)), life.age_exact(at(4_000))), (-1, None));
    }

    #[test]
    fn what_is_left_is_negative_from_the_first_millisecond_on() {
        let life = Life::new(at(0), &Policy::fresh_for(Duration::from_secs(1)), Duration::ZERO);
        assert_eq!((life.ttl_left(at(1_000)), life.ttl_left(at(1_001))), (0, -1));
    }

    #[test]
    fn a_window_of_no_length_is_off() {
        let policy =
            Policy { stale_if_error: Duration::from_millis(5), ..Policy::fresh_for(Duration::from_millis(10)) };
        let life = Life::new(at(0), &policy, Duration::ZERO);
        assert_eq!(life.verdict(at(11)), Verdict::StaleIfError);
        assert_eq!(life.verdict(at(16)), Verdict::Kept);
    }

    #[test]
    fn a_callers_windows_count_from_the_end_of_freshness_and_leave_the_rest() {
        let life = fresh_for(Duration::from_millis(10));
        let wider = life.with_stale(Some(Duration::from_millis(20)), None);
        assert_eq!(wider.verdict(at(5_030)), Verdict::StaleWhileRevalidate);
        assert_eq!(wider.verdict(at(5_031)), Verdict::Kept);
        assert_eq!(wider.keep_until_ms, life.keep_until_ms);
        assert_eq!(wider.with_stale(Some(Duration::ZERO), Some(Duration::ZERO)).verdict(at(5_011)), Verdict::Kept);
    }
}
