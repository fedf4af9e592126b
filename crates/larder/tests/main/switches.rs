//! Parts of a cache that are switched off, and reading that goes on.

use std::time::Duration;

use larder::{Early, Options, Policy, fetch};

#[cfg(feature = "config")]
use crate::shared::Place;
use crate::shared::{key, no_fetch, text};
use crate::stale::{HOUR, SECOND, Scene, terms};

#[tokio::test]
async fn without_background_refresh_the_copy_is_given_and_nobody_asked() {
    let scene = Scene::built("stale-off", |builder| builder.background_refresh(false)).await;
    scene.clock.advance(HOUR + SECOND);
    let answer = scene.cache.get_or_fetch_with(&key("a"), &terms(), no_fetch).await.unwrap();
    assert!(answer.outcome.stale);
    scene.clock.advance(HOUR);
    assert_eq!(text(&scene.ask().await), "a, call 2");
}

#[tokio::test]
async fn a_cache_that_is_offline_asks_nobody() {
    let scene = Scene::new("stale-offline").await;
    let options = Options::new().clock(scene.clock.clone());
    let offline = scene.place.builder().store_options(options).offline().build().unwrap();
    scene.clock.advance(HOUR * 24);
    let answer = offline.get_or_fetch_with(&key("a"), &terms(), no_fetch).await.unwrap();
    assert_eq!((text(&answer), answer.outcome.stale), ("a, call 1", true));
    let error = offline.get_or_fetch(&key("b"), no_fetch).await.unwrap_err();
    assert!(matches!(error, fetch::Error::Absent { .. }), "{error}");
}

#[tokio::test]
async fn without_locking_each_process_fetches_for_itself_and_stores_it() {
    let scene = Scene::new("stale-unlocked").await;
    let options = || Options::new().clock(scene.clock.clone());
    let alone = || scene.place.builder().store_options(options()).locking(false).build().unwrap();
    let hold = scene.place.upstream.hold();
    let caches = [alone(), alone()];
    let asks = caches.iter().map(|cache| {
        let (cache, fetch) = (cache.clone(), scene.place.fetch());
        tokio::spawn(async move { cache.get_or_fetch(&key("b"), fetch).await.unwrap() })
    });
    let asks: Vec<_> = asks.collect();
    crate::shared::until_called(&scene.place.upstream, 3).await;
    drop(hold);
    for ask in asks {
        assert_eq!(ask.await.unwrap().outcome.stored, Some(true));
    }
    assert_eq!(scene.place.upstream.calls_of("b"), 2);
    assert!(scene.cache.get(&key("b")).await.unwrap().is_some());
}

#[tokio::test]
async fn without_the_disk_every_call_fetches_and_nothing_is_stored() {
    let scene = Scene::new("stale-diskless").await;
    let options = Options::new().clock(scene.clock.clone());
    let cache = scene.place.builder().store_options(options).disk(false).build().unwrap();
    for call in 2..=3 {
        let answer = scene.place.ask(&cache, "a").await;
        assert_eq!((text(&answer), answer.outcome.stored), (format!("a, call {call}").as_str(), Some(false)));
    }
    assert_eq!(text(&scene.cache.get(&key("a")).await.unwrap().unwrap()), "a, call 1");
}

#[tokio::test]
async fn offline_nothing_is_refreshed_early_either() {
    let mut classes = larder::Classes::default();
    let mut policy = Policy::fresh_for(HOUR);
    policy.early = Early::Fraction(0.5);
    classes.define(larder::Classes::DEFAULT, policy);
    let scene = Scene::new("stale-offline-early").await;
    scene.clock.advance(Duration::from_secs(3_000));
    let builder = scene.place.builder().store_options(Options::new().clock(scene.clock.clone()));
    let offline = builder.classes(classes).offline().build().unwrap();
    for _ in 0..2 {
        offline.get_or_fetch(&key("a"), no_fetch).await.unwrap();
        assert_eq!(offline.stats().await.unwrap().flights, 0);
    }
    assert_eq!(scene.place.upstream.calls(), 1);
}

#[cfg(feature = "config")]
#[tokio::test]
async fn a_configuration_says_how_a_cache_is_built() {
    let place = Place::new("stale-config");
    let file = "version: 1\nlimits: { backoff_first: 0 }\nclasses: [{ match: 'a', fresh: 5s }]\n";
    let config = larder_config::Config::parse(file, "larder.yaml".into()).unwrap();
    let cache = place.builder().config(&config).build().unwrap();
    assert!(matches!(place.ask(&cache, "a").await.outcome.ttl, Some(4 | 5)));
    place.upstream.fails("overloaded");
    for calls in 1..=2 {
        cache.get_or_fetch(&key("b"), place.fetch()).await.unwrap_err();
        assert_eq!(place.upstream.calls_of("b"), calls, "no back-off");
    }
}
