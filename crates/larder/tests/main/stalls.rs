//! A disk that does not answer holds up who needs it, and nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use larder::{Options, Terms};
use larder_system::SystemDisk;
use larder_testkit::{Action, FaultDisk, Gate, Operation};

use crate::shared::{Place, key, text, until_waiting};

#[tokio::test]
async fn a_stalled_read_stalls_no_other_task_of_a_runtime_with_one_thread() {
    let place = Place::new("stalls-read");
    let disk = Arc::new(FaultDisk::over(Arc::new(SystemDisk::new())));
    let cache = place.builder().store_options(Options::new().disk(disk.clone())).build().unwrap();
    for name in ["slow", "fast", "kept"] {
        cache.put(&key(name), name, &Terms::new()).await.unwrap();
    }
    cache.get(&key("kept")).await.unwrap();
    let gate = Gate::new();
    let held = Arc::clone(&gate);
    disk.before(move |call| {
        let is_slow = call.path.as_ref().is_some_and(|path| path.ends_with("slow.entry"));
        if is_slow { Action::Hold(Arc::clone(&held)) } else { Action::Proceed }
    });
    let slow = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get(&key("slow")).await.unwrap().unwrap() }
    });
    let is_held = {
        let gate = Arc::clone(&gate);
        tokio::task::spawn_blocking(move || gate.wait_until_held(1))
    };
    is_held.await.unwrap();
    assert_eq!(text(&cache.get(&key("fast")).await.unwrap().unwrap()), "fast");
    assert_eq!(text(&cache.get(&key("kept")).await.unwrap().unwrap()), "kept");
    assert_eq!(text(&place.ask(&cache, "new").await), "new, call 1");
    assert!(!slow.is_finished());
    gate.open();
    assert_eq!(text(&slow.await.unwrap()), "slow");
}

#[tokio::test]
async fn a_stalled_publication_holds_up_its_own_key_only() {
    let place = Place::new("stalls-write");
    let disk = Arc::new(FaultDisk::over(Arc::new(SystemDisk::new())));
    let cache = place.builder().store_options(Options::new().disk(disk.clone())).build().unwrap();
    place.ask(&cache, "warm").await;
    let gate = Gate::new();
    let held = Arc::clone(&gate);
    disk.before(move |call| {
        let is_slow = call.to.as_ref().is_some_and(|path| path.ends_with("slow.entry"));
        if is_slow { Action::Hold(Arc::clone(&held)) } else { Action::Proceed }
    });
    let slow = tokio::spawn({
        let (cache, fetch) = (cache.clone(), place.fetch());
        async move { cache.get_or_fetch(&key("slow"), fetch).await.unwrap() }
    });
    let is_held = {
        let gate = Arc::clone(&gate);
        tokio::task::spawn_blocking(move || gate.wait_until_held(1))
    };
    is_held.await.unwrap();
    for name in ["other", "warm"] {
        assert!(text(&place.ask(&cache, name).await).starts_with(name));
    }
    cache.invalidate(&[larder::Scope::Key(key("slow")).hard()]).await.unwrap();
    gate.open();
    assert_eq!(text(&slow.await.unwrap()), "slow, call 2");
    assert_eq!(cache.get(&key("slow")).await.unwrap(), None, "what was published late does not count");
}

#[tokio::test]
async fn a_disk_that_does_not_answer_costs_a_caller_its_timeout_and_no_more() {
    let place = Place::new("stalls-timeout");
    let disk = Arc::new(FaultDisk::over(Arc::new(SystemDisk::new())));
    let cache = place.builder().store_options(Options::new().disk(disk.clone())).build().unwrap();
    cache.put(&key("slow"), "slow", &Terms::new()).await.unwrap();
    let gate = Gate::new();
    let held = Arc::clone(&gate);
    disk.before(move |call| {
        let is_slow = call.path.as_ref().is_some_and(|path| path.ends_with("slow.entry"));
        if is_slow { Action::Hold(Arc::clone(&held)) } else { Action::Proceed }
    });
    let terms = Terms::new().timeout(std::time::Duration::from_millis(10));
    let error = cache.get_or_fetch_with(&key("slow"), &terms, place.fetch()).await.unwrap_err();
    assert!(matches!(error, larder::fetch::Error::Stalled { .. }), "{error}");
    gate.open();
}

#[tokio::test]
async fn who_comes_while_an_answer_is_being_stored_looks_at_the_store_when_that_is_done() {
    let place = Place::new("stalls-closing");
    let disk = Arc::new(FaultDisk::over(Arc::new(SystemDisk::new())));
    let builder = larder::Cache::builder(place.root()).store_options(Options::new().disk(disk.clone()));
    let cache = builder.build().unwrap();
    place.ask(&cache, "a/warm").await;
    let gate = Gate::new();
    let (held, is_renamed) = (Arc::clone(&gate), AtomicBool::new(false));
    disk.before(move |call| {
        if call.to.as_ref().is_some_and(|path| path.ends_with("a/b.entry")) {
            is_renamed.store(true, Ordering::SeqCst);
        }
        let is_folder = call.path.as_ref().is_some_and(|path| path.ends_with("entries/a"));
        let is_after = is_folder && call.operation == Operation::Sync && is_renamed.load(Ordering::SeqCst);
        if is_after { Action::Hold(Arc::clone(&held)) } else { Action::Proceed }
    });
    let ask = || {
        let (cache, fetch) = (cache.clone(), place.fetch());
        tokio::spawn(async move { cache.get_or_fetch(&key("a/b"), fetch).await.unwrap() })
    };
    let first = ask();
    let is_held = {
        let gate = Arc::clone(&gate);
        tokio::task::spawn_blocking(move || gate.wait_until_held(1))
    };
    is_held.await.unwrap();
    // another process sees it, and removes it
    let other = larder_storage::Store::open(place.root()).unwrap();
    assert!(other.remove(&key("a/b"), larder::Durability::Relaxed, &larder_storage::Wait::none()).unwrap());
    let second = ask();
    until_waiting(&cache, 2).await;
    gate.open();
    assert_eq!(text(&first.await.unwrap()), "a/b, call 2");
    assert_eq!(text(&second.await.unwrap()), "a/b, call 3", "what was removed is not given out again");
}
