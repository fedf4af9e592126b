//! The refresher: what is due is really fetched, by one of all, and what fails is tried later.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use larder::{Context, Failure, Fetched, Options, Prefix, Scope, Terms};
use larder_testkit::VirtualClock;

use crate::shared::{Place, fetch_from, key, text, until};
use crate::stale::HOUR;

const ALL: u64 = u64::MAX;

fn prefix() -> Prefix {
    Prefix::new("").unwrap()
}

#[tokio::test]
async fn what_is_due_is_fetched_and_what_is_fresh_is_not() {
    let (place, clock) = (Place::new("refresher"), Arc::new(VirtualClock::new()));
    let cache = place.builder().store_options(Options::new().clock(clock.clone())).build().unwrap();
    let refresher = cache.refresher({
        let upstream = Arc::clone(&place.upstream);
        move |context| fetch_from(&upstream)(context)
    });
    for (name, ttl) in [("old", HOUR), ("invalid", HOUR * 1_000), ("fresh", HOUR * 1_000)] {
        place.ask_with(&cache, name, &Terms::new().ttl(ttl)).await;
    }
    clock.advance(HOUR * 2);
    cache.invalidate(&[Scope::Key(key("invalid")).soft()]).await.unwrap();
    assert_eq!(refresher.add_due(&prefix()).await.unwrap(), 2);
    clock.advance(Duration::from_millis(1));
    let report = refresher.run(ALL, pending()).await.unwrap();
    assert_eq!((report.refreshed, report.failed, report.dead), (2, 0, 0), "{report:?}");
    assert_eq!(place.upstream.calls(), 5);
    assert!(text(&cache.get(&key("old")).await.unwrap().unwrap()).starts_with("old, call "));
    // nothing is due any more, and what others have refreshed meanwhile is not fetched again
    assert_eq!(refresher.add_due(&prefix()).await.unwrap(), 0);
    refresher.add(&[key("fresh")]).await.unwrap();
    clock.advance(Duration::from_millis(1));
    place.ask_with(&cache, "fresh", &Terms::new().refresh()).await;
    let report = refresher.run(ALL, pending()).await.unwrap();
    assert_eq!((report.already, report.refreshed, place.upstream.calls()), (1, 0, 6), "{report:?}");
}

#[tokio::test]
async fn a_failing_task_is_left_alone_and_delays_nobody() {
    let place = Place::new("refresher-fails");
    let cache = place.cache();
    let refresher = cache.refresher(async |context: Context| match context.key.as_str() {
        "down" => Err(Failure::new(larder::Class::Unavailable, "down")),
        "gone" => Err(Failure::new(larder::Class::Absent, "no such page")),
        _ => Ok(Fetched::new("body")),
    });
    refresher.add(&["down", "gone", "good"].map(key)).await.unwrap();
    let report = refresher.clone().jobs(1).run(ALL, pending()).await.unwrap();
    assert_eq!((report.refreshed, report.failed, report.dead), (1, 1, 1), "{report:?}");
    let counts = refresher.counts().await.unwrap();
    assert_eq!((counts.held, counts.dead, counts.open()), (1, 1, 1));
    assert_eq!(text(&cache.get(&key("good")).await.unwrap().unwrap()), "body");
}

#[tokio::test]
async fn at_its_end_what_is_under_way_is_given_back() {
    let place = Place::new("refresher-end");
    let cache = place.cache();
    let began = Arc::new(tokio::sync::Notify::new());
    let refresher = cache.refresher({
        let began = Arc::clone(&began);
        move |_: Context| {
            let began = Arc::clone(&began);
            async move {
                began.notify_one();
                pending::<Result<Fetched, Failure>>().await
            }
        }
    });
    refresher.add(&["a", "b"].map(key)).await.unwrap();
    let report = refresher.clone().jobs(1).watch(async { began.notified().await }).await.unwrap();
    assert_eq!((report.refreshed, report.failed, report.lost), (0, 0, 0));
    let counts = refresher.counts().await.unwrap();
    assert_eq!((counts.ready, counts.claimed), (2, 0));
}

#[tokio::test]
async fn one_who_watches_does_what_others_add() {
    let place = Place::new("refresher-watch");
    let cache = place.cache();
    let refresher = cache.refresher(async |_: Context| Ok::<_, Failure>(Fetched::new("body")));
    let (tell, told) = tokio::sync::oneshot::channel::<()>();
    let watching = tokio::spawn({
        let refresher = refresher.clone();
        async move { refresher.watch(async { _ = told.await }).await }
    });
    let other = place.cache().refresher(async |_: Context| Ok::<_, Failure>(Fetched::new("other")));
    other.add(&[key("a")]).await.unwrap();
    until(async || refresher.counts().await.unwrap().open() == 0).await;
    tell.send(()).unwrap();
    assert_eq!(watching.await.unwrap().unwrap().refreshed, 1);
    assert_eq!(text(&cache.get(&key("a")).await.unwrap().unwrap()), "body");
}
