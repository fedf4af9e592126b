//! Lengths of time that all processes of a boot share: leases of claims, and back-off after failures.

use std::time::Duration;

use larder_system::{Boot, Clock};
use serde::{Deserialize, Serialize};

/// A length of time, from a moment of one boot's monotonic clock. It is over in every other boot, and when it began in the
/// future; so no jump of any clock makes it longer than it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hold {
    /// When it began, in milliseconds.
    #[serde(rename = "start")]
    pub(crate) start_ms: u64,
    /// How long it lasts.
    #[serde(rename = "length")]
    pub(crate) length_ms: u64,
    /// In which boot; `None` where the system does not tell boots apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) boot: Option<Boot>,
}

/// What time it is, for everything that a step looks at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    pub(crate) wall_ms: u64,
    pub(crate) monotonic_ms: u64,
    pub(crate) boot: Option<Boot>,
}

impl Now {
    pub(crate) fn of(clock: &dyn Clock) -> Self {
        Self {
            wall_ms: crate::task::ms_of(clock.wall()),
            monotonic_ms: u64::try_from(clock.monotonic().as_millis()).unwrap_or(u64::MAX),
            boot: clock.boot(),
        }
    }
}

impl Hold {
    pub(crate) fn from(now: &Now, length: Duration) -> Self {
        let length_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        Self { start_ms: now.monotonic_ms, length_ms, boot: now.boot }
    }

    /// When it ends, in milliseconds of this boot's monotonic clock; 0 when it is over.
    pub(crate) fn end_ms(&self, now: &Now) -> u64 {
        let is_of_now = self.boot == now.boot && self.start_ms <= now.monotonic_ms;
        if is_of_now { self.start_ms.saturating_add(self.length_ms) } else { 0 }
    }

    pub(crate) fn is_over(&self, now: &Now) -> bool {
        self.end_ms(now) <= now.monotonic_ms
    }
}

/// The time to wait before the next attempt: 30 s after the first failure, doubling, at most 15 minutes, as for a failing
/// upstream.
pub(crate) fn back_off(failures: u32) -> Duration {
    const FIRST: Duration = Duration::from_secs(30);
    const LONGEST: Duration = Duration::from_secs(15 * 60);
    let doublings = failures.saturating_sub(1).min(16);
    FIRST.saturating_mul(1 << doublings).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Now = Now { wall_ms: 0, monotonic_ms: 1_000, boot: Some(Boot::from_number(1)) };

    #[test]
    fn a_hold_ends_with_its_length_its_boot_or_when_it_began_in_the_future() {
        let hold = Hold::from(&NOW, Duration::from_secs(5));
        for (monotonic_ms, boot, is_over) in
            [(1_000, 1, false), (5_999, 1, false), (6_000, 1, true), (2_000, 2, true), (999, 1, true)]
        {
            let now = Now { monotonic_ms, boot: Some(Boot::from_number(boot)), ..NOW };
            assert_eq!(hold.is_over(&now), is_over, "{monotonic_ms} in {boot}");
        }
        assert!(!Hold { start_ms: 0, length_ms: u64::MAX, ..hold }.is_over(&NOW));
    }

    #[test]
    fn attempts_are_made_less_and_less_often() {
        let seconds: Vec<_> = [0, 1, 2, 3, 5, 6, 100].map(|failures| back_off(failures).as_secs()).into();
        assert_eq!(seconds, [30, 30, 60, 120, 480, 900, 900]);
    }
}
