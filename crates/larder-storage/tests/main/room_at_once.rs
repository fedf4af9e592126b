//! Evictions beside others: who counts, who removes, what cannot go.

use std::cell::Cell;
use std::sync::Arc;

use larder_storage::{Bounds, Eviction, Occupied, Pressure, Store, Summary, Worth};
use larder_system::SystemDisk;
use larder_testkit::{Action, FaultDisk, Operation, Scratch};

use crate::room::{all_kept, evict, key, relaxed};

const BOUNDS: Bounds = Bounds { bytes: u64::MAX, entries: 1_000 };

fn open(scratch: &Scratch, bounds: Bounds) -> Store {
    larder_storage::Options::new().bounds(bounds).open(scratch.utf8_path()).unwrap()
}

fn fill(store: &Store, entries: u32) {
    for number in 0..entries {
        store.put(&key(&format!("k{number:05}")), b"x", &relaxed()).unwrap();
    }
}

fn stored(store: &Store) -> u64 {
    store.usage().unwrap().entries
}

/// Evicts, and acts once when so many entries have been looked at.
fn evict_and(store: &Store, after: u32, act: impl Fn()) {
    let seen = Cell::new(0);
    let stop = || {
        seen.set(seen.get() + 1);
        if seen.get() == after {
            act();
        }
        false
    };
    store.evict(&Eviction::new(&all_kept).until(&stop)).unwrap();
}

#[test]
fn two_who_evict_at_once_remove_together_what_one_has_to() {
    let scratch = Scratch::new("room-two");
    let (one, two) = (open(&scratch, BOUNDS), open(&scratch, BOUNDS));
    fill(&one, 1_100);
    let at_once = || {
        assert_eq!(two.evict(&Eviction::new(&all_kept).in_any_case()).unwrap().left.entries, 900);
    };
    evict_and(&one, 1_100, at_once);
    assert_eq!((stored(&one), one.occupied().unwrap().unwrap().entries), (900, 900));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test removes the count")]
fn what_is_stored_while_somebody_counts_for_the_first_time_counts() {
    let scratch = Scratch::new("room-first");
    let (one, two) = (open(&scratch, BOUNDS), open(&scratch, BOUNDS));
    fill(&one, 100);
    let store_more = || {
        for number in 0..500 {
            two.put(&key(&format!("before/{number}")), b"x", &relaxed()).unwrap();
        }
        two.occupied().unwrap();
        assert_eq!(two.pressure(), Pressure::Unknown, "nobody knows yet how much there is");
    };
    evict_and(&one, 100, store_more);
    let known = two.occupied().unwrap().unwrap().entries;
    // some may have been seen and told
    assert!((600..=1_100).contains(&known), "{known}");
    // a count that was never brought to its end is begun anew
    std::fs::remove_file(scratch.path().join("ledger/room")).unwrap();
    let dies = Eviction::new(&all_kept).until(&|| true);
    assert!(open(&scratch, BOUNDS).evict(&dies).unwrap().stopped);
    let next = open(&scratch, BOUNDS);
    assert_eq!((next.occupied().unwrap(), next.pressure()), (None, Pressure::Unknown));
    assert_eq!((evict(&next).left.entries, next.pressure()), (600, Pressure::None));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test writes as a newer version would")]
fn a_ledger_of_a_newer_version_keeps_nobody_from_evicting() {
    let scratch = Scratch::new("room-newer");
    let store = open(&scratch, BOUNDS);
    fill(&store, 10);
    evict(&store);
    let file = scratch.path().join("ledger/room");
    let mut newer = std::fs::read(&file).unwrap();
    newer[8] = 2;
    // a flipped bit is none
    std::fs::write(&file, &newer).unwrap();
    evict(&open(&scratch, BOUNDS));
    assert_eq!(std::fs::read(&file).unwrap()[8], 1);
    let length = newer.len() - 8;
    let checksum = twox_hash::XxHash3_64::oneshot(&newer[..length]).to_le_bytes();
    newer[length..].copy_from_slice(&checksum);
    std::fs::write(&file, &newer).unwrap();
    let next = open(&scratch, BOUNDS);
    fill(&next, 1_100);
    let evicted = evict(&next);
    assert_eq!((evicted.removed.entries, evicted.left.entries, stored(&next)), (200, 900, 900));
    assert_eq!(std::fs::read(&file).unwrap(), newer, "it is left alone");
}

#[test]
fn what_was_just_stored_does_not_go_because_it_is_large() {
    let scratch = Scratch::new("room-one");
    let store = open(&scratch, Bounds { bytes: u64::MAX, entries: 1 });
    for name in ["a", "b"] {
        store.put(&key(name), b"x", &relaxed()).unwrap();
        evict(&store);
    }
    assert!(store.get(&key("b")).unwrap().is_some());
    let scratch = Scratch::new("room-large");
    let store = open(&scratch, Bounds { bytes: 1024 * 1024, entries: u64::MAX });
    fill(&store, 20);
    evict(&store);
    store.put(&key("large"), &vec![0; 1000 * 1024], &relaxed()).unwrap();
    evict(&store);
    assert!(store.get(&key("large")).unwrap().is_some());
}

#[test]
fn what_is_larger_than_all_may_be_takes_no_others_with_it() {
    let scratch = Scratch::new("room-larger");
    let store = open(&scratch, Bounds { bytes: 1024 * 1024, entries: u64::MAX });
    fill(&store, 50);
    store.put(&key("larger"), &vec![0; 2 * 1024 * 1024], &relaxed()).unwrap();
    let evicted = evict(&store);
    assert_eq!((evicted.removed.entries, stored(&store)), (1, 50));
    assert!(store.get(&key("larger")).unwrap().is_none());
}

#[test]
fn where_nothing_can_go_nobody_looks_at_everything_each_time() {
    let scratch = Scratch::new("room-stuck");
    let store = open(&scratch, BOUNDS);
    fill(&store, 1_200);
    let precious = |_: &Summary| Worth::Precious;
    assert_eq!(store.evict(&Eviction::new(&precious)).unwrap().removed, Occupied::default());
    for other in [&store, &open(&scratch, BOUNDS)] {
        other.occupied().unwrap();
        assert_eq!(other.pressure(), Pressure::None);
    }
    for number in 0..20 {
        store.put(&key(&format!("more/{number}")), b"x", &relaxed()).unwrap();
    }
    store.occupied().unwrap();
    assert_eq!(store.pressure(), Pressure::FarOver);
    assert_eq!(evict(&store).left.entries, 900);
    assert_eq!(store.pressure(), Pressure::None);
}

#[test]
fn a_folder_that_cannot_be_listed_keeps_nobody_from_evicting_the_rest() {
    let scratch = Scratch::new("room-unlistable");
    let disk = FaultDisk::over(Arc::new(SystemDisk::new()));
    let options = larder_storage::Options::new().bounds(BOUNDS).disk(Arc::new(disk.clone()));
    let store = options.open(scratch.utf8_path()).unwrap();
    fill(&store, 1_100);
    store.put(&key("theirs/a"), b"x", &relaxed()).unwrap();
    disk.before(|call| {
        let is_theirs =
            call.operation == Operation::List && call.path.as_ref().is_some_and(|path| path.ends_with("theirs"));
        if is_theirs { Action::Fail(13) } else { Action::Proceed }
    });
    assert_eq!(evict(&store).left.entries, 900);
    disk.heal();
    assert!(store.get(&key("theirs/a")).unwrap().is_some());
}
