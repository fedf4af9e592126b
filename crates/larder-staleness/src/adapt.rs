//! A time of freshness that learns from how often a document was found unchanged.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::policy::Policy;

/// The most doublings or halvings: 2^16 times any time that makes sense is beyond every bound.
const STEPS_MAX: i32 = 16;
/// So many checks in a row without a change double the time once.
const CHECKS_A_STEP: u32 = 2;

/// How the last checks of a document went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Checks since the last change that found the same document.
    pub unchanged: u32,
    /// Changes in a row, each found by the first check after the last.
    pub changed: u32,
}

impl History {
    /// With one more check, which found the document changed or not.
    #[must_use]
    pub const fn with_check(self, has_changed: bool) -> Self {
        if has_changed {
            let changed = if self.unchanged == 0 { self.changed.saturating_add(1) } else { 1 };
            Self { unchanged: 0, changed }
        } else {
            Self { unchanged: self.unchanged.saturating_add(1), changed: 0 }
        }
    }

    /// How long a document of this class is fresh, with such a history: twice as long after each two checks without a
    /// change, half as long with each change that a first check found, within the class's bounds. Without
    /// [`Policy::adaptive`], as the class has it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use larder_staleness::{DAY, History, Policy};
    ///
    /// let mut policy = Policy::fresh_for(DAY * 7);
    /// (policy.adaptive, policy.fresh_min, policy.fresh_max) = (true, DAY, DAY * 60);
    /// assert_eq!(History { unchanged: 4, changed: 0 }.fresh(&policy), DAY * 28);
    /// assert_eq!(History { unchanged: 100, changed: 0 }.fresh(&policy), DAY * 60);
    /// assert_eq!(History { unchanged: 0, changed: 5 }.fresh(&policy), DAY);
    /// ```
    pub fn fresh(self, policy: &Policy) -> Duration {
        if !policy.adaptive {
            return policy.fresh;
        }
        let up = i32::try_from(self.unchanged / CHECKS_A_STEP).unwrap_or(STEPS_MAX).min(STEPS_MAX);
        let down = i32::try_from(self.changed.saturating_sub(1)).unwrap_or(STEPS_MAX).min(STEPS_MAX);
        let factor = 1_u32 << (up - down).unsigned_abs();
        policy.clamp(if up >= down { policy.fresh.saturating_mul(factor) } else { policy.fresh / factor })
    }
}
