//! Arbitrary dates, times, policies and documents, with the awkward ones among them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use larder_staleness::{Copy, Early, Held, Life, Policy, Wish};
use proptest::prelude::*;

/// A moment in milliseconds since 1970.
pub(crate) fn at(ms: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_millis(ms)).unwrap()
}

pub(crate) const fn ms(number: u64) -> Duration {
    Duration::from_millis(number)
}

pub(crate) const fn secs(number: u64) -> Duration {
    Duration::from_secs(number)
}

/// A policy that differs from the default in what `set` sets.
pub(crate) fn policy(set: impl FnOnce(&mut Policy)) -> Policy {
    let mut policy = Policy::default();
    set(&mut policy);
    policy
}

/// A wish that differs from the default in what `set` sets.
pub(crate) fn wish(set: impl FnOnce(&mut Wish)) -> Wish {
    let mut wish = Wish::default();
    set(&mut wish);
    wish
}

/// Milliseconds since 1970: small ones, those of our time, the last ones, any.
pub(crate) fn any_ms() -> BoxedStrategy<u64> {
    prop_oneof![0..50_u64, 1_600_000_000_000..1_900_000_000_000_u64, u64::MAX - 50..=u64::MAX, any::<u64>()].boxed()
}

/// Moments, also those before 1970.
pub(crate) fn any_moment() -> impl Strategy<Value = SystemTime> {
    let before = (0..1_000_000_u64).prop_map(|ms| UNIX_EPOCH.checked_sub(Duration::from_millis(ms)).unwrap());
    prop_oneof![9 => any_ms().prop_map(at), 1 => before]
}

/// Lengths of time. Boxed, as all that is made of many alternatives, because it has to fit on the stack of a test.
pub(crate) fn any_duration() -> BoxedStrategy<Duration> {
    let whole = |days: u64| (0..days * 86_400_000).prop_map(Duration::from_millis);
    let any = (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(seconds, nanos)| Duration::new(seconds, nanos));
    prop_oneof![
        3 => Just(Duration::ZERO),
        4 => (0..50_u64).prop_map(Duration::from_millis),
        2 => (0..5_000_000_u64).prop_map(Duration::from_nanos),
        2 => whole(60),
        1 => Just(Duration::MAX),
        1 => any,
    ]
    .boxed()
}

/// Numbers of 0 to 1, and what is no such number.
pub(crate) fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![4 => 0.0..=1.0_f64, 1 => Just(0.0), 1 => Just(1.0), 1 => proptest::num::f64::ANY]
}

pub(crate) fn any_early() -> impl Strategy<Value = Early> {
    prop_oneof![
        Just(Early::Never),
        any_number().prop_map(Early::Fraction),
        any_number().prop_map(Early::XFetch),
        (0.0..10.0_f64).prop_map(Early::XFetch),
    ]
}

pub(crate) fn any_policy() -> BoxedStrategy<Policy> {
    let times = proptest::array::uniform8(any_duration());
    (times, any_early(), any::<bool>())
        .prop_map(|(times, early, adaptive)| {
            let [fresh, stale_while_revalidate, stale_if_error, keep, negative, jitter, fresh_min, fresh_max] = times;
            policy(|policy| {
                (policy.fresh, policy.stale_while_revalidate, policy.stale_if_error) =
                    (fresh, stale_while_revalidate, stale_if_error);
                (policy.keep, policy.negative, policy.jitter) = (keep, negative, jitter);
                (policy.fresh_min, policy.fresh_max) = (fresh_min, fresh_max);
                (policy.early, policy.adaptive) = (early, adaptive);
            })
        })
        .boxed()
}

/// The times of a document as they are drawn.
pub(crate) fn drawn_life() -> impl Strategy<Value = Life> {
    (any_moment(), any_policy(), any_duration(), any_number())
        .prop_map(|(fetched, policy, took, draw)| Life::drawn(fetched, &policy, took, draw))
}

/// The times of a document as a damaged or foreign record may hold them: in no order.
pub(crate) fn any_life() -> BoxedStrategy<Life> {
    let foreign = proptest::array::uniform6(any_ms()).prop_map(|times| {
        let [fetched_ms, fresh_until_ms, swr_until_ms, sie_until_ms, keep_until_ms, fetch_ms] = times;
        Life { fetched_ms, fresh_until_ms, swr_until_ms, sie_until_ms, keep_until_ms, fetch_ms }
    });
    prop_oneof![3 => drawn_life(), 1 => foreign].boxed()
}

/// A document's times, and a moment that is often at the edge of one of them.
pub(crate) fn life_and_now() -> impl Strategy<Value = (Life, u64)> {
    (any_life(), any::<prop::sample::Index>(), -2..=2_i64, any_ms(), any::<bool>()).prop_map(
        |(life, which, beside, any, is_any)| {
            let edges =
                [life.fetched_ms, life.fresh_until_ms, life.swr_until_ms, life.sie_until_ms, life.keep_until_ms];
            let edge = edges[which.index(edges.len())].saturating_add_signed(beside);
            (life, if is_any { any } else { edge })
        },
    )
}

pub(crate) fn any_held() -> impl Strategy<Value = Option<Held>> {
    proptest::option::of(any::<bool>().prop_map(|allows_stale| Held { allows_stale }))
}

pub(crate) fn any_wish() -> impl Strategy<Value = Wish> {
    let flags = proptest::array::uniform4(proptest::bool::weighted(0.3));
    let times = proptest::array::uniform3(proptest::option::of(any_duration()));
    (flags, times, any_early()).prop_map(|(flags, times, early)| {
        let ([offline, refresh, fresh_only, may_not], [max_age, swr, sie]) = (flags, times);
        wish(|wish| {
            (wish.offline, wish.refresh, wish.fresh_only) = (offline, refresh, fresh_only);
            (wish.max_age, wish.stale_while_revalidate, wish.stale_if_error) = (max_age, swr, sie);
            (wish.early, wish.may_refresh) = (early, !may_not);
        })
    })
}

/// All that a decision is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    pub(crate) copy: Option<Copy>,
    pub(crate) held: Option<Held>,
    pub(crate) wish: Wish,
    pub(crate) now: SystemTime,
    pub(crate) draw: f64,
}

pub(crate) fn any_question() -> impl Strategy<Value = Question> {
    let copy = (life_and_now(), any::<bool>(), proptest::bool::weighted(0.3), proptest::bool::weighted(0.9));
    (copy, any_held(), any_wish(), any_number()).prop_map(
        |(((life, now_ms), is_invalidated, is_outdated, is_there), held, wish, draw)| {
            let copy = is_there.then_some(Copy { life, is_invalidated, is_outdated });
            Question { copy, held, wish, now: at(now_ms), draw }
        },
    )
}
