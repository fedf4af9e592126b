//! How long a failing upstream is left alone.

use std::time::Duration;

use larder_staleness::{Backoff, DAY};
use proptest::prelude::*;

use crate::given::{any_duration, ms, secs};

fn any_backoff() -> impl Strategy<Value = Backoff> {
    let times = proptest::array::uniform3(any_duration());
    times.prop_map(|[first, cap, retry_after_max]| Backoff { first, cap, retry_after_max })
}

proptest! {
    #[test]
    fn one_more_failure_never_shortens_the_rest(backoff in any_backoff(), failures in any::<u32>()) {
        prop_assert!(backoff.after(failures, None) <= backoff.after(failures.saturating_add(1), None));
    }

    #[test]
    fn the_rest_never_exceeds_its_cap(backoff in any_backoff(), failures in any::<u32>()) {
        prop_assert!(backoff.after(failures, None) <= backoff.cap);
    }

    #[test]
    fn the_rest_doubles_exactly_and_no_jitter_is_added(first in 1..1_000_u64, cap in any_duration(), failures in 1..20_u32) {
        let backoff = Backoff { first: ms(first), cap, retry_after_max: DAY };
        let doubled = ms(first << (failures - 1));
        prop_assert_eq!(backoff.after(failures, None), doubled.min(cap));
    }

    #[test]
    fn what_the_upstream_asks_for_wins_within_its_bound(
        backoff in any_backoff(), failures in any::<u32>(), asked in any_duration(),
    ) {
        prop_assert_eq!(backoff.after(failures, Some(asked)), asked.max(ms(1_000)).min(backoff.retry_after_max));
    }

    #[test]
    fn no_back_off_is_none_whatever_is_asked_for(failures in any::<u32>(), asked in proptest::option::of(any_duration())) {
        prop_assert_eq!(Backoff::NONE.after(failures, asked), Duration::ZERO);
    }
}

#[test]
fn by_default_it_doubles_from_30_seconds_to_15_minutes_and_an_upstream_may_ask_for_a_day() {
    let backoff = Backoff::default();
    let rest = [1, 2, 5, 6, u32::MAX].map(|failures| backoff.after(failures, None));
    assert_eq!(rest, [secs(30), secs(60), secs(480), secs(900), secs(900)]);
    assert_eq!(backoff.after(1, Some(DAY * 2)), DAY);
}

#[test]
fn no_failure_yet_counts_as_the_first() {
    assert_eq!(Backoff::default().after(0, None), secs(30));
}
