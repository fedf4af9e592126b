//! Looking at a root: everything is told, nothing is changed.
#![expect(clippy::disallowed_methods, reason = "the tests damage a root, for the looks to see")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use larder_lock::Finding;
use larder_storage::{Eviction, Options, Store, Worth, trial};
use larder_testkit::{FaultDisk, Scratch, SimDisk, VirtualClock, errno};

use crate::shared::{key, names, put, relaxed};

/// Every name below a folder.
fn tree(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let mut left = vec![folder.to_owned()];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            all.push(entry.path());
            if entry.file_type().unwrap().is_dir() {
                left.push(entry.path());
            }
        }
    }
    all.sort();
    all
}

#[test]
fn a_trial_leaves_nothing_and_makes_no_root() {
    let scratch = Scratch::new("trial");
    let root = scratch.utf8_path().join("root");
    assert!(!Store::open(&root).unwrap().try_files().unwrap());
    assert!(Store::open(&root).unwrap().try_locks(Duration::from_secs(60)).unwrap().is_none());
    assert!(!root.exists());
    put(&Store::open(&root).unwrap(), "docs/a", b"x");
    let before = tree(root.as_std_path());
    let store = Store::open(&root).unwrap();
    assert!(store.try_files().unwrap());
    assert!(matches!(
        store.try_locks(Duration::from_secs(60)).unwrap(),
        Some(Finding::Honest | Finding::Remote { .. })
    ));
    assert_eq!(tree(root.as_std_path()), before);
}

#[test]
fn a_trial_with_leases_leaves_nothing_either() {
    let scratch = Scratch::new("trial-lease");
    let open = || Options::new().backend(larder_storage::Backend::LEASE).open(scratch.utf8_path()).unwrap();
    put(&open(), "docs/a", b"x");
    assert!(open().try_files().unwrap());
    assert_eq!(names(scratch.join("tmp")), Vec::<String>::new());
    assert_eq!(open().leftovers().unwrap().dead, 0);
}

#[test]
fn a_trial_on_a_full_disk_says_so_and_leaves_nothing() {
    let disk = SimDisk::new();
    let store = Options::new().disk(Arc::new(disk.clone())).open("/cache").unwrap();
    put(&store, "docs/a", b"x");
    disk.set_capacity(40_000);
    let trial::Error::Failed(failure) = store.try_files().unwrap_err() else { panic!("the step is told") };
    assert_eq!(failure.system().kind(), std::io::ErrorKind::StorageFull);
    let is_left = |path: &PathBuf| path.starts_with("/cache/tmp/") && !path.ends_with("tmp");
    assert!(!disk.tree().into_keys().any(|path| is_left(&path)), "{:?}", disk.tree().keys());
}

#[test]
fn a_trial_tells_of_each_call_that_fails() {
    use larder_testkit::Operation;
    for operation in [Operation::Write, Operation::Sync, Operation::Link, Operation::Rename, Operation::Read] {
        let disk = FaultDisk::over(Arc::new(SimDisk::new()));
        let store = Options::new().disk(Arc::new(disk.clone())).open("/cache").unwrap();
        put(&store, "docs/a", b"x");
        disk.fail_operation(operation, errno::EIO, 1);
        let failed = store.try_files().unwrap_err();
        assert!(failed.to_string().contains("/cache/tmp"), "{operation:?}: {failed}");
        disk.heal();
        assert!(store.try_files().unwrap(), "{operation:?}");
        assert_eq!(store.leftovers().unwrap().dead, 0, "{operation:?}");
    }
}

#[test]
fn leftovers_of_the_dead_are_told_from_files_of_the_living_and_stay() {
    let scratch = Scratch::new("leftovers");
    let store = Store::open(scratch.utf8_path()).unwrap();
    put(&store, "docs/a", b"x");
    fs::write(scratch.join("tmp/00000000000000aa.0"), vec![1; 10_000]).unwrap();
    fs::write(scratch.join("tmp/stranger"), b"x").unwrap();
    let session = larder_lock::Locks::open(
        &scratch.utf8_path().join("locks"),
        larder_lock::Options::new().backend(larder_storage::Backend::Advisory),
    )
    .unwrap();
    let alive = session.acquire("//session/00000000000000bb", larder_lock::Mode::Exclusive, &larder_lock::Wait::none());
    let alive = alive.unwrap();
    fs::write(scratch.join("tmp/00000000000000bb.0"), b"x").unwrap();
    let leftovers = store.leftovers().unwrap();
    assert_eq!((leftovers.dead, leftovers.in_use), (1, 1));
    assert!(leftovers.dead_bytes >= 10_000);
    drop(alive);
    assert_eq!(store.leftovers().unwrap().dead, 2);
    assert_eq!(names(scratch.join("tmp")).len(), 3, "a look removes nothing");
}

#[test]
fn what_was_set_aside_is_counted_with_the_time_of_the_first() {
    let scratch = Scratch::new("aside");
    let store = Store::open(scratch.utf8_path()).unwrap();
    let begun = SystemTime::now() - Duration::from_secs(1);
    put(&store, "docs/a", b"x");
    assert_eq!(store.set_aside_files().unwrap().files, 0);
    fs::write(scratch.join("entries/docs/a.entry"), b"rot").unwrap();
    store.verify(true).unwrap();
    fs::write(scratch.join("quarantine/stranger"), b"x").unwrap();
    let aside = store.set_aside_files().unwrap();
    assert_eq!(aside.files, 1, "what a stranger put there is not larder's");
    assert!(aside.bytes > 0 && aside.oldest.unwrap() >= begun && aside.oldest.unwrap() <= SystemTime::now());
}

#[test]
fn a_sample_stops_when_it_has_enough_and_changes_nothing() {
    let scratch = Scratch::new("sample");
    let clock = Arc::new(VirtualClock::new());
    let store = Options::new().clock(Arc::<VirtualClock>::clone(&clock)).open(scratch.utf8_path()).unwrap();
    for at in 0..20 {
        put(&store, &format!("docs/{at}"), b"x");
    }
    clock.advance_wall(Duration::from_secs(3_600));
    put(&store, "docs/late", b"x");
    fs::write(scratch.join("entries/docs/7.entry"), b"rot").unwrap();
    let all = store.verify_some(&|_| true).unwrap();
    assert_eq!((all.whole, all.damaged, all.stopped), (20, 1, false));
    let late = all.latest.unwrap().duration_since(larder_system::Clock::wall(&*clock)).unwrap_or_default();
    assert_eq!(late, Duration::ZERO, "the last one's time, in whole milliseconds");
    assert!(all.latest.unwrap() + Duration::from_secs(1) > larder_system::Clock::wall(&*clock));
    let some = store.verify_some(&|seen| seen.whole + seen.damaged < 5).unwrap();
    assert_eq!((some.whole + some.damaged, some.stopped), (5, true));
    assert!(scratch.join("entries/docs/7.entry").exists());
    // others each time: twenty samples of five that are the same each time would see no more than five
    let seen_rot = (0..200).any(|_| store.verify_some(&|seen| seen.whole + seen.damaged < 5).unwrap().damaged == 1);
    let seen_none = (0..200).any(|_| store.verify_some(&|seen| seen.whole + seen.damaged < 5).unwrap().damaged == 0);
    assert!(seen_rot && seen_none, "each sample begins elsewhere");
}

#[test]
fn files_that_let_others_in_are_told_with_their_modes() {
    let scratch = Scratch::new("loose");
    let store = Store::open(scratch.utf8_path()).unwrap();
    store.put(&key("docs/a"), b"x", &relaxed()).unwrap();
    store.annex("mine").unwrap().publish("file", &[b"x"], larder_system::Replace::Yes).unwrap();
    assert_eq!(store.open_to_others(&["mine", "missing"], 100).unwrap(), []);
    for (path, mode) in [("entries/docs/a.entry", 0o640), ("mine/file", 0o604), ("stamps", 0o755)] {
        fs::set_permissions(scratch.join(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    let loose = store.open_to_others(&["mine"], 100).unwrap();
    let told: Vec<_> = loose.iter().map(|loose| (loose.path.as_str(), loose.mode)).collect();
    let at = |path| scratch.utf8_path().join(path).into_string();
    let expected = [(at("stamps"), 0o755), (at("mine/file"), 0o604), (at("entries/docs/a.entry"), 0o640)];
    assert_eq!(told, expected.each_ref().map(|(path, mode)| (path.as_str(), *mode)));
    assert_eq!(store.open_to_others(&["mine"], 0).unwrap(), []);
}

#[test]
fn a_root_that_only_a_newer_version_may_write_is_told_apart() {
    let scratch = Scratch::new("newer-format");
    let store = Store::open(scratch.utf8_path()).unwrap();
    assert_eq!(store.check_format().unwrap(), None);
    put(&store, "docs/a", b"x");
    assert!(store.check_format().unwrap().is_some());
    let file = scratch.join("format.yaml");
    let text = fs::read_to_string(&file).unwrap().replace("write_from: 1", "write_from: 9");
    fs::write(&file, text).unwrap();
    let store = Store::open(scratch.utf8_path()).unwrap();
    assert!(matches!(store.check_format(), Err(larder_storage::root::Error::Newer { access: "write", .. })));
}

#[test]
fn the_count_is_read_without_a_lock_and_without_making_anything() {
    let scratch = Scratch::new("counted");
    let store = Store::open(scratch.utf8_path()).unwrap();
    put(&store, "docs/a", b"x");
    assert!(store.counted().unwrap().is_none());
    store.evict(&Eviction::new(&|_| Worth::Kept)).unwrap();
    let before = tree(scratch.path());
    let counted = Store::open(scratch.utf8_path()).unwrap().counted().unwrap().unwrap();
    assert_eq!((counted.occupied.entries, counted.stuck), (1, None));
    assert_eq!(tree(scratch.path()), before);
}
