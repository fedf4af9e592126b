//! The four instants and the verdict.

use std::time::{Duration, UNIX_EPOCH};

use larder_staleness::{Life, Policy, Verdict, ms_of, whole_ms};
use proptest::prelude::*;

use crate::given::{
    any_duration, any_life, any_moment, any_ms, any_number, any_policy, at, drawn_life, life_and_now, ms, policy,
};

fn are_in_order(life: &Life) -> bool {
    [life.fetched_ms, life.fresh_until_ms, life.swr_until_ms, life.sie_until_ms, life.keep_until_ms].is_sorted()
}

/// What a document of this policy is good for at this age, counted in numbers that cannot overflow.
fn expected(policy: &Policy, age: u128) -> Verdict {
    let length = |time: Duration| u128::from(whole_ms(time));
    let fresh = length(policy.fresh);
    let swr = fresh + length(policy.stale_while_revalidate);
    let sie = swr.max(fresh + length(policy.stale_if_error));
    let keep = sie + length(policy.keep);
    let ends = [
        (fresh, 0, Verdict::Fresh),
        (swr, fresh, Verdict::StaleWhileRevalidate),
        (sie, fresh, Verdict::StaleIfError),
        (keep, sie, Verdict::Kept),
    ];
    let found = ends.iter().find(|(end, start, _)| age <= *end && end > start);
    found.map_or(Verdict::Expired, |(_, _, verdict)| *verdict)
}

proptest! {
    #[test]
    fn the_instants_are_in_order_for_every_policy_date_and_draw(life in drawn_life()) {
        prop_assert!(are_in_order(&life), "{life:?}");
    }

    #[test]
    fn the_verdict_is_that_of_the_age_where_nothing_overflows(
        fetched in 0..1_u64 << 50,
        times in proptest::array::uniform4(prop_oneof![Just(0), 0..20_u64, 0..1_u64 << 50]),
        which in 0..5_usize,
        beside in -1..=1_i64,
    ) {
        let [fresh, swr, sie, keep] = times;
        let policy = policy(|policy| {
            (policy.fresh, policy.stale_while_revalidate) = (ms(fresh), ms(swr));
            (policy.stale_if_error, policy.keep) = (ms(sie), ms(keep));
        });
        let end = [0, fresh, fresh + swr, fresh + sie, fresh + swr.max(sie) + keep][which];
        let age = end.saturating_add_signed(beside);
        let life = Life::new(at(fetched), &policy, Duration::ZERO);
        prop_assert_eq!(life.verdict(at(fetched + age)), expected(&policy, u128::from(age)));
    }

    #[test]
    fn a_verdict_never_gets_better_as_time_passes((life, first) in life_and_now(), later in any_ms()) {
        let first = first.max(life.fetched_ms);
        let later = later.max(first);
        prop_assert!(life.verdict_at(first) <= life.verdict_at(later));
        let next = first.saturating_add(1);
        prop_assert!(life.verdict_at(first) <= life.verdict_at(next));
    }

    #[test]
    fn what_is_from_the_future_is_kept_and_nothing_more(life in any_life(), before in any::<u64>()) {
        prop_assume!(life.fetched_ms > 0);
        let now = before % life.fetched_ms;
        prop_assert_eq!(life.verdict_at(now), Verdict::Kept);
        prop_assert!(!life.is_fresh(at(now)));
        prop_assert_eq!(life.age_exact(at(now)), None);
        prop_assert!(life.age(at(now)) < 0);
    }

    #[test]
    fn jitter_never_shortens_and_never_exceeds_its_maximum(
        fetched in any_moment(), policy in any_policy(), draw in any_number(),
    ) {
        let jittered = Life::drawn(fetched, &policy, Duration::ZERO, draw);
        let plain = Life::new(fetched, &policy, Duration::ZERO);
        let most = ms_of(fetched).saturating_add(whole_ms(policy.fresh.saturating_add(policy.jitter)));
        prop_assert!(jittered.fresh_until_ms >= plain.fresh_until_ms);
        prop_assert!(jittered.fresh_until_ms <= most);
    }

    #[test]
    fn the_draw_says_which_part_of_the_jitter_is_added(jitter in 0..1_u64 << 40, draw in 0.0..=1.0_f64) {
        let policy = policy(|policy| (policy.fresh, policy.jitter) = (ms(1_000), ms(jitter)));
        let added = Life::drawn(at(0), &policy, Duration::ZERO, draw).fresh_until_ms - 1_000;
        let wanted = ms(jitter).mul_f64(draw);
        prop_assert!(ms(added).abs_diff(wanted) <= ms(1), "{added} ms instead of {wanted:?}");
    }

    #[test]
    fn what_is_fresh_for_nothing_is_not_made_fresh_by_jitter(
        fetched in any_moment(), jitter in any_duration(), draw in any_number(), now in any_moment(),
    ) {
        let policy = policy(|policy| (policy.fresh, policy.jitter) = (Duration::ZERO, jitter));
        prop_assert!(!Life::drawn(fetched, &policy, Duration::ZERO, draw).is_fresh(now));
    }

    #[test]
    fn no_windows_of_the_callers_leave_everything_as_it_is(life in any_life()) {
        prop_assert_eq!(life.with_stale(None, None), life);
    }

    #[test]
    fn a_callers_windows_begin_where_freshness_ends(
        life in drawn_life(), swr in any_duration(), sie in any_duration(),
    ) {
        let end = |window: Duration| life.fresh_until_ms.saturating_add(whole_ms(window));
        let both = life.with_stale(Some(swr), Some(sie));
        prop_assert_eq!((both.swr_until_ms, both.sie_until_ms), (end(swr), end(swr.max(sie))));
        let one = life.with_stale(Some(swr), None);
        prop_assert_eq!((one.swr_until_ms, one.sie_until_ms), (end(swr), life.sie_until_ms.max(end(swr))));
        let other = life.with_stale(None, Some(sie));
        prop_assert_eq!((other.swr_until_ms, other.sie_until_ms), (life.swr_until_ms, life.swr_until_ms.max(end(sie))));
    }

    #[test]
    fn a_callers_windows_change_neither_age_nor_freshness_and_nothing_is_kept_for_less(
        life in drawn_life(), swr in proptest::option::of(any_duration()), sie in proptest::option::of(any_duration()),
    ) {
        let other = life.with_stale(swr, sie);
        prop_assert!(are_in_order(&other), "{other:?}");
        prop_assert_eq!((other.fetched_ms, other.fresh_until_ms), (life.fetched_ms, life.fresh_until_ms));
        prop_assert_eq!(other.fetch_ms, life.fetch_ms);
        prop_assert!(other.keep_until_ms >= life.keep_until_ms);
    }

    #[test]
    fn age_and_time_left_are_whole_seconds_rounded_down((life, now) in life_and_now()) {
        let floor = |to: u64, from: u64| (i128::from(to) - i128::from(from)).div_euclid(1_000);
        prop_assert_eq!(i128::from(life.age(at(now))), floor(now, life.fetched_ms));
        prop_assert_eq!(i128::from(life.ttl_left(at(now))), floor(life.fresh_until_ms, now));
        prop_assert_eq!(life.age_exact(at(now)), now.checked_sub(life.fetched_ms).map(Duration::from_millis));
    }

    #[test]
    fn what_is_stored_is_read_back_the_same(life in any_life()) {
        let text = serde_json::to_string(&life).unwrap();
        prop_assert_eq!(serde_json::from_str::<Life>(&text).unwrap(), life);
    }

    #[test]
    fn a_length_of_time_is_cut_to_whole_milliseconds(time in any_duration()) {
        prop_assert_eq!(u128::from(whole_ms(time)), time.as_millis().min(u128::from(u64::MAX)));
    }
}

#[test]
fn a_moment_before_1970_is_the_first_of_1970() {
    assert_eq!(ms_of(UNIX_EPOCH - Duration::from_secs(1)), 0);
    assert_eq!(ms_of(UNIX_EPOCH + Duration::from_millis(1_234)), 1_234);
}

#[test]
fn a_document_that_is_as_old_as_it_may_be_is_fresh_and_a_millisecond_later_it_is_not() {
    let life = Life::new(at(1_000), &Policy::fresh_for(Duration::from_secs(2)), Duration::ZERO);
    assert_eq!((life.verdict(at(3_000)), life.verdict(at(3_001))), (Verdict::Fresh, Verdict::Kept));
}

#[test]
fn times_of_no_length_are_off() {
    let nothing = policy(|policy| (policy.fresh, policy.keep) = (Duration::ZERO, Duration::ZERO));
    assert_eq!(Life::new(at(7), &nothing, Duration::ZERO).verdict(at(7)), Verdict::Expired);
    assert_eq!(Life::default().verdict(UNIX_EPOCH), Verdict::Expired);
    let kept = policy(|policy| (policy.fresh, policy.keep) = (Duration::ZERO, ms(5)));
    assert_eq!(Life::new(at(7), &kept, Duration::ZERO).verdict(at(7)), Verdict::Kept);
}

#[test]
fn jitter_that_is_drawn_in_full_is_not_rounded_above_its_maximum() {
    // the nearest number of floating point is above this one
    let jitter = Duration::from_millis((1 << 53) - 1) + Duration::from_nanos(999_999);
    let policy = policy(|policy| (policy.fresh, policy.jitter) = (ms(1), jitter));
    assert_eq!(Life::drawn(at(0), &policy, Duration::ZERO, 1.0).fresh_until_ms, 1 << 53);
}

#[test]
fn what_no_number_can_hold_ends_with_the_last_one() {
    let policy = policy(|policy| {
        (policy.fresh, policy.jitter, policy.keep) = (Duration::MAX, Duration::MAX, Duration::MAX);
        (policy.stale_while_revalidate, policy.stale_if_error) = (Duration::MAX, Duration::MAX);
    });
    let life = Life::drawn(at(u64::MAX - 1), &policy, Duration::MAX, 1.0);
    assert_eq!((life.fresh_until_ms, life.keep_until_ms, life.fetch_ms), (u64::MAX, u64::MAX, u64::MAX));
    assert!(life.is_fresh(at(u64::MAX)));
}

#[test]
fn verdicts_have_the_same_word_in_texts_and_in_json() {
    for verdict in
        [Verdict::Fresh, Verdict::StaleWhileRevalidate, Verdict::StaleIfError, Verdict::Kept, Verdict::Expired]
    {
        assert_eq!(serde_json::to_string(&verdict).unwrap(), format!("\"{}\"", verdict.name()));
    }
}
