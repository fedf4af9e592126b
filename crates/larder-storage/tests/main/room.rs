//! Bounds: what is counted, what goes first, what stays.

use std::time::Duration;

use larder_storage::{
    Bounds, Durability, Evicted, Eviction, Key, Metadata, Occupied, Options, Prefix, Pressure, Put, Scope, Store,
    Summary, Wait, Worth,
};
use larder_system::{Clock as _, SystemClock};
use larder_testkit::{Scratch, VirtualClock};
use std::sync::Arc;

const BLOCK: u64 = 4096;

pub(crate) fn key(name: &str) -> Key {
    name.parse().unwrap()
}

fn bounded(scratch: &Scratch, entries: u64) -> Options {
    let bounds = Bounds { bytes: entries * BLOCK, entries: u64::MAX };
    let _ = scratch;
    Options::new().bounds(bounds)
}

pub(crate) fn relaxed() -> Put {
    Put::new().durability(Durability::Relaxed)
}

fn names(store: &Store) -> Vec<String> {
    let mut names: Vec<_> = store
        .list(&Prefix::new("").unwrap())
        .unwrap()
        .map(|summary| summary.unwrap().key.as_str().to_owned())
        .collect();
    names.sort();
    names
}

pub(crate) fn all_kept(_: &Summary) -> Worth {
    Worth::Kept
}

pub(crate) fn evict(store: &Store) -> Evicted {
    store.evict(&Eviction::new(&all_kept)).unwrap()
}

/// Gives each key a time of use of its own, later than the one before.
fn use_in_order(store: &Store, clock: &VirtualClock, names: &[&str]) {
    for name in names {
        clock.advance(Duration::from_secs(3_600));
        assert_eq!(store.mark_used([&key(name)]).unwrap(), 1, "{name}");
    }
}

fn clock_from_now() -> Arc<VirtualClock> {
    let clock = VirtualClock::new();
    clock.set_wall(SystemClock::new().wall() + Duration::from_secs(3_600));
    Arc::new(clock)
}

#[test]
fn what_was_not_used_for_longest_goes_first_until_there_is_room() {
    let scratch = Scratch::new("room-order");
    let clock = clock_from_now();
    let store = bounded(&scratch, 10).clock(clock.clone()).open(scratch.utf8_path()).unwrap();
    let all = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    for name in all {
        store.put(&key(name), b"x", &relaxed()).unwrap();
    }
    use_in_order(&store, &clock, &["l", "k", "j", "i", "h", "g", "f", "e", "d", "c", "b", "a"]);
    let evicted = evict(&store);
    // 90 % of ten
    assert_eq!(evicted.left, Occupied { bytes: 9 * BLOCK, entries: 9 });
    assert_eq!(evicted.removed, Occupied { bytes: 3 * BLOCK, entries: 3 });
    assert_eq!(names(&store), ["a", "b", "c", "d", "e", "f", "g", "h", "i"]);
    assert_eq!(evict(&store).removed, Occupied::default());
}

#[test]
fn what_nobody_needs_goes_before_what_is_kept_and_what_is_precious_goes_last() {
    let scratch = Scratch::new("room-worth");
    let clock = clock_from_now();
    let store = bounded(&scratch, 10).clock(clock.clone()).open(scratch.utf8_path()).unwrap();
    for name in ["precious/a", "precious/b", "precious/c"] {
        store.put(&key(name), b"x", &relaxed()).unwrap();
    }
    for name in ["kept/a", "kept/b", "kept/c", "kept/d", "old/a", "old/b", "old/c", "old/d"] {
        store.put(&key(name), b"x", &relaxed()).unwrap();
    }
    use_in_order(&store, &clock, &["precious/a", "precious/b", "precious/c", "kept/a", "old/a", "old/b"]);
    let judge = |summary: &Summary| match summary.key.as_str().split('/').next() {
        Some("precious") => Worth::Precious,
        Some("old") => Worth::Expendable,
        _ => Worth::Kept,
    };
    store.evict(&Eviction::new(&judge)).unwrap();
    assert_eq!(names(&store).len(), 9);
    assert!(names(&store).iter().filter(|name| name.starts_with("old")).count() == 2, "{:?}", names(&store));
    // more of what is kept than fits: the precious stay
    for number in 0..12 {
        store.put(&key(&format!("kept/{number}")), b"x", &relaxed()).unwrap();
    }
    store.evict(&Eviction::new(&judge)).unwrap();
    let left = names(&store);
    assert_eq!(left.len(), 9);
    assert_eq!(left.iter().filter(|name| name.starts_with("precious")).count(), 3, "{left:?}");
    assert!(!left.iter().any(|name| name.starts_with("old")), "{left:?}");
    // nothing but precious ones: the bound on bytes wins
    let judge = |_: &Summary| Worth::Precious;
    for number in 0..4 {
        store.put(&key(&format!("more/{number}")), b"x", &relaxed()).unwrap();
    }
    let evicted = store.evict(&Eviction::new(&judge)).unwrap();
    assert_eq!(evicted.left.entries, 10);
}

#[test]
fn the_bound_on_entries_does_not_take_what_is_precious() {
    let scratch = Scratch::new("room-entries");
    let options = Options::new().bounds(Bounds { entries: 5, ..Bounds::default() });
    let store = options.open(scratch.utf8_path()).unwrap();
    for number in 0..10 {
        store.put(&key(&format!("k{number}")), b"x", &relaxed()).unwrap();
    }
    let precious = |_: &Summary| Worth::Precious;
    assert_eq!(store.evict(&Eviction::new(&precious)).unwrap().left.entries, 10);
    assert_eq!(evict(&store).left.entries, 4);
}

#[test]
fn everything_expendable_goes_where_it_is_asked_for_though_there_is_room() {
    let scratch = Scratch::new("room-expendable");
    let store = Store::open(scratch.utf8_path()).unwrap();
    for name in ["a/1", "a/2", "b/1", "c"] {
        store.put(&key(name), b"x", &relaxed()).unwrap();
    }
    store.invalidate(&[Scope::Key(key("c")).hard()]).unwrap();
    let judge = |summary: &Summary| if summary.key.as_str().starts_with('a') { Worth::Expendable } else { Worth::Kept };
    assert_eq!(store.evict(&Eviction::new(&judge)).unwrap().removed.entries, 0);
    // and what was invalidated hard
    assert_eq!(store.evict(&Eviction::new(&judge).all_expendable()).unwrap().removed.entries, 3);
    assert_eq!(names(&store), ["b/1"]);
    // the folder of those that went is gone
    assert!(!scratch.path().join("entries/a").exists());
}

#[test]
fn what_is_stored_replaced_and_removed_is_counted_in_all_processes() {
    let scratch = Scratch::new("room-count");
    let (one, other) = (bounded(&scratch, 100), bounded(&scratch, 100));
    let (one, other) = (one.open(scratch.utf8_path()).unwrap(), other.open(scratch.utf8_path()).unwrap());
    one.put(&key("first"), b"x", &relaxed()).unwrap();
    // nobody has counted yet
    assert_eq!(one.pressure(), Pressure::Unknown);
    evict(&one);
    let sum = |entries: u64, blocks: u64| Some(Occupied { bytes: blocks * BLOCK, entries });
    assert_eq!(one.occupied().unwrap(), sum(1, 1));
    other.put(&key("large"), &[7; 5_000], &Put::new()).unwrap();
    assert_eq!(other.occupied().unwrap(), sum(2, 3));
    assert_eq!(one.occupied().unwrap(), sum(2, 3));
    // over one's own, over another's, with a lock and without
    one.put(&key("first"), &[7; 9_000], &relaxed()).unwrap();
    one.put(&key("large"), b"small", &relaxed()).unwrap();
    one.put(&key("large"), &[1; 5_000], &relaxed()).unwrap();
    assert_eq!(one.occupied().unwrap(), sum(2, 5));
    let entry = one.get(&key("large")).unwrap().unwrap();
    one.renew(&entry, &relaxed().metadata(Metadata::new().with_tag("t").unwrap())).unwrap();
    assert_eq!(one.occupied().unwrap(), sum(2, 5));
    assert!(other.remove(&key("large"), Durability::Relaxed, &Wait::none()).unwrap());
    other.occupied().unwrap();
    assert_eq!(one.occupied().unwrap(), sum(1, 3));
    one.invalidate(&[Scope::Key(key("first")).hard()]).unwrap();
    one.sweep().unwrap();
    assert_eq!(one.occupied().unwrap(), sum(0, 0));
    // a look at everything finds the same
    other.evict(&Eviction::new(&all_kept).all_expendable()).unwrap();
    assert_eq!(other.occupied().unwrap(), sum(0, 0));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test damages a file")]
fn what_is_set_aside_takes_no_room_and_a_damaged_count_is_made_anew() {
    let scratch = Scratch::new("room-damage");
    let store = bounded(&scratch, 100).open(scratch.utf8_path()).unwrap();
    for name in ["a", "b", "c"] {
        store.put(&key(name), b"x", &relaxed()).unwrap();
    }
    evict(&store);
    std::fs::write(scratch.path().join("entries/a.entry"), b"nonsense").unwrap();
    assert!(store.get(&key("a")).unwrap().is_none());
    assert_eq!(store.occupied().unwrap(), Some(Occupied { bytes: 2 * BLOCK, entries: 2 }));
    std::fs::write(scratch.path().join("ledger/room"), b"nonsense").unwrap();
    let other = bounded(&scratch, 100).open(scratch.utf8_path()).unwrap();
    assert_eq!(other.occupied().unwrap(), None);
    evict(&other);
    assert_eq!(other.occupied().unwrap(), Some(Occupied { bytes: 2 * BLOCK, entries: 2 }));
}

#[test]
fn a_use_is_recorded_once_in_ten_minutes_and_a_look_is_none() {
    let scratch = Scratch::new("room-used");
    let clock = clock_from_now();
    let store = bounded(&scratch, 3).clock(clock.clone()).open(scratch.utf8_path()).unwrap();
    for name in ["a", "b", "c", "d"] {
        store.put(&key(name), b"x", &relaxed()).unwrap();
    }
    use_in_order(&store, &clock, &["a", "b", "c", "d"]);
    assert_eq!(store.mark_used([&key("d"), &key("absent")]).unwrap(), 0);
    clock.advance(Duration::from_secs(9 * 60));
    assert_eq!(store.mark_used([&key("d")]).unwrap(), 0);
    clock.advance(Duration::from_secs(60));
    assert_eq!(store.mark_used([&key("d"), &key("a")]).unwrap(), 2);
    // lists read all headers
    assert_eq!(names(&store).len(), 4);
    evict(&store);
    assert_eq!(names(&store), ["a", "d"]);
    // a time from the future is some clock's mistake, and does not keep anything for ever
    clock.set_wall(clock.wall() - Duration::from_secs(48 * 3_600));
    assert_eq!(store.mark_used([&key("d")]).unwrap(), 1);
}

#[test]
fn one_process_at_a_time_evicts_unless_it_must() {
    let scratch = Scratch::new("room-once");
    let store = bounded(&scratch, 4).open(scratch.utf8_path()).unwrap();
    for name in ["a", "b", "c", "d", "e", "f"] {
        store.put(&key(name), b"x", &relaxed()).unwrap();
    }
    let other = bounded(&scratch, 4).open(scratch.utf8_path()).unwrap();
    // a judge that is asked while the lock is held
    let (elsewhere, in_any_case) = (std::cell::Cell::new(None), std::cell::Cell::new(None));
    let judge = |_: &Summary| {
        if elsewhere.get().is_none() {
            elsewhere.set(Some(evict(&other)));
            in_any_case.set(Some(other.evict(&Eviction::new(&all_kept).in_any_case()).unwrap()));
        }
        Worth::Kept
    };
    store.evict(&Eviction::new(&judge)).unwrap();
    assert!(elsewhere.take().is_some_and(|evicted| evicted.elsewhere));
    assert!(in_any_case.take().is_some_and(|evicted| evicted.removed.entries > 0));
    // the other one saw what this one did before its next step
    assert!((2..=3).contains(&names(&store).len()), "{:?}", names(&store));
}

#[test]
fn what_killed_processes_did_not_add_is_found_within_the_hour() {
    let scratch = Scratch::new("room-hour");
    let clock = clock_from_now();
    let open = || Options::new().clock(clock.clone()).open(scratch.utf8_path()).unwrap();
    let store = open();
    store.put(&key("a"), b"x", &relaxed()).unwrap();
    evict(&store);
    // dropped with something that it has told nobody
    let killed = open();
    killed.put(&key("b"), b"x", &relaxed()).unwrap();
    drop(killed);
    assert_eq!(store.occupied().unwrap().map(|occupied| occupied.entries), Some(1));
    clock.advance(Duration::from_secs(3_600));
    assert_eq!(store.occupied().unwrap(), None);
    evict(&store);
    assert_eq!(store.occupied().unwrap().map(|occupied| occupied.entries), Some(2));
}

#[test]
fn an_eviction_stops_when_it_is_told_to() {
    let scratch = Scratch::new("room-stop");
    let store = bounded(&scratch, 2).open(scratch.utf8_path()).unwrap();
    for number in 0..20 {
        store.put(&key(&format!("k{number}")), b"x", &relaxed()).unwrap();
    }
    let stopped = store.evict(&Eviction::new(&all_kept).until(&|| true)).unwrap();
    assert!(stopped.stopped && stopped.removed.entries == 0, "{stopped:?}");
    assert_eq!(names(&store).len(), 20);
}

#[test]
fn an_entry_that_changed_since_it_was_judged_stays() {
    let scratch = Scratch::new("room-changed");
    let store = bounded(&scratch, 2).open(scratch.utf8_path()).unwrap();
    for name in ["a", "b", "c"] {
        store.put(&key(name), b"old", &relaxed()).unwrap();
    }
    let other = Store::open(scratch.utf8_path()).unwrap();
    let judge = |summary: &Summary| {
        other.put(&summary.key, b"new", &relaxed()).unwrap();
        Worth::Expendable
    };
    let evicted = store.evict(&Eviction::new(&judge)).unwrap();
    assert_eq!(evicted.removed.entries, 0);
    for name in ["a", "b", "c"] {
        assert_eq!(store.get(&key(name)).unwrap().unwrap().body(), b"new");
    }
}

#[test]
fn absent_and_read_only_roots_are_left_alone() {
    let scratch = Scratch::new("room-absent");
    let store = bounded(&scratch, 1).open(scratch.utf8_path().join("none")).unwrap();
    assert_eq!(evict(&store), Evicted::default());
    assert_eq!((store.occupied().unwrap(), store.pressure()), (None, Pressure::None));
    assert_eq!(store.mark_used([&key("a")]).unwrap(), 0);
    assert!(!scratch.path().join("none").exists());
    let full = bounded(&scratch, 1).open(scratch.utf8_path()).unwrap();
    full.put(&key("a"), b"x", &relaxed()).unwrap();
    full.put(&key("b"), b"x", &relaxed()).unwrap();
    let reader = bounded(&scratch, 1).read_only().open(scratch.utf8_path()).unwrap();
    assert!(reader.evict(&Eviction::new(&all_kept)).is_err());
    assert_eq!(reader.mark_used([&key("a")]).unwrap(), 0);
    assert_eq!(names(&reader), ["a", "b"]);
}
