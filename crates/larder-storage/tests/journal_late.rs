//! Users of a journal who wake up late, and find that others have gone on without them.

#![expect(clippy::unwrap_used, reason = "what the tests stand on fails them")]

mod journal_setup;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use journal_setup::{all_of, home, home_with, journal_in, wait};
use larder_storage::journal::{Durability, Journal, append};
use larder_system::{Disk, SystemDisk};
use larder_testkit::{Action, FaultDisk, Gate, Operation, Scratch, VirtualClock};

/// Two users of one journal whose locks do not see each other: to the first, its lock is lost while it sleeps.
fn two_users(scratch: &Scratch, disk: Arc<dyn Disk>, clock: &Arc<VirtualClock>) -> (Journal, Journal) {
    let other: Arc<dyn Disk> = Arc::new(SystemDisk::new());
    let locks = scratch.join("other-locks");
    other.make_root(&locks).unwrap();
    let late = home_with(disk, Arc::clone(&other), scratch.path(), Arc::<VirtualClock>::clone(clock));
    let folder = Arc::new(other.open_root(&locks).unwrap());
    let elsewhere: Arc<dyn larder_system::Clock> = Arc::new(larder_system::SystemClock::new());
    let locks = larder_lock::Locks::in_folder(other, elsewhere, folder, larder_lock::Options::default());
    let quick = larder_storage::journal::Home { locks, ..home(Arc::new(SystemDisk::new()), scratch.path()) };
    (journal_in(&late), journal_in(&quick))
}

/// Removes the lock files that the first user's locks lie in.
fn lose_locks(scratch: &Scratch) {
    let disk = SystemDisk::new();
    let root = disk.open_root(scratch.path()).unwrap();
    let mut names = Vec::new();
    while disk.list(&root, &mut names).unwrap() {}
    for listed in names.iter().filter(|listed| listed.name.to_string_lossy().ends_with(".lock")) {
        disk.remove_file(&root, Path::new(&listed.name)).unwrap();
    }
}

#[test]
fn a_holder_that_finds_its_lock_lost_has_changed_nothing() {
    let scratch = Scratch::new("late-holder");
    let clock = Arc::new(VirtualClock::new());
    let (late, quick) = two_users(&scratch, Arc::new(SystemDisk::new()), &clock);
    let mut sleeping = late.exclusive(&wait()).unwrap();
    for number in 0..20 {
        quick.append(&[format!("acknowledged {number}")], Durability::Synced, &wait()).unwrap();
    }
    lose_locks(&scratch);
    clock.advance(Duration::from_secs(1));
    assert!(matches!(sleeping.append(&["late"], Durability::Synced), Err(append::Error::LockLost { .. })));
    drop(sleeping);
    let seen = all_of(&quick);
    assert_eq!((seen.records.len(), seen.lost), (20, 0));
}

#[test]
fn a_maker_that_slept_does_not_replace_the_journal_that_another_made() {
    let scratch = Scratch::new("late-maker");
    let clock = Arc::new(VirtualClock::new());
    let disk = FaultDisk::over(Arc::new(SystemDisk::new()));
    let (late, quick) = two_users(&scratch, Arc::new(disk.clone()), &clock);
    let gate = Gate::new();
    let (held, first) = (Arc::clone(&gate), AtomicBool::new(true));
    disk.before(move |call| {
        let makes = call.operation == Operation::Open && first.swap(false, Ordering::SeqCst);
        if makes { Action::Hold(Arc::clone(&held)) } else { Action::Proceed }
    });
    std::thread::scope(|scope| {
        let making = scope.spawn(|| late.append(&["late"], Durability::Synced, &wait()).map(drop));
        gate.wait_until_held(1);
        for number in 0..20 {
            quick.append(&[format!("acknowledged {number}")], Durability::Synced, &wait()).unwrap();
        }
        lose_locks(&scratch);
        gate.open();
        let _ = making.join().unwrap();
    });
    let texts = all_of(&quick).texts();
    assert_eq!(texts.iter().filter(|text| text.starts_with("acknowledged")).count(), 20, "{texts:?}");
}
