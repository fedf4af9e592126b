//! A flight that was met is waited for later, perhaps in another thread.

use larder_storage::{Durability, Put};
use larder_testkit::Scratch;
use larder_upstream::{Begun, Class, Failure, Flights, Met, Turn};

use crate::shared::{Ended, begin, fetch, flights, found, key, lead, led, long, look, put};

fn begin_at_once(flights: &Flights, name: &str) -> Begun<Vec<u8>> {
    let key = key(name);
    flights.begin_at_once(&key, &long(), || look(flights.store(), &key)).unwrap()
}

fn meet(flights: &Flights, name: &str) -> Met {
    match begin_at_once(flights, name) {
        Begun::Met(met) => met,
        Begun::Turn(turn) => panic!("nobody was met: {turn:?}"),
    }
}

fn wait(met: Met, flights: &Flights, name: &str) -> Ended {
    let key = key(name);
    met.wait(flights, &long(), || look(flights.store(), &key))
}

#[test]
fn a_failure_between_the_meeting_and_the_wait_reaches_whoever_met_the_flight() {
    let scratch = Scratch::new("met-failure");
    let flight = lead(&flights(&scratch), "docs/a");
    let others = flights(&scratch);
    let met = meet(&others, "docs/a");
    assert_eq!(met.holder().pid, Some(std::process::id()));
    flight.fail(&Failure::new(Class::Unavailable, "overloaded"), None);
    // whoever comes now finds nothing of it
    let next = lead(&flights(&scratch), "docs/a");
    match wait(met, &others, "docs/a") {
        Ok(Turn::Failed { failure, waited, remembered: false }) => {
            assert_eq!((failure.message.as_str(), waited.flights), ("overloaded", 1));
        }
        other => panic!("{other:?}"),
    }
    next.land();
}

#[test]
fn a_flight_that_was_met_and_still_flies_is_met_again_and_then_has_its_answer() {
    let scratch = Scratch::new("met-again");
    let ours = flights(&scratch);
    let flight = lead(&ours, "docs/a");
    let others = flights(&scratch);
    let again = |met: Met| {
        let key = key("docs/a");
        met.at_once(&others, &long(), || look(others.store(), &key)).unwrap()
    };
    let Begun::Met(met) = again(meet(&others, "docs/a")) else { panic!("it still flies") };
    assert!(put(&ours, &flight, b"whole"));
    flight.land();
    let Begun::Turn(turn) = again(met) else { panic!("it is over") };
    assert_eq!(found(Ok(turn)), b"whole");
}

#[test]
fn a_flight_that_was_met_and_abandoned_has_a_successor() {
    let scratch = Scratch::new("met-abandoned");
    let flight = lead(&flights(&scratch), "docs/a");
    let others = flights(&scratch);
    let met = meet(&others, "docs/a");
    drop(flight);
    led(wait(met, &others, "docs/a")).land();
}

#[test]
fn the_answer_of_a_flight_that_was_met_too_late_is_no_answer() {
    let scratch = Scratch::new("met-late");
    let ours = flights(&scratch);
    let flight = lead(&ours, "docs/a");
    ours.store().invalidate(&[larder_storage::Scope::Key(key("docs/a")).hard()]).unwrap();
    let others = flights(&scratch);
    let met = meet(&others, "docs/a");
    flight.fail(&Failure::new(Class::Unavailable, "overloaded"), None);
    led(wait(met, &others, "docs/a")).land();
}

#[test]
fn where_nobody_flies_the_turn_comes_at_once() {
    let scratch = Scratch::new("met-nobody");
    let ours = flights(&scratch);
    let Begun::Turn(Turn::Lead(flight)) = begin_at_once(&ours, "docs/a") else { panic!("nobody is there") };
    let stored = Put::new().durability(Durability::Relaxed).fetched_in(flight.token());
    ours.store().put(&key("docs/a"), b"whole", &stored).unwrap();
    flight.land();
    assert_eq!(found(begin(&ours, "docs/a", &long())), b"whole");
    fetch(&ours, "docs/b", b"other");
}
