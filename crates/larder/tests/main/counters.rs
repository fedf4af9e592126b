//! Counters are exact, whoever counts and whoever is killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use larder::counters::{Counter, Counters, Flushed, Fold, Totals};
use larder::{Options, Terms};
use larder_storage::{Store, Wait, journal};
use larder_system::SystemDisk;
use larder_testkit::{Action, Child, FaultDisk, Scratch, child};

use crate::shared::{Place, key, no_fetch};

const CHILD: &str = "counters::child_entry";
const PROCESSES: u64 = 8;
/// How many records make the journal long enough.
const FILL: u64 = 10_000;
/// What a child counts before each flush.
const DELTA: u64 = 7;

fn wait() -> Wait {
    Wait::up_to(std::time::Duration::from_secs(60))
}

fn store_in(scratch: &Scratch) -> Arc<Store> {
    let store = Arc::new(Store::open(scratch.utf8_path()).unwrap());
    store.token().unwrap();
    store
}

fn spawn(scratch: &Scratch, role: &str, number: u64) -> Child {
    Child::spawn_through(CHILD, role, &[("root", scratch.utf8_path().as_str()), ("number", &number.to_string())])
}

fn journal_of(store: &Store) -> journal::Journal {
    let home = store.annex("ledger").unwrap().home();
    journal::Journal::new(home, "counters", journal::Options::default()).unwrap()
}

/// Records enough that the journal is to be folded, each of one hit on disk.
fn fill(store: &Store, records: u64) {
    let record = br#"{"counters":1,"hits_disk":1}"#;
    let records = vec![record; usize::try_from(records).unwrap()];
    journal_of(store).append(&records, journal::Durability::Unsynced, &wait()).unwrap();
}

/// The length of the journal's file.
fn length(scratch: &Scratch) -> u64 {
    std::fs::metadata(scratch.join("ledger/counters.journal")).unwrap().len()
}

#[test]
fn eight_processes_count_exactly_while_the_journal_is_folded_under_them() {
    let scratch = Scratch::new("counters-exact");
    let store = store_in(&scratch);
    let mut children: Vec<_> = (0..PROCESSES).map(|_| spawn(&scratch, "count", 1_000)).collect();
    children.iter_mut().for_each(Child::wait_for_success);
    let totals = Totals::read(&store).unwrap();
    assert_eq!(totals.hits_disk, PROCESSES * 1_000 * DELTA);
    assert_eq!(totals.bytes_served, PROCESSES * 1_000);
    assert!(length(&scratch) < 512 * 1024, "{} bytes", length(&scratch));
}

#[test]
fn a_killed_process_loses_what_it_had_not_flushed_and_nothing_of_others() {
    let scratch = Scratch::new("counters-killed");
    let store = store_in(&scratch);
    let mut children: Vec<_> = (0..PROCESSES).map(|_| spawn(&scratch, "count", 1_000_000)).collect();
    let mut acknowledged = 0;
    for (at, child) in children.iter_mut().enumerate() {
        for _ in 0..=at * 3 {
            let line = child.next_line().unwrap();
            assert!(line.starts_with("flushed "), "{line}");
        }
        child.kill();
    }
    for child in &mut children {
        while child.next_line().is_some() {}
        acknowledged += child.said().iter().filter(|line| line.starts_with("flushed ")).count() as u64 * 100;
    }
    let totals = Totals::read(&store).unwrap();
    assert_eq!(totals.hits_disk, totals.bytes_served * DELTA, "a record counts whole or not at all");
    // what was appended and not acknowledged yet: at most the hundred flushes before the next word, and one
    let range = acknowledged..=acknowledged + PROCESSES * 101;
    assert!(range.contains(&totals.bytes_served), "{} of {range:?}", totals.bytes_served);
    let counters = Counters::new(Arc::clone(&store));
    counters.add(Counter::Misses, 1);
    assert_eq!(counters.flush(Fold::WhenLong, &wait()).unwrap(), Flushed::Appended);
}

#[test]
fn a_fold_that_is_killed_at_any_call_counts_everything_once() {
    let mut folds = 0;
    for at in 0.. {
        let scratch = Scratch::new("counters-fold");
        let store = store_in(&scratch);
        fill(&store, FILL);
        let long = length(&scratch);
        let ended = spawn(&scratch, "fold", at).wait();
        let total = Totals::read(&store).unwrap().hits_disk;
        let counted = if ended.success() { FILL + 1..=FILL + 1 } else { FILL..=FILL + 1 };
        assert!(counted.contains(&total), "killed before call {at}: {total} of {counted:?}");
        folds += u32::from(length(&scratch) < long / 2);
        if ended.success() {
            break;
        }
    }
    assert!(folds > 2, "some died after the fold was done: {folds}");
}

#[test]
fn records_of_a_newer_format_outlive_a_fold() {
    let scratch = Scratch::new("counters-newer");
    let store = store_in(&scratch);
    let journal = journal_of(&store);
    let newer = br#"{"counters":2,"hits_disk":{"all":9}}"#;
    let unsynced = journal::Durability::Unsynced;
    journal.append(&[&newer[..], br#"{"counters":1,"renewed":5}"#], unsynced, &wait()).unwrap();
    fill(&store, FILL);
    let long = length(&scratch);
    let counters = Counters::new(Arc::clone(&store));
    counters.add(Counter::Misses, 1);
    counters.flush(Fold::WhenLong, &wait()).unwrap();
    assert!(length(&scratch) < long / 10);
    let mut records = Vec::new();
    journal
        .follow()
        .poll(|event| {
            if let journal::Event::Record { bytes, .. } = event {
                records.push(String::from_utf8_lossy(bytes).into_owned());
            }
        })
        .unwrap();
    assert_eq!(
        records,
        [r#"{"counters":1,"hits_disk":10000,"misses":1,"renewed":5}"#, std::str::from_utf8(newer).unwrap()]
    );
}

#[test]
fn what_could_not_be_flushed_is_flushed_later_once() {
    let scratch = Scratch::new("counters-later");
    store_in(&scratch);
    let disk = Arc::new(FaultDisk::over(Arc::new(SystemDisk::new())));
    let store = Arc::new(Options::new().disk(disk.clone()).open(scratch.utf8_path()).unwrap());
    let counters = Counters::new(Arc::clone(&store));
    counters.add(Counter::Misses, 3);
    counters.flush(Fold::WhenLong, &wait()).unwrap();
    disk.before(|call| match call.operation {
        larder_testkit::Operation::WriteAt => Action::Fail(larder_testkit::errno::ENOSPC),
        _ => Action::Proceed,
    });
    counters.add(Counter::Misses, 4);
    for _ in 0..3 {
        counters.flush(Fold::WhenLong, &wait()).unwrap_err();
    }
    assert_eq!(counters.pending().misses, 4);
    disk.heal();
    drop(counters);
    assert_eq!(Totals::read(&store).unwrap().misses, 7, "the last one is flushed when it is dropped");
}

#[test]
fn a_count_from_a_new_process_makes_few_calls_and_syncs_nothing() {
    let scratch = Scratch::new("counters-cheap");
    let store = store_in(&scratch);
    let counters = Counters::new(Arc::clone(&store));
    for _ in 0..2_000 {
        counters.add(Counter::HitsDisk, 1);
        counters.flush(Fold::WhenPressing, &wait()).unwrap();
    }
    let disk = Arc::new(FaultDisk::over(Arc::new(SystemDisk::new())));
    let store = Arc::new(Options::new().disk(disk.clone()).open(scratch.utf8_path()).unwrap());
    store.get(&key("a")).unwrap();
    disk.reset();
    disk.record();
    let counters = Counters::new(store);
    counters.add(Counter::HitsDisk, 1);
    assert_eq!(counters.flush(Fold::WhenPressing, &Wait::none()).unwrap(), Flushed::Appended);
    let calls: Vec<String> = disk.calls().iter().map(ToString::to_string).collect();
    assert!(calls.len() <= 15, "{calls:#?}");
    let syncs = disk.count_of(larder_testkit::Operation::Sync) + disk.count_of(larder_testkit::Operation::SyncData);
    assert_eq!(syncs, 0);
}

#[tokio::test]
async fn what_a_cache_does_is_counted_within_a_second_without_being_asked() {
    let place = Place::new("counters-cache");
    let cache = place.cache();
    place.ask(&cache, "a").await;
    for _ in 0..5 {
        cache.get_or_fetch(&key("a"), no_fetch).await.unwrap();
    }
    cache.get(&key("b")).await.unwrap();
    cache.invalidate(&[larder::Scope::All.soft()]).await.unwrap();
    let other = Store::open(place.root()).unwrap();
    crate::shared::until(async || Totals::read(&other).unwrap().invalidations == 1).await;
    let totals = Totals::read(&other).unwrap();
    assert_eq!((totals.hits_disk, totals.hits_memory, totals.misses), (1, 4, 2));
    assert_eq!((totals.fetches, totals.stored, totals.not_stored), (1, 1, 0));
    assert_eq!(totals.bytes_served, 6 * "a, call 1".len() as u64);
    place.ask_with(&cache, "c", &Terms::new()).await;
    drop(cache);
    assert_eq!(Totals::read(&other).unwrap().fetches, 2, "dropping it flushes");
}

/// The child: counts and flushes, or flushes once and dies before one of its calls.
#[test]
#[ignore = "a child of other tests"]
fn child_entry() {
    child::run(|role, args| {
        let number = args.parse::<u64>("number");
        if role == "count" {
            let store = Arc::new(Store::open(args.get("root")).unwrap());
            let counters = Counters::new(store);
            for at in 1..=number {
                counters.add(Counter::HitsDisk, DELTA);
                counters.add(Counter::BytesServed, 1);
                assert_eq!(counters.flush(Fold::WhenLong, &wait()).unwrap(), Flushed::Appended);
                if at % 100 == 0 {
                    child::say(&format!("flushed {at}"));
                }
            }
        } else {
            let disk = Arc::new(FaultDisk::over(Arc::new(SystemDisk::new())));
            let store = Arc::new(Options::new().disk(disk.clone()).open(args.get("root")).unwrap());
            let count = AtomicU64::new(0);
            disk.before(move |_| {
                if count.fetch_add(1, Ordering::SeqCst) == number { Action::KillProcess } else { Action::Proceed }
            });
            let counters = Counters::new(store);
            counters.add(Counter::HitsDisk, 1);
            counters.flush(Fold::WhenLong, &wait()).unwrap();
            // what comes now is no part of the flush
            std::process::exit(0);
        }
    });
}
