//! Every wait has its bound, its cancellation and its listener.

use std::sync::Arc;
use std::time::Duration;

use larder_lock::{Bound, Cancellation, Origin, Wait};
use larder_testkit::{Scratch, VirtualClock};
use larder_upstream::{Terms, begin};

use crate::shared::{Ear, LONG, begin, by, flights, lead, led};

#[test]
fn a_caller_that_does_not_wait_is_told_at_once_who_leads() {
    let scratch = Scratch::new("busy");
    let flight = lead(&flights(&scratch), "docs/a");
    let wait = Wait::none().from(Origin::Flag("--lock-timeout".to_owned()));
    let error = begin(&flights(&scratch), "docs/a", &Terms::new().wait(wait)).unwrap_err();
    assert!(matches!(error, begin::Error::Busy { .. }), "{error}");
    assert_eq!(error.holder().unwrap().pid, Some(std::process::id()));
    assert!(error.to_string().contains("as set by flag --lock-timeout"), "{error}");
    drop(flight);
    drop(led(begin(&flights(&scratch), "docs/a", &Terms::new().wait(Wait::none()))));
}

#[test]
fn a_bound_ends_a_wait_of_several_pieces_and_names_the_leader() {
    let scratch = Scratch::new("bound");
    let _flight = lead(&flights(&scratch), "docs/a");
    // the clock stands still: only what the wait itself has slept can end it
    let flights = by(Arc::new(VirtualClock::new()), &scratch);
    let wait = Wait::up_to(Duration::from_millis(1_100));
    let error = begin(&flights, "docs/a", &Terms::new().wait(wait)).unwrap_err();
    let begin::Error::TimedOut { waited, bound, holder, .. } = &error else { panic!("{error}") };
    assert_eq!((*waited, *bound), (Duration::from_millis(1_100), Bound::UpTo(Duration::from_millis(1_100))));
    assert_eq!(holder.pid, Some(std::process::id()));
}

#[test]
fn a_cancellation_ends_a_wait_and_nobody_elses_flight() {
    let scratch = Scratch::new("cancel");
    let flight = lead(&flights(&scratch), "docs/a");
    let (ear, heard) = Ear::new();
    let cancellation = Cancellation::new();
    let wait = Wait::until_cancelled(&cancellation).observed_by(ear);
    let waiting = flights(&scratch);
    let thread = std::thread::spawn(move || begin(&waiting, "docs/a", &Terms::new().wait(wait)));
    let pid = std::process::id();
    assert_eq!(heard.recv_timeout(LONG).unwrap(), format!("started docs/a {pid}"));
    cancellation.cancel();
    let error = thread.join().unwrap().unwrap_err();
    assert!(matches!(error, begin::Error::Cancelled { .. }), "{error}");
    assert_eq!(heard.recv_timeout(LONG).unwrap(), "cancelled docs/a");
    let other = crate::shared::Waiter::for_flight(&flights(&scratch), "docs/a", crate::shared::long());
    flight.alone();
    assert!(matches!(other.end(), Ok(larder_upstream::Turn::Alone { .. })));
}

#[test]
fn a_caller_that_is_cancelled_already_begins_nothing() {
    let scratch = Scratch::new("cancelled");
    let cancellation = Cancellation::new();
    cancellation.cancel();
    let terms = Terms::new().wait(Wait::until_cancelled(&cancellation));
    assert!(matches!(begin(&flights(&scratch), "docs/a", &terms), Err(begin::Error::Cancelled { .. })));
    assert_eq!(crate::shared::names(scratch.path()), Vec::<String>::new());
}

#[test]
fn a_listener_hears_one_wait_for_the_key_and_its_leader() {
    let scratch = Scratch::new("listener");
    let flight = lead(&flights(&scratch), "docs/a");
    let (ear, heard) = Ear::new();
    let wait = Wait::up_to(LONG).observed_by(ear);
    let waiting = flights(&scratch);
    let thread = std::thread::spawn(move || begin(&waiting, "docs/a", &Terms::new().wait(wait)));
    let pid = std::process::id();
    assert_eq!(heard.recv_timeout(LONG).unwrap(), format!("started docs/a {pid}"));
    flight.alone();
    assert!(thread.join().unwrap().is_ok());
    assert_eq!(heard.iter().collect::<Vec<_>>(), ["acquired docs/a"]);
}
