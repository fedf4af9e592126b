//! What a holder learns before it publishes.

use larder_lock::{Backend, Mode, Options, Wait, check, file_name};
use larder_testkit::{Operation, Scratch, errno};

use crate::stage::{BOTH, elsewhere, open, patient};

#[test]
fn a_lock_in_order_passes_its_check() {
    for backend in BOTH {
        let scratch = Scratch::new("fine");
        let locks = open(scratch.utf8_path(), backend);
        locks.acquire("a", Mode::Exclusive, &patient()).unwrap().check().unwrap();
    }
}

#[test]
fn a_lock_file_that_a_stranger_removed_is_noticed() {
    let scratch = Scratch::new("removed");
    let locks = open(scratch.utf8_path(), Backend::Advisory);
    let guard = locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap();
    std::fs::remove_file(scratch.join(file_name("a").unwrap())).unwrap();
    assert!(matches!(guard.check(), Err(check::Error::Replaced { .. })));
}

#[test]
fn a_lock_file_that_a_stranger_replaced_is_noticed() {
    let scratch = Scratch::new("replaced");
    let locks = open(scratch.utf8_path(), Backend::Advisory);
    let guard = locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap();
    let file = scratch.join(file_name("a").unwrap());
    std::fs::rename(&file, scratch.join("aside")).unwrap();
    // The next one makes a new file and holds it in good faith.
    let other = elsewhere(&scratch, Options::new());
    let second = other.locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap();
    assert!(matches!(guard.check(), Err(check::Error::Replaced { .. })));
    second.check().unwrap();
}

#[test]
fn a_lease_whose_folder_was_removed_is_lost() {
    let scratch = Scratch::new("lease-removed");
    let locks = open(scratch.utf8_path(), crate::stage::LEASE);
    let guard = locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap();
    for entry in std::fs::read_dir(scratch.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            std::fs::remove_dir_all(path).unwrap();
        }
    }
    assert!(matches!(guard.check(), Err(check::Error::Lost { .. })));
}

#[test]
fn a_look_that_fails_counts_as_lost() {
    for backend in BOTH {
        let scratch = Scratch::new("unseen");
        let here = elsewhere(&scratch, Options::new().backend(backend));
        let guard = here.locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap();
        here.disk.fail_operation(Operation::MetadataAt, errno::EIO, 1);
        let error = guard.check().unwrap_err();
        assert!(matches!(error, check::Error::Io { .. }), "{error}");
    }
}
