//! Commands that fail, take too long, or cannot be run.

use crate::place::{Place, Running, release};

const GATED: &str = "printf x >> calls; echo half; read line < go; echo why >&2; exit 7";

fn herd(place: &Place, flags: &[&str], waiters: usize) -> (Running, Vec<Running>) {
    let leader = place.spawn(&Place::run(flags, GATED));
    place.wait_for_calls(1);
    let mut others: Vec<Running> = (0..waiters).map(|_| place.spawn(&Place::run(flags, GATED))).collect();
    others.iter_mut().for_each(Running::wait_until_blocked);
    (leader, others)
}

#[test]
fn a_failure_is_shared_by_all_who_waited_and_nothing_is_stored() {
    let place = Place::new("shared");
    let go = place.fifo("go");
    let (leader, others) = herd(&place, &["--key", "k"], 15);
    release(&go);
    let leader = leader.done();
    leader.is(7, "half\n");
    assert_eq!(leader.err, "why\n");
    for other in others {
        let other = other.done();
        other.is(7, "");
        assert_eq!(other.err, "why\n");
    }
    assert_eq!(place.calls(), 1);
    place.larder(&["list"]).is(0, "");
}

#[test]
fn a_newcomer_runs_the_command_again_unless_failures_are_remembered() {
    let place = Place::new("remembered");
    let script = "printf x >> calls; echo why >&2; exit 7";
    let run = |flags: &[&str]| place.larder(&Place::run(flags, script));
    run(&[]).says(7, &["why"]);
    run(&[]).says(7, &["why"]);
    assert_eq!(place.calls(), 2);
    run(&["--fail-ttl", "1h"]).says(7, &["why"]);
    run(&[]).says(7, &["why"]);
    assert_eq!(place.calls(), 3);
    run(&["--refresh"]).says(7, &["why"]);
    assert_eq!(place.calls(), 4);
}

#[test]
fn a_command_that_a_signal_ends_gives_128_and_the_signal() {
    let place = Place::new("signalled");
    assert_eq!(place.larder(&Place::run(&[], "kill -KILL $$")).code, Some(137));
    place.larder(&["list"]).is(0, "");
}

#[test]
fn a_command_that_does_not_exist_is_127_and_one_that_cannot_be_executed_126() {
    let place = Place::new("exec");
    place.larder(&["run", "--", "larder-test-no-such-program", "hush"]).says(127, &["was not found"]);
    place.larder(&["run", "--", ""]).says(127, &[]);
    place.larder(&["run", "--", "/etc/passwd"]).says(126, &["cannot be executed"]);
    place.larder(&["lock", "n", "--", "larder-test-no-such-program"]).says(127, &["was not found"]);
    place.larder(&["lock", "n", "--", "/etc/passwd"]).says(126, &["cannot be executed"]);
    place.larder(&["list"]).is(0, "");
}

#[test]
fn a_command_that_takes_too_long_is_ended_with_all_that_it_started() {
    let place = Place::new("timeout");
    let script = "sleep 1000 & echo $! > grandchild; printf x >> calls; wait";
    let done = place.larder(&Place::run(&["--timeout", "300ms", "--fail-ttl", "1h"], script));
    done.says(69, &["did not end within", "--timeout"]);
    let grandchild = std::fs::read_to_string(place.path("grandchild")).unwrap();
    assert!(!crate::place::is_alive(grandchild.trim()), "{grandchild} was left behind");
    // the failure is one of those that can be remembered
    place.larder(&Place::run(&[], script)).says(69, &["remembered"]);
    assert_eq!(place.calls(), 1);
}

#[test]
fn a_command_that_does_not_listen_is_killed() {
    let place = Place::new("deaf");
    let script = "trap '' TERM; sleep 1000 & wait; wait";
    place.larder(&Place::run(&["--timeout", "100ms"], script)).says(69, &["did not end within"]);
}

#[test]
fn what_a_command_reads_is_empty() {
    let place = Place::new("stdin");
    place.larder_reading(&Place::run(&[], "cat; echo end"), b"not for the command").is(0, "end\n");
}
