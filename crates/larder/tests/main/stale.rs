//! Stale answers: while they are refreshed, when the upstream fails, and when it takes too long.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder::{
    Answer, Cache, Class, Context, Early, Failure, Fetched, Forward, Level, Options, Policy, Response, Scope, Terms,
    Verdict, fetch,
};
use larder_system::Clock as _;
use larder_testkit::VirtualClock;

use crate::shared::{Place, key, no_fetch, text, until};

pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Fresh for an hour, then good for an hour while it is refreshed, and for ten if the upstream fails.
pub(crate) fn terms() -> Terms {
    Terms::new().ttl(HOUR).stale_while_revalidate(HOUR).stale_if_error(HOUR * 10)
}

pub(crate) struct Scene {
    pub(crate) place: Place,
    pub(crate) cache: Cache,
    pub(crate) clock: Arc<VirtualClock>,
}

impl Scene {
    /// With one document, `a`, that was fetched now.
    pub(crate) async fn new(name: &str) -> Self {
        Self::built(name, |builder| builder).await
    }

    pub(crate) async fn built(name: &str, change: impl FnOnce(larder::Builder) -> larder::Builder) -> Self {
        let (place, clock) = (Place::new(name), Arc::new(VirtualClock::new()));
        let builder = change(place.builder()).store_options(Options::new().clock(clock.clone()));
        let scene = Self { cache: builder.build().unwrap(), place, clock };
        assert_eq!(text(&scene.ask().await), "a, call 1");
        scene
    }

    /// Another process's cache, as far as anybody can tell.
    fn other(&self) -> Cache {
        self.place.builder().store_options(Options::new().clock(self.clock.clone())).build().unwrap()
    }

    pub(crate) async fn ask(&self) -> Answer {
        self.place.ask_with(&self.cache, "a", &terms()).await
    }

    async fn until_calls(&self, calls: usize) {
        let upstream = Arc::clone(&self.place.upstream);
        until(async || upstream.calls() >= calls && self.cache.stats().await.unwrap().flights == 0).await;
    }
}

fn failure_of(error: fetch::Error) -> (Class, bool) {
    match error {
        fetch::Error::Failed { failure, remembered, .. } => (failure.class, remembered),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn within_its_window_a_stale_copy_is_given_at_once_and_refreshed_once() {
    let scene = Scene::new("stale-swr").await;
    scene.clock.advance(HOUR + SECOND);
    let hold = scene.place.upstream.hold();
    let (cache, other) = (&scene.cache, scene.other());
    for cache in [cache, &other, cache, &other] {
        let answer = scene.place.ask_with(cache, "a", &terms()).await;
        assert_eq!((text(&answer), answer.outcome.stale, answer.outcome.is_hit()), ("a, call 1", true, true));
        assert_eq!((answer.outcome.ttl, answer.outcome.age), (Some(-1), Some(3_601)));
    }
    drop(hold);
    scene.until_calls(2).await;
    let answer = scene.place.ask_with(&other, "a", &terms()).await;
    assert_eq!((text(&answer), answer.outcome.stale), ("a, call 2", false));
    assert_eq!(scene.place.upstream.calls(), 2);
}

#[tokio::test]
async fn beyond_that_window_the_upstream_is_waited_for() {
    let scene = Scene::new("stale-beyond").await;
    scene.clock.advance(HOUR * 2 + SECOND);
    let answer = scene.ask().await;
    assert_eq!((text(&answer), answer.outcome.verdict), ("a, call 2", Verdict::Forward(Forward::Stale)));
}

#[tokio::test]
async fn in_an_outage_everybody_gets_the_stale_copy_with_its_true_age_for_one_call_a_step() {
    let scene = Scene::new("stale-outage").await;
    scene.clock.advance(HOUR * 2 + SECOND);
    scene.place.upstream.fails("overloaded");
    let other = scene.other();
    let mut calls = 1;
    for (step, length) in [30, 60, 120].into_iter().enumerate() {
        for round in 0..6 {
            let cache = if round % 2 == 0 { &scene.cache } else { &other };
            let answer = scene.place.ask_with(cache, "a", &terms()).await;
            assert_eq!((text(&answer), answer.outcome.stale, answer.outcome.level), ("a, call 1", true, Level::Disk));
            let age = scene.clock.wall().duration_since(VirtualClock::new().wall()).unwrap().as_secs();
            assert_eq!(answer.outcome.age, Some(i64::try_from(age).unwrap()));
            calls += usize::from(round == 0);
            assert_eq!(scene.place.upstream.calls(), calls, "step {step}");
        }
        scene.clock.advance(Duration::from_secs(length));
    }
    scene.place.upstream.answers("well again");
    assert_eq!(text(&scene.ask().await), "well again");
}

#[tokio::test]
async fn without_a_copy_an_outage_costs_one_call_a_step_too() {
    let scene = Scene::new("stale-nothing").await;
    scene.place.upstream.fails("overloaded");
    let ask = async |cache: &Cache| {
        let error = cache.get_or_fetch(&key("b"), scene.place.fetch()).await.unwrap_err();
        failure_of(error)
    };
    assert_eq!(ask(&scene.cache).await, (Class::Unavailable, false));
    for _ in 0..5 {
        assert_eq!(ask(&scene.other()).await, (Class::Unavailable, true));
    }
    assert_eq!(scene.place.upstream.calls_of("b"), 1);
    scene.clock.advance(Duration::from_secs(30));
    assert_eq!(ask(&scene.cache).await, (Class::Unavailable, false));
    assert_eq!(scene.place.upstream.calls_of("b"), 2);
}

#[tokio::test]
async fn past_its_window_no_error_brings_a_copy_back() {
    let scene = Scene::new("stale-over").await;
    scene.clock.advance(HOUR * 11 + SECOND);
    scene.place.upstream.fails("overloaded");
    let error = scene.cache.get_or_fetch_with(&key("a"), &terms(), scene.place.fetch()).await.unwrap_err();
    assert_eq!(failure_of(error).0, Class::Unavailable);
}

#[tokio::test]
async fn who_wants_only_fresh_answers_gets_no_stale_one() {
    let scene = Scene::new("stale-only").await;
    scene.clock.advance(HOUR + SECOND);
    let fresh = scene.place.ask_with(&scene.cache, "a", &terms().fresh_only()).await;
    assert_eq!(text(&fresh), "a, call 2");
    scene.clock.advance(HOUR + SECOND);
    scene.place.upstream.fails("overloaded");
    let asked = scene.cache.get_or_fetch_with(&key("a"), &terms().fresh_only(), scene.place.fetch()).await;
    assert_eq!(failure_of(asked.unwrap_err()), (Class::Unavailable, false));
}

#[tokio::test]
async fn who_is_refused_or_asks_for_what_is_not_there_is_told_so_and_not_given_a_stale_copy() {
    for (class, calls) in [(Class::Denied, 2), (Class::Refused, 2), (Class::Absent, 1)] {
        let scene = Scene::new("stale-class").await;
        scene.clock.advance(HOUR * 2 + SECOND);
        let count = Arc::new(AtomicU64::new(0));
        for _ in 0..2 {
            let counted = Arc::clone(&count);
            let fetch = move |_| async move {
                counted.fetch_add(1, Ordering::Relaxed);
                Err::<Fetched, _>(Failure::new(class, "no"))
            };
            let error = scene.cache.get_or_fetch_with(&key("a"), &terms(), fetch).await.unwrap_err();
            assert_eq!(failure_of(error).0, class);
        }
        assert_eq!(count.load(Ordering::Relaxed), calls, "{class}");
    }
}

#[tokio::test]
async fn what_the_upstream_does_not_have_is_known_for_as_long_as_its_class_says() {
    let scene = Scene::new("stale-negative").await;
    let ask = async || {
        let fetch = |_| async { Err::<Fetched, _>(Failure::new(Class::Absent, "no such page")) };
        failure_of(scene.cache.get_or_fetch(&key("b"), fetch).await.unwrap_err())
    };
    assert_eq!(ask().await, (Class::Absent, false));
    scene.clock.advance(Duration::from_millis(29_999));
    assert_eq!(ask().await, (Class::Absent, true));
    scene.clock.advance(Duration::from_millis(1));
    assert_eq!(ask().await, (Class::Absent, false));
}

#[tokio::test]
async fn with_a_stale_copy_nobody_waits_for_a_slow_upstream_whose_answer_is_stored_later() {
    let scene = Scene::new("stale-soft").await;
    scene.clock.advance(HOUR * 2 + SECOND);
    let hold = scene.place.upstream.hold();
    let soft = |millis| terms().soft_timeout(Duration::from_millis(millis));
    for (cache, millis) in [(&scene.cache, 1), (&scene.cache, 1), (&scene.other(), 1), (&scene.other(), 0)] {
        let answer = scene.place.ask_with(cache, "a", &soft(millis)).await;
        assert_eq!((text(&answer), answer.outcome.stale), ("a, call 1", true));
    }
    drop(hold);
    scene.until_calls(2).await;
    assert_eq!(text(&scene.ask().await), "a, call 2");
    assert_eq!(scene.place.upstream.calls(), 2);
}

#[tokio::test]
async fn with_no_patience_at_all_the_fetch_is_begun_all_the_same() {
    let scene = Scene::new("stale-impatient").await;
    scene.clock.advance(HOUR * 2 + SECOND);
    // an upstream that answers within a tick of the timer would be waited for
    let hold = scene.place.upstream.hold();
    let answer = scene.place.ask_with(&scene.cache, "a", &terms().soft_timeout(Duration::ZERO)).await;
    assert!(answer.outcome.stale);
    drop(hold);
    scene.until_calls(2).await;
    assert_eq!(text(&scene.ask().await), "a, call 2");
}

#[tokio::test]
async fn a_fetch_that_panics_leaves_the_stale_copy() {
    let scene = Scene::new("stale-panic").await;
    scene.clock.advance(HOUR * 2 + SECOND);
    let answer = scene.cache.get_or_fetch_with(&key("a"), &terms(), no_fetch).await.unwrap();
    assert_eq!((text(&answer), answer.outcome.stale), ("a, call 1", true));
}

#[tokio::test]
async fn what_was_invalidated_softly_is_a_fallback_and_nothing_else() {
    let scene = Scene::new("stale-soft-invalidated").await;
    scene.cache.invalidate(&[Scope::Key(key("a")).soft()]).await.unwrap();
    scene.place.upstream.fails("overloaded");
    let answer = scene.ask().await;
    assert_eq!((text(&answer), answer.outcome.stale), ("a, call 1", true));
    scene.cache.invalidate(&[Scope::Key(key("a")).soft()]).await.unwrap();
    scene.place.upstream.answers("new");
    assert_eq!(text(&scene.ask().await), "new", "an invalidation ends what is remembered of the upstream");
    scene.cache.invalidate(&[Scope::Key(key("a")).hard()]).await.unwrap();
    scene.place.upstream.fails("overloaded");
    let asked = scene.cache.get_or_fetch_with(&key("a"), &terms(), scene.place.fetch()).await;
    assert_eq!(failure_of(asked.unwrap_err()).0, Class::Unavailable);
}

#[tokio::test]
async fn a_fetch_is_told_of_the_copy_and_may_say_that_it_is_still_good() {
    let scene = Scene::new("stale-304").await;
    let put = |context: Context| async move {
        assert_eq!(context.stale.map(|stale| stale.etag), None);
        Ok::<_, Failure>(Fetched::new("page").etag("v1").last_modified("yesterday"))
    };
    scene.cache.get_or_fetch_with(&key("b"), &terms(), put).await.unwrap();
    for _ in 0..3 {
        scene.clock.advance(HOUR * 2 + SECOND);
        let check = |context: Context| async move {
            let stale = context.stale.expect("there is a copy");
            assert_eq!((&stale.body[..], stale.etag.as_deref()), (&b"page"[..], Some("v1")));
            assert_eq!(stale.last_modified.as_deref(), Some("yesterday"));
            Ok::<_, Failure>(Fetched::not_modified())
        };
        let answer = scene.cache.get_or_fetch_with(&key("b"), &terms(), check).await.unwrap();
        assert_eq!((text(&answer), answer.outcome.ttl, answer.outcome.age), ("page", Some(3_600), Some(0)));
        let again = scene.cache.get(&key("b")).await.unwrap().unwrap();
        assert_eq!(text(&again), "page");
    }
}

#[tokio::test]
async fn that_nothing_has_changed_is_no_answer_where_there_was_nothing() {
    let scene = Scene::new("stale-304-nothing").await;
    let fetch = |_| async { Ok::<_, Failure>(Fetched::not_modified()) };
    let error = scene.cache.get_or_fetch(&key("b"), fetch).await.unwrap_err();
    assert_eq!(failure_of(error), (Class::Refused, false));
}

#[tokio::test]
async fn what_is_unchanged_time_and_again_is_asked_for_less_often_within_bounds() {
    let mut classes = larder::Classes::default();
    let mut policy = Policy::fresh_for(HOUR);
    (policy.adaptive, policy.fresh_min, policy.fresh_max) = (true, HOUR / 4, HOUR * 3);
    classes.define("learning", policy);
    classes.add_rule("b".parse().unwrap(), "learning").unwrap();
    let scene = Scene::built("stale-adaptive", |builder| builder.classes(classes)).await;
    let check = async |fetched: Fetched| {
        scene.clock.advance(HOUR * 24);
        let fetch = |_| async { Ok::<_, Failure>(fetched) };
        scene.cache.get_or_fetch(&key("b"), fetch).await.unwrap().outcome.ttl.unwrap()
    };
    assert_eq!(check(Fetched::new("page")).await, 3_600);
    let mut ttls = Vec::new();
    for _ in 0..5 {
        ttls.push(check(Fetched::not_modified()).await);
    }
    assert_eq!(ttls, [3_600, 7_200, 7_200, 10_800, 10_800]);
    // the same bytes are no change
    assert_eq!(check(Fetched::new("page")).await, 10_800);
    let mut ttls = Vec::new();
    for round in 0..5 {
        ttls.push(check(Fetched::new(format!("page {round}"))).await);
    }
    assert_eq!(ttls, [3_600, 1_800, 900, 900, 900]);
}

#[tokio::test]
async fn what_the_response_says_of_freshness_comes_before_the_class_within_its_bounds() {
    let scene = Scene::new("stale-headers").await;
    let ask = async |name: &str, control: &str| {
        let response = Response { cache_control: larder::CacheControl::parse([control]), ..Response::default() };
        let fetched = Fetched::new("page").response(&response);
        let fetch = |_| async { Ok::<_, Failure>(fetched) };
        scene.cache.get_or_fetch(&key(name), fetch).await.unwrap().outcome
    };
    assert_eq!(ask("b", "max-age=7, stale-if-error=5").await.ttl, Some(7));
    assert_eq!(ask("c", "no-store").await.stored, Some(false));
    // whoever comes next does not wait at a lock for what it will not get
    assert_eq!(ask("c", "max-age=7").await.verdict, Verdict::Forward(Forward::Bypass));
}

#[tokio::test]
async fn near_its_end_a_fresh_copy_is_refreshed_behind_whoever_gets_it() {
    for level in [Level::Disk, Level::Memory] {
        let mut classes = larder::Classes::default();
        let mut policy = Policy::fresh_for(HOUR);
        policy.early = Early::Fraction(0.9);
        classes.define(larder::Classes::DEFAULT, policy);
        let scene = Scene::built("stale-early", |builder| builder.classes(classes)).await;
        scene.clock.advance(Duration::from_secs(3_239));
        if level == Level::Memory {
            scene.cache.get(&key("a")).await.unwrap();
        }
        scene.clock.advance(SECOND);
        let answer = scene.place.ask(&scene.cache, "a").await;
        assert_eq!((text(&answer), answer.outcome.stale, answer.outcome.level), ("a, call 1", false, level));
        scene.until_calls(2).await;
        let answer = scene.place.ask(&scene.cache, "a").await;
        assert_eq!((text(&answer), scene.place.upstream.calls()), ("a, call 2", 2));
    }
}

#[tokio::test]
async fn what_does_not_change_while_it_is_fresh_is_not_refreshed_early() {
    let mut classes = larder::Classes::default();
    let mut policy = Policy::fresh_for(HOUR);
    policy.early = Early::Fraction(0.5);
    classes.define(larder::Classes::DEFAULT, policy);
    let scene = Scene::built("stale-immutable", |builder| builder.classes(classes)).await;
    let fetch = |_| async {
        let cache_control = larder::CacheControl::parse(["max-age=3600, immutable"]);
        Ok::<_, Failure>(Fetched::new("page").response(&Response { cache_control, ..Response::default() }))
    };
    scene.cache.get_or_fetch(&key("b"), fetch).await.unwrap();
    scene.clock.advance(Duration::from_secs(3_000));
    for level in [Level::Disk, Level::Memory] {
        let answer = scene.cache.get_or_fetch(&key("b"), no_fetch).await.unwrap();
        assert_eq!((answer.outcome.level, scene.cache.stats().await.unwrap().flights), (level, 0));
    }
}

#[tokio::test]
async fn nobody_is_given_what_is_older_than_he_takes() {
    let scene = Scene::new("stale-age").await;
    scene.clock.advance(Duration::from_secs(60));
    let young = terms().max_age(Duration::from_secs(60));
    assert_eq!(text(&scene.cache.get_or_fetch_with(&key("a"), &young, no_fetch).await.unwrap()), "a, call 1");
    scene.clock.advance(SECOND);
    assert_eq!(text(&scene.place.ask_with(&scene.cache, "a", &young).await), "a, call 2");
    scene.clock.advance(SECOND * 61);
    scene.place.upstream.fails("overloaded");
    let asked = scene.cache.get_or_fetch_with(&key("a"), &young, scene.place.fetch()).await;
    assert_eq!(failure_of(asked.unwrap_err()).0, Class::Unavailable);
}

#[tokio::test]
async fn a_class_that_there_is_not_is_named_with_those_that_there_are() {
    let scene = Scene::new("stale-unknown").await;
    let terms = Terms::new().class("criticle");
    let error = scene.cache.get_or_fetch_with(&key("b"), &terms, no_fetch).await.unwrap_err();
    let text = format!("{error}: {}", std::error::Error::source(&error).unwrap());
    assert!(text.contains("criticle") && text.contains("critical"), "{text}");
}

#[tokio::test]
async fn clocks_that_jump_ten_years_make_nothing_immortal() {
    let decade = Duration::from_secs(10 * 365 * 86_400);
    let scene = Scene::new("stale-clocks").await;
    scene.clock.rewind_wall(decade);
    scene.clock.advance_monotonic(SECOND);
    assert_eq!(text(&scene.ask().await), "a, call 2", "a copy from the future is not fresh");
    scene.clock.advance_wall(decade * 2);
    scene.clock.advance_monotonic(SECOND);
    assert_eq!(text(&scene.ask().await), "a, call 3");
    // what is remembered of a failure does not hang on the wall clock
    scene.place.upstream.fails("overloaded");
    scene.cache.get_or_fetch(&key("b"), scene.place.fetch()).await.unwrap_err();
    scene.clock.rewind_wall(decade);
    assert!(failure_of(scene.cache.get_or_fetch(&key("b"), scene.place.fetch()).await.unwrap_err()).1);
    scene.clock.advance_monotonic(Duration::from_secs(30));
    assert!(!failure_of(scene.cache.get_or_fetch(&key("b"), scene.place.fetch()).await.unwrap_err()).1);
}

#[tokio::test]
async fn who_asks_for_a_new_one_waits_for_it_beyond_the_soft_timeout() {
    let scene = Scene::new("stale-insists").await;
    let hold = scene.place.upstream.hold();
    let (cache, fetch) = (scene.cache.clone(), scene.place.fetch());
    let terms = terms().soft_timeout(Duration::from_millis(1)).refresh();
    let asking = tokio::spawn(async move { cache.get_or_fetch_with(&key("a"), &terms, fetch).await.unwrap() });
    crate::shared::until_called(&scene.place.upstream, 2).await;
    // the soft timeout is over many times
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!asking.is_finished());
    drop(hold);
    assert_eq!(text(&asking.await.unwrap()), "a, call 2");
}

#[tokio::test]
async fn an_impatient_callers_timeout_is_no_outage() {
    let scene = Scene::new("stale-timeout").await;
    let never = |_| async {
        std::future::pending::<()>().await;
        Ok::<_, Failure>(Fetched::new(""))
    };
    let terms = Terms::new().timeout(Duration::from_millis(5));
    let error = scene.cache.get_or_fetch_with(&key("b"), &terms, never).await.unwrap_err();
    assert_eq!(failure_of(error), (Class::Unavailable, false));
    assert_eq!(text(&scene.place.ask(&scene.cache, "b").await), "b, call 2");
}
