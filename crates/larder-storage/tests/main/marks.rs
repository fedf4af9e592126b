//! Copies in memory: whatever happens to the entry on disk, a copy that counts is what the disk has.
#![expect(clippy::disallowed_methods, reason = "the tests do what strangers do")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use larder_storage::{Durability, Entry, Mark, Metadata, Options, Put, Scope, Store, Wait};
use larder_system::SystemDisk;
use larder_testkit::{Action, FaultDisk, Gate, Operation, Scratch, VirtualClock};

use crate::shared::{body, drop_key, key, put, relaxed};

/// What a reader keeps in memory, if it may.
struct Copy {
    mark: Option<Mark>,
    entry: Entry,
}

fn copy(store: &Store, name: &str) -> Copy {
    let mark = store.mark(&key(name)).unwrap();
    Copy { mark, entry: store.get(&key(name)).unwrap().unwrap() }
}

impl Copy {
    fn counts(&self, store: &Store) -> bool {
        let tags = self.entry.metadata().tags();
        self.mark.as_ref().is_some_and(|mark| store.is_unchanged(mark, self.entry.key(), self.entry.token(), tags))
    }
}

fn stores(scratch: &Scratch) -> [Store; 2] {
    [(); 2].map(|()| Store::open(scratch.utf8_path()).unwrap())
}

#[test]
fn a_copy_counts_until_its_own_entry_is_replaced_or_removed() {
    let scratch = Scratch::new("mark");
    let [here, there] = stores(&scratch);
    put(&there, "a", b"1");
    for change in 0..4 {
        let kept = copy(&here, "a");
        put(&there, "b", b"another key");
        drop_key(&there, "b");
        there.remove(&key("b"), Durability::Relaxed, &Wait::none()).unwrap();
        assert!(kept.counts(&here) && kept.counts(&here));
        match change {
            0 => put(&there, "a", b"2"),
            1 => there.put(&key("a"), b"3", &Put::new()).map(drop).unwrap(),
            2 => {
                let entry = there.get(&key("a")).unwrap().unwrap();
                there.renew(&entry, &Put::new()).unwrap();
            }
            _ => assert!(there.remove(&key("a"), Durability::Relaxed, &Wait::none()).unwrap()),
        }
        assert!(!kept.counts(&here), "change {change}");
        assert!(!kept.counts(&here), "change {change}, looked at twice");
    }
}

#[test]
fn a_copy_is_gone_with_an_invalidation_of_its_key_a_prefix_a_tag_or_everything() {
    let scratch = Scratch::new("mark-invalid");
    let [here, there] = stores(&scratch);
    for scope in [
        Scope::Key(key("a/b")).soft(),
        Scope::Prefix("a/".parse().unwrap()).hard(),
        Scope::Tag(larder_storage::Tag::new("t").unwrap()).soft(),
        Scope::All.hard(),
    ] {
        let metadata = Metadata::new().with_tag("t").unwrap();
        there.put(&key("a/b"), b"x", &relaxed().metadata(metadata)).unwrap();
        let kept = copy(&here, "a/b");
        there.invalidate(&[Scope::Key(key("a/bc")).hard(), Scope::Prefix("b/".parse().unwrap()).hard()]).unwrap();
        assert!(kept.counts(&here));
        there.invalidate(std::slice::from_ref(&scope)).unwrap();
        assert!(!kept.counts(&here), "{scope:?}");
    }
}

#[test]
fn a_look_at_a_copy_is_one_call_when_nothing_happened_and_two_when_something_else_did() {
    let scratch = Scratch::new("mark-calls");
    let disk = Arc::new(FaultDisk::over(Arc::new(SystemDisk::new())));
    let here = Options::new().disk(disk.clone()).open(scratch.utf8_path()).unwrap();
    let there = Store::open(scratch.utf8_path()).unwrap();
    put(&there, "a", b"1");
    let kept = copy(&here, "a");
    disk.reset();
    disk.record();
    assert!(kept.counts(&here));
    let calls: Vec<_> = disk.calls().iter().map(|call| call.operation).collect();
    assert_eq!(calls, [Operation::SeekEnd]);
    put(&there, "b", b"1");
    disk.reset();
    disk.record();
    assert!(kept.counts(&here));
    let reads = disk.calls().iter().filter(|call| call.operation == Operation::ReadAt).count();
    assert_eq!(reads, 1);
}

#[test]
fn a_copy_outlives_neither_its_root_nor_a_restored_one() {
    let scratch = Scratch::new("mark-root");
    let root = scratch.utf8_path().join("root");
    let clock = Arc::new(VirtualClock::new());
    let here = Options::new().clock(clock.clone()).open(&root).unwrap();
    put(&here, "a", b"1");
    let kept = copy(&here, "a");
    assert!(kept.counts(&here));
    std::process::Command::new("cp").args(["-a", root.as_str(), "saved"]).current_dir(scratch.path()).status().unwrap();
    put(&here, "a", b"2");
    let kept = copy(&here, "a");
    assert!(kept.counts(&here));
    std::process::Command::new("rm").args(["-rf", root.as_str()]).status().unwrap();
    clock.advance(std::time::Duration::from_secs(1));
    assert!(!kept.counts(&here));
    std::process::Command::new("mv").args(["saved", root.as_str()]).current_dir(scratch.path()).status().unwrap();
    assert!(!kept.counts(&here));
    assert_eq!(body(&here, "a"), Some(b"1".to_vec()));
}

#[test]
fn copies_are_kept_again_after_the_record_was_folded() {
    let scratch = Scratch::new("mark-fold");
    let [here, there] = stores(&scratch);
    put(&there, "a", b"1");
    let kept = copy(&here, "a");
    for at in 0..2_100 {
        put(&there, &format!("b/{}", at % 7), b"x");
    }
    assert!(!kept.counts(&here), "nothing is known of what the record said before");
    let kept = copy(&here, "a");
    assert!(kept.counts(&here));
    put(&there, "a", b"2");
    assert!(!kept.counts(&here));
    assert!(copy(&here, "a").counts(&here));
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Replace,
    ReplaceDurably,
    Remove,
}

impl Change {
    fn make(self, store: &Store) {
        match self {
            Self::Replace => put(store, "a", b"new"),
            Self::ReplaceDurably => store.put(&key("a"), b"new", &Put::new()).map(drop).unwrap(),
            Self::Remove => {
                store.remove(&key("a"), Durability::Full, &Wait::none()).unwrap();
            }
        }
    }
}

/// How many calls a change makes, with a store that has not touched the root before.
fn calls_of(change: Change) -> u64 {
    let scratch = Scratch::new("mark-count");
    put(&Store::open(scratch.utf8_path()).unwrap(), "a", b"old");
    let disk = Arc::new(FaultDisk::over(Arc::new(SystemDisk::new())));
    let store = Options::new().disk(disk.clone()).open(scratch.utf8_path()).unwrap();
    disk.reset();
    change.make(&store);
    disk.count()
}

/// Holds a change before its call number `at`; meanwhile another process keeps a copy, `fold`ed away in between or not.
fn judge_while_frozen(change: Change, at: u64, fold: bool) {
    let scratch = Scratch::new("mark-frozen");
    let reader = Store::open(scratch.utf8_path()).unwrap();
    put(&reader, "a", b"old");
    let before = copy(&reader, "a");
    let disk = Arc::new(FaultDisk::over(Arc::new(SystemDisk::new())));
    let writer = Options::new().disk(disk.clone()).open(scratch.utf8_path()).unwrap();
    let (gate, count) = (Gate::new(), Arc::new(AtomicU64::new(0)));
    let held = Arc::clone(&gate);
    disk.before(move |_| {
        if count.fetch_add(1, Ordering::SeqCst) == at { Action::Hold(Arc::clone(&held)) } else { Action::Proceed }
    });
    let mut copies = vec![before];
    std::thread::scope(|scope| {
        let changing = scope.spawn(|| change.make(&writer));
        gate.wait_until_held(1);
        if fold {
            for _ in 0..2 {
                let others: Vec<_> = (0..1_024).map(|at| Scope::Key(key(&format!("b/{at}"))).hard()).collect();
                reader.invalidate(&others).unwrap();
            }
        }
        let look = || {
            let mark = reader.mark(&key("a")).unwrap();
            reader.get(&key("a")).unwrap().map(|entry| Copy { mark, entry })
        };
        copies.extend(look());
        // another key is none of its business
        put(&reader, "c", b"x");
        assert!(copy(&reader, "c").counts(&reader), "{change:?} held before call {at}");
        gate.open();
        changing.join().unwrap();
    });
    let now = body(&reader, "a");
    for (number, kept) in copies.iter().enumerate() {
        if kept.counts(&reader) {
            assert_eq!(Some(kept.entry.body()), now.as_deref(), "{change:?} held before call {at}, copy {number}");
        }
    }
    assert!(now.is_none() || copy(&reader, "a").counts(&reader), "copies are kept again");
}

#[test]
fn a_copy_made_while_a_writer_is_frozen_at_any_call_does_not_outlive_what_it_then_does() {
    for change in [Change::Replace, Change::ReplaceDurably, Change::Remove] {
        let calls = calls_of(change);
        assert!(calls > 10, "{change:?} makes {calls} calls");
        for at in 0..calls {
            judge_while_frozen(change, at, false);
        }
    }
}

#[test]
fn the_same_when_the_record_is_folded_under_the_frozen_writer() {
    for change in [Change::Replace, Change::Remove] {
        for at in (0..calls_of(change)).rev().take(14) {
            judge_while_frozen(change, at, true);
        }
    }
}

#[test]
fn a_killed_writer_leaves_no_reader_with_the_old_value_and_keeps_copies_out_only_until_the_next_sweep() {
    let mut kept_out = 0;
    for at in 0..calls_of(Change::Replace) {
        let scratch = Scratch::new("mark-killed");
        let reader = Store::open(scratch.utf8_path()).unwrap();
        put(&reader, "a", b"old");
        let before = copy(&reader, "a");
        let mut child = larder_testkit::Child::spawn_through(
            "marks::child_entry",
            "change",
            &[("root", scratch.utf8_path().as_str()), ("at", &at.to_string())],
        );
        child.wait();
        let during = copy(&reader, "a");
        for kept in [&before, &during] {
            if kept.counts(&reader) {
                assert_eq!(Some(kept.entry.body()), body(&reader, "a").as_deref(), "killed before call {at}");
            }
        }
        kept_out += u32::from(during.mark.is_none());
        reader.sweep().unwrap();
        assert!(copy(&reader, "a").counts(&reader), "killed before call {at}, swept");
    }
    assert!(kept_out > 0, "some died between the announcement and the rename");
}

/// The child: dies before one of its calls.
#[test]
#[ignore = "a child of other tests"]
fn child_entry() {
    larder_testkit::child::run(|_, args| {
        let disk = Arc::new(FaultDisk::over(Arc::new(SystemDisk::new())));
        let store = Options::new().disk(disk.clone()).open(args.get("root")).unwrap();
        let (at, count) = (args.parse::<u64>("at"), AtomicU64::new(0));
        disk.before(
            move |_| {
                if count.fetch_add(1, Ordering::SeqCst) == at { Action::KillProcess } else { Action::Proceed }
            },
        );
        Change::Replace.make(&store);
    });
}

fn virtual_store(scratch: &Scratch, clock: &Arc<VirtualClock>) -> Store {
    Options::new().clock(clock.clone()).open(scratch.utf8_path()).unwrap()
}

#[test]
fn a_copy_does_not_outlive_the_folder_of_entries_or_the_record_for_more_than_a_second() {
    for (name, reader_only) in [("entries", false), ("entries", true), ("stamps", false), ("stamps", true)] {
        let scratch = Scratch::new("mark-strangers");
        let there = Store::open(scratch.utf8_path()).unwrap();
        put(&there, "a", b"old");
        let clock = Arc::new(VirtualClock::new());
        let here = virtual_store(&scratch, &clock);
        if !reader_only {
            put(&here, "b", b"x");
        }
        let kept = copy(&here, "a");
        assert!(kept.counts(&here));
        std::fs::remove_dir_all(scratch.join(name)).unwrap();
        if name == "entries" {
            clock.advance(std::time::Duration::from_secs(1));
            assert!(!kept.counts(&here), "{name} removed; the reader never writes: {reader_only}");
            continue;
        }
        // somebody begins anew
        let fresh = Store::open(scratch.utf8_path()).unwrap();
        put(&fresh, "a", b"new");
        fresh.invalidate(&[Scope::All.hard()]).unwrap();
        clock.advance(std::time::Duration::from_secs(1));
        assert!(!kept.counts(&here), "{name} removed; the reader never writes: {reader_only}");
    }
}

#[test]
fn puts_go_on_where_the_record_is_full_and_cannot_be_succeeded() {
    let scratch = Scratch::new("mark-unsucceeded");
    let disk = Arc::new(FaultDisk::over(Arc::new(SystemDisk::new())));
    let store = Options::new().disk(disk.clone()).open(scratch.utf8_path()).unwrap();
    put(&store, "a", b"x");
    let kept = copy(&store, "a");
    disk.before(|call| if call.operation == Operation::Link { Action::Fail(28) } else { Action::Proceed });
    for at in 0..2_200 {
        put(&store, &format!("b/{}", at % 5), b"x");
    }
    assert!(!kept.counts(&store) && copy(&store, "a").mark.is_none(), "without a record nobody keeps copies");
    disk.heal();
    put(&store, "b/0", b"x");
    assert!(copy(&store, "a").counts(&store));
}

#[test]
fn a_removal_that_finds_no_room_for_its_announcement_is_seen_all_the_same() {
    let scratch = Scratch::new("mark-no-room");
    let here = Store::open(scratch.utf8_path()).unwrap();
    put(&here, "a", b"x");
    let kept = copy(&here, "a");
    let disk = Arc::new(FaultDisk::over(Arc::new(SystemDisk::new())));
    let full = Options::new().disk(disk.clone()).open(scratch.utf8_path()).unwrap();
    let temporary = scratch.join("tmp");
    disk.before(move |call| {
        let makes = call.operation == Operation::Open
            && call.path.as_ref().is_some_and(|path| path.parent() == Some(&temporary));
        if makes { Action::Fail(28) } else { Action::Proceed }
    });
    assert!(full.remove(&key("a"), Durability::Full, &Wait::none()).unwrap());
    assert!(!kept.counts(&here));
}

#[test]
fn puts_of_several_processes_do_not_make_one_record_after_the_other_where_no_boot_is_known() {
    let scratch = Scratch::new("mark-boots");
    let clock = Arc::new(VirtualClock::new());
    clock.set_boot(None);
    let stores = [(); 4].map(|()| virtual_store(&scratch, &clock));
    for round in 0..10 {
        for store in &stores {
            put(store, "a", format!("{round}").as_bytes());
        }
    }
    assert_eq!(crate::shared::names(scratch.join("stamps")), ["0000000000000001.stamps"]);
    let kept = copy(&stores[0], "a");
    assert!(kept.counts(&stores[0]));
    put(&stores[1], "a", b"new");
    assert!(!kept.counts(&stores[0]));
}

#[test]
fn a_seal_between_another_threads_record_and_its_look_at_where_that_ends_is_not_taken_for_the_record() {
    let scratch = Scratch::new("mark-seal");
    let disk = Arc::new(FaultDisk::over(Arc::new(SystemDisk::new())));
    let store = Options::new().disk(disk.clone()).open(scratch.utf8_path()).unwrap();
    put(&store, "a", b"x");
    let (syncing, looking, drafting) = (Gate::new(), Gate::new(), Gate::new());
    let (sync, look, draft) = (Arc::clone(&syncing), Arc::clone(&looking), Arc::clone(&drafting));
    let writes = Arc::new(AtomicU64::new(0));
    let written = Arc::clone(&writes);
    let [first_sync, first_look, first_draft] = [(); 3].map(|()| AtomicBool::new(true));
    disk.before(move |call| {
        if call.path.as_ref().is_none_or(|path| path.extension() != Some("stamps".as_ref())) {
            return Action::Proceed;
        }
        let once = |flag: &AtomicBool, gate: &Arc<Gate>| {
            if flag.swap(false, Ordering::SeqCst) { Action::Hold(Arc::clone(gate)) } else { Action::Proceed }
        };
        match (call.operation, written.load(Ordering::SeqCst)) {
            (Operation::Write, _) => _ = written.fetch_add(1, Ordering::SeqCst),
            // the batch that fills the record is written, then the put's announcement, then the seal
            (Operation::SyncData, 1) => return once(&first_sync, &sync),
            (Operation::Position, 2) => return once(&first_look, &look),
            (Operation::SeekEnd, 3) => return once(&first_draft, &draft),
            _ => {}
        }
        Action::Proceed
    });
    std::thread::scope(|scope| {
        let others: Vec<_> = (0..1_024).map(|at| Scope::Key(key(&format!("b/{at}"))).hard()).collect();
        let store = &store;
        let folding = scope.spawn(move || store.invalidate(&others).unwrap());
        syncing.wait_until_held(1);
        let writing = scope.spawn(|| put(store, "a", b"y"));
        looking.wait_until_held(1);
        syncing.open();
        // where a record and a seal exclude each other, there is no seal yet; where they do not, the fold now holds the view
        // that the put must change, and the gates' own limit ends the test
        let overtaken = (0..100).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(1));
            writes.load(Ordering::SeqCst) == 3
        });
        if overtaken {
            drafting.wait_until_held(1);
        } else {
            // either thread may come there first now
            drafting.open();
        }
        looking.open();
        writing.join().unwrap();
        drafting.open();
        folding.join().unwrap();
    });
    put(&store, "a", b"z");
    assert_eq!(crate::shared::names(scratch.join("stamps")), ["0000000000000002.stamps"]);
    let fresh = Store::open(scratch.utf8_path()).unwrap();
    let kept = copy(&fresh, "a");
    put(&store, "a", b"last");
    assert!(!kept.counts(&fresh));
}
