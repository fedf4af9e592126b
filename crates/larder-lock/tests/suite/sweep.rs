//! Files of locks that nobody holds.

use larder_lock::{Backend, Mode, Options, Wait, file_name};
use larder_testkit::{Action, Operation, Scratch};

use crate::stage::{BOTH, elsewhere, holder, open, patient};

#[test]
fn a_sweep_removes_what_is_unheld_and_keeps_what_is_held() {
    for backend in BOTH {
        let scratch = Scratch::new("swept");
        let _other = holder(&scratch, backend, "elsewhere");
        let locks = open(scratch.utf8_path(), backend);
        let own = locks.acquire("here", Mode::Exclusive, &Wait::none()).unwrap();
        for number in 0..10 {
            drop(locks.acquire(&number.to_string(), Mode::Exclusive, &Wait::none()).unwrap());
        }
        // A child that another test is starting may have a copy of a descriptor for an instant.
        let mut removed = 0;
        while removed < 10 {
            let swept = locks.sweep(1_000).unwrap();
            assert!(swept.in_use >= 2 && swept.failed == 0, "{swept:?}");
            removed += swept.removed;
        }
        assert_eq!(removed, 10);
        own.check().unwrap();
        locks.acquire("elsewhere", Mode::Exclusive, &Wait::none()).unwrap_err();
    }
}

#[test]
fn a_sweep_looks_at_no_more_names_than_it_may() {
    let scratch = Scratch::new("bounded");
    let locks = open(scratch.utf8_path(), Backend::Advisory);
    for number in 0..10 {
        drop(locks.acquire(&number.to_string(), Mode::Exclusive, &Wait::none()).unwrap());
    }
    assert_eq!(locks.sweep(4).unwrap().examined, 4);
}

#[test]
fn a_file_that_was_replaced_between_look_and_lock_is_left_alone() {
    let scratch = Scratch::new("swapped");
    let locks = open(scratch.utf8_path(), Backend::Advisory);
    drop(locks.acquire("a", Mode::Exclusive, &patient()).unwrap());
    let here = elsewhere(&scratch, Options::new());
    let file = scratch.join(file_name("a").unwrap());
    let swapped = file.clone();
    here.disk.before(move |call| {
        if call.operation == Operation::TryLock {
            std::fs::remove_file(&swapped).unwrap();
            std::fs::write(&swapped, "new").unwrap();
        }
        Action::Proceed
    });
    assert_eq!(here.locks.sweep(10).unwrap().removed, 0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "new");
}

#[test]
fn strangers_files_are_not_touched() {
    for backend in BOTH {
        let scratch = Scratch::new("strangers");
        let locks = open(scratch.utf8_path(), backend);
        for name in ["notes.txt", "a.lock", "x-0123.lease", ".hidden"] {
            std::fs::write(scratch.join(name), name).unwrap();
        }
        locks.sweep(1_000).unwrap();
        for name in ["notes.txt", "a.lock", "x-0123.lease", ".hidden", "backend.json"] {
            assert!(scratch.join(name).exists(), "{name}");
        }
    }
}

#[test]
fn what_killed_processes_left_in_the_making_goes() {
    let scratch = Scratch::new("leftovers");
    let locks = open(scratch.utf8_path(), crate::stage::LEASE);
    std::fs::create_dir(scratch.join("new-0123456789abcdef")).unwrap();
    std::fs::write(scratch.join("new-0123456789abcdef/0123456789abcdef.0000000000000000"), "").unwrap();
    std::fs::create_dir(scratch.join("old-0123456789abcde0")).unwrap();
    std::fs::write(scratch.join("probe-0123456789abcdef"), "").unwrap();
    std::fs::write(scratch.join("backend-0123456789abcdef"), "").unwrap();
    assert_eq!(locks.sweep(1_000).unwrap().leftovers, 4);
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 1, "only the record of the backend is left");
}

#[test]
fn sweeps_and_holders_at_the_same_time_lose_no_exclusion() {
    for backend in BOTH {
        let scratch = Scratch::new("raced");
        let inside = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..3)
                .map(|_| {
                    let (scratch, inside) = (&scratch, &inside);
                    // Each with a disk of its own, as three processes would.
                    let here = elsewhere(scratch, Options::new().backend(backend));
                    scope.spawn(move || {
                        for _ in 0..200 {
                            let guard = here.locks.acquire("a", Mode::Exclusive, &patient()).unwrap();
                            assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0, "two holders");
                            guard.check().unwrap();
                            inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        }
                    })
                })
                .collect();
            let sweeper = elsewhere(&scratch, Options::new().backend(backend));
            while !workers.iter().all(std::thread::ScopedJoinHandle::is_finished) {
                sweeper.locks.sweep(100).unwrap();
            }
        });
    }
}

#[test]
fn a_sweep_leaves_what_strangers_have_called_by_names_like_its_own() {
    for backend in BOTH {
        let scratch = Scratch::new("strangers");
        let locks = open(scratch.utf8_path(), backend);
        for folder in ["old-photos", "new-photos", "old-0123456789abcdeg"] {
            std::fs::create_dir(scratch.join(folder)).unwrap();
            std::fs::write(scratch.join(folder).join("cat.jpg"), b"x").unwrap();
        }
        for file in ["new-notes.txt", "probe-notes", "backend-notes"] {
            std::fs::write(scratch.join(file), b"x").unwrap();
        }
        assert_eq!(locks.sweep(1_000).unwrap().leftovers, 0);
        for path in [
            "old-photos/cat.jpg",
            "new-photos/cat.jpg",
            "old-0123456789abcdeg/cat.jpg",
            "new-notes.txt",
            "probe-notes",
            "backend-notes",
        ] {
            assert!(scratch.join(path).exists(), "{path}");
        }
    }
}
