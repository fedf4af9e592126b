//! A caller that comes after an invalidation never gets an answer whose fetch began before it.

use larder_storage::{Invalidation, Metadata, Prefix, Scope, Tag};
use larder_testkit::Scratch;
use larder_upstream::{Flights, Terms, Turn};

use crate::shared::{Waiter, begin, flights, found, key, lead, led, long, put};

fn tag(text: &str) -> Tag {
    Tag::new(text).unwrap()
}

fn tagged() -> Terms {
    long().tags([tag("lang")])
}

fn metadata() -> Metadata {
    Metadata::new().with_tag("lang").unwrap()
}

fn carried(waiter: Waiter) -> Vec<u8> {
    match waiter.end() {
        Ok(Turn::Carried { document, .. }) => document.body,
        other => panic!("not carried: {other:?}"),
    }
}

/// One caller comes before the invalidation and one after it, while a flight is under way.
fn judge(name: &str, invalidation: Invalidation) {
    let scratch = Scratch::new(name);
    let flights = flights(&scratch);
    let flight = lead(&flights, "docs/a");
    let earlier = Waiter::for_flight(&flights, "docs/a", tagged());
    flights.store().invalidate(&[invalidation]).unwrap();
    let later = Waiter::for_flight(&crate::shared::flights(&scratch), "docs/a", tagged());
    let terms = larder_storage::Put::new().fetched_in(flight.token()).metadata(metadata());
    assert!(flights.store().put(&key("docs/a"), b"old", &terms).is_err(), "the fence");
    flight.carry(b"old", &metadata());
    assert_eq!(carried(earlier), b"old");
    let next = led(later.end());
    assert_eq!(next.waited().flights, 1);
    let joined = Waiter::for_flight(&flights, "docs/a", tagged());
    assert!(put(&flights, &next, b"new"));
    next.land();
    assert_eq!(found(joined.end()), b"new");
}

#[test]
fn of_a_key() {
    judge("key", Scope::Key(key("docs/a")).soft());
}

#[test]
fn of_a_prefix() {
    judge("prefix", Scope::Prefix(Prefix::new("docs/").unwrap()).hard());
}

#[test]
fn of_everything() {
    judge("all", Scope::All.soft());
}

#[test]
fn of_a_tag_that_was_declared() {
    judge("tag", Scope::Tag(tag("lang")).hard());
}

/// A flight whose answer has a tag that nobody has declared.
fn undeclared(name: &str, between: impl Fn(&Flights), after: impl Fn(&Flights)) -> (Scratch, Waiter) {
    let scratch = Scratch::new(name);
    let flights = flights(&scratch);
    let flight = lead(&flights, "docs/a");
    between(&flights);
    let waiter = Waiter::for_flight(&flights, "docs/a", long());
    after(&flights);
    flight.carry(b"old", &metadata());
    (scratch, waiter)
}

fn invalidate(scope: &Scope) -> impl Fn(&Flights) + use<> {
    let invalidation = scope.clone().hard();
    move |flights| {
        flights.store().invalidate(std::slice::from_ref(&invalidation)).unwrap();
    }
}

#[test]
fn of_a_tag_that_only_the_answer_tells() {
    let (_scratch, waiter) = undeclared("undeclared", invalidate(&Scope::Tag(tag("lang"))), |_| ());
    drop(led(waiter.end()));
}

#[test]
fn an_undeclared_tag_that_nobody_invalidated_is_no_hindrance() {
    let (_scratch, waiter) = undeclared("untouched", invalidate(&Scope::Tag(tag("other"))), |_| ());
    assert_eq!(carried(waiter), b"old");
}

#[test]
fn a_failure_from_before_an_invalidation_is_not_a_later_callers() {
    let scratch = Scratch::new("failure");
    let flights = flights(&scratch);
    let flight = lead(&flights, "docs/a");
    flights.store().invalidate(&[Scope::Key(key("docs/a")).soft()]).unwrap();
    let later = Waiter::for_flight(&flights, "docs/a", long());
    flight.fail(&larder_upstream::Failure::new(larder_upstream::Class::Absent, "old"), None);
    drop(led(later.end()));
}

#[test]
fn an_invalidation_of_another_key_leaves_a_flight_joinable() {
    let scratch = Scratch::new("other");
    let flights = flights(&scratch);
    let flight = lead(&flights, "id/1");
    flights.store().invalidate(&[Scope::Key(key("id/10")).hard(), Scope::Key(key("id")).hard()]).unwrap();
    let waiter = Waiter::for_flight(&flights, "id/1", long());
    flight.carry(b"still good", &Metadata::new());
    assert_eq!(carried(waiter), b"still good");
    drop(led(begin(&flights, "id/1", &long())));
}
