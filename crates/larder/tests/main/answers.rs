//! How answers come, and what they say of it.

use std::sync::Arc;
use std::time::Duration;

use larder::{Cache, Forward, Level, Options, Outcome, Scope, Terms, Verdict};
use larder_testkit::VirtualClock;

use crate::shared::{Place, key, no_fetch, text};

/// A cache whose time stands still.
fn timed(place: &Place) -> (Cache, Arc<VirtualClock>) {
    let clock = Arc::new(VirtualClock::new());
    (place.builder().store_options(Options::new().clock(clock.clone())).build().unwrap(), clock)
}

#[tokio::test]
async fn a_document_is_fetched_once_then_read_from_the_disk_then_from_memory() {
    let place = Place::new("answers");
    let (cache, clock) = timed(&place);
    let terms = Terms::new().ttl(Duration::from_secs(60));
    let first = place.ask_with(&cache, "a/b", &terms).await;
    assert_eq!(text(&first), "a/b, call 1");
    assert_eq!(first.outcome.to_string(), "larder; fwd=uri-miss; ttl=60; stored; detail=upstream; larder-age=0");
    clock.advance(Duration::from_secs(10));
    for (level, detail) in [(Level::Disk, "disk"), (Level::Memory, "memory"), (Level::Memory, "memory")] {
        let hit = cache.get_or_fetch_with(&key("a/b"), &terms, no_fetch).await.unwrap();
        assert_eq!((text(&hit), hit.outcome.level), ("a/b, call 1", level));
        assert_eq!(hit.outcome.to_string(), format!("larder; hit; ttl=50; detail={detail}; larder-age=10"));
    }
    assert_eq!(cache.get(&key("a/b")).await.unwrap().unwrap().outcome.verdict, Verdict::Hit);
    assert_eq!(cache.get(&key("a/c")).await.unwrap(), None);
}

#[tokio::test]
async fn without_memory_each_hit_is_one_on_disk() {
    let place = Place::new("answers-disk");
    let cache = place.builder().memory_bytes_max(0).build().unwrap();
    place.ask(&cache, "a").await;
    for _ in 0..2 {
        assert_eq!(cache.get(&key("a")).await.unwrap().unwrap().outcome.level, Level::Disk);
    }
}

#[tokio::test]
async fn what_is_stale_is_fetched_again_also_when_it_is_in_memory() {
    let place = Place::new("answers-stale");
    let (cache, clock) = timed(&place);
    let terms = Terms::new().ttl(Duration::from_secs(60));
    place.ask_with(&cache, "a", &terms).await;
    assert_eq!(cache.get(&key("a")).await.unwrap().unwrap().outcome.level, Level::Disk);
    clock.advance(Duration::from_secs(60));
    assert_eq!(cache.get(&key("a")).await.unwrap().unwrap().outcome.level, Level::Memory);
    clock.advance(Duration::from_millis(1));
    assert_eq!(cache.get(&key("a")).await.unwrap(), None);
    let again = place.ask_with(&cache, "a", &terms).await;
    assert_eq!((text(&again), again.outcome.verdict), ("a, call 2", Verdict::Forward(Forward::Stale)));
}

#[tokio::test]
async fn the_fetch_knows_better_than_its_caller_how_long_it_is_fresh() {
    let place = Place::new("answers-ttl");
    let (cache, _clock) = timed(&place);
    let fetch = async |_| Ok(larder::Fetched::new("x").ttl(Duration::from_secs(5)));
    let answer = cache.get_or_fetch_with(&key("a"), &Terms::new().ttl(Duration::from_secs(60)), fetch).await;
    assert_eq!(answer.unwrap().outcome.ttl, Some(5));
}

#[tokio::test]
async fn a_refresh_fetches_although_there_is_a_fresh_answer() {
    let place = Place::new("answers-refresh");
    let cache = place.cache();
    place.ask(&cache, "a").await;
    let fresh = place.ask_with(&cache, "a", &Terms::new().refresh()).await;
    assert_eq!((text(&fresh), fresh.outcome.verdict), ("a, call 2", Verdict::Forward(Forward::Request)));
    assert_eq!(text(&place.ask(&cache, "a").await), "a, call 2");
}

#[tokio::test]
async fn offline_gives_what_is_kept_and_never_fetches() {
    let place = Place::new("answers-offline");
    let (cache, clock) = timed(&place);
    let offline = Terms::new().offline();
    let error = cache.get_or_fetch_with(&key("a"), &offline, no_fetch).await.unwrap_err();
    assert!(matches!(error, larder::fetch::Error::Absent { .. }), "{error}");
    place.ask_with(&cache, "a", &Terms::new().ttl(Duration::from_secs(60))).await;
    clock.advance(Duration::from_secs(61));
    let stale = cache.get_or_fetch_with(&key("a"), &offline, no_fetch).await.unwrap();
    assert_eq!((text(&stale), stale.outcome.ttl), ("a, call 1", Some(-1)));
    cache.invalidate(&[Scope::Key(key("a")).soft()]).await.unwrap();
    assert_eq!(text(&cache.get_or_fetch_with(&key("a"), &offline, no_fetch).await.unwrap()), "a, call 1");
    cache.invalidate(&[Scope::Key(key("a")).hard()]).await.unwrap();
    cache.get_or_fetch_with(&key("a"), &offline, no_fetch).await.unwrap_err();
}

#[tokio::test]
async fn what_is_put_is_a_hit_and_what_is_removed_is_not() {
    let place = Place::new("answers-put");
    let cache = place.cache();
    cache.put(&key("a/b"), "by hand", &Terms::new()).await.unwrap();
    assert_eq!(text(&cache.get(&key("a/b")).await.unwrap().unwrap()), "by hand");
    let listed = cache.list(&"a/".parse().unwrap(), 10).await.unwrap();
    assert_eq!(listed.iter().map(|summary| summary.key.as_str()).collect::<Vec<_>>(), ["a/b"]);
    assert!(cache.remove(&key("a/b")).await.unwrap());
    assert!(!cache.remove(&key("a/b")).await.unwrap());
    assert_eq!(cache.get(&key("a/b")).await.unwrap(), None);
}

#[tokio::test]
async fn a_large_document_is_given_out_whole_from_every_level() {
    let place = Place::new("answers-large");
    let cache = place.cache();
    let large = vec![7_u8; 3 * 1024 * 1024];
    cache.put(&key("a"), large.clone(), &Terms::new()).await.unwrap();
    for level in [Level::Disk, Level::Memory] {
        let answer = cache.get(&key("a")).await.unwrap().unwrap();
        assert!(answer.body == large && answer.outcome.level == level);
    }
    assert!(cache.stats().await.unwrap().memory_bytes >= 3 * 1024 * 1024);
}

#[tokio::test]
async fn memory_stays_within_its_bound() {
    let place = Place::new("answers-bound");
    let bytes_max = 256 * 1024;
    let cache = place.builder().memory_bytes_max(bytes_max).build().unwrap();
    for number in 0..100 {
        let name = key(&format!("a/{number}"));
        cache.put(&name, vec![0; 10_000], &Terms::new()).await.unwrap();
        cache.get(&name).await.unwrap().unwrap();
        assert!(cache.stats().await.unwrap().memory_bytes <= bytes_max);
    }
    assert!(cache.stats().await.unwrap().memory_entries > 5);
}

#[tokio::test]
async fn an_entry_without_times_of_its_own_is_fresh_for_thirty_days_from_when_it_was_stored() {
    let place = Place::new("answers-foreign");
    let (cache, clock) = timed(&place);
    cache.store().put(&key("a"), b"from storage", &larder_storage::Put::new()).unwrap();
    clock.advance(Duration::from_secs(30 * 86_400));
    assert_eq!(cache.get(&key("a")).await.unwrap().unwrap().outcome.ttl, Some(0));
    clock.advance(Duration::from_millis(1));
    assert_eq!(cache.get(&key("a")).await.unwrap(), None);
}

#[test]
fn an_outcome_says_nothing_of_itself_that_was_not_set() {
    assert_eq!(Outcome::hit(Level::Disk).to_string(), "larder; hit; detail=disk");
}
