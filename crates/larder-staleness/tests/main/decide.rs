//! What is decided, for every question.

use larder_staleness::{Action, Copy, Decision, Early, Held, Life, Reason, Verdict, decide};
use proptest::prelude::*;

use crate::given::{Question, any_question};

fn answer(question: &Question) -> Decision {
    let Question { copy, held, wish, now, draw } = question;
    decide(copy.as_ref(), *held, wish, *now, || *draw)
}

const fn gives(decision: Decision) -> bool {
    matches!(decision.action, Action::Give { .. })
}

const fn falls_back(decision: Decision) -> bool {
    matches!(decision.action, Action::Ask { fallback: true })
}

proptest! {
    // many cases say nothing: a property of fresh copies says nothing of stale ones
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn offline_never_asks_and_takes_any_copy(mut question in any_question()) {
        question.wish.offline = true;
        let wanted = question.copy.map_or(Action::Absent, |_| Action::Give { refresh: false });
        let decision = answer(&question);
        prop_assert_eq!((decision.action, decision.reason), (wanted, Reason::Offline));
    }

    #[test]
    fn fresh_only_never_gets_a_stale_copy_nor_a_fallback(mut question in any_question()) {
        (question.wish.fresh_only, question.wish.offline) = (true, false);
        let decision = answer(&question);
        prop_assert!(!gives(decision) || decision.verdict == Some(Verdict::Fresh), "{decision:?}");
        prop_assert!(!falls_back(decision), "{decision:?}");
    }

    #[test]
    fn an_invalidated_copy_is_a_fallback_at_most(mut question in any_question()) {
        question.wish.offline = false;
        let Some(copy) = question.copy.as_mut() else { return Ok(()) };
        copy.is_invalidated = true;
        let decision = answer(&question);
        if gives(decision) {
            prop_assert_eq!(decision.reason, Reason::IfError);
            prop_assert_eq!(question.held, Some(Held { allows_stale: true }));
        }
    }

    #[test]
    fn a_copy_made_from_files_that_have_changed_is_worth_what_an_invalidated_one_is(mut question in any_question()) {
        let Some(copy) = question.copy else { return Ok(()) };
        question.copy = Some(Copy { is_invalidated: false, is_outdated: true, ..copy });
        let outdated = answer(&question);
        question.copy = Some(Copy { is_invalidated: true, is_outdated: false, ..copy });
        let invalidated = answer(&question);
        prop_assert_eq!(outdated.action, invalidated.action);
        let reason = if invalidated.reason == Reason::Invalidated { Reason::DependencyChanged } else { invalidated.reason };
        prop_assert_eq!(outdated.reason, reason);
    }

    #[test]
    fn who_would_not_be_given_the_copy_for_current_need_not_know_whether_its_files_have_changed(
        mut question in any_question(),
    ) {
        let Some(copy) = question.copy else { return Ok(()) };
        question.copy = Some(Copy { is_outdated: false, ..copy });
        let without = answer(&question);
        question.copy = Some(Copy { is_outdated: true, ..copy });
        let with = answer(&question);
        prop_assert!(without.takes_for_current() || without.action == with.action, "{without:?} {with:?}");
        prop_assert!(!with.takes_for_current(), "{with:?}");
    }

    #[test]
    fn a_copy_older_than_the_caller_takes_is_never_given_and_no_fallback(mut question in any_question()) {
        question.wish.offline = false;
        let (Some(copy), Some(most)) = (question.copy, question.wish.max_age) else { return Ok(()) };
        let is_old = copy.life.age_exact(question.now).is_none_or(|age| age > most);
        prop_assert!(!is_old || !answer(&question).can_fall_back());
    }

    #[test]
    fn a_copy_exactly_as_old_as_the_caller_takes_is_as_good_as_without_that_bound(mut question in any_question()) {
        let Some(age) = question.copy.and_then(|copy| copy.life.age_exact(question.now)) else { return Ok(()) };
        question.wish.max_age = Some(age);
        let bounded = answer(&question);
        question.wish.max_age = None;
        prop_assert_eq!(bounded, answer(&question));
    }

    #[test]
    fn whoever_wants_a_new_one_is_not_given_the_old_one_nor_an_old_failure(mut question in any_question()) {
        (question.wish.refresh, question.wish.offline) = (true, false);
        let decision = answer(&question);
        prop_assert!(matches!(decision.action, Action::Ask { .. }), "{decision:?}");
    }

    #[test]
    fn a_remembered_failure_keeps_everybody_else_from_asking(mut question in any_question(), allows_stale: bool) {
        question.wish.refresh = false;
        question.held = Some(Held { allows_stale });
        let decision = answer(&question);
        let is_quiet = matches!(decision.action, Action::Give { refresh: false } | Action::Fail | Action::Absent);
        prop_assert!(is_quiet, "{decision:?}");
    }

    #[test]
    fn a_failure_that_forbids_stale_lets_only_fresh_copies_through(mut question in any_question()) {
        question.wish.offline = false;
        question.held = Some(Held { allows_stale: false });
        let decision = answer(&question);
        prop_assert!(!gives(decision) || decision.reason == Reason::Fresh, "{decision:?}");
    }

    #[test]
    fn nothing_is_remembered_and_nothing_fails(mut question in any_question()) {
        question.held = None;
        let decision = answer(&question);
        prop_assert!(decision.action != Action::Fail, "{decision:?}");
    }

    #[test]
    fn nothing_is_refreshed_behind_the_back_of_a_caller_who_forbids_it(mut question in any_question()) {
        question.wish.may_refresh = false;
        let decision = answer(&question);
        prop_assert_ne!(decision.action, Action::Give { refresh: true });
    }

    #[test]
    fn what_is_never_refreshed_early_is_not(mut question in any_question()) {
        question.wish.early = Early::Never;
        prop_assert!(answer(&question).reason != Reason::FreshEarly);
    }

    #[test]
    fn a_fresh_and_current_copy_is_given_whatever_failed(mut question in any_question()) {
        (question.wish.refresh, question.wish.max_age) = (false, None);
        let Some(copy) = question.copy.as_mut() else { return Ok(()) };
        (copy.is_invalidated, copy.is_outdated) = (false, false);
        prop_assert!(!copy.life.is_fresh(question.now) || gives(answer(&question)));
    }

    #[test]
    fn a_copy_from_the_future_serves_nobody_who_can_ask(mut question in any_question(), ahead in 1..100_000_u64) {
        (question.wish.offline, question.wish.refresh, question.held) = (false, false, None);
        let now_ms = larder_staleness::ms_of(question.now);
        let Some(copy) = question.copy.as_mut() else { return Ok(()) };
        (copy.is_invalidated, copy.is_outdated) = (false, false);
        copy.life.fetched_ms = now_ms.saturating_add(ahead);
        prop_assume!(copy.life.fetched_ms > now_ms);
        let decision = answer(&question);
        prop_assert_eq!((decision.action, decision.reason), (Action::Ask { fallback: false }, Reason::Future));
    }

    #[test]
    fn only_what_is_good_for_it_by_its_times_is_given_or_a_fallback(mut question in any_question()) {
        question.wish.offline = false;
        let decision = answer(&question);
        if decision.can_fall_back() {
            let verdict = decision.verdict.unwrap();
            let most = if decision.reason == Reason::WhileRevalidate {
                Verdict::StaleWhileRevalidate
            } else if matches!(decision.reason, Reason::Fresh | Reason::FreshEarly) {
                Verdict::Fresh
            } else {
                Verdict::StaleIfError
            };
            prop_assert!(verdict <= most, "{decision:?}");
        }
    }

    #[test]
    fn without_windows_nothing_stale_is_given_and_nothing_is_a_fallback(mut question in any_question()) {
        question.wish.offline = false;
        (question.wish.stale_while_revalidate, question.wish.stale_if_error) = (None, None);
        let Some(copy) = question.copy.as_mut() else { return Ok(()) };
        let fresh_until_ms = copy.life.fresh_until_ms;
        copy.life = Life { swr_until_ms: fresh_until_ms, sie_until_ms: fresh_until_ms, ..copy.life };
        let decision = answer(&question);
        prop_assert!(!gives(decision) || decision.verdict == Some(Verdict::Fresh), "{decision:?}");
        prop_assert!(!falls_back(decision), "{decision:?}");
    }

    #[test]
    fn a_verdict_is_told_when_there_is_a_copy_and_it_is_that_of_the_callers_windows(question in any_question()) {
        let wish = question.wish;
        let wanted = question.copy.map(|copy| {
            copy.life.with_stale(wish.stale_while_revalidate, wish.stale_if_error).verdict(question.now)
        });
        prop_assert_eq!(answer(&question).verdict, wanted);
    }

    #[test]
    fn without_a_copy_there_is_nothing_to_give_or_to_fall_back_on(mut question in any_question()) {
        question.copy = None;
        let decision = answer(&question);
        prop_assert!(!decision.can_fall_back());
        prop_assert_eq!(decision.verdict, None);
    }
}
