//! Times of freshness that learn.

use std::time::Duration;

use larder_staleness::{DAY, History, Policy};
use proptest::prelude::*;

use crate::given::{any_duration, any_policy, policy};

/// A history as checks make it.
fn after(checks: &[bool]) -> History {
    checks.iter().fold(History::default(), |history, has_changed| history.with_check(*has_changed))
}

fn any_checks() -> impl Strategy<Value = Vec<bool>> {
    prop_oneof![proptest::collection::vec(any::<bool>(), 0..60), proptest::collection::vec(Just(true), 0..40)]
}

fn any_adaptive() -> impl Strategy<Value = Policy> {
    any_policy().prop_map(|mut policy| {
        policy.adaptive = true;
        policy
    })
}

fn week() -> Policy {
    policy(|policy| {
        (policy.fresh, policy.adaptive) = (DAY * 7, true);
        (policy.fresh_min, policy.fresh_max) = (DAY, DAY * 60);
    })
}

proptest! {
    #[test]
    fn a_history_stays_within_the_bounds_of_its_class(
        unchanged in any::<u32>(), changed in any::<u32>(), policy in any_adaptive(),
    ) {
        let fresh = History { unchanged, changed }.fresh(&policy);
        prop_assert!(fresh >= policy.fresh_min && fresh <= policy.fresh_max.max(policy.fresh_min));
    }

    #[test]
    fn one_more_check_without_a_change_never_shortens(checks in any_checks(), policy in any_adaptive()) {
        let history = after(&checks);
        prop_assert!(history.with_check(false).fresh(&policy) >= history.fresh(&policy));
    }

    #[test]
    fn a_change_never_lengthens(checks in any_checks(), policy in any_adaptive()) {
        let history = after(&checks);
        prop_assert!(history.with_check(true).fresh(&policy) <= history.fresh(&policy));
    }

    #[test]
    fn a_class_that_does_not_adapt_stays_as_it_is(checks in any_checks(), mut policy in any_policy()) {
        policy.adaptive = false;
        prop_assert_eq!(after(&checks).fresh(&policy), policy.fresh);
    }

    #[test]
    fn what_a_class_makes_of_a_time_lies_within_its_bounds(policy in any_policy(), fresh in any_duration()) {
        let clamped = policy.clamp(fresh);
        prop_assert!(clamped >= policy.fresh_min);
        if policy.fresh_min <= policy.fresh_max {
            prop_assert!(clamped <= policy.fresh_max);
            let is_within = (policy.fresh_min..=policy.fresh_max).contains(&fresh);
            prop_assert!(!is_within || clamped == fresh);
        } else {
            prop_assert_eq!(clamped, policy.fresh_min);
        }
    }

    #[test]
    fn a_history_is_read_back_as_it_was_stored(unchanged in any::<u32>(), changed in any::<u32>()) {
        let history = History { unchanged, changed };
        let text = serde_json::to_string(&history).unwrap();
        prop_assert_eq!(serde_json::from_str::<History>(&text).unwrap(), history);
    }
}

#[test]
fn two_checks_without_a_change_double_the_time() {
    let days: Vec<u64> =
        (0..8).map(|unchanged| after(&vec![false; unchanged]).fresh(&week()).as_secs() / DAY.as_secs()).collect();
    assert_eq!(days, [7, 7, 14, 14, 28, 28, 56, 56]);
}

#[test]
fn the_first_change_leaves_the_class_as_it_is_and_each_further_one_halves_it() {
    let fresh = |changes| after(&vec![true; changes]).fresh(&week());
    assert_eq!([fresh(1), fresh(2), fresh(3), fresh(4)], [DAY * 7, DAY * 7 / 2, DAY * 7 / 4, DAY]);
}

#[test]
fn a_change_after_a_quiet_time_starts_anew() {
    assert_eq!(after(&[true, true, false, false, false, false]), History { unchanged: 4, changed: 0 });
    assert_eq!(after(&[false, false, false, false, true]), History { unchanged: 0, changed: 1 });
    assert_eq!(after(&[true, false, true]), History { unchanged: 0, changed: 1 });
}

#[test]
fn counting_ends_with_the_last_number() {
    let last = History { unchanged: u32::MAX, changed: 0 };
    assert_eq!(last.with_check(false), last);
    let last = History { unchanged: 0, changed: u32::MAX };
    assert_eq!(last.with_check(true), last);
}

#[test]
fn the_longest_time_doubles_to_itself() {
    let policy = policy(|policy| (policy.fresh, policy.adaptive) = (Duration::MAX, true));
    assert_eq!(History { unchanged: u32::MAX, changed: 0 }.fresh(&policy), Duration::MAX);
}
