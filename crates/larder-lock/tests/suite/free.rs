//! Waiting for the end of a lock without taking it.

use std::sync::mpsc;

use larder_lock::{Mode, Options, Wait, acquire};
use larder_testkit::{Operation, Scratch};

use crate::stage::{BOTH, SHORT, elsewhere, holder, open, patient};

#[test]
fn a_lock_that_was_never_taken_or_was_retired_is_free_and_no_file_is_made() {
    for backend in BOTH {
        let scratch = Scratch::new("free");
        let locks = open(scratch.utf8_path(), backend);
        let names = || std::fs::read_dir(scratch.utf8_path()).unwrap().count();
        let before = names();
        locks.wait_until_free("a", &Wait::none()).unwrap();
        locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap().retire().unwrap();
        locks.wait_until_free("a", &Wait::none()).unwrap();
        assert_eq!(names(), before);
    }
}

#[test]
fn a_held_lock_is_waited_for_up_to_the_bound_and_its_holder_named() {
    for backend in BOTH {
        let scratch = Scratch::new("free-held");
        let other = holder(&scratch, backend, "a");
        let locks = open(scratch.utf8_path(), backend);
        for wait in [Wait::none(), Wait::up_to(SHORT)] {
            let error = locks.wait_until_free("a", &wait).unwrap_err();
            assert!(error.is_contention(), "{error}");
            assert_eq!(error.holder().unwrap().pid, Some(other.pid()));
        }
    }
}

#[test]
fn the_death_of_the_holder_releases_all_who_wait_for_it_and_the_lock_stays_free() {
    for backend in BOTH {
        let scratch = Scratch::new("free-killed");
        let mut other = holder(&scratch, backend, "a");
        let everybody: Vec<_> = (0..8).map(|_| open(scratch.utf8_path(), backend)).collect();
        std::thread::scope(|scope| {
            for locks in &everybody {
                scope.spawn(|| locks.wait_until_free("a", &patient()).unwrap());
            }
            other.kill();
        });
        // nobody has taken it
        drop(everybody[0].acquire("a", Mode::Exclusive, &patient()).unwrap());
    }
}

#[test]
fn a_retired_lock_releases_those_who_wait_for_it() {
    for backend in BOTH {
        let scratch = Scratch::new("free-retired");
        let [here, there] = [(); 2].map(|()| open(scratch.utf8_path(), backend));
        let guard = here.acquire("a", Mode::Exclusive, &Wait::none()).unwrap();
        let (waiting, told) = mpsc::channel();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(move || {
                let told = crate::stage::OnStart(move || waiting.send(()).unwrap());
                there.wait_until_free("a", &patient().observed_by(std::sync::Arc::new(told)))
            });
            told.recv().unwrap();
            guard.retire().unwrap();
            waiter.join().unwrap().unwrap();
        });
    }
}

#[test]
fn a_look_does_not_take_those_of_its_own_process_who_stand_in_line_for_a_holder() {
    let scratch = Scratch::new("free-line");
    let locks = open(scratch.utf8_path(), BOTH[0]);
    let shared = locks.acquire("a", Mode::Shared, &Wait::none()).unwrap();
    let (waiting, told) = mpsc::channel();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let started = crate::stage::OnStart(move || waiting.send(()).unwrap());
            let wait = patient().observed_by(std::sync::Arc::new(started));
            drop(locks.acquire("a", Mode::Exclusive, &wait).unwrap());
        });
        told.recv().unwrap();
        let looked = locks.wait_until_free("a", &Wait::none());
        drop(shared);
        waiter.join().unwrap();
        looked.expect("nobody holds it exclusively");
    });
}

#[test]
fn waiting_for_the_end_of_a_lock_takes_and_writes_nothing() {
    let scratch = Scratch::new("free-calls");
    let here = elsewhere(&scratch, Options::new());
    drop(here.locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap());
    here.disk.reset();
    here.disk.record();
    here.locks.wait_until_free("a", &Wait::none()).unwrap();
    let calls: Vec<_> = here.disk.calls().iter().map(|call| call.operation).collect();
    assert_eq!(calls, [Operation::Open, Operation::TryLock, Operation::Unlock, Operation::Close]);
}

#[test]
fn a_lent_lock_outlives_its_killed_holder_until_the_borrower_ends_and_no_holder_that_lets_go() {
    let scratch = Scratch::new("lent");
    let locks = open(scratch.utf8_path(), BOTH[0]);
    let guard = locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap();
    let lent = guard.lend().unwrap().unwrap();
    let mut borrower = std::process::Command::new("sleep").arg("600").stdin(lent).spawn().unwrap();
    drop(guard);
    let free = open(scratch.utf8_path(), BOTH[0]).wait_until_free("a", &Wait::none());
    borrower.kill().unwrap();
    borrower.wait().unwrap();
    free.unwrap();

    let mut lender = crate::stage::spawn(&scratch, "lend", BOTH[0], "b", Mode::Exclusive);
    lender.wait_for_line("lent");
    lender.kill();
    let held = locks.wait_until_free("b", &Wait::up_to(SHORT)).unwrap_err();
    assert!(matches!(held, acquire::Error::TimedOut { .. }), "{held}");
    std::fs::write(scratch.utf8_path().join("end"), "").unwrap();
    locks.wait_until_free("b", &patient()).unwrap();
}
