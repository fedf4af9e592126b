//! Chosen moments: one process held at one call while another does what hurts most.
#![expect(clippy::disallowed_methods, reason = "the tests do what strangers do")]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use larder_storage::{Durability, Invalidation, Options, Put, Scope, Store, Wait, put as put_module};
use larder_system::SystemDisk;
use larder_testkit::{Action, Call, FaultDisk, Gate, Operation, Scratch, VirtualClock};

use crate::shared::{body, drop_key, key, names, newer_entry, put, relaxed};

fn many(range: std::ops::Range<u32>) -> Vec<Invalidation> {
    range.map(|at| Scope::Key(key(&format!("other/{at}"))).hard()).collect()
}

/// A store whose every call a script sees first.
fn scripted(scratch: &Scratch, script: impl Fn(&Call) -> Action + Send + Sync + 'static) -> Store {
    let disk = Arc::new(FaultDisk::over(Arc::new(SystemDisk::new())));
    disk.before(script);
    Options::new().disk(disk).open(scratch.utf8_path()).unwrap()
}

fn ends_in(path: Option<&PathBuf>, name: &str) -> bool {
    path.is_some_and(|path| path.to_string_lossy().ends_with(name))
}

/// Holds the first call that `picks` at the gate, once it is armed.
fn hold_first(
    gate: &Arc<Gate>,
    armed: &Arc<AtomicBool>,
    picks: impl Fn(&Call) -> bool + Send + Sync + 'static,
) -> impl Fn(&Call) -> Action + Send + Sync + 'static {
    let (gate, armed) = (Arc::clone(gate), Arc::clone(armed));
    move |call| {
        if picks(call) && armed.swap(false, Ordering::SeqCst) {
            Action::Hold(Arc::clone(&gate))
        } else {
            Action::Proceed
        }
    }
}

fn armed() -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(true))
}

fn links_second(call: &Call) -> bool {
    call.operation == Operation::Link && ends_in(call.to.as_ref(), "2.stamps")
}

#[test]
fn a_reader_that_slept_does_not_take_a_late_makers_file_for_the_record() {
    let scratch = Scratch::new("zombie");
    let quick = Store::open(scratch.utf8_path()).unwrap();
    put(&quick, "k", b"old");
    let (linking, opening) = (Gate::new(), Gate::new());
    let late = scripted(&scratch, hold_first(&linking, &armed(), links_second));
    let ready = Arc::new(AtomicBool::new(false));
    let opens = |call: &Call| call.operation == Operation::Open && ends_in(call.path.as_ref(), "2.stamps");
    let reader = scripted(&scratch, hold_first(&opening, &ready, opens));
    std::thread::scope(|scope| {
        let folding = scope.spawn(|| late.invalidate(&many(0..1_024)));
        linking.wait_until_held(1);
        quick.invalidate(&many(5_000..5_001)).unwrap();
        ready.store(true, Ordering::SeqCst);
        let reading = scope.spawn(|| body(&reader, "k"));
        opening.wait_until_held(1);
        quick.invalidate(&many(2_000..3_024)).unwrap();
        drop_key(&quick, "k");
        linking.open();
        folding.join().unwrap().unwrap();
        opening.open();
        reading.join().unwrap();
    });
    for store in [&quick, &Store::open(scratch.utf8_path()).unwrap(), &reader] {
        assert_eq!(body(store, "k"), None, "this get began after the invalidation had returned");
    }
}

#[test]
fn an_invalidation_behind_a_seal_is_made_again_also_when_the_record_was_opened_anew_meanwhile() {
    let scratch = Scratch::new("behind");
    let disk = Arc::new(FaultDisk::over(Arc::new(SystemDisk::new())));
    let slow = Options::new().disk(disk.clone()).open(scratch.utf8_path()).unwrap();
    put(&slow, "k", b"x");
    drop_key(&slow, "warm");
    let (linking, writing) = (Gate::new(), Gate::new());
    let other = scripted(&scratch, hold_first(&linking, &armed(), links_second));
    let writes = |call: &Call| call.operation == Operation::Write && ends_in(call.path.as_ref(), "1.stamps");
    disk.before(hold_first(&writing, &armed(), writes));
    std::thread::scope(|scope| {
        let invalidating = scope.spawn(|| slow.invalidate(&[Scope::Key(key("k")).hard()]));
        writing.wait_until_held(1);
        // a failed sync of another thread makes this process open the record anew
        let failing = armed();
        disk.before(move |call| {
            let fails = call.operation == Operation::SyncData && failing.swap(false, Ordering::SeqCst);
            if fails { Action::Fail(5) } else { Action::Proceed }
        });
        drop_key(&other, "unseen");
        assert!(slow.put(&key("other"), b"x", &Put::new()).is_err());
        assert_eq!(body(&slow, "k"), Some(b"x".to_vec()));
        let folding = scope.spawn(|| other.invalidate(&many(0..1_024)));
        linking.wait_until_held(1);
        writing.open();
        invalidating.join().unwrap().unwrap();
        linking.open();
        folding.join().unwrap().unwrap();
    });
    assert_eq!((body(&other, "k"), body(&slow, "k")), (None, None));
}

/// Removes every stamp file or moves it away, as a stranger might; then somebody else begins the record anew.
fn begin_anew(scratch: &Scratch, remove: bool) -> Store {
    for name in names(scratch.join("stamps")) {
        let path = scratch.join("stamps").join(&name);
        if remove { fs::remove_file(path).unwrap() } else { fs::rename(path, scratch.join(name)).unwrap() }
    }
    let new = Store::open(scratch.utf8_path()).unwrap();
    put(&new, "k", b"new");
    new
}

#[test]
fn an_invalidation_does_not_go_to_a_record_that_was_removed() {
    for remove in [true, false] {
        let scratch = Scratch::new("ghost");
        let old = Store::open(scratch.utf8_path()).unwrap();
        put(&old, "k", b"old");
        drop_key(&old, "other");
        let new = begin_anew(&scratch, remove);
        assert_eq!(body(&new, "k"), Some(b"new".to_vec()));
        drop_key(&old, "k");
        assert_eq!(body(&new, "k"), None);
    }
}

#[test]
fn a_process_that_only_writes_notices_a_removed_record_too() {
    for remove in [true, false] {
        let scratch = Scratch::new("writer");
        let clock = Arc::new(VirtualClock::new());
        let old = Options::new().clock(clock.clone()).open(scratch.utf8_path()).unwrap();
        put(&old, "k", b"old");
        let new = begin_anew(&scratch, remove);
        clock.advance_monotonic(Duration::from_secs(1));
        old.put(&key("durable"), b"x", &Put::new()).unwrap();
        assert_eq!(body(&new, "durable"), Some(b"x".to_vec()));
    }
}

#[test]
fn an_emptied_root_is_made_again_by_those_who_use_it() {
    let scratch = Scratch::new("emptied");
    let clock = Arc::new(VirtualClock::new());
    let store = Options::new().clock(clock.clone()).open(scratch.utf8_path()).unwrap();
    put(&store, "docs/a", b"x");
    let empty = || {
        for name in names(scratch.path()) {
            let path = scratch.join(name);
            if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
        }
    };
    empty();
    put(&store, "docs/a", b"y");
    assert_eq!(body(&Store::open(scratch.utf8_path()).unwrap(), "docs/a"), Some(b"y".to_vec()));
    empty();
    put(&Store::open(scratch.utf8_path()).unwrap(), "docs/a", b"z");
    clock.advance_monotonic(Duration::from_secs(1));
    assert_eq!(body(&store, "docs/a"), Some(b"z".to_vec()));
    for folder in ["entries", "locks", "tmp", "stamps", "quarantine"] {
        fs::remove_dir_all(scratch.join(folder)).unwrap();
        clock.advance_monotonic(Duration::from_secs(1));
        put(&store, "docs/a", folder.as_bytes());
        put(&store, "docs/a", folder.as_bytes());
        assert_eq!(body(&store, "docs/a"), Some(folder.as_bytes().to_vec()));
    }
}

#[test]
fn a_folder_that_took_a_strangers_place_is_not_set_aside_in_its_stead() {
    let scratch = Scratch::new("way");
    let quick = Store::open(scratch.utf8_path()).unwrap();
    put(&quick, "z", b"x");
    std::os::unix::fs::symlink("/nowhere", scratch.join("entries/docs")).unwrap();
    let gate = Gate::new();
    let sets_aside = |call: &Call| {
        call.operation == Operation::Rename
            && call.to.as_ref().is_some_and(|to| to.to_string_lossy().contains("quarantine"))
    };
    let slow = scripted(&scratch, hold_first(&gate, &armed(), sets_aside));
    std::thread::scope(|scope| {
        let putting = scope.spawn(|| slow.put(&key("docs/b"), b"b", &relaxed()));
        gate.wait_until_held(1);
        // waits for the other, who holds the way: let him go on
        let durable = scope.spawn(|| quick.put(&key("docs/a"), b"durable", &Put::new()));
        gate.open();
        durable.join().unwrap().unwrap();
        putting.join().unwrap().unwrap();
    });
    assert_eq!(body(&quick, "docs/a"), Some(b"durable".to_vec()));
    assert_eq!(body(&quick, "docs/b"), Some(b"b".to_vec()));
    assert_eq!(names(scratch.join("quarantine")).len(), 1);
}

#[test]
fn a_newer_entry_that_takes_a_free_name_first_is_left_alone() {
    let scratch = Scratch::new("first");
    let gate = Gate::new();
    let ready = Arc::new(AtomicBool::new(false));
    let renames = |call: &Call| call.operation == Operation::Rename && ends_in(call.to.as_ref(), "k.entry");
    let store = scripted(&scratch, hold_first(&gate, &ready, renames));
    put(&store, "k", b"x");
    let other = Store::open(scratch.utf8_path()).unwrap();
    other.remove(&key("k"), Durability::Relaxed, &Wait::up_to(Duration::from_secs(5))).unwrap();
    ready.store(true, Ordering::SeqCst);
    std::thread::scope(|scope| {
        let putting = scope.spawn(|| store.put(&key("k"), b"y", &relaxed()));
        gate.wait_until_held(1);
        fs::write(scratch.join("newer"), newer_entry()).unwrap();
        fs::hard_link(scratch.join("newer"), scratch.join("entries/k.entry")).unwrap();
        gate.open();
        assert!(matches!(putting.join().unwrap(), Err(put_module::Error::NewerFormat { .. })));
    });
    assert_eq!(fs::read(scratch.join("entries/k.entry")).unwrap(), newer_entry());
}

#[test]
fn a_newer_entry_in_the_place_of_ones_own_that_was_moved_away_is_left_alone() {
    let scratch = Scratch::new("moved");
    let store = Store::open(scratch.utf8_path()).unwrap();
    put(&store, "k", b"x");
    fs::rename(scratch.join("entries/k.entry"), scratch.join("elsewhere")).unwrap();
    fs::write(scratch.join("entries/k.entry"), newer_entry()).unwrap();
    assert!(matches!(store.put(&key("k"), b"y", &relaxed()), Err(put_module::Error::NewerFormat { .. })));
    assert_eq!(fs::read(scratch.join("entries/k.entry")).unwrap(), newer_entry());
}

#[test]
fn a_newer_record_that_appears_while_one_is_begun_is_left_alone() {
    let scratch = Scratch::new("record");
    put(&Store::open(scratch.utf8_path()).unwrap(), "z", b"x");
    let file = scratch.join("stamps").join(&names(scratch.join("stamps"))[0]);
    let mut newer = fs::read(&file).unwrap();
    newer[16] = 2;
    let check = twox_hash::XxHash3_64::oneshot_with_seed(0, &newer[..4_088]);
    newer[4_088..4_096].copy_from_slice(&check.to_le_bytes());
    for moment in 0..6 {
        let _ = fs::remove_file(&file);
        let looks = std::sync::atomic::AtomicUsize::new(0);
        let (path, bytes) = (file.clone(), newer.clone());
        let store = scripted(&scratch, move |call| {
            let lists = call.operation == Operation::List
                && call.path.as_ref().is_some_and(|path| path.to_string_lossy().contains("stamps"));
            if lists && looks.fetch_add(1, Ordering::SeqCst) == moment {
                fs::write(&path, &bytes).unwrap();
            }
            Action::Proceed
        });
        let _ = store.put(&key("k"), b"x", &relaxed());
        assert_eq!(names(scratch.join("quarantine")), Vec::<String>::new(), "at look {moment}");
    }
}

#[test]
fn a_fold_cut_short_is_finished_by_the_next_writer() {
    let scratch = Scratch::new("unfinished");
    let disk = Arc::new(FaultDisk::over(Arc::new(SystemDisk::new())));
    let store = Options::new().disk(disk.clone()).open(scratch.utf8_path()).unwrap();
    put(&store, "k", b"x");
    disk.before(|call| if call.operation == Operation::Link { Action::Fail(28) } else { Action::Proceed });
    store.invalidate(&many(0..1_024)).unwrap();
    let disk = Arc::new(FaultDisk::over(Arc::new(SystemDisk::new())));
    let fresh = Options::new().disk(disk.clone()).open(scratch.utf8_path()).unwrap();
    put(&fresh, "k", b"y");
    assert_eq!(body(&fresh, "k"), Some(b"y".to_vec()));
    let before = disk.count();
    assert_eq!(body(&fresh, "k"), Some(b"y".to_vec()));
    assert_eq!(disk.count() - before, 4, "a hit is open, read, close and one look again");
}

#[test]
fn a_put_overtaken_by_an_invalidation_counts_from_its_own_publication() {
    let scratch = Scratch::new("overtaken");
    let quick = Store::open(scratch.utf8_path()).unwrap();
    put(&quick, "k", b"first");
    let gate = Gate::new();
    let ready = Arc::new(AtomicBool::new(false));
    let slow = scripted(&scratch, hold_first(&gate, &ready, |call| call.operation == Operation::Sync));
    put(&slow, "warm", b"x");
    ready.store(true, Ordering::SeqCst);
    std::thread::scope(|scope| {
        let putting = scope.spawn(|| slow.put(&key("k"), b"slow", &Put::new()));
        gate.wait_until_held(1);
        drop_key(&quick, "k");
        quick.put(&key("k"), b"quick", &Put::new()).unwrap();
        assert_eq!(body(&quick, "k"), Some(b"quick".to_vec()));
        gate.open();
        putting.join().unwrap().unwrap();
    });
    assert_eq!(body(&quick, "k"), Some(b"slow".to_vec()), "both were put after the invalidation: the last one counts");
}

#[test]
fn a_repair_does_not_move_a_folder_that_took_a_strangers_place() {
    let scratch = Scratch::new("repair");
    let quick = Store::open(scratch.utf8_path()).unwrap();
    put(&quick, "a", b"x");
    std::os::unix::fs::symlink("/nowhere", scratch.join("entries/docs")).unwrap();
    let gate = Gate::new();
    // after the listing, before anything in it is judged
    let judges = |call: &Call| call.operation == Operation::Open && ends_in(call.path.as_ref(), "a.entry");
    let slow = scripted(&scratch, hold_first(&gate, &armed(), judges));
    std::thread::scope(|scope| {
        let repairing = scope.spawn(|| slow.verify(true));
        gate.wait_until_held(1);
        quick.put(&key("docs/a"), b"durable", &Put::new()).unwrap();
        gate.open();
        repairing.join().unwrap().unwrap();
    });
    assert_eq!(body(&quick, "docs/a"), Some(b"durable".to_vec()));
}
