//! What other processes do is seen by the next get, also of what is in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder::{Cache, Durability, Level, Options, Scope, Terms};
use larder_storage::{Put, Store, Wait};
use larder_system::SystemDisk;
use larder_testkit::{Action, Child, FaultDisk, VirtualClock, child};

use crate::shared::{Place, key, text};

const CHILD: &str = "coherence::child_entry";

/// Reads until it comes from memory.
async fn warm(cache: &Cache, body: &str) {
    assert_eq!(text(&cache.get(&key("a/b")).await.unwrap().unwrap()), body);
    let again = cache.get(&key("a/b")).await.unwrap().unwrap();
    assert_eq!((text(&again), again.outcome.level), (body, Level::Memory));
}

#[tokio::test]
async fn what_another_process_puts_invalidates_or_removes_is_seen_by_the_next_get() {
    let place = Place::new("coherence");
    let cache = place.cache();
    let mut other = Child::spawn_through(CHILD, "change", &[("root", place.root().as_str())]);
    let mut tell = |line: &str| {
        other.send_line(line);
        other.wait_for_line(line);
    };
    for round in 0..20 {
        let body = format!("body {round}");
        tell(&format!("put {body}"));
        warm(&cache, &body).await;
        tell("put elsewhere");
        assert_eq!(
            cache.get(&key("a/b")).await.unwrap().map(|answer| text(&answer).to_owned()),
            Some("elsewhere".into())
        );
        warm(&cache, "elsewhere").await;
        tell(["remove", "key", "prefix", "all"][round % 4]);
        assert_eq!(cache.get(&key("a/b")).await.unwrap(), None, "round {round}");
    }
}

/// How many calls a put over an entry makes, in a process that has not touched the root before.
fn calls_of_a_put() -> u64 {
    let place = Place::new("coherence-count");
    let name = key("a/b");
    Store::open(place.root()).unwrap().put(&name, b"old", &Put::new()).unwrap();
    let disk = Arc::new(FaultDisk::over(Arc::new(SystemDisk::new())));
    let store = Options::new().disk(disk.clone()).open(place.root()).unwrap();
    disk.reset();
    store.put(&name, b"new", &Put::new()).unwrap();
    disk.count()
}

#[tokio::test]
async fn a_writer_killed_at_any_call_leaves_no_reader_with_the_old_value_once_it_is_gone_from_the_disk() {
    let calls = calls_of_a_put();
    assert!(calls > 20, "a put makes {calls} calls");
    let mut published = 0;
    for at in 0..calls {
        let place = Place::new("coherence-killed");
        let cache = place.cache();
        cache.put(&key("a/b"), "old", &Terms::new()).await.unwrap();
        warm(&cache, "old").await;
        let (root, at) = (place.root(), at.to_string());
        Child::spawn_through(CHILD, "die", &[("root", root.as_str()), ("at", &at)]).wait();
        let on_disk = Store::open(&root).unwrap().get(&key("a/b")).unwrap().unwrap().into_body();
        for _ in 0..3 {
            let answer = cache.get(&key("a/b")).await.unwrap().unwrap();
            assert_eq!(answer.body, on_disk, "killed before call {at}");
        }
        published += u64::from(on_disk == b"new");
    }
    assert!(published > 0 && published < calls, "{published} of {calls} were published");
}

#[tokio::test]
async fn a_root_that_is_removed_is_noticed_within_a_second_and_made_again() {
    let place = Place::new("coherence-root");
    let clock = Arc::new(VirtualClock::new());
    let cache = place.builder().store_options(Options::new().clock(clock.clone())).build().unwrap();
    for round in 1..3 {
        place.ask(&cache, "a/b").await;
        let body = format!("a/b, call {round}");
        warm(&cache, &body).await;
        assert!(std::process::Command::new("rm").args(["-rf", place.root().as_str()]).status().unwrap().success());
        clock.advance(Duration::from_secs(1));
        assert_eq!(cache.get(&key("a/b")).await.unwrap(), None);
        assert_eq!(cache.flush().await.unwrap(), larder::counters::Flushed::NoRoot);
        assert!(!place.root().exists(), "a read makes nothing");
    }
}

/// The child: changes what it is told to, or dies before one of its calls.
#[test]
#[ignore = "a child of other tests"]
fn child_entry() {
    child::run(|role, args| {
        let name = key("a/b");
        if role == "change" {
            let store = Store::open(args.get("root")).unwrap();
            while let Some(line) = child::hear() {
                let relaxed = Put::new().durability(Durability::Relaxed);
                let invalidate = |scope: Scope| store.invalidate(&[scope.hard()]).map(drop).unwrap();
                match line.split_once(' ').unwrap_or((&line, "")) {
                    ("put", body) => store.put(&name, body.as_bytes(), &relaxed).map(drop).unwrap(),
                    ("remove", _) => assert!(store.remove(&name, Durability::Relaxed, &Wait::none()).unwrap()),
                    ("key", _) => invalidate(Scope::Key(name.clone())),
                    ("prefix", _) => invalidate(Scope::Prefix("a/".parse().unwrap())),
                    _ => invalidate(Scope::All),
                }
                child::say(&line);
            }
        } else {
            let disk = Arc::new(FaultDisk::over(Arc::new(SystemDisk::new())));
            let store = Options::new().disk(disk.clone()).open(args.get("root")).unwrap();
            let (at, count) = (args.parse::<u64>("at"), AtomicU64::new(0));
            disk.before(
                move |_| {
                    if count.fetch_add(1, Ordering::SeqCst) == at { Action::KillProcess } else { Action::Proceed }
                },
            );
            store.put(&name, b"new", &Put::new()).unwrap();
        }
    });
}
