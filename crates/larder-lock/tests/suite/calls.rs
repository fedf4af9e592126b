//! Exactly which system calls a lock costs.

use larder_lock::{Mode, Options, Wait};
use larder_testkit::{Operation, Scratch};

use crate::stage::{SHORT, elsewhere, holder, patient};

fn calls(options: Options, wait: &Wait, warm: bool) -> (Vec<Operation>, Vec<Operation>) {
    let scratch = Scratch::new("calls");
    let here = elsewhere(&scratch, options);
    if warm {
        drop(here.locks.acquire("a", Mode::Exclusive, wait).unwrap());
    }
    here.disk.reset();
    here.disk.record();
    let guard = here.locks.acquire("a", Mode::Exclusive, wait).unwrap();
    let taking: Vec<_> = here.disk.calls().iter().map(|call| call.operation).collect();
    drop(guard);
    let all = here.disk.calls().iter().map(|call| call.operation).collect::<Vec<_>>();
    let releasing = all[taking.len()..].to_vec();
    (taking, releasing)
}

#[test]
fn a_plain_lock_costs_an_open_a_lock_a_look_an_unlock_and_a_close() {
    for wait in [Wait::none(), patient(), Wait::forever()] {
        let (taking, releasing) = calls(Options::new().record_holder(false), &wait, false);
        assert_eq!(taking, [Operation::Open, Operation::TryLock, Operation::Metadata]);
        assert_eq!(releasing, [Operation::Unlock, Operation::Close]);
    }
}

#[test]
fn a_recorded_holder_costs_one_write_more() {
    let (taking, releasing) = calls(Options::new(), &Wait::none(), false);
    assert_eq!(taking, [Operation::Open, Operation::TryLock, Operation::Metadata, Operation::WriteAt]);
    assert_eq!(releasing, [Operation::Unlock, Operation::Close]);
}

#[test]
fn a_kept_descriptor_costs_no_open_and_no_close() {
    let (taking, releasing) = calls(Options::new().record_holder(false).kept_descriptors(4), &Wait::none(), true);
    assert_eq!(taking, [Operation::TryLock, Operation::Metadata]);
    assert_eq!(releasing, [Operation::Unlock]);
}

#[test]
fn descriptors_beyond_those_kept_are_closed() {
    let scratch = Scratch::new("kept");
    let here = elsewhere(&scratch, Options::new().kept_descriptors(2));
    for name in ["a", "b", "c", "d", "e"] {
        drop(here.locks.acquire(name, Mode::Exclusive, &Wait::none()).unwrap());
    }
    assert_eq!((here.disk.count_of(Operation::Open), here.disk.count_of(Operation::Close)), (5, 3));
}

#[test]
fn a_kept_descriptor_of_a_file_that_was_removed_is_not_used() {
    let scratch = Scratch::new("kept-removed");
    let here = elsewhere(&scratch, Options::new().kept_descriptors(2));
    drop(here.locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap());
    std::fs::remove_file(scratch.join(larder_lock::file_name("a").unwrap())).unwrap();
    let guard = here.locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap();
    guard.check().unwrap();
}

#[test]
fn a_waiter_makes_no_calls_while_it_waits() {
    let scratch = Scratch::new("idle");
    let _other = holder(&scratch, crate::stage::BOTH[0], "a");
    let counts = [SHORT, SHORT * 20].map(|bound| {
        let here = elsewhere(&scratch, Options::new().record_holder(false));
        here.locks.acquire("a", Mode::Exclusive, &Wait::up_to(bound)).unwrap_err();
        here.disk.count()
    });
    assert_eq!(counts[0], counts[1], "a wait twenty times as long makes as many calls");
}

#[test]
fn a_lent_descriptor_is_not_used_for_the_next_lock() {
    let scratch = Scratch::new("lent-kept");
    let here = elsewhere(&scratch, Options::new().kept_descriptors(2));
    let guard = here.locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap();
    let _lent = guard.lend().unwrap();
    drop(guard);
    drop(here.locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap());
    assert_eq!(here.disk.count_of(Operation::Open), 2);
}
