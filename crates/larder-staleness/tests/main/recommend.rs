//! What to do before anybody asks.

use larder_staleness::{Advice, DAY, Life, Policy, Recommendation, whole_ms};
use proptest::prelude::*;

use crate::given::{any_life, at, life_and_now, ms};

fn day_ms() -> u64 {
    whole_ms(DAY)
}

/// For a document that stays fresh for so long.
fn with_left(left_ms: u64) -> (Advice, i64) {
    let life = Life::new(at(1_000), &Policy::fresh_for(ms(left_ms + 5)), ms(0));
    let recommendation = Recommendation::at(Some(&life), 1_005);
    (recommendation.advice, recommendation.days_left)
}

proptest! {
    #[test]
    fn the_advice_follows_from_freshness_and_the_days_left((life, now) in life_and_now()) {
        prop_assume!(life.fetched_ms <= now);
        let Recommendation { advice, days_left, .. } = Recommendation::at(Some(&life), now);
        let left = i128::from(life.fresh_until_ms) - i128::from(now);
        let days = left.div_euclid(i128::from(day_ms()));
        if life.is_fresh(at(now)) {
            prop_assert_eq!(i128::from(days_left), days);
            prop_assert_eq!(advice == Advice::Keep, days > 7);
            prop_assert!(advice != Advice::Refresh);
        } else {
            prop_assert_eq!(i128::from(days_left), days.min(-1));
            prop_assert_eq!(advice, Advice::Refresh);
        }
    }

    #[test]
    fn what_is_from_the_future_is_to_be_refreshed(life in any_life(), before in any::<u64>()) {
        prop_assume!(life.fetched_ms > 0);
        let Recommendation { advice, days_left, .. } = Recommendation::at(Some(&life), before % life.fetched_ms);
        prop_assert_eq!((advice, days_left), (Advice::Refresh, -1));
    }
}

#[test]
fn seven_whole_days_are_to_be_considered_and_the_eighth_is_kept() {
    let week = 7 * day_ms();
    assert_eq!(with_left(week - 1), (Advice::Consider, 6));
    assert_eq!(with_left(week), (Advice::Consider, 7));
    assert_eq!(with_left(week + 1), (Advice::Consider, 7));
    assert_eq!(with_left(week + day_ms() - 1), (Advice::Consider, 7));
    assert_eq!(with_left(week + day_ms()), (Advice::Keep, 8));
}

#[test]
fn the_last_moment_of_freshness_is_to_be_considered_and_the_next_is_stale() {
    assert_eq!(with_left(0), (Advice::Consider, 0));
    let life = Life::new(at(1_000), &Policy::fresh_for(ms(5)), ms(0));
    let stale = Recommendation::at(Some(&life), 1_006);
    assert_eq!((stale.advice, stale.days_left), (Advice::Refresh, -1));
    let long = Recommendation::at(Some(&life), 1_005 + 7 * day_ms() + 1);
    assert_eq!((long.advice, long.days_left), (Advice::Refresh, -8));
}

#[test]
fn what_has_no_times_or_was_fresh_for_nothing_is_to_be_refreshed() {
    let none = Recommendation::at(None, 1_000);
    let nothing = Recommendation::at(Some(&Life::new(at(1_000), &Policy::fresh_for(ms(0)), ms(0))), 1_000);
    assert_eq!((none.advice, none.days_left), (Advice::Refresh, -1));
    assert_eq!(nothing, none);
}

#[test]
fn an_advice_is_one_word_in_json() {
    let json = serde_json::to_string(&Recommendation::at(None, 0)).unwrap();
    assert_eq!(json, r#"{"advice":"refresh","days_left":-1}"#);
}
