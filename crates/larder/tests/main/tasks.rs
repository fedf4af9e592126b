//! Tasks of one process that want the same.

use std::sync::Arc;

use larder::fetch::Error;
use larder::{Cache, Fetched, Level, Terms};
use tokio::task::JoinSet;

use crate::shared::{Place, key, no_fetch, text, until_called, until_waiting};

/// Spawns so many callers for "a".
fn spawn(place: &Place, cache: &Cache, callers: usize) -> JoinSet<Result<larder::Answer, Error>> {
    (0..callers)
        .map(|_| {
            let (cache, fetch) = (cache.clone(), place.fetch());
            async move { cache.get_or_fetch(&key("a"), fetch).await }
        })
        .collect()
}

async fn sixty_four_ask() {
    let place = Place::new("tasks-64");
    let cache = place.cache();
    let hold = place.upstream.hold();
    let asking = spawn(&place, &cache, 64);
    until_waiting(&cache, 64).await;
    drop(hold);
    let answers: Vec<_> = asking.join_all().await.into_iter().map(Result::unwrap).collect();
    assert!(answers.iter().all(|answer| text(answer) == "a, call 1" && answer.outcome.stored == Some(true)));
    assert_eq!(answers.iter().filter(|answer| !answer.outcome.collapsed).count(), 1);
    assert!(answers.iter().all(|answer| answer.outcome.level == Level::Upstream));
    let joined = answers.iter().filter(|answer| answer.outcome.collapsed);
    assert!(joined.into_iter().all(|answer| answer.outcome.holder == Some(std::process::id())));
    assert_eq!(place.upstream.calls(), 1);
    let stats = cache.stats().await.unwrap();
    assert_eq!((stats.totals.fetches, stats.totals.collapsed, stats.totals.misses), (1, 63, 64));
    assert_eq!((stats.flights, stats.waiting), (0, 0));
}

#[tokio::test]
async fn sixty_four_tasks_on_one_thread_make_one_call() {
    sixty_four_ask().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_tasks_on_four_threads_make_one_call() {
    sixty_four_ask().await;
}

#[tokio::test]
async fn different_keys_are_fetched_at_the_same_time() {
    let place = Place::new("tasks-keys");
    let cache = place.cache();
    let hold = place.upstream.hold();
    let asking: JoinSet<_> = (0..8)
        .map(|number| {
            let (cache, fetch) = (cache.clone(), place.fetch());
            async move { cache.get_or_fetch(&key(&format!("a/{number}")), fetch).await.unwrap() }
        })
        .collect();
    until_called(&place.upstream, 8).await;
    drop(hold);
    assert!(asking.join_all().await.iter().all(|answer| !answer.outcome.collapsed));
    assert_eq!(place.upstream.in_flight_max(), 8);
}

#[tokio::test]
async fn the_caller_that_began_a_fetch_may_leave_it_to_others() {
    let place = Place::new("tasks-leave");
    let cache = place.cache();
    let hold = place.upstream.hold();
    let mut leader = spawn(&place, &cache, 1);
    until_called(&place.upstream, 1).await;
    let others = spawn(&place, &cache, 3);
    until_waiting(&cache, 4).await;
    leader.abort_all();
    while leader.join_next().await.is_some() {}
    until_waiting(&cache, 3).await;
    drop(hold);
    for answer in others.join_all().await {
        assert_eq!(text(&answer.unwrap()), "a, call 1");
    }
    assert_eq!(place.upstream.calls(), 1);
}

#[tokio::test]
async fn a_fetch_goes_on_and_is_stored_when_everybody_has_left() {
    let place = Place::new("tasks-abandoned");
    let cache = place.cache();
    let hold = place.upstream.hold();
    let mut leader = spawn(&place, &cache, 1);
    until_called(&place.upstream, 1).await;
    leader.abort_all();
    while leader.join_next().await.is_some() {}
    until_waiting(&cache, 0).await;
    let late = spawn(&place, &cache, 1);
    until_waiting(&cache, 1).await;
    drop(hold);
    for answer in late.join_all().await {
        assert!(answer.unwrap().outcome.collapsed);
    }
    assert_eq!(place.upstream.calls(), 1);
    assert_eq!(text(&cache.get(&key("a")).await.unwrap().unwrap()), "a, call 1");
}

#[tokio::test]
async fn a_panic_is_its_own_callers_and_one_of_those_who_wait_goes_on() {
    let place = Place::new("tasks-panic");
    let cache = place.cache();
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let leader = {
        let cache = cache.clone();
        let fetch = move |_| async move {
            let _ = gone.await;
            panic!("as the test wants")
        };
        tokio::spawn(async move { cache.get_or_fetch(&key("a"), fetch).await })
    };
    until_waiting(&cache, 1).await;
    let others = spawn(&place, &cache, 8);
    until_waiting(&cache, 9).await;
    go.send(()).unwrap();
    let error = leader.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Panicked { .. }), "{error}");
    let answers: Vec<_> = others.join_all().await.into_iter().map(Result::unwrap).collect();
    assert!(answers.iter().all(|answer| text(answer) == "a, call 1"));
    assert_eq!(answers.iter().filter(|answer| !answer.outcome.collapsed).count(), 1);
    assert_eq!(place.upstream.calls(), 1);
}

#[tokio::test]
async fn without_back_off_a_failure_is_everybodys_who_waited_and_nobodys_who_comes_later() {
    let place = Place::new("tasks-failure");
    let cache = place.builder().backoff(larder::Backoff::NONE).build().unwrap();
    place.upstream.fails("overloaded");
    let hold = place.upstream.hold();
    let asking = spawn(&place, &cache, 16);
    until_waiting(&cache, 16).await;
    drop(hold);
    let mut own = 0;
    for answer in asking.join_all().await {
        let error = answer.unwrap_err();
        let Error::Failed { failure, collapsed, .. } = &error else { panic!("{error}") };
        assert_eq!(failure.message, "overloaded");
        own += usize::from(!collapsed);
    }
    assert_eq!((own, place.upstream.calls()), (1, 1));
    place.upstream.answers("well again");
    assert_eq!(text(&place.ask(&cache, "a").await), "well again");
    assert_eq!(place.upstream.calls(), 2);
}

#[tokio::test]
async fn who_will_not_wait_is_told_who_fetches() {
    let place = Place::new("tasks-wait");
    let cache = place.cache();
    let hold = place.upstream.hold();
    let leader = spawn(&place, &cache, 1);
    until_called(&place.upstream, 1).await;
    for millis in [0, 5] {
        let terms = Terms::new().wait(std::time::Duration::from_millis(millis));
        let error = cache.get_or_fetch_with(&key("a"), &terms, no_fetch).await.unwrap_err();
        let Error::Wait(wait) = &error else { panic!("{error}") };
        assert_eq!(wait.holder().and_then(|holder| holder.pid), Some(std::process::id()));
    }
    drop(hold);
    leader.join_all().await.into_iter().next().unwrap().unwrap();
}

#[tokio::test]
async fn those_who_want_a_new_answer_at_once_share_one_fetch() {
    let place = Place::new("tasks-refresh");
    let cache = place.cache();
    place.ask(&cache, "a").await;
    let hold = place.upstream.hold();
    let refreshing: JoinSet<_> = (0..8)
        .map(|_| {
            let (cache, fetch) = (cache.clone(), place.fetch());
            async move { cache.get_or_fetch_with(&key("a"), &Terms::new().refresh(), fetch).await.unwrap() }
        })
        .collect();
    until_waiting(&cache, 8).await;
    assert_eq!(text(&place.ask(&cache, "a").await), "a, call 1", "who takes the old one need not wait");
    drop(hold);
    assert!(refreshing.join_all().await.iter().all(|answer| text(answer) == "a, call 2"));
}

#[test]
fn a_runtime_that_ends_leaves_its_flights_to_others() {
    let place = Place::new("tasks-shutdown");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let cache = place.cache();
    let (began, begun) = std::sync::mpsc::channel();
    let doomed = cache.clone();
    runtime.spawn(async move {
        let fetch = move |_| async move {
            began.send(()).unwrap();
            std::future::pending::<()>().await;
            Ok(Fetched::new(""))
        };
        doomed.get_or_fetch(&key("a"), fetch).await
    });
    begun.recv().unwrap();
    // one that has joined from another runtime, and one that looks from another process's point of view
    let other = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let joined = other.spawn({
        let (cache, fetch) = (cache.clone(), place.fetch());
        async move { cache.get_or_fetch(&key("a"), fetch).await.unwrap() }
    });
    other.block_on(until_waiting(&cache, 2));
    let stranger = place.cache();
    let waiting = other.spawn({
        let (stranger, fetch) = (stranger.clone(), place.fetch());
        async move { stranger.get_or_fetch(&key("a"), fetch).await.unwrap() }
    });
    other.block_on(until_waiting(&stranger, 1));
    runtime.shutdown_background();
    let answers = other.block_on(async { [joined.await.unwrap(), waiting.await.unwrap()] });
    assert!(answers.iter().all(|answer| text(answer) == "a, call 1"));
    assert_eq!(place.upstream.calls(), 1);
    drop(Arc::clone(&place.upstream));
}
