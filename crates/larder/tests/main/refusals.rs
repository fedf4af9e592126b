//! Where nothing can be stored, the caller is answered all the same, and told.

use std::sync::Arc;
use std::time::Duration;

use larder::fetch::Error;
use larder::{Class, Fetched, Forward, Options, Tag, Terms, Verdict};
use larder_system::SystemDisk;
use larder_testkit::{FaultDisk, Operation, errno};

use crate::shared::{Place, key, no_fetch, text};

#[tokio::test]
async fn what_must_not_be_stored_is_answered_and_not_stored() {
    let place = Place::new("refuse-store");
    let cache = place.cache();
    let answer = cache.get_or_fetch(&key("a"), |_| async { Ok(Fetched::new("secret").do_not_store()) }).await.unwrap();
    assert_eq!((text(&answer), answer.outcome.stored), ("secret", Some(false)));
    assert_eq!(cache.get(&key("a")).await.unwrap(), None);
}

#[tokio::test]
async fn a_document_above_the_limit_is_answered_and_not_stored() {
    let place = Place::new("refuse-large");
    let cache = place.builder().store_options(Options::new().body_bytes_max(10)).build().unwrap();
    let answer = cache.get_or_fetch(&key("a"), |_| async { Ok(Fetched::new("more than ten")) }).await.unwrap();
    assert_eq!((text(&answer), answer.outcome.stored), ("more than ten", Some(false)));
    assert!(answer.outcome.to_string().contains("13 bytes"), "{}", answer.outcome);
    assert_eq!(cache.get(&key("a")).await.unwrap(), None);
}

#[tokio::test]
async fn with_a_full_disk_the_caller_is_answered_and_the_next_one_fetches_again() {
    let place = Place::new("refuse-full");
    let disk = Arc::new(FaultDisk::over(Arc::new(SystemDisk::new())));
    let cache = place.builder().store_options(Options::new().disk(disk.clone())).build().unwrap();
    place.ask(&cache, "warm").await;
    disk.before(|call| {
        let writes = matches!(call.operation, Operation::Write | Operation::WriteAt | Operation::Allocate);
        if writes { larder_testkit::Action::Fail(errno::ENOSPC) } else { larder_testkit::Action::Proceed }
    });
    for call in [2, 3] {
        let answer = place.ask(&cache, "a").await;
        assert_eq!((text(&answer), answer.outcome.stored), (&*format!("a, call {call}"), Some(false)));
    }
    disk.heal();
    assert_eq!(place.ask(&cache, "a").await.outcome.stored, Some(true));
}

#[tokio::test]
async fn a_root_that_may_only_be_read_is_read_and_bypassed() {
    let place = Place::new("refuse-read-only");
    place.ask(&place.cache(), "a").await;
    let cache = place.builder().read_only().build().unwrap();
    assert_eq!(text(&cache.get_or_fetch(&key("a"), no_fetch).await.unwrap()), "a, call 1");
    let answer = place.ask(&cache, "b").await;
    assert_eq!(text(&answer), "b, call 2");
    assert_eq!((answer.outcome.verdict, answer.outcome.stored), (Verdict::Forward(Forward::Bypass), Some(false)));
    assert!(!cache.stats().await.unwrap().is_counted);
    let error = cache.flush().await.unwrap_err();
    assert!(error.to_string().contains("may only be read"), "{error}");
}

#[tokio::test]
async fn a_reader_makes_no_root() {
    let place = Place::new("refuse-absent");
    let cache = place.cache();
    assert_eq!(cache.get(&key("a")).await.unwrap(), None);
    assert_eq!(cache.flush().await.unwrap(), larder::counters::Flushed::NoRoot);
    assert_eq!(cache.stats().await.unwrap().totals, larder::counters::Totals::default());
    drop(cache);
    assert!(!place.root().exists());
}

#[tokio::test]
async fn more_tags_than_an_entry_can_have_leave_it_to_its_own_caller() {
    let place = Place::new("refuse-tags");
    let cache = place.cache();
    let tags = (0..100).map(|number| Tag::new(format!("t{number}")).unwrap());
    let answer = place.ask_with(&cache, "a", &Terms::new().tags(tags)).await;
    assert_eq!((text(&answer), answer.outcome.stored), ("a, call 1", Some(false)));
    assert!(answer.outcome.to_string().contains("tags"), "{}", answer.outcome);
}

#[tokio::test]
async fn a_fetch_that_takes_too_long_is_dropped_and_named() {
    let place = Place::new("refuse-slow");
    let cache = place.cache();
    let (alive, dropped) = tokio::sync::oneshot::channel::<()>();
    let fetch = move |_| async move {
        let _alive = alive;
        std::future::pending::<()>().await;
        Ok(Fetched::new(""))
    };
    let terms = Terms::new().timeout(Duration::from_millis(20));
    let error = cache.get_or_fetch_with(&key("a"), &terms, fetch).await.unwrap_err();
    let Error::Failed { failure, collapsed: false, .. } = &error else { panic!("{error}") };
    assert_eq!(failure.class, Class::Unavailable);
    assert!(error.to_string().contains("no answer for `a` within"), "{error}");
    assert!(dropped.await.is_err(), "the fetch is gone");
    let again = place.ask_with(&cache, "a", &Terms::new().refresh()).await;
    assert_eq!(text(&again), "a, call 1", "who insists is not told an old failure");
}

#[tokio::test]
async fn a_published_document_whose_sync_failed_is_stored_and_says_so() {
    let place = Place::new("refuse-sync");
    let disk = Arc::new(FaultDisk::over(Arc::new(SystemDisk::new())));
    let cache = larder::Cache::builder(place.root()).store_options(Options::new().disk(disk.clone())).build().unwrap();
    place.ask(&cache, "b/1").await;
    let renamed = std::sync::atomic::AtomicBool::new(false);
    disk.before(move |call| {
        let entry = |path: &Option<std::path::PathBuf>| path.as_ref().is_some_and(|path| path.ends_with("b/2.entry"));
        if entry(&call.to) {
            renamed.store(true, std::sync::atomic::Ordering::SeqCst);
        }
        let fails = call.operation == Operation::Sync && renamed.load(std::sync::atomic::Ordering::SeqCst);
        if fails { larder_testkit::Action::Fail(errno::EIO) } else { larder_testkit::Action::Proceed }
    });
    let answer = place.ask(&cache, "b/2").await;
    assert_eq!(answer.outcome.stored, Some(true));
    assert_eq!(answer.outcome.detail.as_deref(), Some("not known to be durable"));
}
