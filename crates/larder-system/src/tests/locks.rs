//! Locks: between handles, let go of by whoever closes.

use super::{Scratch, on_each_disk, path};
use crate::{Disk, Handle, LockMode, Open};

on_each_disk!(
    an_exclusive_lock_excludes_every_other_handle,
    shared_locks_exclude_only_exclusive_ones,
    a_closed_handle_lets_go_of_its_lock,
    a_waiter_gets_the_lock_once_it_is_free,
);

fn lock_file(disk: &dyn Disk, root: &Handle) -> Handle {
    disk.open(root, path("lock"), Open::CREATE_OR_OPEN).unwrap()
}

fn an_exclusive_lock_excludes_every_other_handle(disk: &dyn Disk) {
    let scratch = Scratch::new();
    let root = scratch.root(disk);
    let (holder, other) = (lock_file(disk, &root), lock_file(disk, &root));
    assert!(disk.try_lock(&holder, LockMode::Exclusive).unwrap());
    assert!(!disk.try_lock(&other, LockMode::Exclusive).unwrap());
    assert!(!disk.try_lock(&other, LockMode::Shared).unwrap());
    disk.unlock(&holder).unwrap();
    assert!(disk.try_lock(&other, LockMode::Exclusive).unwrap());
}

fn shared_locks_exclude_only_exclusive_ones(disk: &dyn Disk) {
    let scratch = Scratch::new();
    let root = scratch.root(disk);
    let [one, two, other] = [(); 3].map(|()| lock_file(disk, &root));
    assert!(disk.try_lock(&one, LockMode::Shared).unwrap());
    assert!(disk.try_lock(&two, LockMode::Shared).unwrap());
    assert!(!disk.try_lock(&other, LockMode::Exclusive).unwrap());
    disk.unlock(&one).unwrap();
    assert!(!disk.try_lock(&other, LockMode::Exclusive).unwrap());
    disk.unlock(&two).unwrap();
    assert!(disk.try_lock(&other, LockMode::Exclusive).unwrap());
}

fn a_closed_handle_lets_go_of_its_lock(disk: &dyn Disk) {
    let scratch = Scratch::new();
    let root = scratch.root(disk);
    let (holder, other) = (lock_file(disk, &root), lock_file(disk, &root));
    assert!(disk.try_lock(&holder, LockMode::Exclusive).unwrap());
    disk.close(holder);
    assert!(disk.try_lock(&other, LockMode::Exclusive).unwrap());
    drop(other);
    assert!(disk.try_lock(&lock_file(disk, &root), LockMode::Exclusive).unwrap());
}

fn a_waiter_gets_the_lock_once_it_is_free(disk: &dyn Disk) {
    let scratch = Scratch::new();
    let root = scratch.root(disk);
    let (holder, waiter) = (lock_file(disk, &root), lock_file(disk, &root));
    disk.lock(&holder, LockMode::Exclusive).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| disk.lock(&waiter, LockMode::Exclusive));
        disk.close(holder);
        waiting.join().unwrap().unwrap();
    });
    assert!(!disk.try_lock(&lock_file(disk, &root), LockMode::Shared).unwrap());
}
