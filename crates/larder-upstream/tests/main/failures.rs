//! A failure is everybody's who waited, and a newcomer's only for as long as it is to be remembered.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use larder_staleness::Backoff;
use larder_storage::{Metadata, Scope, Worth};
use larder_testkit::{Child, Scratch, VirtualClock};
use larder_upstream::{Class, Exit, Failure, Flights, Terms, Turn};

use crate::herd::{Herd, answer};
use crate::shared::{Ended, Waiter, assert_swept, begin, by, flights, key, lead, led, long};

fn failure() -> Failure {
    let mut failure = Failure::of_command(Exit::Signal(15), b"last words".to_vec());
    failure.retry_after = Some(Duration::from_secs(9));
    failure
}

fn failed(ended: Ended) -> (Failure, bool) {
    match ended {
        Ok(Turn::Failed { failure, remembered, .. }) => (failure, remembered),
        other => panic!("not failed: {other:?}"),
    }
}

#[test]
fn everybody_who_waited_gets_that_very_failure_and_a_newcomer_calls_itself() {
    let herd = Herd::new("failures");
    herd.upstream.fails("overloaded");
    let hold = herd.upstream.hold();
    let mut leader = herd.free("docs/a", &[]);
    herd.upstream.wait_for_calls(1);
    let mut waiters: Vec<Child> = (0..5).map(|_| herd.waiting("docs/a", &[])).collect();
    drop(hold);
    let told = "command overloaded Some(Code(7)) stderr of call 1";
    assert_eq!(answer(&mut leader), format!("failed led {told}"));
    for waiter in &mut waiters {
        assert_eq!(answer(waiter), format!("failed false {told}"));
    }
    assert_eq!(herd.upstream.calls(), 1);
    herd.upstream.answers("recovered");
    assert_eq!(answer(&mut herd.free("docs/a", &[])), "led recovered");
    assert_swept(&herd.scratch, &flights(&herd.scratch));
}

#[test]
fn a_remembered_failure_is_a_newcomers_in_another_process_too() {
    let herd = Herd::new("memory");
    herd.upstream.fails("overloaded");
    assert!(answer(&mut herd.free("docs/a", &[("remember_ms", "3600000")])).starts_with("failed led"));
    let told = "command overloaded Some(Code(7)) stderr of call 1";
    assert_eq!(answer(&mut herd.free("docs/a", &[])), format!("failed true {told}"));
    assert_eq!(herd.upstream.calls(), 1);
}

/// A store whose key has failed, to be remembered for 5 s.
fn remembered(scratch: &Scratch, clock: &Arc<VirtualClock>) -> Flights {
    let flights = by(Arc::clone(clock) as _, scratch);
    lead(&flights, "docs/a").fail(&failure(), Some(Duration::from_secs(5)));
    assert_eq!(failed(begin(&flights, "docs/a", &long())), (failure(), true));
    flights
}

#[test]
fn a_remembered_failure_ends_with_its_time() {
    let (scratch, clock) = (Scratch::new("window"), Arc::new(VirtualClock::new()));
    let flights = remembered(&scratch, &clock);
    clock.advance_monotonic(Duration::from_millis(4_999));
    assert_eq!(failed(begin(&flights, "docs/a", &long())), (failure(), true));
    for seen in [flights.under_way().unwrap().remove(0), flights.at(&key("docs/a"), &[]).unwrap().unwrap()] {
        let memory = seen.remembered.unwrap();
        assert_eq!((memory.failure, memory.failures, memory.left), (failure(), 1, Duration::from_millis(1)));
    }
    assert_eq!(flights.sweep(10).unwrap().removed, 0);
    clock.advance_monotonic(Duration::from_millis(1));
    assert_eq!(flights.under_way().unwrap(), []);
    led(begin(&flights, "docs/a", &long())).land();
    assert_swept(&scratch, &flights);
}

#[test]
fn failures_in_a_row_are_counted_across_deaths_and_until_a_success() {
    let (scratch, clock) = (Scratch::new("row"), Arc::new(VirtualClock::new()));
    let flights = remembered(&scratch, &clock);
    let again = |failures: u32| {
        clock.advance_monotonic(Duration::from_secs(60));
        let flight = led(begin(&flights, "docs/a", &long()));
        assert_eq!(flight.failures(), failures);
        flight
    };
    again(1).fail(&failure(), Some(Duration::from_secs(10)));
    assert_eq!(flights.at(&key("docs/a"), &[]).unwrap().unwrap().remembered.unwrap().failures, 2);
    again(2).fail(&failure(), Some(Duration::from_secs(20)));
    // a sweep takes no count away
    clock.advance_monotonic(Duration::from_secs(60));
    assert_eq!(flights.sweep(10).unwrap().removed, 0);
    again(3).land();
    again(0).fail(&failure(), Some(Duration::from_secs(10)));
    clock.advance_monotonic(Duration::from_secs(3_700));
    assert_eq!(flights.sweep(10).unwrap().removed, 1);
    again(0).land();
}

#[test]
#[expect(clippy::disallowed_methods, reason = "what a killed leader leaves behind is put there by hand")]
fn a_leader_that_gives_up_or_leaves_its_file_behind_does_not_make_the_upstream_healthy() {
    let (scratch, clock) = (Scratch::new("row-death"), Arc::new(VirtualClock::new()));
    let flights = remembered(&scratch, &clock);
    clock.advance_monotonic(Duration::from_secs(60));
    let file = crate::shared::flight_file(&scratch);
    let flight = led(begin(&flights, "docs/a", &long()));
    let left_behind = std::fs::read(&file).unwrap();
    drop(flight);
    // as a leader leaves it that is killed: its file, and a lock that nobody holds
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&file)
        .unwrap()
        .write_all(&left_behind)
        .unwrap();
    assert_eq!(led(begin(&flights, "docs/a", &long())).failures(), 1);
}

#[test]
fn only_what_is_wrong_with_the_upstream_is_counted() {
    let (scratch, clock) = (Scratch::new("row-class"), Arc::new(VirtualClock::new()));
    let flights = by(Arc::clone(&clock) as _, &scratch);
    for class in [Class::Absent, Class::NotReady, Class::Absent] {
        led(begin(&flights, "docs/a", &long())).fail(&Failure::new(class, "none"), Some(Duration::from_secs(5)));
        clock.advance_monotonic(Duration::from_secs(6));
    }
    assert_eq!(led(begin(&flights, "docs/a", &long())).failures(), 0);
}

#[test]
fn a_flight_given_up_in_an_outage_does_not_end_it() {
    let (scratch, clock) = (Scratch::new("row-given-up"), Arc::new(VirtualClock::new()));
    let flights = remembered(&scratch, &clock);
    clock.advance_monotonic(Duration::from_secs(60));
    drop(led(begin(&flights, "docs/a", &long())));
    assert_eq!(led(begin(&flights, "docs/a", &long())).failures(), 1);
}

#[test]
fn what_may_not_be_stored_is_nobodys_turn_for_a_while_and_nothing_of_it_is_kept() {
    let (scratch, clock) = (Scratch::new("marker"), Arc::new(VirtualClock::new()));
    let flights = by(Arc::clone(&clock) as _, &scratch);
    let flight = lead(&flights, "docs/a");
    let waiter = Waiter::for_flight(&flights, "docs/a", long());
    flight.carry_for(b"private", &Metadata::new(), Some(Duration::from_secs(5)));
    assert!(matches!(waiter.end(), Ok(Turn::Carried { document, .. }) if document.body == b"private"));
    assert!(matches!(begin(&flights, "docs/a", &long()), Ok(Turn::Alone { .. })));
    assert_eq!(flights.at(&key("docs/a"), &[]).unwrap().unwrap().is_alone_for, Some(Duration::from_secs(5)));
    let bytes = std::fs::read(crate::shared::flight_file(&scratch)).unwrap();
    assert!(!bytes.windows(7).any(|window| window == b"private"));
    clock.advance_monotonic(Duration::from_secs(5));
    led(begin(&flights, "docs/a", &long())).land();
    assert_swept(&scratch, &flights);
}

#[test]
fn an_invalidation_ends_that_everybody_fetches_for_itself() {
    let scratch = Scratch::new("marker-invalidated");
    let flights = flights(&scratch);
    lead(&flights, "docs/a").carry_for(b"private", &Metadata::new(), Some(Duration::from_secs(3_600)));
    flights.store().invalidate(&[Scope::Key(key("docs/a")).soft()]).unwrap();
    assert_eq!(flights.at(&key("docs/a"), &[]).unwrap().and_then(|seen| seen.is_alone_for), None);
    led(begin(&flights, "docs/a", &long())).land();
}

#[test]
fn what_is_wrong_with_the_upstream_backs_off_and_what_is_wrong_with_the_request_does_not() {
    let backoff = Backoff::default();
    let memory = |class, before| Failure::new(class, "x").memory(before, &backoff, Duration::from_secs(7));
    let seconds = |length: u64| Some(Duration::from_secs(length));
    for class in [Class::Unavailable, Class::Throttled, Class::Command] {
        assert_eq!([memory(class, 0), memory(class, 1), memory(class, 2)], [seconds(30), seconds(60), seconds(120)]);
    }
    assert_eq!([memory(Class::NotReady, 0), memory(Class::NotReady, 5)], [seconds(30); 2]);
    assert_eq!([memory(Class::Absent, 0), memory(Class::Absent, 5)], [seconds(7); 2]);
    assert_eq!([memory(Class::Denied, 0), memory(Class::Refused, 0)], [None; 2]);
    let asked = Failure::new(Class::Throttled, "x").with_retry_after(Duration::from_secs(600));
    assert_eq!(asked.memory(9, &backoff, Duration::ZERO), seconds(600));
}

#[test]
fn a_wall_clock_that_jumps_changes_nothing_of_what_is_remembered() {
    let (scratch, clock) = (Scratch::new("wall"), Arc::new(VirtualClock::new()));
    let flights = remembered(&scratch, &clock);
    clock.advance_wall(Duration::from_secs(1_000_000));
    assert!(failed(begin(&flights, "docs/a", &long())).1);
    clock.rewind_wall(Duration::from_secs(2_000_000));
    assert!(failed(begin(&flights, "docs/a", &long())).1);
}

#[test]
fn a_failure_of_another_boot_is_forgotten() {
    let (scratch, clock) = (Scratch::new("boot"), Arc::new(VirtualClock::new()));
    let flights = remembered(&scratch, &clock);
    clock.reboot();
    clock.advance_monotonic(Duration::from_secs(1_001));
    assert_eq!(flights.sweep(10).unwrap().removed, 1);
    led(begin(&flights, "docs/a", &long())).land();
}

#[test]
fn an_invalidation_ends_what_is_remembered_and_one_of_another_key_does_not() {
    let (scratch, clock) = (Scratch::new("invalidated"), Arc::new(VirtualClock::new()));
    let flights = remembered(&scratch, &clock);
    flights.store().invalidate(&[Scope::Key(key("docs/b")).hard()]).unwrap();
    assert!(failed(begin(&flights, "docs/a", &long())).1);
    flights.store().invalidate(&[Scope::Key(key("docs/a")).soft()]).unwrap();
    led(begin(&flights, "docs/a", &long())).land();
}

#[test]
fn a_caller_that_accepts_no_remembered_failure_leads() {
    let (scratch, clock) = (Scratch::new("refused"), Arc::new(VirtualClock::new()));
    let flights = remembered(&scratch, &clock);
    led(begin(&flights, "docs/a", &long().accept_remembered_failure(false))).land();
}

#[test]
fn a_failure_remembered_for_no_time_is_not() {
    let scratch = Scratch::new("zero");
    let flights = flights(&scratch);
    lead(&flights, "docs/a").fail(&failure(), Some(Duration::ZERO));
    led(begin(&flights, "docs/a", &Terms::new())).land();
}

#[test]
fn a_success_after_a_remembered_failure_replaces_it() {
    let (scratch, clock) = (Scratch::new("success"), Arc::new(VirtualClock::new()));
    let flights = remembered(&scratch, &clock);
    let flight = led(begin(&flights, "docs/a", &long().accept_remembered_failure(false)));
    let waiter = Waiter::for_flight(&flights, "docs/a", long());
    flight.fail(&Failure::new(Class::Absent, "no such page"), None);
    assert_eq!(failed(waiter.end()), (Failure::new(Class::Absent, "no such page"), false));
    led(begin(&flights, "docs/a", &long())).land();
}

#[test]
fn a_last_good_copy_is_precious_while_its_upstream_fails_and_nothing_when_it_is_kept_no_longer() {
    let (scratch, clock) = (Scratch::new("worth"), Arc::new(VirtualClock::new()));
    let flights = by(Arc::clone(&clock) as _, &scratch);
    let policy = larder_staleness::Policy::fresh_for(Duration::from_secs(60));
    let life = larder_staleness::Life::new(larder_system::Clock::wall(&*clock), &policy, Duration::ZERO);
    let metadata = larder_upstream::About::new(life).metadata(&[]).unwrap();
    let put = larder_storage::Put::new().metadata(metadata);
    flights.store().put(&key("docs/a"), b"a", &put).unwrap();
    flights.store().put(&key("docs/b"), b"b", &put).unwrap();
    // the copy is stale, for all that this caller knows
    let lead = |name: &str| match flights.begin(&key(name), &long(), || Ok(None::<()>)).unwrap() {
        Turn::Lead(flight) => flight,
        other => panic!("not the lead: {other:?}"),
    };
    let worth = |name: &str| {
        let all = flights.store().list(&"docs/".parse().unwrap()).unwrap();
        let summary = all.map(Result::unwrap).find(|summary| summary.key.as_str() == name).unwrap();
        flights.worth(&summary)
    };
    assert_eq!([worth("docs/a"), worth("docs/b")], [Worth::Kept; 2]);
    lead("docs/a").fail(&Failure::new(Class::Unavailable, "down"), Some(Duration::from_secs(5)));
    lead("docs/b").fail(&Failure::new(Class::Absent, "gone"), Some(Duration::from_secs(5)));
    assert_eq!([worth("docs/a"), worth("docs/b")], [Worth::Precious, Worth::Kept]);
    // nobody has asked since: it is failing as far as anybody knows
    clock.advance_monotonic(Duration::from_secs(5));
    assert_eq!(worth("docs/a"), Worth::Precious);
    lead("docs/a").land();
    assert_eq!(worth("docs/a"), Worth::Kept);
    lead("docs/a").fail(&Failure::new(Class::Unavailable, "down"), Some(Duration::from_secs(5)));
    clock.advance_wall(Duration::from_secs(400 * 86_400));
    assert_eq!([worth("docs/a"), worth("docs/b")], [Worth::Expendable; 2]);
}
