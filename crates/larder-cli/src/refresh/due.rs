//! What is due: how urgent it is, and in which order it is queued.

use larder_queue::{Priority, Task};
use larder_staleness::{Advice, Recommendation, ms_of};
use larder_storage::{GetError, Prefix, Standing, Store, Summary};
use larder_upstream::About;

use crate::config::Loaded;

/// Overdue for more whole days than this is urgent.
const LONG_DAYS: i64 = 7;

/// The number of a priority; that there is one is what the tests see.
fn of(number: u64) -> Priority {
    Priority::new(number).unwrap_or_default()
}

/// For what somebody asks for by its name.
pub(super) fn named() -> Priority {
    of(8)
}

/// For what somebody asks for by a prefix.
pub(super) fn below() -> Priority {
    of(7)
}

/// For what nobody asks for: overdue for long 9, overdue 7, nearly 3. `None` for what is to be kept.
pub(super) fn priority(recommendation: &Recommendation) -> Option<Priority> {
    match recommendation.advice {
        Advice::Keep => None,
        Advice::Consider => Some(of(3)),
        // rounded down: a moment more than seven days is -8
        Advice::Refresh if recommendation.days_left < -LONG_DAYS => Some(of(9)),
        Advice::Refresh => Some(of(7)),
    }
}

/// The documents below a prefix that a source can refresh, and that are to be refreshed: the overdue ones, or with `all`
/// each.
pub(super) fn tasks(store: &Store, loaded: &Loaded, prefix: &Prefix, all: bool) -> Result<Vec<Task>, GetError> {
    let now_ms = ms_of(store.clock().wall());
    let mut tasks = Vec::new();
    for summary in store.list(prefix)? {
        let summary = summary?;
        if loaded.source_of(&summary.key).is_none() {
            continue;
        }
        let due = due(&summary, now_ms);
        let (priority, reason) = match due {
            _ if all => (below(), "asked for by its prefix"),
            Some(priority) if priority == of(3) => (priority, "near its end"),
            Some(priority) => (priority, "overdue"),
            None => continue,
        };
        // a key of the store is one of the queue
        if let Ok(task) = Task::new(summary.key.as_str()) {
            tasks.push(task.priority(priority).reason(reason));
        }
    }
    Ok(tasks)
}

fn due(summary: &Summary, now_ms: u64) -> Option<Priority> {
    let life = About::in_metadata_or_default(&summary.metadata, summary.stored_at).life;
    let due = priority(&Recommendation::at(Some(&life), now_ms));
    // what was invalidated is no answer any more, whatever its times say
    if summary.standing == Standing::Current { due } else { Some(due.map_or(of(7), |due| due.max(of(7)))) }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use larder_staleness::{DAY, Life, Policy};

    use super::*;

    #[test]
    fn what_is_overdue_for_longer_is_more_urgent() {
        let fetched = SystemTime::UNIX_EPOCH + DAY * 1_000;
        let mut policy = Policy::fresh_for(DAY * 30);
        policy.stale_while_revalidate = DAY * 365;
        let life = Life::new(fetched, &policy, Duration::ZERO);
        let at = |days: u32, more: u64| {
            let now = fetched + DAY * days + Duration::from_millis(more);
            priority(&Recommendation::at(Some(&life), ms_of(now))).map(Priority::number)
        };
        assert_eq!([at(0, 0), at(22, 0)], [None; 2]);
        assert_eq!([at(22, 1), at(30, 0)], [Some(3); 2]);
        assert_eq!([at(30, 1), at(37, 0)], [Some(7); 2]);
        assert_eq!([at(37, 1), at(300, 0)], [Some(9); 2]);
        assert_eq!([named(), below()].map(Priority::number), [8, 7]);
    }
}
