//! Which documents are to be refreshed, and how urgently.

use larder_staleness::{Advice, Life, Recommendation};
use larder_storage::{Standing, Summary};
use larder_watch::fingerprint::Dependency;

use crate::about::About;

/// Overdue for more whole days than this is urgent.
const LONG_DAYS: i64 = 7;

/// How urgent a refresh is, of 1 to 10, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The priority of the task: 9 for what is overdue for more than seven days, 8 for what somebody asks for by its name, 7
    /// for what is overdue, invalidated, made from files that have changed, or asked for by a prefix, 3 for what is near its end.
    pub priority: u8,
    /// Why, in words.
    pub reason: &'static str,
}

impl Due {
    /// What somebody asks for by its name.
    pub const NAMED: Self = Self { priority: 8, reason: "asked for by its name" };
    /// What somebody asks for by a prefix.
    pub const BELOW: Self = Self { priority: 7, reason: "asked for by its prefix" };
    const LONG: Self = Self { priority: 9, reason: "overdue for long" };
    const OVERDUE: Self = Self { priority: 7, reason: "overdue" };
    const INVALIDATED: Self = Self { priority: 7, reason: "invalidated" };
    const CHANGED: Self = Self { priority: 7, reason: "its files have changed" };
    const NEAR: Self = Self { priority: 3, reason: "near its end" };

    /// By its times alone; `None` for what is to be kept.
    pub fn of_life(life: &Life, now_ms: u64) -> Option<Self> {
        let Recommendation { advice, days_left, .. } = Recommendation::at(Some(life), now_ms);
        match advice {
            Advice::Keep => None,
            Advice::Consider => Some(Self::NEAR),
            // rounded down: a moment more than seven days is -8
            Advice::Refresh if days_left < -LONG_DAYS => Some(Self::LONG),
            Advice::Refresh => Some(Self::OVERDUE),
        }
    }

    /// By all that there is of it. `has_changed` is asked about files only where nothing else makes it due.
    pub fn of(summary: &Summary, now_ms: u64, has_changed: impl FnOnce(&[Dependency]) -> bool) -> Option<Self> {
        let about = About::in_metadata_or_default(&summary.metadata, summary.stored_at);
        let by_life = Self::of_life(&about.life, now_ms);
        let more = match by_life {
            Some(due) if due.priority > Self::NEAR.priority => None,
            _ if summary.standing != Standing::Current => Some(Self::INVALIDATED),
            _ if !about.depends.is_empty() && has_changed(&about.depends) => Some(Self::CHANGED),
            _ => None,
        };
        more.or(by_life)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use larder_staleness::{DAY, Policy, ms_of};

    use super::*;

    #[test]
    fn what_is_overdue_for_longer_is_more_urgent() {
        let fetched = SystemTime::UNIX_EPOCH + DAY * 1_000;
        let mut policy = Policy::fresh_for(DAY * 30);
        policy.stale_while_revalidate = DAY * 365;
        let life = Life::new(fetched, &policy, Duration::ZERO);
        let at = |days: u32, more: u64| {
            let now = fetched + DAY * days + Duration::from_millis(more);
            Due::of_life(&life, ms_of(now)).map(|due| due.priority)
        };
        assert_eq!([at(0, 0), at(22, 0)], [None; 2]);
        assert_eq!([at(22, 1), at(30, 0)], [Some(3); 2]);
        assert_eq!([at(30, 1), at(37, 0)], [Some(7); 2]);
        assert_eq!([at(37, 1), at(300, 0)], [Some(9); 2]);
    }
}
