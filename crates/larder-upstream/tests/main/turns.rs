//! One flight at a time, in one process: who leads, who finds, and what goes where.

use std::sync::Arc;

use larder_storage::Metadata;
use larder_system::SystemDisk;
use larder_testkit::{Action, FaultDisk, Gate, Operation, Scratch};
use larder_upstream::{Class, Failure, Turn};

use crate::shared::{Waiter, assert_swept, begin, fetch, flights, found, lead, led, long, names, on, put};

#[test]
fn whoever_comes_first_leads_and_the_others_find_what_it_stored() {
    let scratch = Scratch::new("turns");
    let flights = flights(&scratch);
    let flight = lead(&flights, "docs/a");
    let waiters: Vec<Waiter> = (0..4).map(|_| Waiter::for_flight(&flights, "docs/a", long())).collect();
    assert!(put(&flights, &flight, b"whole"));
    flight.land();
    for waiter in waiters {
        let Ok(Turn::Found { found, waited }) = waiter.end() else { panic!("not found") };
        assert_eq!((found.as_slice(), waited.flights), (&b"whole"[..], 1));
        assert_eq!(waited.holder.unwrap().pid, Some(std::process::id()));
    }
    assert_swept(&scratch, &flights);
}

#[test]
fn a_flight_that_has_landed_leaves_nothing_behind() {
    let scratch = Scratch::new("nothing");
    let flights = flights(&scratch);
    let flight = lead(&flights, "docs/a");
    let _ = flight.lend().unwrap();
    flight.land();
    assert_eq!(names(scratch.join("flights")), Vec::<String>::new());
    assert!(!names(scratch.join("locks")).iter().any(|name| name.contains("flights")));
}

#[test]
fn whoever_wins_looks_once_more_before_it_fetches() {
    let scratch = Scratch::new("recheck");
    let flights = flights(&scratch);
    fetch(&flights, "docs/a", b"already");
    assert_eq!(found(begin(&flights, "docs/a", &long())), b"already");
    assert_eq!(names(scratch.join("flights")), Vec::<String>::new());
}

#[test]
fn a_document_that_was_not_stored_is_carried_to_those_who_waited_and_to_nobody_else() {
    let scratch = Scratch::new("carried");
    let flights = flights(&scratch);
    let flight = lead(&flights, "docs/a");
    let waiter = Waiter::for_flight(&flights, "docs/a", long());
    let metadata = Metadata::new().with_attributes("terms").unwrap();
    let token = flight.token();
    flight.carry(b"in passing", &metadata);
    let Ok(Turn::Carried { document, .. }) = waiter.end() else { panic!("not carried") };
    assert_eq!((document.body.as_slice(), &document.metadata, document.token), (&b"in passing"[..], &metadata, token));
    led(begin(&flights, "docs/a", &long())).land();
}

#[test]
fn a_document_too_large_to_carry_sends_those_who_waited_on_their_own_way() {
    let scratch = Scratch::new("large");
    let store = larder_storage::Options::new().body_bytes_max(8).open(scratch.utf8_path()).unwrap();
    let flights = larder_upstream::Flights::new(Arc::new(store));
    let flight = lead(&flights, "docs/a");
    // whose own limit is no hindrance
    let waiter = Waiter::for_flight(&crate::shared::flights(&scratch), "docs/a", long());
    flight.carry(b"nine byte", &Metadata::new());
    assert!(matches!(waiter.end(), Ok(Turn::Alone { .. })));
}

#[test]
fn a_document_larger_than_a_waiters_limit_sends_it_on_its_own_way() {
    let scratch = Scratch::new("smaller");
    let flight = lead(&flights(&scratch), "docs/a");
    let store = larder_storage::Options::new().body_bytes_max(8).open(scratch.utf8_path()).unwrap();
    let small = larder_upstream::Flights::new(Arc::new(store));
    let waiter = Waiter::for_flight(&small, "docs/a", long());
    flight.carry(b"nine byte", &Metadata::new());
    assert!(matches!(waiter.end(), Ok(Turn::Alone { .. })));
}

#[test]
fn an_answer_that_may_not_be_shared_makes_each_caller_fetch_for_itself() {
    let scratch = Scratch::new("alone");
    let flights = flights(&scratch);
    let flight = lead(&flights, "docs/a");
    let waiters: Vec<Waiter> = (0..3).map(|_| Waiter::for_flight(&flights, "docs/a", long())).collect();
    flight.alone();
    for waiter in waiters {
        assert!(matches!(waiter.end(), Ok(Turn::Alone { .. })));
    }
}

#[test]
fn an_abandoned_flight_elects_exactly_one_of_those_who_waited() {
    let scratch = Scratch::new("abandoned");
    let flights = flights(&scratch);
    let flight = lead(&flights, "docs/a");
    let waiters: Vec<Waiter> = (0..4).map(|_| Waiter::for_flight(&flights, "docs/a", long())).collect();
    drop(flight);
    let mut leads = 0;
    // whoever is not elected waits for the one who is, and that one is in this list too: it must land first
    let (sender, ended) = std::sync::mpsc::channel();
    for waiter in waiters {
        let sender = sender.clone();
        std::thread::spawn(move || sender.send(Box::new(waiter.end())));
    }
    for _ in 0..4 {
        match *ended.recv().unwrap() {
            Ok(Turn::Lead(flight)) => {
                leads += 1;
                assert!(put(&flights, &flight, b"second"));
                flight.land();
            }
            Ok(Turn::Found { found, .. }) => assert_eq!(found, b"second"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(leads, 1);
}

#[test]
fn a_leader_that_panics_abandons_its_flight() {
    let scratch = Scratch::new("panic");
    let flights = flights(&scratch);
    let flight = lead(&flights, "docs/a");
    let waiter = Waiter::for_flight(&flights, "docs/a", long());
    let panicked = std::thread::spawn(move || {
        let _flight = flight;
        panic!("as planned");
    });
    assert!(panicked.join().is_err());
    led(waiter.end()).land();
}

#[test]
fn flights_for_different_keys_do_not_meet() {
    let scratch = Scratch::new("keys");
    let flights = flights(&scratch);
    let one = lead(&flights, "id/1");
    let other = lead(&flights, "id/10");
    one.land();
    other.land();
}

#[test]
fn what_is_under_way_is_listed_with_its_leader() {
    let scratch = Scratch::new("listed");
    let flights = flights(&scratch);
    assert_eq!(flights.under_way().unwrap(), []);
    assert_eq!(names(scratch.path()), Vec::<String>::new(), "looking makes nothing");
    let flight = lead(&flights, "docs/a");
    let listed = crate::shared::flights(&scratch).under_way().unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (listed[0].key.as_str(), listed[0].holder.pid, listed[0].alive),
        ("docs/a", Some(std::process::id()), Some(true))
    );
    assert!(listed[0].holder.since.is_some() && listed[0].holder.host.is_some());
    flight.land();
    assert_eq!(flights.under_way().unwrap(), []);
}

#[test]
fn a_sweep_leaves_a_flight_under_way_alone() {
    let scratch = Scratch::new("alive");
    let flights = flights(&scratch);
    let flight = lead(&flights, "docs/a");
    let swept = crate::shared::flights(&scratch).sweep(10).unwrap();
    assert_eq!((swept.removed, swept.kept), (0, 1));
    let waiter = Waiter::for_flight(&flights, "docs/a", long());
    assert!(put(&flights, &flight, b"whole"));
    flight.land();
    assert_eq!(found(waiter.end()), b"whole");
}

#[test]
fn a_sweep_looks_at_no_more_files_than_it_may() {
    let scratch = Scratch::new("bound");
    let flights = flights(&scratch);
    for at in 0..5 {
        lead(&flights, &format!("docs/{at}"))
            .fail(&Failure::new(Class::Absent, "gone"), Some(std::time::Duration::from_millis(1)));
    }
    let swept = flights.sweep(2).unwrap();
    assert_eq!((swept.looked_at, swept.left), (2, 3));
}

#[test]
fn a_read_only_store_leads_nothing_and_says_why() {
    let scratch = Scratch::new("read-only");
    fetch(&flights(&scratch), "docs/a", b"x");
    let flight = lead(&flights(&scratch), "docs/b");
    let store = larder_storage::Options::new().read_only().open(scratch.utf8_path()).unwrap();
    let flights = larder_upstream::Flights::new(Arc::new(store));
    let error = begin(&flights, "docs/b", &long()).unwrap_err();
    assert!(!error.is_contention() && error.to_string().contains("for reading only"), "{error}");
    assert_eq!(flights.under_way().unwrap()[0].alive, None);
    flight.land();
}

#[test]
fn a_newcomer_between_the_outcome_and_the_end_of_a_flight_does_not_take_it() {
    let scratch = Scratch::new("between");
    let disk = FaultDisk::over(Arc::new(SystemDisk::new()));
    let ending = on(Arc::new(disk.clone()), &scratch);
    let flight = lead(&ending, "docs/a");
    let earlier = Waiter::for_flight(&flights(&scratch), "docs/a", long());
    let gate = Gate::new();
    let held = Arc::clone(&gate);
    disk.before(move |call| match (call.operation, &call.path) {
        (Operation::RemoveFile, Some(path)) if path.parent().is_some_and(|folder| folder.ends_with("flights")) => {
            Action::Hold(Arc::clone(&held))
        }
        _ => Action::Proceed,
    });
    let failure = Failure::new(Class::Absent, "gone");
    let ends = std::thread::spawn(move || flight.fail(&failure, None));
    gate.wait_until_held(1);
    let later = Waiter::for_flight(&flights(&scratch), "docs/a", long());
    gate.open();
    ends.join().unwrap();
    assert!(matches!(earlier.end(), Ok(Turn::Failed { remembered: false, .. })));
    led(later.end()).land();
}

#[test]
fn a_flight_may_be_sent_to_another_thread() {
    fn is_send<T: Send + Sync>() {}
    is_send::<larder_upstream::Flight>();
    is_send::<larder_upstream::Flights>();
}
