//! What only leases do: heartbeats, tokens, takeovers.

use std::sync::Arc;
use std::time::Duration;

use larder_lock::{Backend, Mode, Options, Wait, acquire, check};
use larder_system::Clock as _;
use larder_testkit::{Action, Gate, Operation, Scratch, VirtualClock, errno};

use crate::stage::{LEASE, SHORT, elsewhere, elsewhere_at, holder, open, patient};

const LENGTH: Duration = Duration::from_secs(10);

fn on(clock: &Arc<VirtualClock>, scratch: &Scratch) -> crate::stage::Elsewhere {
    elsewhere_at(scratch, Options::new().backend(Backend::Lease { length: LENGTH }), Arc::<VirtualClock>::clone(clock))
}

#[test]
fn each_holder_has_a_greater_token_than_the_one_before() {
    let scratch = Scratch::new("tokens");
    let locks = open(scratch.utf8_path(), LEASE);
    let tokens: Vec<_> =
        (0..5).map(|_| locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap().token().unwrap()).collect();
    assert_eq!(tokens, [1, 2, 3, 4, 5]);
}

#[test]
fn an_advisory_lock_has_no_token() {
    let scratch = Scratch::new("no-token");
    let locks = open(scratch.utf8_path(), Backend::Advisory);
    assert_eq!(locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap().token(), None);
}

#[test]
fn a_frozen_holder_loses_its_lease_and_finds_out_when_it_wakes() {
    let scratch = Scratch::new("fenced");
    let mut frozen = holder(&scratch, LEASE, "a");
    frozen.send_line("token");
    frozen.wait_for_line("1");
    frozen.stop();
    let locks = open(scratch.utf8_path(), LEASE);
    let guard = locks.acquire("a", Mode::Exclusive, &patient()).unwrap();
    assert_eq!(guard.token(), Some(2));
    frozen.resume();
    frozen.send_line("check");
    frozen.wait_for_line("the lease on lock `a` (token 1) was taken over; start over");
    // Its late release and heartbeats are of an old token, and take nothing from the new holder.
    frozen.send_line("release");
    frozen.wait_for_line("released");
    guard.check().unwrap();
    let other = elsewhere(&scratch, Options::new().backend(LEASE));
    other.locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap_err();
}

#[test]
fn a_holder_that_lives_keeps_its_lease_for_many_times_its_length() {
    let scratch = Scratch::new("alive");
    let mut other = holder(&scratch, LEASE, "a");
    let locks = open(scratch.utf8_path(), LEASE);
    let error = locks.acquire("a", Mode::Exclusive, &Wait::up_to(Duration::from_millis(1_500))).unwrap_err();
    assert!(matches!(error, acquire::Error::TimedOut { .. }), "{error}");
    other.send_line("check");
    other.wait_for_line("fine");
}

#[test]
fn a_silent_lease_of_another_boot_is_taken_only_after_its_length_was_watched() {
    let scratch = Scratch::new("watched");
    // Two machines with clocks of their own; the first one's stops, and its heart with it.
    let (clock, theirs) = (Arc::new(VirtualClock::new()), Arc::new(VirtualClock::new()));
    theirs.set_boot(Some(larder_system::Boot::from_number(77)));
    let (here, there) = (on(&clock, &scratch), on(&theirs, &scratch));
    let guard = there.locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap();
    here.locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap_err();
    clock.advance(LENGTH);
    here.locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap_err();
    clock.advance(Duration::from_millis(1));
    let second = here.locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap();
    assert_eq!(second.token(), Some(2));
    assert!(matches!(guard.check(), Err(check::Error::Lost { token: 1, .. })));
    second.check().unwrap();
}

#[test]
fn a_wall_clock_that_jumps_takes_no_lease() {
    let scratch = Scratch::new("jump");
    let (clock, theirs) = (Arc::new(VirtualClock::new()), Arc::new(VirtualClock::new()));
    let (here, there) = (on(&clock, &scratch), on(&theirs, &scratch));
    let _guard = there.locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap();
    here.locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap_err();
    clock.set_wall(clock.wall() + Duration::from_secs(1_000_000_000));
    here.locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap_err();
}

#[test]
fn a_lease_without_a_heartbeat_for_its_length_has_expired_even_if_nobody_took_it() {
    let scratch = Scratch::new("expired");
    let clock = Arc::new(VirtualClock::new());
    let here = on(&clock, &scratch);
    let guard = here.locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap();
    guard.check().unwrap();
    clock.advance(LENGTH);
    assert!(matches!(guard.check(), Err(check::Error::Expired { .. })));
}

#[test]
fn a_heartbeat_that_cannot_be_written_lets_the_lease_expire() {
    let scratch = Scratch::new("mute");
    let length = Duration::from_millis(60);
    let here = elsewhere(&scratch, Options::new().backend(Backend::Lease { length }));
    let guard = here.locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap();
    here.disk.fail_operation(Operation::WriteAt, errno::EIO, u64::MAX);
    let error = loop {
        match guard.check() {
            Ok(()) => std::thread::yield_now(),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, check::Error::Expired { .. }), "{error}");
}

#[test]
fn of_many_that_see_a_dead_lease_one_takes_it() {
    let scratch = Scratch::new("one-successor");
    for round in 0..20 {
        let mut dead = holder(&scratch, LEASE, "a");
        dead.kill();
        let won: u32 = std::thread::scope(|scope| {
            let takers: Vec<_> = (0..4)
                .map(|_| {
                    let there = elsewhere(&scratch, Options::new().backend(LEASE));
                    scope.spawn(move || {
                        let guard = there.locks.acquire("a", Mode::Exclusive, &Wait::none());
                        // Kept until all have tried.
                        (guard.is_ok(), guard)
                    })
                })
                .collect();
            let guards: Vec<_> = takers.into_iter().map(|taker| taker.join().unwrap()).collect();
            guards.iter().map(|(won, _)| u32::from(*won)).sum()
        });
        assert_eq!(won, 1, "round {round}");
    }
}

#[test]
fn a_taker_frozen_before_its_move_does_not_take_what_another_has_taken() {
    let scratch = Scratch::new("late-taker");
    let gate = Gate::new();
    let frozen = elsewhere(&scratch, Options::new().backend(LEASE));
    drop(frozen.locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap());
    let held = Arc::clone(&gate);
    frozen.disk.before(move |call| match call.operation {
        Operation::Rename => Action::Hold(Arc::clone(&held)),
        _ => Action::Proceed,
    });
    let here = elsewhere(&scratch, Options::new().backend(LEASE));
    std::thread::scope(|scope| {
        let late = scope.spawn(|| frozen.locks.acquire("a", Mode::Exclusive, &Wait::none()).map(drop));
        gate.wait_until_held(1);
        let guard = here.locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap();
        gate.open();
        assert!(matches!(late.join().unwrap(), Err(acquire::Error::Busy { .. })));
        guard.check().unwrap();
    });
}

#[test]
fn a_maker_frozen_before_its_move_does_not_begin_a_lease_anew() {
    let scratch = Scratch::new("late-maker");
    let gate = Gate::new();
    let frozen = elsewhere(&scratch, Options::new().backend(LEASE));
    let held = Arc::clone(&gate);
    frozen.disk.before(move |call| match call.operation {
        Operation::Rename => Action::Hold(Arc::clone(&held)),
        _ => Action::Proceed,
    });
    let here = elsewhere(&scratch, Options::new().backend(LEASE));
    std::thread::scope(|scope| {
        let late = scope.spawn(|| frozen.locks.acquire("a", Mode::Exclusive, &Wait::none()).map(drop));
        gate.wait_until_held(1);
        let guard = here.locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap();
        gate.open();
        assert!(matches!(late.join().unwrap(), Err(acquire::Error::Busy { .. })));
        guard.check().unwrap();
    });
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 1, "the folder of the late one is gone");
}

#[test]
fn a_retirer_frozen_before_its_removal_does_not_remove_its_successor() {
    let scratch = Scratch::new("late-retirer");
    let (clock, theirs) = (Arc::new(VirtualClock::new()), Arc::new(VirtualClock::new()));
    theirs.set_boot(Some(larder_system::Boot::from_number(77)));
    let (here, frozen) = (on(&clock, &scratch), on(&theirs, &scratch));
    let guard = frozen.locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap();
    let gate = Gate::new();
    let held = Arc::clone(&gate);
    frozen.disk.before(move |call| match call.operation {
        Operation::RemoveFile => Action::Hold(Arc::clone(&held)),
        _ => Action::Proceed,
    });
    std::thread::scope(|scope| {
        let late = scope.spawn(|| guard.retire().is_ok());
        gate.wait_until_held(1);
        here.locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap_err();
        clock.advance(LENGTH + SHORT);
        let second = here.locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap();
        gate.open();
        late.join().unwrap();
        second.check().unwrap();
    });
}

#[test]
fn garbage_in_a_lease_file_is_a_holder_without_a_name_that_expires() {
    let scratch = Scratch::new("lease-garbage");
    let clock = Arc::new(VirtualClock::new());
    let here = on(&clock, &scratch);
    drop(here.locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap());
    let folder = std::fs::read_dir(scratch.path()).unwrap().next().unwrap().unwrap().path();
    let file = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    std::fs::write(file, "{}").unwrap();
    let error = here.locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap_err();
    assert_eq!(error.holder().unwrap().pid, None);
    clock.advance(LENGTH + SHORT);
    drop(here.locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap());
}

#[test]
fn files_of_the_two_backends_never_meet() {
    let scratch = Scratch::new("apart");
    let advisory = elsewhere(&scratch, Options::new());
    let lease = elsewhere(&scratch, Options::new().backend(LEASE));
    let _one = advisory.locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap();
    let _two = lease.locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap();
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 2);
}

#[test]
fn every_call_of_an_acquisition_may_fail_without_leaving_the_lease_stuck() {
    for index in 0..40 {
        let scratch = Scratch::new("each-call");
        let clock = Arc::new(VirtualClock::new());
        let here = on(&clock, &scratch);
        here.disk.fail_at(index, errno::EIO);
        let first = here.locks.acquire("a", Mode::Exclusive, &Wait::none());
        let calls = here.disk.count();
        here.disk.heal();
        drop(first);
        // A lease that was taken but not named is watched once, then expires.
        let _ = here.locks.acquire("a", Mode::Exclusive, &Wait::none());
        clock.advance(LENGTH + SHORT);
        drop(here.locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap());
        if index > calls {
            return;
        }
    }
    panic!("an acquisition of more than 40 calls");
}

#[test]
fn a_release_between_the_first_two_looks_of_a_waiter_is_noticed() {
    let scratch = Scratch::new("two-looks");
    // a waiter that misses it waits for the whole length, beyond its own bound
    let long = Options::new().backend(Backend::Lease { length: Duration::from_secs(60) });
    let (here, there) = (elsewhere(&scratch, long.clone()), elsewhere(&scratch, long));
    let guard = std::sync::Mutex::new(Some(there.locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap()));
    let looks = std::sync::atomic::AtomicU32::new(0);
    here.disk.before(move |call| {
        if call.operation == Operation::ReadAt && looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 1 {
            drop(guard.lock().unwrap().take());
        }
        Action::Proceed
    });
    drop(here.locks.acquire("a", Mode::Exclusive, &Wait::up_to(Duration::from_secs(20))).unwrap());
}

#[test]
fn a_retirement_that_fails_leaves_a_lease_that_is_kept_alive() {
    let scratch = Scratch::new("retire-fails");
    let here = elsewhere(&scratch, Options::new().backend(Backend::Lease { length: Duration::from_secs(6) }));
    let guard = here.locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap();
    here.disk.fail_operation(Operation::RemoveFile, errno::EIO, 1);
    let Err(larder_lock::retire::Error::Io { guard, .. }) = guard.retire() else { panic!("a disk that fails") };
    let beats = || here.disk.count_of(Operation::WriteAt);
    let before = beats();
    // another sign of life: the heart has not been stopped; if it has, the lease expires instead
    while beats() == before {
        guard.check().unwrap();
        std::thread::yield_now();
    }
    guard.check().unwrap();
}
