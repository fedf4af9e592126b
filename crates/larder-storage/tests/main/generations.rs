//! Generations never repeat: through folds, reboots, copies and restored roots.
#![expect(clippy::disallowed_methods, reason = "the tests copy and restore roots as people do")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use larder_storage::{Invalidation, Options, Prefix, Scope, Severity, Store, put as put_module};
use larder_testkit::{Scratch, VirtualClock};

use crate::shared::{body, drop_key, key, names, put, relaxed};

fn many(range: std::ops::Range<u32>) -> Vec<Invalidation> {
    range.map(|at| Scope::Key(key(&format!("other/{at}"))).hard()).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn folding_keeps_what_was_said_and_forgets_nothing() {
    let scratch = Scratch::new("folds");
    let store = Store::open(scratch.utf8_path()).unwrap();
    let early = Store::open(scratch.utf8_path()).unwrap();
    for text in ["k/soft", "k/hard", "p/x", "t/x", "kept"] {
        let metadata = larder_storage::Metadata::new().with_tag(text).unwrap();
        store.put(&key(text), b"x", &relaxed().metadata(metadata)).unwrap();
    }
    assert_eq!(body(&early, "kept"), Some(b"x".to_vec()));
    let token = early.token().unwrap();
    let said = [
        Scope::Key(key("k/soft")).soft(),
        Scope::Key(key("k/hard")).hard(),
        Scope::Prefix(Prefix::new("p/").unwrap()).hard(),
        Scope::Tag(larder_storage::Tag::new("t/x").unwrap()).soft(),
    ];
    store.invalidate(&said).unwrap();
    for round in 0..5 {
        store.invalidate(&many(round * 1_500..(round + 1) * 1_500)).unwrap();
        assert_eq!(names(scratch.join("stamps")).len(), 1, "one file at a time");
        for reader in [&store, &early, &Store::open(scratch.utf8_path()).unwrap()] {
            for gone in ["k/soft", "k/hard", "p/x", "t/x"] {
                assert_eq!(body(reader, gone), None, "{gone}");
            }
            assert!(reader.get_with_invalidated(&key("k/soft")).unwrap().is_some());
            assert!(reader.get_with_invalidated(&key("t/x")).unwrap().is_some());
            assert!(reader.get_with_invalidated(&key("k/hard")).unwrap().is_none());
        }
    }
    assert!(matches!(
        store.put(&key("p/y"), b"x", &relaxed().fetched_in(token)),
        Err(put_module::Error::Fenced { .. })
    ));
    put(&store, "p/x", b"new");
    assert_eq!(body(&early, "p/x"), Some(b"new".to_vec()));
}

#[test]
fn few_of_many_other_keys_are_taken_along() {
    let scratch = Scratch::new("collateral");
    let store = Store::open(scratch.utf8_path()).unwrap();
    for at in 0..500 {
        put(&store, &format!("kept/{at}"), b"x");
    }
    store.invalidate(&many(0..5_000)).unwrap();
    let lost = (0..500).filter(|at| body(&store, &format!("kept/{at}")).is_none()).count();
    // two rows of 65,280 slots after 5,000 names: (1 - e^(-5000/65280))^2 = 0.54 %
    assert!(lost < 20, "{lost} of 500");
}

#[test]
fn a_reboot_begins_numbers_that_nobody_has_seen() {
    let scratch = Scratch::new("reboot");
    let clock = Arc::new(VirtualClock::new());
    let open = || Options::new().clock(clock.clone()).open(scratch.utf8_path()).unwrap();
    let before = open();
    drop_key(&before, "x");
    // a record that was seen but never synced: power takes it
    let stamps = scratch.join("stamps");
    let file = stamps.join(&names(&stamps)[0]);
    let synced = fs::metadata(&file).unwrap().len();
    drop_key(&before, "y");
    put(&before, "a", b"old");
    let token = before.token().unwrap();
    fs::File::options().write(true).open(&file).unwrap().set_len(synced).unwrap();
    clock.reboot();
    let after = open();
    drop_key(&after, "a");
    assert_eq!(body(&after, "a"), None, "its number was not taken twice");
    assert!(after.put(&key("a"), b"older", &relaxed().fetched_in(token)).is_err());
    put(&after, "a", b"new");
    assert_eq!(body(&open(), "a"), Some(b"new".to_vec()));
}

#[test]
fn a_reboot_without_loss_keeps_every_entry() {
    let scratch = Scratch::new("calm");
    let clock = Arc::new(VirtualClock::new());
    let open = || Options::new().clock(clock.clone()).open(scratch.utf8_path()).unwrap();
    let first = open();
    drop_key(&first, "x");
    put(&first, "a", b"x");
    for _ in 0..4 {
        clock.reboot();
        let next = open();
        drop_key(&next, "other");
        assert_eq!(body(&next, "a"), Some(b"x".to_vec()));
        assert_eq!(names(scratch.join("stamps")).len(), 1);
    }
}

#[test]
fn a_copied_root_keeps_its_entries_and_goes_its_own_way() {
    let scratch = Scratch::new("copied");
    let (one, two) = (scratch.utf8_path().join("one"), scratch.utf8_path().join("two"));
    let original = Store::open(&one).unwrap();
    put(&original, "a", b"x");
    put(&original, "b", b"x");
    drop_key(&original, "b");
    copy(one.as_std_path(), two.as_std_path());
    let copied = Store::open(&two).unwrap();
    assert_eq!((body(&copied, "a"), body(&copied, "b")), (Some(b"x".to_vec()), None));
    drop_key(&copied, "c");
    assert_eq!(body(&copied, "a"), Some(b"x".to_vec()));
    drop_key(&copied, "a");
    assert_eq!((body(&copied, "a"), body(&original, "a")), (None, Some(b"x".to_vec())));
}

#[test]
fn entries_from_after_a_backup_do_not_outlive_its_restoration() {
    let scratch = Scratch::new("restored");
    let (root, backup) = (scratch.utf8_path().join("root"), scratch.utf8_path().join("backup"));
    let store = Store::open(&root).unwrap();
    put(&store, "a", b"x");
    copy(root.join("stamps").as_std_path(), backup.as_std_path());
    for at in 0..10 {
        drop_key(&store, &format!("n/{at}"));
    }
    put(&store, "a", b"later");
    let token = store.token().unwrap();
    // the record of invalidations goes back in time, the entries do not
    fs::remove_dir_all(root.join("stamps")).unwrap();
    copy(backup.as_std_path(), root.join("stamps").as_std_path());
    let restored = Store::open(&root).unwrap();
    for at in 0..20 {
        drop_key(&restored, &format!("m/{at}"));
        if at == 3 {
            drop_key(&restored, "a");
        }
    }
    assert_eq!(body(&restored, "a"), None);
    assert!(restored.put(&key("a"), b"x", &relaxed().fetched_in(token)).is_err());
}

#[test]
fn a_damaged_stamp_covers_all_it_may_have_said() {
    let scratch = Scratch::new("rot");
    let store = Store::open(scratch.utf8_path()).unwrap();
    put(&store, "a", b"x");
    drop_key(&store, "b");
    let stamps = scratch.join("stamps");
    let file = stamps.join(&names(&stamps)[0]);
    let mut bytes = fs::read(&file).unwrap();
    let last = bytes.len() - 20;
    bytes[last] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let fresh = Store::open(scratch.utf8_path()).unwrap();
    assert_eq!(body(&fresh, "a"), None, "it may have been a that was invalidated");
    put(&fresh, "a", b"y");
    assert_eq!(body(&fresh, "a"), Some(b"y".to_vec()));
    drop_key(&fresh, "c");
    assert_eq!(body(&fresh, "a"), Some(b"y".to_vec()));
    assert_eq!(body(&Store::open(scratch.utf8_path()).unwrap(), "a"), Some(b"y".to_vec()));
}

#[test]
fn a_record_that_is_cut_within_its_table_is_no_place_for_an_invalidation() {
    for length in [4_096, 71_088, 2_101_247] {
        let scratch = Scratch::new("cut");
        let store = Store::open(scratch.utf8_path()).unwrap();
        put(&store, "a", b"x");
        let stamps = scratch.join("stamps");
        let file = stamps.join(&names(&stamps)[0]);
        fs::File::options().write(true).open(&file).unwrap().set_len(length).unwrap();
        // the one that has it open says that it cannot, or it holds
        let said = store.invalidate(&[Scope::Key(key("a")).hard()]);
        assert!(said.is_err() || body(&store, "a").is_none(), "{length}");
        let fresh = Store::open(scratch.utf8_path()).unwrap();
        put(&fresh, "a", b"y");
        drop_key(&fresh, "a");
        assert_eq!(body(&fresh, "a"), None, "{length}");
        put(&fresh, "a", b"z");
        assert_eq!(body(&Store::open(scratch.utf8_path()).unwrap(), "a"), Some(b"z".to_vec()), "{length}");
    }
}

#[test]
fn severities_do_not_weaken_each_other() {
    let scratch = Scratch::new("severity");
    let store = Store::open(scratch.utf8_path()).unwrap();
    for order in [[Severity::Soft, Severity::Hard], [Severity::Hard, Severity::Soft]] {
        put(&store, "a", b"x");
        for severity in order {
            store.invalidate(&[Invalidation { scope: Scope::Key(key("a")), severity }]).unwrap();
        }
        assert!(store.get_with_invalidated(&key("a")).unwrap().is_none(), "{order:?}");
    }
}

#[test]
fn a_restored_record_is_known_for_one_also_when_it_is_given_the_same_inode() {
    let scratch = Scratch::new("same-inode");
    let (root, backup) = (scratch.utf8_path().join("root"), scratch.utf8_path().join("backup"));
    let store = Store::open(&root).unwrap();
    put(&store, "a", b"x");
    copy(root.join("stamps").as_std_path(), backup.as_std_path());
    for at in 0..10 {
        drop_key(&store, &format!("n/{at}"));
    }
    put(&store, "a", b"later");
    drop_key(&store, "a");
    // nobody holds the old file open, so its number is free again
    drop(store);
    fs::remove_dir_all(root.join("stamps")).unwrap();
    copy(backup.as_std_path(), root.join("stamps").as_std_path());
    let restored = Store::open(&root).unwrap();
    for at in 0..20 {
        drop_key(&restored, &format!("m/{at}"));
        assert_eq!(body(&restored, "a"), None, "after {at}");
    }
}

#[test]
fn a_torn_record_that_nobody_was_told_of_takes_nothing_away_after_a_power_cut() {
    for with_put in [false, true] {
        let scratch = Scratch::new("torn");
        let clock = Arc::new(VirtualClock::new());
        let open = || Options::new().clock(clock.clone()).open(scratch.utf8_path()).unwrap();
        let first = open();
        drop_key(&first, "x");
        first.put(&key("a"), b"durable", &larder_storage::Put::new()).unwrap();
        drop(first);
        // a record under way when the power went, come back as zeros
        let file = scratch.join("stamps").join(&names(scratch.join("stamps"))[0]);
        let length = fs::metadata(&file).unwrap().len();
        fs::File::options().write(true).open(&file).unwrap().set_len(length + 64).unwrap();
        clock.reboot();
        let next = open();
        if with_put {
            next.put(&key("b"), b"x", &larder_storage::Put::new()).unwrap();
        }
        drop_key(&next, "unrelated");
        for store in [&next, &open()] {
            assert_eq!(body(store, "a"), Some(b"durable".to_vec()), "after a put: {with_put}");
        }
    }
}

#[test]
fn a_record_that_another_process_set_aside_is_left_behind_by_all() {
    let scratch = Scratch::new("set-aside");
    let clock = Arc::new(VirtualClock::new());
    let old = Options::new().clock(clock.clone()).open(scratch.utf8_path()).unwrap();
    put(&old, "k", b"old");
    assert_eq!(body(&old, "k"), Some(b"old".to_vec()));
    let file = scratch.join("stamps").join(&names(scratch.join("stamps"))[0]);
    let file = fs::File::options().write(true).open(file).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"X", 100).unwrap();
    let other = Store::open(scratch.utf8_path()).unwrap();
    drop_key(&other, "k");
    clock.advance_monotonic(std::time::Duration::from_secs(1));
    assert_eq!((body(&other, "k"), body(&old, "k")), (None, None));
    old.put(&key("durable"), b"x", &larder_storage::Put::new()).unwrap();
    assert_eq!(body(&other, "durable"), Some(b"x".to_vec()));
}

#[test]
fn a_damaged_record_stays_until_its_successor_is_there() {
    use larder_testkit::{Action, FaultDisk, Operation};
    let scratch = Scratch::new("stays");
    put(&Store::open(scratch.utf8_path()).unwrap(), "k", b"x");
    let name = names(scratch.join("stamps")).remove(0);
    fs::write(scratch.join("stamps").join(&name), vec![7; 9_000]).unwrap();
    let disk = FaultDisk::over(Arc::new(larder_system::SystemDisk::new()));
    disk.before(|call| if call.operation == Operation::Link { Action::Fail(28) } else { Action::Proceed });
    let full = Options::new().disk(Arc::new(disk)).open(scratch.utf8_path()).unwrap();
    assert!(full.put(&key("k"), b"y", &relaxed()).is_err());
    // without it, an older file could be taken for the record, and its numbers given out again
    assert_eq!(names(scratch.join("stamps")), [name]);
    let next = Store::open(scratch.utf8_path()).unwrap();
    put(&next, "k", b"y");
    assert_eq!(body(&next, "k"), Some(b"y".to_vec()));
    assert_eq!(names(scratch.join("quarantine")).len(), 1);
}
