//! Letting go together with the file.

use larder_lock::{Backend, Mode, Options, Wait, file_name, retire};
use larder_testkit::{Operation, Scratch, errno};

use crate::stage::{BOTH, elsewhere, open, patient, spawn};

#[test]
fn a_retired_lock_leaves_no_file_and_can_be_taken_again() {
    for backend in BOTH {
        let scratch = Scratch::new("retired");
        let locks = open(scratch.utf8_path(), backend);
        let before = std::fs::read_dir(scratch.path()).unwrap().count();
        locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap().retire().unwrap();
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), before);
        locks.acquire("a", Mode::Exclusive, &patient()).unwrap().check().unwrap();
    }
}

#[test]
fn whoever_waits_for_a_lock_that_is_retired_gets_a_new_file() {
    for backend in BOTH {
        let scratch = Scratch::new("waited-for");
        let locks = open(scratch.utf8_path(), backend);
        let guard = locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap();
        let mut waiter = spawn(&scratch, "hold", backend, "a", Mode::Exclusive);
        waiter.wait_for_line("waiting");
        guard.retire().unwrap();
        waiter.wait_for_line("held");
        waiter.send_line("check");
        waiter.wait_for_line("fine");
    }
}

#[test]
fn a_shared_holder_may_not_remove_the_file_and_keeps_its_lock() {
    let scratch = Scratch::new("shared-retire");
    let locks = open(scratch.utf8_path(), Backend::Advisory);
    let guard = locks.acquire("a", Mode::Shared, &Wait::none()).unwrap();
    let error = guard.retire().unwrap_err();
    let retire::Error::Shared { guard } = error else { panic!("{error}") };
    guard.check().unwrap();
}

#[test]
fn a_file_that_is_no_longer_the_holders_is_not_removed() {
    let scratch = Scratch::new("not-mine");
    let locks = open(scratch.utf8_path(), Backend::Advisory);
    let guard = locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap();
    let file = scratch.join(file_name("a").unwrap());
    std::fs::rename(&file, scratch.join("aside")).unwrap();
    let other = elsewhere(&scratch, Options::new());
    let second = other.locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap();
    assert!(matches!(guard.retire(), Err(retire::Error::Lost { .. })));
    second.check().unwrap();
}

#[test]
fn a_removal_that_fails_gives_the_lock_back() {
    let scratch = Scratch::new("unremovable");
    let here = elsewhere(&scratch, Options::new());
    let guard = here.locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap();
    here.disk.fail_operation(Operation::RemoveFile, errno::EROFS, 1);
    let error = guard.retire().unwrap_err();
    let retire::Error::Io { guard, .. } = error else { panic!("{error}") };
    guard.check().unwrap();
}
