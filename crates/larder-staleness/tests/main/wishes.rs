//! The table of decisions, row by row: what is done, and for which reason.

use larder_staleness::{Action, Copy, Decision, Early, Held, Life, Reason, Verdict, Wish, decide};

use crate::given::{at, ms, policy, wish};

const GIVE: Action = Action::Give { refresh: false };
const REFRESH: Action = Action::Give { refresh: true };
const ASK: Action = Action::Ask { fallback: false };
const ASK_OR_FALL_BACK: Action = Action::Ask { fallback: true };
const MAY_BE_STALE: Option<Held> = Some(Held { allows_stale: true });
const MUST_NOT_BE_STALE: Option<Held> = Some(Held { allows_stale: false });
// the last moment of each of the four times, and one before and one after all
const FUTURE: u64 = 999;
const FRESH: u64 = 1_100;
const SWR: u64 = 1_110;
const SIE: u64 = 1_120;
const KEPT: u64 = 1_130;
const EXPIRED: u64 = 1_131;

/// Fetched at 1,000; fresh until 1,100, then 10 ms for each of the other times.
fn copy() -> Copy {
    let policy = policy(|policy| {
        (policy.fresh, policy.stale_while_revalidate) = (ms(100), ms(10));
        (policy.stale_if_error, policy.keep) = (ms(20), ms(10));
    });
    Copy { life: Life::new(at(1_000), &policy, ms(0)), is_invalidated: false, is_outdated: false }
}

fn invalidated() -> Copy {
    Copy { is_invalidated: true, ..copy() }
}

#[track_caller]
fn check(copy: Option<Copy>, held: Option<Held>, wish: &Wish, now: u64, action: Action, reason: Reason) {
    let decision = decide(copy.as_ref(), held, wish, at(now), || 1.0);
    assert_eq!((decision.action, decision.reason), (action, reason), "at {now}");
}

#[test]
fn without_a_copy_the_upstream_is_asked_unless_it_failed_or_nobody_is_to_be_asked() {
    check(None, None, &Wish::default(), FRESH, ASK, Reason::NoCopy);
    check(None, MAY_BE_STALE, &Wish::default(), FRESH, Action::Fail, Reason::FailedLately);
    check(None, MAY_BE_STALE, &wish(|wish| wish.refresh = true), FRESH, ASK, Reason::NoCopy);
    check(None, MAY_BE_STALE, &wish(|wish| wish.offline = true), FRESH, Action::Absent, Reason::Offline);
}

#[test]
fn a_copy_goes_from_given_to_refreshed_to_fallback_to_nothing() {
    let check = |now, action, reason| check(Some(copy()), None, &Wish::default(), now, action, reason);
    check(FUTURE, ASK, Reason::Future);
    check(FRESH, GIVE, Reason::Fresh);
    check(SWR, REFRESH, Reason::WhileRevalidate);
    check(SIE, ASK_OR_FALL_BACK, Reason::Stale);
    check(KEPT, ASK, Reason::Stale);
    check(EXPIRED, ASK, Reason::Stale);
}

#[test]
fn what_was_fetched_just_now_and_is_fresh_for_nothing_is_stale_and_not_from_the_future() {
    let nothing = policy(|policy| policy.fresh = ms(0));
    let copy = Copy { life: Life::new(at(1_000), &nothing, ms(0)), is_invalidated: false, is_outdated: false };
    check(Some(copy), None, &Wish::default(), 1_000, ASK, Reason::Stale);
}

#[test]
fn after_a_failure_a_copy_is_given_within_its_window_if_the_failure_allows() {
    let check = |held, now, action, reason| check(Some(copy()), held, &Wish::default(), now, action, reason);
    check(MAY_BE_STALE, FRESH, GIVE, Reason::Fresh);
    check(MAY_BE_STALE, SWR, GIVE, Reason::IfError);
    check(MAY_BE_STALE, SIE, GIVE, Reason::IfError);
    check(MAY_BE_STALE, KEPT, Action::Fail, Reason::FailedLately);
    check(MUST_NOT_BE_STALE, FRESH, GIVE, Reason::Fresh);
    check(MUST_NOT_BE_STALE, SWR, Action::Fail, Reason::FailedLately);
}

#[test]
fn an_invalidated_copy_is_a_fallback_even_while_it_is_fresh() {
    let check = |held, now, action, reason| check(Some(invalidated()), held, &Wish::default(), now, action, reason);
    check(None, FRESH, ASK_OR_FALL_BACK, Reason::Invalidated);
    check(None, SWR, ASK_OR_FALL_BACK, Reason::Invalidated);
    check(None, KEPT, ASK, Reason::Invalidated);
    check(MAY_BE_STALE, FRESH, GIVE, Reason::IfError);
    check(MUST_NOT_BE_STALE, FRESH, Action::Fail, Reason::FailedLately);
}

#[test]
fn offline_takes_what_there_is_whatever_it_is_worth() {
    let offline = wish(|wish| (wish.offline, wish.fresh_only, wish.max_age) = (true, true, Some(ms(0))));
    for now in [FUTURE, FRESH, SWR, SIE, KEPT, EXPIRED] {
        check(Some(copy()), MUST_NOT_BE_STALE, &offline, now, GIVE, Reason::Offline);
        check(Some(invalidated()), None, &offline, now, GIVE, Reason::Offline);
    }
}

#[test]
fn a_caller_who_wants_a_new_one_waits_for_it_and_may_fall_back() {
    let refresh = wish(|wish| wish.refresh = true);
    for now in [FRESH, SWR, SIE] {
        check(Some(copy()), MAY_BE_STALE, &refresh, now, ASK_OR_FALL_BACK, Reason::Refresh);
    }
    check(Some(copy()), None, &refresh, KEPT, ASK, Reason::Refresh);
}

#[test]
fn a_caller_who_wants_nothing_stale_waits() {
    let fresh_only = wish(|wish| wish.fresh_only = true);
    check(Some(copy()), None, &fresh_only, FRESH, GIVE, Reason::Fresh);
    check(Some(copy()), None, &fresh_only, SWR, ASK, Reason::Stale);
    check(Some(copy()), MAY_BE_STALE, &fresh_only, SWR, Action::Fail, Reason::FailedLately);
}

#[test]
fn the_callers_bound_on_age_counts_to_the_millisecond() {
    let young = wish(|wish| wish.max_age = Some(ms(50)));
    check(Some(copy()), None, &young, 1_050, GIVE, Reason::Fresh);
    check(Some(copy()), None, &young, 1_051, ASK, Reason::TooOld);
    check(Some(copy()), MAY_BE_STALE, &young, 1_051, Action::Fail, Reason::FailedLately);
}

#[test]
fn the_callers_windows_count_instead_of_the_copys() {
    let narrow = wish(|wish| (wish.stale_while_revalidate, wish.stale_if_error) = (Some(ms(0)), Some(ms(5))));
    check(Some(copy()), None, &narrow, 1_101, ASK_OR_FALL_BACK, Reason::Stale);
    check(Some(copy()), None, &narrow, 1_106, ASK, Reason::Stale);
    let wide = wish(|wish| wish.stale_while_revalidate = Some(ms(1_000)));
    check(Some(copy()), None, &wide, 2_100, REFRESH, Reason::WhileRevalidate);
    check(Some(copy()), None, &wide, 2_101, ASK, Reason::Stale);
}

#[test]
fn a_fresh_copy_is_refreshed_early_when_it_is_time_and_nothing_failed() {
    let early = wish(|wish| wish.early = Early::Fraction(0.5));
    check(Some(copy()), None, &early, 1_049, GIVE, Reason::Fresh);
    check(Some(copy()), None, &early, 1_050, REFRESH, Reason::FreshEarly);
    check(Some(copy()), MAY_BE_STALE, &early, 1_050, GIVE, Reason::Fresh);
    let quiet = wish(|wish| (wish.early, wish.may_refresh) = (Early::Fraction(0.5), false));
    check(Some(copy()), None, &quiet, 1_050, GIVE, Reason::Fresh);
    check(Some(copy()), None, &quiet, SWR, GIVE, Reason::WhileRevalidate);
}

#[test]
fn a_decision_reads_well_as_json() {
    let decision = decide(Some(&copy()), None, &Wish::default(), at(SWR), || 1.0);
    let json = r#"{"do":"give","refresh":true,"reason":"while-revalidate","verdict":"stale-while-revalidate"}"#;
    assert_eq!(serde_json::to_string(&decision).unwrap(), json);
}

#[test]
fn every_reason_has_words_of_its_own() {
    let reasons = [
        (Reason::Fresh, Reason::FreshEarly),
        (Reason::WhileRevalidate, Reason::IfError),
        (Reason::FailedLately, Reason::Offline),
        (Reason::NoCopy, Reason::Invalidated),
        (Reason::Future, Reason::TooOld),
        (Reason::Stale, Reason::Refresh),
    ];
    let words = reasons.iter().flat_map(|(one, other)| [one.words(), other.words()]);
    let words: std::collections::BTreeSet<&str> = words.collect();
    assert_eq!(words.len(), 12);
}

#[test]
fn what_can_fall_back_is_what_has_a_copy_to_give() {
    let can = |decision: Decision| decision.can_fall_back();
    let at_time = |now| decide(Some(&copy()), None, &Wish::default(), at(now), || 1.0);
    assert!(can(at_time(FRESH)) && can(at_time(SIE)) && !can(at_time(KEPT)));
    assert_eq!(at_time(SIE).verdict, Some(Verdict::StaleIfError));
}
