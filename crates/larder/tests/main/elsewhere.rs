//! Waiting for a fetch of somebody else: what is handed over, what is missed, and who is held up. Each cache here has a
//! store of its own, as if it were in another process.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder::{Cache, Class, Failure, Fetched, Options, Scope, Terms, fetch};
use larder_system::SystemDisk;
use larder_testkit::{Action, FaultDisk, Gate, Operation};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::shared::{Place, key, no_fetch, text, until, until_called, until_waiting};

/// As many as there are threads to wait for other processes.
const THREADS: usize = 64;

/// A cache whose disk is watched.
fn watched(place: &Place) -> (Cache, Arc<FaultDisk>) {
    let disk = Arc::new(FaultDisk::over(Arc::new(SystemDisk::new())));
    let cache = place.builder().store_options(Options::new().disk(disk.clone())).build().unwrap();
    (cache, disk)
}

async fn until_held(gate: &Arc<Gate>) {
    let gate = Arc::clone(gate);
    tokio::task::spawn_blocking(move || gate.wait_until_held(1)).await.unwrap();
}

async fn until_elsewhere(cache: &Cache, flights: usize) {
    until(async || cache.stats().await.unwrap().elsewhere == flights).await;
}

#[tokio::test]
async fn a_failure_is_not_missed_by_a_caller_that_has_met_the_flight_and_does_not_wait_yet() {
    let place = Place::new("elsewhere-between");
    let (ours, (others, disk)) = (place.cache(), watched(&place));
    let fail = Arc::new(Notify::new());
    let failing = Arc::clone(&fail);
    let leader = tokio::spawn(async move {
        let fetch = async move |_| {
            failing.notified().await;
            Err(Failure::new(Class::Unavailable, "overloaded"))
        };
        ours.get_or_fetch(&key("a"), fetch).await
    });
    let flies = Cache::builder(place.root()).build().unwrap();
    until(async || !flies.flights().under_way().unwrap().is_empty()).await;
    let gate = Gate::new();
    let held = Arc::clone(&gate);
    disk.before(move |_| {
        let is_waiting = std::thread::current().name() == Some("larder-wait");
        if is_waiting { Action::Hold(Arc::clone(&held)) } else { Action::Proceed }
    });
    let waiting = tokio::spawn(async move { others.get_or_fetch(&key("a"), no_fetch).await });
    until_held(&gate).await;
    fail.notify_one();
    assert!(matches!(leader.await.unwrap(), Err(fetch::Error::Failed { collapsed: false, .. })));
    gate.open();
    let error = waiting.await.unwrap().unwrap_err();
    assert!(matches!(error, fetch::Error::Failed { collapsed: true, .. }), "{error}");
}

#[tokio::test]
async fn flights_that_never_end_hold_up_none_of_those_that_do() {
    let place = Place::new("elsewhere-frozen");
    let (ours, (others, disk)) = (place.cache(), watched(&place));
    let land = Arc::new(Notify::new());
    let mut leading = JoinSet::new();
    for number in 0..THREADS {
        let ours = ours.clone();
        let fetch = async |_| std::future::pending().await;
        leading.spawn(async move { ours.get_or_fetch(&key(&format!("frozen/{number}")), fetch).await });
    }
    let landing = Arc::clone(&land);
    leading.spawn(async move {
        let fetch = async move |_| {
            landing.notified().await;
            Ok(Fetched::new("landed"))
        };
        ours.get_or_fetch(&key("live"), fetch).await
    });
    let flies = Cache::builder(place.root()).build().unwrap();
    until(async || flies.flights().under_way().unwrap().len() == THREADS + 1).await;
    let mut waiting = JoinSet::new();
    for number in 0..THREADS {
        let others = others.clone();
        waiting.spawn(async move { others.get_or_fetch(&key(&format!("frozen/{number}")), no_fetch).await });
    }
    until_elsewhere(&others, THREADS).await;
    let met = Arc::new(Mutex::new(BTreeSet::new()));
    let meeting = Arc::clone(&met);
    disk.before(move |call| {
        if let Some(path) = call.path.as_ref().filter(|path| path.to_string_lossy().contains("flights/")) {
            meeting.lock().unwrap().insert(path.clone());
        }
        Action::Proceed
    });
    let live = tokio::spawn(async move { others.get_or_fetch(&key("live"), no_fetch).await });
    until(async || !met.lock().unwrap().is_empty()).await;
    land.notify_one();
    assert_eq!(text(&live.await.unwrap().unwrap()), "landed");
    assert_eq!(waiting.len(), THREADS);
}

#[tokio::test]
async fn without_a_thread_to_wait_in_a_wait_still_ends_when_nobody_wants_it() {
    let place = Place::new("elsewhere-left");
    let (ours, others) = (place.cache(), place.cache());
    let mut leading = JoinSet::new();
    for number in 0..=THREADS {
        let ours = ours.clone();
        let fetch = async |_| std::future::pending().await;
        leading.spawn(async move { ours.get_or_fetch(&key(&format!("frozen/{number}")), fetch).await });
    }
    let flies = Cache::builder(place.root()).build().unwrap();
    until(async || flies.flights().under_way().unwrap().len() == THREADS + 1).await;
    let mut waiting = JoinSet::new();
    for number in 0..=THREADS {
        let others = others.clone();
        waiting.spawn(async move { others.get_or_fetch(&key(&format!("frozen/{number}")), no_fetch).await });
    }
    until_elsewhere(&others, THREADS).await;
    until_waiting(&others, THREADS + 1).await;
    drop(waiting);
    until(async || others.stats().await.unwrap().flights == 0).await;
    until_elsewhere(&others, 0).await;
    let error = others.get_or_fetch_with(&key("frozen/0"), &Terms::new().wait(Duration::ZERO), no_fetch).await;
    assert!(matches!(error, Err(fetch::Error::Wait(_))), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_is_stale_at_once_is_that_of_everybody_who_waited_all_the_same() {
    let place = Place::new("elsewhere-stale");
    let (ours, others) = (place.cache(), place.cache());
    let land = Arc::new(Notify::new());
    let landing = Arc::clone(&land);
    let leader = tokio::spawn(async move {
        let fetch = async move |_| {
            landing.notified().await;
            Ok(Fetched::new("short-lived").ttl(Duration::ZERO))
        };
        ours.get_or_fetch(&key("a"), fetch).await.unwrap()
    });
    let flies = Cache::builder(place.root()).build().unwrap();
    until(async || !flies.flights().under_way().unwrap().is_empty()).await;
    let waiting = tokio::spawn({
        let others = others.clone();
        async move { others.get_or_fetch(&key("a"), no_fetch).await }
    });
    until_elsewhere(&others, 1).await;
    land.notify_one();
    assert_eq!(text(&leader.await.unwrap()), "short-lived");
    let answer = waiting.await.unwrap().unwrap();
    assert!(text(&answer) == "short-lived" && answer.outcome.collapsed, "{}", answer.outcome);
}

#[tokio::test]
async fn where_the_root_may_only_be_read_a_fetch_from_before_an_invalidation_is_not_joined_either() {
    let place = Place::new("elsewhere-read-only");
    let writer = place.cache();
    writer.put(&key("warm"), "warm", &Terms::new()).await.unwrap();
    let reader = place.builder().read_only().build().unwrap();
    let hold = place.upstream.hold();
    let ask = || {
        let (reader, fetch) = (reader.clone(), place.fetch());
        tokio::spawn(async move { reader.get_or_fetch(&key("a"), fetch).await.unwrap() })
    };
    let first = ask();
    until_called(&place.upstream, 1).await;
    let joined = ask();
    until_waiting(&reader, 2).await;
    writer.invalidate(&[Scope::Key(key("a")).hard()]).await.unwrap();
    let late = ask();
    until_waiting(&reader, 3).await;
    drop(hold);
    for earlier in [first, joined] {
        assert_eq!(text(&earlier.await.unwrap()), "a, call 1");
    }
    assert_eq!(text(&late.await.unwrap()), "a, call 2");
}

#[tokio::test]
async fn a_writer_that_stands_still_with_the_keys_lock_does_not_keep_a_fetched_document_from_its_caller() {
    let place = Place::new("elsewhere-writer");
    let (ours, (others, disk)) = (place.cache(), watched(&place));
    ours.put(&key("a"), "old", &Terms::new()).await.unwrap();
    let gate = Gate::new();
    let (held, renames) = (Arc::clone(&gate), AtomicUsize::new(0));
    disk.before(move |call| {
        let is_entry = call.to.as_ref().is_some_and(|path| path.ends_with("a.entry"));
        // the first one takes only a name that is free, and needs no lock
        let has_lock = call.operation == Operation::Rename && is_entry && renames.fetch_add(1, Ordering::SeqCst) == 1;
        if has_lock { Action::Hold(Arc::clone(&held)) } else { Action::Proceed }
    });
    let frozen = tokio::spawn(async move { others.put(&key("a"), "newer", &Terms::new()).await });
    until_held(&gate).await;
    let terms = Terms::new().refresh().timeout(Duration::from_millis(300));
    let answer = place.ask_with(&ours, "a", &terms).await;
    assert_eq!((text(&answer), answer.outcome.stored), ("a, call 1", Some(false)));
    gate.open();
    frozen.await.unwrap().unwrap();
}
