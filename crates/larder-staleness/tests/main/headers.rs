//! What headers come to, row by row of the table, and for every text.

use std::time::Duration;

use larder_staleness::{CacheControl, Early, History, Life, Mapped, Policy, Response, parse_date, retry_after};
use proptest::prelude::*;

use crate::given::{any_moment, any_policy, at, policy, secs};

const MADE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const MINUTE_LATER: &str = "Sun, 06 Nov 1994 08:50:37 GMT";

/// A class with a value of its own everywhere: fresh for 100 s, windows of 10 and 20 s.
fn class() -> Policy {
    policy(|policy| {
        (policy.fresh, policy.jitter, policy.adaptive) = (secs(100), secs(3), true);
        (policy.stale_while_revalidate, policy.stale_if_error) = (secs(10), secs(20));
        policy.early = Early::Fraction(0.5);
    })
}

fn of(control: &str) -> Response<'_> {
    Response { cache_control: CacheControl::parse([control]), ..Response::default() }
}

fn mapped(response: &Response<'_>) -> Mapped {
    response.policy(&class(), parse_date(MADE).unwrap())
}

/// The three times in seconds: fresh, and the windows.
fn times(response: &Response<'_>) -> [u64; 3] {
    let policy = mapped(response).policy;
    [policy.fresh, policy.stale_while_revalidate, policy.stale_if_error].map(|time| time.as_secs())
}

#[test]
fn headers_that_say_nothing_leave_the_class_as_it_is() {
    for control in ["", "public", "no-transform, max-stale=5", "x-max-age=1, max-age-x=2, , ="] {
        assert_eq!((mapped(&of(control)).store, mapped(&of(control)).policy), (true, class()), "{control}");
    }
}

#[test]
fn s_maxage_counts_before_max_age_and_that_before_expires() {
    let expires = Response { expires: Some(MINUTE_LATER), date: Some(MADE), ..Response::default() };
    assert_eq!(times(&expires)[0], 60);
    assert_eq!(times(&Response { cache_control: CacheControl::parse(["max-age=50"]), ..expires })[0], 50);
    assert_eq!(times(&of("max-age=50, s-maxage=70"))[0], 70);
}

#[test]
fn what_the_upstream_says_is_neither_stretched_nor_jittered() {
    let said = mapped(&of("max-age=50")).policy;
    assert_eq!((said.jitter, said.adaptive), (Duration::ZERO, false));
}

#[test]
fn the_age_of_a_response_is_taken_off_before_the_class_bounds_what_is_left() {
    let aged = |control, age| Response { age: Some(age), ..of(control) };
    assert_eq!(times(&aged("max-age=50", "20"))[0], 30);
    assert_eq!(times(&aged("max-age=50", "60"))[0], 0);
    for no_number in ["-20", "2o", "", "x, 20", ", 20", "20.5"] {
        assert_eq!(times(&aged("max-age=50", no_number))[0], 50, "{no_number}");
    }
    // a response that lives for a year, and is two months old, is no worse than the class's month
    let month = policy(|policy| policy.fresh_max = secs(30));
    let old = Response { age: Some("60"), ..of("max-age=365") };
    assert_eq!(old.policy(&month, at(0)).policy.fresh, secs(30));
    let least = policy(|policy| policy.fresh_min = secs(40));
    assert_eq!(old.policy(&least, at(0)).policy.fresh, secs(305));
    assert_eq!(aged("max-age=50", "45").policy(&least, at(0)).policy.fresh, secs(40));
}

#[test]
fn of_an_age_that_is_a_list_the_first_member_counts() {
    let aged = |age| Response { age: Some(age), ..of("max-age=50") };
    assert_eq!(["20, 30", "20,x", " 20 , 10"].map(|age| times(&aged(age))[0]), [30, 30, 30]);
}

#[test]
fn the_class_is_not_made_younger_by_an_age() {
    assert_eq!(times(&Response { age: Some("60"), ..Response::default() })[0], 100);
}

#[test]
fn expires_counts_from_date_or_else_from_the_arrival_and_garbage_has_expired() {
    let expires = |expires, date| Response { expires: Some(expires), date, ..Response::default() };
    let half = "Sun, 06 Nov 1994 08:50:07 GMT";
    assert_eq!(times(&expires(MINUTE_LATER, Some(half)))[0], 30);
    assert_eq!(times(&expires(MINUTE_LATER, None))[0], 60);
    assert_eq!(times(&expires(MINUTE_LATER, Some("garbage")))[0], 60);
    assert_eq!(times(&expires(MADE, Some(half)))[0], 0);
    for garbage in ["0", "-1", "", "never"] {
        assert_eq!(times(&expires(garbage, None))[0], 0, "{garbage}");
    }
}

#[test]
fn no_store_and_private_are_not_stored() {
    for control in ["no-store", "PRIVATE", "private=\"set-cookie\"", "max-age=5 , No-Store", "foo=\"a\\\"b\", no-store"]
    {
        assert!(!mapped(&of(control)).store, "{control}");
    }
    assert!(mapped(&of("foo=\"bar, no-store\"")).store);
}

#[test]
fn no_cache_is_stored_and_is_never_fresh_nor_given_out_stale() {
    let answer = mapped(&of("no-cache, max-age=50, stale-if-error=60"));
    assert!(answer.store);
    assert_eq!(times(&of("no-cache")), [0, 0, 0]);
    assert_eq!(times(&of("no-cache=\"set-cookie\", max-age=50, stale-if-error=60")), [0, 0, 0]);
}

#[test]
fn no_history_makes_fresh_what_is_to_be_asked_for_each_time() {
    let class = policy(|policy| (policy.adaptive, policy.fresh_min) = (true, secs(60)));
    let policy = of("no-cache").policy(&class, at(0)).policy;
    assert_eq!(History { unchanged: 9, changed: 0 }.fresh(&policy), Duration::ZERO);
}

#[test]
fn must_revalidate_forbids_stale_use_whatever_else_is_said() {
    for control in
        ["must-revalidate", "proxy-revalidate", "must-revalidate, stale-while-revalidate=5, stale-if-error=5"]
    {
        assert_eq!(times(&of(control)), [100, 0, 0], "{control}");
    }
}

#[test]
fn s_maxage_forbids_stale_use_but_for_the_windows_beside_it() {
    assert_eq!(times(&of("s-maxage=50")), [50, 0, 0]);
    assert_eq!(times(&of("s-maxage=50, stale-while-revalidate=5")), [50, 5, 0]);
    assert_eq!(times(&of("s-maxage=50, stale-if-error=6")), [50, 0, 6]);
}

#[test]
fn the_upstreams_windows_replace_the_classes_one_by_one() {
    assert_eq!(times(&of("stale-while-revalidate=5")), [100, 5, 20]);
    assert_eq!(times(&of("max-age=50, stale-if-error=600")), [50, 10, 600]);
    assert_eq!(times(&of("stale-while-revalidate, stale-if-error=x")), [100, 0, 0]);
}

#[test]
fn immutable_is_not_refreshed_early() {
    assert_eq!(mapped(&of("max-age=50, immutable")).policy.early, Early::Never);
    assert_eq!(mapped(&of("max-age=50")).policy.early, Early::Fraction(0.5));
}

#[test]
fn numbers_are_read_strictly_and_end_at_two_to_the_31st() {
    let max_age =
        |value: &str| CacheControl::parse([format!("max-age={value}").as_str()]).max_age.map(|age| age.as_secs());
    for (value, seconds) in [
        ("60", 60),
        (" 60 ", 60),
        ("\"60\"", 60),
        ("007", 7),
        ("", 0),
        ("-60", 0),
        ("+60", 0),
        ("60s", 0),
        ("6.5", 0),
        ("２", 0),
        ("2147483647", 2_147_483_647),
        ("2147483649", 2_147_483_648),
        ("99999999999999999999999", 2_147_483_648),
    ] {
        assert_eq!(max_age(value), Some(seconds), "{value}");
    }
    assert_eq!(CacheControl::parse(["max-age"]).max_age, Some(Duration::ZERO));
}

#[test]
fn of_a_directive_that_comes_twice_the_strictest_counts() {
    for values in [["max-age=9", "max-age=5"], ["max-age=5, max-age=9", ""], ["max-age=9", "public, max-age=5"]] {
        assert_eq!(CacheControl::parse(values).max_age, Some(secs(5)), "{values:?}");
    }
    assert_eq!(CacheControl::parse(["max-age=9, max-age=x"]).max_age, Some(Duration::ZERO));
}

#[test]
fn retry_after_is_seconds_or_a_date_and_nothing_else() {
    let after = |value| retry_after(value, parse_date(MADE).unwrap());
    assert_eq!((after("120"), after(" 0 ")), (Some(secs(120)), Some(Duration::ZERO)));
    assert_eq!(after(MINUTE_LATER), Some(secs(60)));
    assert_eq!(after("Sun, 06 Nov 1994 08:49:36 GMT"), Some(Duration::ZERO));
    assert_eq!(after("99999999999999999999999"), Some(secs(2_147_483_648)));
    for garbage in ["", "-5", "5s", "soon", "1.5"] {
        assert_eq!(after(garbage), None, "{garbage}");
    }
}

/// Texts that look like the field, with every kind of mistake.
fn any_control() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(
            &[
                "max-age=",
                "s-maxage=",
                "no-cache",
                "immutable",
                "stale-if-error=",
                "stale-while-revalidate=9",
                "must-revalidate"
            ][..]
        )
        .prop_map(str::to_owned),
        "[0-9]{0,24}",
        "[\",=\\\\ a-z]{0,3}",
    ];
    prop_oneof![9 => proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat()), 1 => any::<String>()]
}

proptest! {
    #[test]
    fn every_header_at_every_date_comes_to_something(
        control in any_control(), age in "[0-9]{0,24}", date in ".{0,30}", class in any_policy(), received in any_moment(),
    ) {
        let cache_control = CacheControl::parse([control.as_str()]);
        let response = Response { cache_control, age: Some(&age), date: Some(&date), expires: Some(MADE) };
        let policy = response.policy(&class, received).policy;
        let _ = retry_after(&control, received);
        if cache_control.no_cache {
            prop_assert!(!Life::new(received, &policy, Duration::ZERO).is_fresh(received));
        } else {
            prop_assert_eq!(policy.fresh, class.clamp(policy.fresh));
        }
        if cache_control.no_cache || cache_control.must_revalidate {
            let life = Life::new(received, &policy, Duration::ZERO);
            prop_assert_eq!(life.sie_until_ms, life.fresh_until_ms);
        }
    }

    #[test]
    fn nothing_that_stands_before_it_hides_a_no_store(before in any_control()) {
        let one_value = format!("{before}, no-store");
        prop_assert!(CacheControl::parse([one_value.as_str()]).no_store);
        prop_assert!(CacheControl::parse([before.as_str(), "no-store"]).no_store);
    }

    #[test]
    fn what_stands_in_closed_quotes_says_nothing(inside in "([a-z,= -]|\\\\[\"\\\\]){0,20}") {
        let quoted = format!("x=\"{inside}, no-store, max-age=1\"");
        prop_assert_eq!(CacheControl::parse([quoted.as_str()]), CacheControl::default());
    }

    #[test]
    fn one_more_directive_never_makes_fresher(control in any_control(), more in any_control()) {
        let one = CacheControl::parse([control.as_str()]);
        let both = CacheControl::parse([control.as_str(), more.as_str()]);
        prop_assert!(both.no_cache >= one.no_cache && both.must_revalidate >= one.must_revalidate);
        prop_assert!(one.max_age.is_none_or(|age| both.max_age.unwrap() <= age));
        prop_assert!(one.s_maxage.is_none_or(|age| both.s_maxage.unwrap() <= age));
    }

    #[test]
    fn expires_less_date_is_the_time_between(from in 0..4_000_000_000_u64, length in 0..1_000_000_u64) {
        let text = |seconds: u64| larder_staleness::format_date(seconds * 1_000);
        let (date, expires) = (text(from), text(from + length));
        let response = Response { date: Some(&date), expires: Some(&expires), ..Response::default() };
        prop_assert_eq!(response.policy(&Policy::default(), at(0)).policy.fresh, secs(length));
    }
}
