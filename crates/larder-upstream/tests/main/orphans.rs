//! A killed leader's command that lives on is waited for, within bounds.
#![expect(clippy::disallowed_methods, reason = "the tests write to a pipe")]

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use larder_lock::Wait;
use larder_testkit::{Child, Scratch};
use larder_upstream::Terms;

use crate::shared::{LONG, Waiter, assert_swept, begin, flights, lead, led, long};

/// A leader killed while its command lives, which ends when the pipe is written to.
fn orphan(scratch: &Scratch) -> PathBuf {
    drop(lead(&flights(scratch), "docs/warm"));
    let pipe = scratch.join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let args = [("root", scratch.utf8_path().as_str()), ("key", "docs/a"), ("pipe", pipe.to_str().unwrap())];
    let mut leader = Child::spawn("command", &args);
    leader.wait_for_line("leading");
    leader.kill();
    pipe
}

/// Lets the orphan end: opening waits until it reads, and it ends at the end of the file.
fn release(pipe: &PathBuf) {
    drop(std::fs::OpenOptions::new().write(true).open(pipe).unwrap());
}

#[test]
fn the_successor_of_a_killed_leader_waits_until_its_command_has_ended() {
    let scratch = Scratch::new("orphan");
    let pipe = orphan(&scratch);
    let flights = flights(&scratch);
    let waiter = Waiter::for_flight(&flights, "docs/a", long().orphan_wait(LONG));
    let released = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&released);
    let judge = std::thread::spawn(move || {
        let flight = led(waiter.end());
        (seen.load(Ordering::SeqCst), flight)
    });
    released.store(true, Ordering::SeqCst);
    release(&pipe);
    let (after, flight) = judge.join().unwrap();
    assert!(after, "it led while the command lived");
    flight.land();
    assert_swept(&scratch, &flights);
}

#[test]
fn a_sweep_keeps_what_tells_of_a_living_orphan() {
    let scratch = Scratch::new("kept");
    let pipe = orphan(&scratch);
    let flights = flights(&scratch);
    assert_eq!(flights.sweep(10).unwrap().kept, 1);
    let waiter = Waiter::for_flight(&flights, "docs/a", long().orphan_wait(LONG));
    release(&pipe);
    drop(led(waiter.end()));
}

#[test]
fn an_orphan_is_waited_for_no_longer_than_the_terms_say() {
    let scratch = Scratch::new("orphans");
    let pipe = orphan(&scratch);
    let flights = flights(&scratch);
    let flight = led(begin(&flights, "docs/a", &long().orphan_wait(Duration::from_millis(30))));
    let waited = flight.waited().duration;
    assert!((Duration::from_millis(30)..LONG / 2).contains(&waited), "{waited:?}");
    flight.land();
    release(&pipe);
}

#[test]
fn a_caller_whose_own_wait_is_shorter_leaves_the_orphan_alone() {
    let scratch = Scratch::new("impatient");
    let pipe = orphan(&scratch);
    for wait in [Wait::none(), Wait::up_to(Duration::from_millis(30))] {
        let error = begin(&flights(&scratch), "docs/a", &Terms::new().wait(wait).orphan_wait(LONG)).unwrap_err();
        assert!(error.is_contention(), "{error}");
    }
    release(&pipe);
    drop(led(begin(&flights(&scratch), "docs/a", &long().orphan_wait(LONG))));
}

#[test]
fn a_caller_that_waits_for_nothing_at_all_does_not_ask_for_orphans() {
    let scratch = Scratch::new("reckless");
    let pipe = orphan(&scratch);
    let terms = Terms::new().wait(Wait::none()).orphan_wait(Duration::ZERO);
    drop(led(begin(&flights(&scratch), "docs/a", &terms)));
    release(&pipe);
}

#[test]
fn a_leader_that_ends_its_flight_leaves_no_orphan() {
    let scratch = Scratch::new("ended");
    let flights = flights(&scratch);
    let flight = lead(&flights, "docs/a");
    // as a command would have it that goes on after its output was taken
    let _lent = flight.lend().unwrap().unwrap();
    drop(flight);
    led(begin(&flights, "docs/a", &long().orphan_wait(LONG))).land();
}

#[test]
fn what_is_lent_reads_as_empty() {
    use std::io::Read as _;
    let scratch = Scratch::new("empty");
    let flight = lead(&flights(&scratch), "docs/a");
    let mut read = Vec::new();
    flight.lend().unwrap().unwrap().read_to_end(&mut read).unwrap();
    assert_eq!(read, b"");
}
