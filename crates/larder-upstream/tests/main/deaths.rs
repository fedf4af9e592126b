//! `kill -9`, and a freeze, before every call of a leader.

use larder_lock::Wait;
use larder_testkit::{Child, Scratch};
use larder_upstream::{Terms, Turn};
use std::time::Duration;

use crate::shared::{assert_swept, begin, fetch, flights, found, lead, led, long, put};

/// More calls than any leader makes: a bound on the loop.
const CALLS_MAX: u64 = 400;

/// Whether a dead leader's file is there when the leader of the test begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    DeadLeader,
}

/// Leaves the file of a leader that was killed.
fn prepare(scratch: &Scratch, before: Before) {
    if before == Before::DeadLeader {
        let args = [("root", scratch.utf8_path().as_str()), ("key", "docs/a")];
        let mut leader = Child::spawn("lead", &args);
        leader.wait_for_line("leading");
        leader.kill();
    }
}

fn spawn(scratch: &Scratch, at: u64, end: &str, others: &[(&str, &str)]) -> Child {
    let at = at.to_string();
    let own = [("root", scratch.utf8_path().as_str()), ("key", "docs/a"), ("at", at.as_str()), ("end", end)];
    Child::spawn("fault", &[&own, others].concat())
}

fn kill_before_every_call(end: &str, before: Before, others: &[(&str, &str)]) {
    let mut killed = 0;
    for at in 0..CALLS_MAX {
        let scratch = Scratch::new("killed");
        prepare(&scratch, before);
        let mut child = spawn(&scratch, at, end, others);
        let done = child.next_line().is_some();
        let status = child.wait();
        assert!(done == status.success() && (done || status.code().is_none()), "{at}: {status}\n{}", child.printed());
        let flights = flights(&scratch);
        // one further call at most, and then everybody is answered
        match begin(&flights, "docs/a", &long().accept_remembered_failure(false)) {
            Ok(Turn::Lead(flight)) => {
                assert!(put(&flights, &flight, b"second"));
                flight.land();
            }
            other => panic!("killed before call {at}: {other:?}"),
        }
        assert_eq!(found(begin(&flights, "docs/a", &long())), b"second");
        assert_swept(&scratch, &flights);
        if done {
            break;
        }
        killed += 1;
    }
    assert!((10..CALLS_MAX).contains(&killed), "killed before {killed} calls");
}

#[test]
fn a_leader_killed_before_any_call_of_a_landing_has_one_successor() {
    kill_before_every_call("land", Before::Nothing, &[]);
}

#[test]
fn a_leader_killed_before_any_call_of_a_failure_has_one_successor() {
    kill_before_every_call("fail", Before::Nothing, &[("warm", "")]);
}

#[test]
fn a_leader_killed_before_any_call_of_a_remembered_failure_has_one_successor() {
    kill_before_every_call("remember", Before::Nothing, &[("warm", "")]);
}

#[test]
fn a_successor_killed_before_any_call_has_one_successor() {
    kill_before_every_call("carry", Before::DeadLeader, &[("warm", "")]);
}

fn freeze_before_every_call(end: &str, before: Before) {
    let others = [("warm", ""), ("stop", "")];
    let calls: u64 = {
        let scratch = Scratch::new("counted");
        prepare(&scratch, before);
        spawn(&scratch, u64::MAX, end, &others).next_line().unwrap().parse().unwrap()
    };
    assert!((10..CALLS_MAX).contains(&calls), "{calls} calls");
    for at in 0..calls {
        let scratch = Scratch::new("frozen");
        prepare(&scratch, before);
        let mut child = spawn(&scratch, at, end, &others);
        child.wait_until_stopped();
        let flights = flights(&scratch);
        fetch(&flights, "docs/b", b"other key");
        match begin(&flights, "docs/a", &Terms::new().wait(Wait::up_to(Duration::from_millis(3)))) {
            Ok(Turn::Lead(flight)) => flight.alone(),
            Ok(Turn::Failed { .. } | Turn::Carried { .. }) => {}
            Err(error) if error.is_contention() => {}
            other => panic!("frozen before call {at}: {other:?}"),
        }
        child.resume();
        child.wait_for_success();
        drop(led(begin(&flights, "docs/a", &long().accept_remembered_failure(false))));
        assert_swept(&scratch, &flights);
    }
}

#[test]
fn a_leader_frozen_before_any_call_holds_up_no_other_key() {
    freeze_before_every_call("land", Before::Nothing);
}

#[test]
fn a_successor_frozen_before_any_call_holds_up_no_other_key() {
    freeze_before_every_call("fail", Before::DeadLeader);
}

#[test]
fn a_leader_that_is_told_to_end_does() {
    for end in ["land", "carry", "fail", "alone", "refuse", "abandon"] {
        let scratch = Scratch::new("told");
        let args = [("root", scratch.utf8_path().as_str()), ("key", "docs/a")];
        let mut leader = Child::spawn("lead", &args);
        leader.wait_for_line("leading");
        leader.send_line(end);
        leader.wait_for_success();
        lead(&flights(&scratch), "docs/a").land();
    }
}
