//! Refreshing before the time.

use std::cell::Cell;
use std::time::Duration;

use larder_staleness::{Early, Life, Policy};
use proptest::prelude::*;

use crate::given::{any_early, any_life, any_ms, any_number, at, drawn_life, life_and_now, ms};

fn fetched_in(took: u64, fresh: u64) -> Life {
    Life::new(at(0), &Policy::fresh_for(ms(fresh)), ms(took))
}

proptest! {
    // many cases say nothing: a property of what is due says nothing of what is not
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn never_is_never_due((life, now) in life_and_now(), draw in any_number()) {
        prop_assert!(!Early::Never.is_due(&life, now, || draw));
        prop_assert_eq!(Early::Never.from_ms(&life), None);
    }

    #[test]
    fn a_fraction_is_due_from_its_first_moment_on_and_asks_no_chance(
        (life, now) in life_and_now(), part in any_number(),
    ) {
        let (early, is_asked) = (Early::Fraction(part), Cell::new(false));
        let is_due = early.is_due(&life, now, || {
            is_asked.set(true);
            0.0
        });
        prop_assert_eq!(is_due, early.from_ms(&life).is_some_and(|from| from <= now));
        prop_assert!(!is_asked.get());
    }

    #[test]
    fn the_first_moment_of_a_fraction_lies_within_freshness(life in drawn_life(), part in 0.0..=1.0_f64) {
        let from = Early::Fraction(part).from_ms(&life).unwrap();
        prop_assert!((life.fetched_ms..=life.fresh_until_ms).contains(&from));
    }

    #[test]
    fn a_fraction_that_is_none_is_never_due(life in any_life(), now in any_ms(), beyond in 1.0..f64::MAX) {
        for part in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -beyond, beyond + beyond.max(1.0)] {
            prop_assert!(!Early::Fraction(part).is_due(&life, now, || 0.0), "{part}");
        }
    }

    #[test]
    fn what_is_due_stays_due_with_the_same_draw(
        (life, now) in life_and_now(), later in any_ms(), early in any_early(), draw in any_number(),
    ) {
        let (is_due, is_due_later) = (early.is_due(&life, now, || draw), early.is_due(&life, later.max(now), || draw));
        prop_assert!(!is_due || is_due_later);
    }

    #[test]
    fn a_lower_draw_or_a_longer_fetch_is_never_due_later(
        (life, now) in life_and_now(), beta in 0.01..10.0_f64, draw in 0.0..=1.0_f64, part in 0.0..=1.0_f64, longer in any_ms(),
    ) {
        let early = Early::XFetch(beta);
        let is_due = early.is_due(&life, now, || draw);
        prop_assert!(!is_due || early.is_due(&life, now, || draw * part));
        let slower = Life { fetch_ms: life.fetch_ms.max(longer), ..life };
        prop_assert!(!is_due || early.is_due(&slower, now, || draw));
    }

    #[test]
    fn at_the_end_of_freshness_chance_has_no_say(life in any_life(), beta in 0.01..10.0_f64, draw in 0.0..=1.0_f64) {
        prop_assert!(Early::XFetch(beta).is_due(&life, life.fresh_until_ms, || draw));
    }

    #[test]
    fn a_beta_that_is_none_is_never_due_and_asks_no_chance(
        (life, now) in life_and_now(), beta in prop_oneof![Just(f64::NAN), Just(0.0), -9.0..=0.0],
    ) {
        let is_asked = Cell::new(false);
        let is_due = Early::XFetch(beta).is_due(&life, now, || {
            is_asked.set(true);
            0.0
        });
        prop_assert!(!is_due && !is_asked.get());
    }

    #[test]
    fn a_draw_that_is_no_number_is_never_due_before_the_end(
        fresh in 1..1_u64 << 40, took in any_ms(), beta in any_number(),
    ) {
        let life = fetched_in(took, fresh);
        prop_assert!(!Early::XFetch(beta).is_due(&life, fresh - 1, || f64::NAN));
    }
}

/// How many of 10,000 evenly spread draws are due.
fn due_of_10_000(early: Early, life: &Life, now: u64) -> u32 {
    let draws = (0..10_000_u32).map(|step| (f64::from(step) + 0.5) / 10_000.0);
    draws.map(|draw| u32::from(early.is_due(life, now, || draw))).sum()
}

#[test]
fn chance_grows_towards_the_end_as_the_paper_has_it() {
    // the gap before the end is exponential, with the time of a fetch as its mean: e^-3, e^-2, e^-1, e^0
    let life = fetched_in(100, 10_000);
    let due = [9_700, 9_800, 9_900, 10_000].map(|now| due_of_10_000(Early::XFetch(1.0), &life, now));
    assert_eq!(due, [498, 1_353, 3_679, 10_000]);
}

#[test]
fn twice_the_beta_is_twice_as_early() {
    let life = fetched_in(100, 10_000);
    let due = |beta, now| due_of_10_000(Early::XFetch(beta), &life, now);
    assert_eq!(due(2.0, 9_800), due(1.0, 9_900));
    assert!(due(2.0, 9_800) > due(1.0, 9_800));
}

#[test]
fn nine_tenths_are_over_at_nine_tenths_and_not_before() {
    let life = fetched_in(0, 1_000);
    let due = |now| Early::Fraction(0.9).is_due(&life, now, || 0.0);
    assert!(!due(899) && due(900));
}

#[test]
fn a_part_of_nothing_is_due_only_once_the_document_is_there() {
    let life = Life::new(at(500), &Policy::fresh_for(Duration::from_secs(1)), Duration::ZERO);
    let due = |now| Early::Fraction(0.0).is_due(&life, now, || 0.0);
    assert!(!due(499) && due(500));
}
