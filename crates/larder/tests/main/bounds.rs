//! Bounds: what many write stays within them, what is used stays, and the last good copies go last.

use std::sync::Arc;
use std::time::Duration;

use larder::{Bounds, Durability, Options, Prefix, Terms};
use larder_system::{Clock as _, SystemClock};
use larder_testkit::{Child, VirtualClock, child};

use crate::shared::{Place, key, text, until};
use crate::stale::{HOUR, SECOND, terms};

const BLOCK: u64 = 4096;

fn blocks(blocks: u64) -> Bounds {
    Bounds { bytes: blocks * BLOCK, ..Bounds::default() }
}

async fn names(cache: &larder::Cache) -> Vec<String> {
    let all = cache.list(&Prefix::new("").unwrap(), 10_000).await.unwrap();
    let mut names: Vec<_> = all.iter().map(|summary| summary.key.as_str().to_owned()).collect();
    names.sort();
    names
}

fn entries(cache: &larder::Cache) -> u64 {
    cache.store().usage().unwrap().entries
}

#[tokio::test]
async fn what_is_beyond_the_bounds_is_removed_in_the_background_and_counted() {
    let place = Place::new("bounds");
    let cache = place.builder().bounds(blocks(20)).build().unwrap();
    for number in 0..21 {
        cache.put(&key(&format!("a/{number}")), "x", &Terms::new()).await.unwrap();
    }
    until(async || entries(&cache) == 18).await;
    until(async || cache.stats().await.unwrap().totals.evictions == 3).await;
}

#[tokio::test]
async fn a_writer_that_is_faster_than_the_background_makes_room_itself() {
    let place = Place::new("bounds-fast");
    let cache = place.builder().bounds(blocks(20)).build().unwrap();
    let mut most = 0;
    for number in 0..200 {
        cache.put(&key(&format!("a/{number}")), vec![7; 3_000], &Terms::new()).await.unwrap();
        most = most.max(entries(&cache));
    }
    assert!(most <= 22 + 1, "{most} entries of 20");
}

#[tokio::test]
async fn many_that_are_over_at_once_stay_within_the_bounds_together() {
    const MOST: u64 = 3_000;
    let place = Place::new("bounds-brief");
    let bounds = Bounds { entries: MOST, ..Bounds::default() };
    let build = || place.builder().bounds(bounds).durability(Durability::Relaxed).build().unwrap();
    let cache = build();
    for number in 0..MOST {
        cache.put(&key(&format!("a/{}/{number}", number / 100)), "x", &Terms::new()).await.unwrap();
    }
    drop(cache);
    // each stores less than what is told to others at once
    for number in 0..MOST / 10 {
        build().put(&key(&format!("b/{number}")), "x", &Terms::new()).await.unwrap();
    }
    let left = entries(&build());
    assert!(left <= MOST + MOST / 20 + 1, "{left} entries of {MOST}");
}

#[tokio::test]
async fn what_is_used_from_memory_stays() {
    let place = Place::new("bounds-used");
    let clock = Arc::new(VirtualClock::new());
    clock.set_wall(SystemClock::new().wall() + HOUR);
    let options = Options::new().clock(clock.clone());
    let cache = place.builder().store_options(options).bounds(blocks(8)).build().unwrap();
    let long = Terms::new().ttl(HOUR * 1_000);
    for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        cache.put(&key(name), "x", &long).await.unwrap();
    }
    for name in ["a", "b"] {
        cache.get(&key(name)).await.unwrap().unwrap();
    }
    for _ in 0..3 {
        clock.advance(HOUR);
        let hit = cache.get(&key("a")).await.unwrap().unwrap();
        assert_eq!(hit.outcome.level, larder::Level::Memory);
        let used = || place.root().join("entries/a.entry").metadata().unwrap().accessed().unwrap();
        until(async || used() == clock.wall()).await;
    }
    cache.put(&key("i"), "x", &long).await.unwrap();
    until(async || entries(&cache) == 7).await;
    assert!(names(&cache).await.contains(&"a".to_owned()), "{:?}", names(&cache).await);
}

#[tokio::test]
async fn the_last_good_copy_of_a_failing_upstream_outlives_what_was_used_later() {
    let place = Place::new("bounds-outage");
    let cache = place.builder().bounds(blocks(10)).soft_timeout(HOUR).build().unwrap();
    let brief = terms().ttl(Duration::from_millis(1)).stale_while_revalidate(Duration::ZERO);
    assert_eq!(text(&place.ask_with(&cache, "good", &brief).await), "good, call 1");
    place.upstream.fails("down");
    until(async || cache.get(&key("good")).await.unwrap().is_none()).await;
    assert!(place.ask_with(&cache, "good", &brief).await.outcome.stale);
    for number in 0..40 {
        cache.put(&key(&format!("new/{number}")), "x", &Terms::new().ttl(SECOND)).await.unwrap();
    }
    cache.evict().await.unwrap();
    assert!(place.ask_with(&cache, "good", &brief).await.outcome.stale);
    assert!(entries(&cache) <= 10);
}

#[tokio::test]
async fn what_is_kept_no_longer_goes_when_it_is_asked_for() {
    let place = Place::new("bounds-expired");
    let clock = Arc::new(VirtualClock::new());
    let cache = place.builder().store_options(Options::new().clock(clock.clone())).build().unwrap();
    cache.put(&key("brief"), "x", &Terms::new().ttl(SECOND).stale_if_error(SECOND)).await.unwrap();
    cache.put(&key("long"), "x", &Terms::new().ttl(HOUR * 10_000)).await.unwrap();
    assert_eq!(cache.evict().await.unwrap().removed.entries, 0);
    clock.advance(HOUR * 9_000);
    assert_eq!(cache.evict().await.unwrap().removed.entries, 1);
    assert_eq!(names(&cache).await, ["long"]);
}

const CHILD: &str = "bounds::child_entry";

/// Writes until it is killed.
fn write(args: &child::Args) {
    let path = camino::Utf8PathBuf::from(args.get("path"));
    let cache = larder::Cache::builder(path).durability(Durability::Relaxed).bounds(blocks(200)).build().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for number in 0u64.. {
        let key = key(&format!("{}/{number}", args.get("name")));
        runtime.block_on(cache.put(&key, vec![7; 3_000], &Terms::new())).unwrap();
        if number.is_multiple_of(100) {
            child::say("more");
        }
    }
}

#[test]
#[ignore = "a child of other tests"]
fn child_entry() {
    child::run(|_, args| write(args));
}

#[test]
fn processes_that_write_far_more_stay_within_the_bounds_also_when_one_is_frozen_and_one_killed() {
    const WRITERS: u64 = 5;
    let place = Place::new("bounds-processes");
    let root = place.root();
    let spawn = |number: u64| {
        let name = format!("w{number}");
        Child::spawn_through(CHILD, "write", &[("path", root.as_str()), ("name", &name)])
    };
    let mut writers: Vec<_> = (0..WRITERS).map(spawn).collect();
    let (mut frozen, mut most) = (None, 0);
    for round in 0..12 {
        for writer in &mut writers {
            writer.wait_for_line("more");
        }
        match round {
            // wherever it stands, also with a lock in hand
            4 => {
                let mut writer = writers.pop().unwrap();
                writer.stop();
                frozen = Some(writer);
            }
            6 => writers.pop().unwrap().kill(),
            _ => {}
        }
        most = most.max(larder_storage::Store::open(&root).unwrap().usage().unwrap().entries);
    }
    for writer in &mut writers {
        writer.kill();
    }
    drop(frozen);
    assert!(most <= 220 + WRITERS, "{most} entries where 200 fit");
}
