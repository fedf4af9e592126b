//! Many processes, one document: one call, also when processes die.

use rustix::process::Signal;

use crate::place::{Place, Running, read_exactly, release};

/// Counts a call, waits to be released, prints.
const GATED: &str = "printf x >> calls; read line < go; echo doc";
/// The same, waiting only the first time it is called.
const GATED_ONCE: &str = "printf x >> calls; if [ $(wc -c < calls) = 1 ]; then read line < go; fi; echo doc";

/// One who leads, and others who wait for it.
fn herd(place: &Place, flags: &[&str], script: &str, waiters: usize) -> (Running, Vec<Running>) {
    let leader = place.spawn(&Place::run(flags, script));
    place.wait_for_calls(1);
    let mut others: Vec<Running> = (0..waiters).map(|_| place.spawn(&Place::run(flags, script))).collect();
    others.iter_mut().for_each(Running::wait_until_blocked);
    (leader, others)
}

#[test]
fn thirty_two_processes_that_ask_at_once_make_one_call() {
    let place = Place::new("herd");
    let go = place.fifo("go");
    let all: Vec<Running> = (0..32).map(|_| place.spawn(&Place::run(&[], GATED))).collect();
    place.wait_for_calls(1);
    release(&go);
    for one in all {
        one.done().is(0, "doc\n");
    }
    assert_eq!(place.calls(), 1);
}

#[test]
fn what_is_stale_at_once_is_one_call_for_all_who_waited() {
    let place = Place::new("stale-at-once");
    let go = place.fifo("go");
    let (leader, others) = herd(&place, &["--ttl", "0s"], GATED_ONCE, 6);
    release(&go);
    leader.done().is(0, "doc\n");
    for other in others {
        other.done().is(0, "doc\n");
    }
    assert_eq!(place.calls(), 1);
}

#[test]
fn those_who_waited_say_so() {
    let place = Place::new("collapsed");
    let go = place.fifo("go");
    let (mut leader, others) = herd(&place, &["--status"], GATED, 2);
    let pid = leader.pid();
    release(&go);
    leader.done().says(0, &["fwd=uri-miss", "stored"]);
    for other in others {
        other.done().says(0, &["collapsed", &format!("larder-holder={pid}")]);
    }
}

#[test]
fn a_leader_killed_has_exactly_one_successor_who_waits_for_the_orphan() {
    let place = Place::new("killed");
    let go = place.fifo("go");
    let script = "printf x >> calls; if [ $(wc -c < calls) = 1 ]; then read line < go; printf e >> calls; fi; echo doc";
    let (leader, others) = herd(&place, &[], script, 8);
    leader.kill();
    // time enough for a successor that does not wait to begin
    for _ in 0..5 {
        place.larder(&["locks"]).says(0, &[]);
    }
    release(&go);
    for other in others {
        other.done().is(0, "doc\n");
    }
    // the orphan came to its end before the command was run once more, and once only
    assert_eq!(std::fs::read_to_string(place.path("calls")).unwrap(), "xex");
}

#[test]
fn a_leader_that_is_interrupted_takes_nobody_along() {
    let place = Place::new("interrupted");
    place.fifo("go");
    let (mut leader, others) = herd(&place, &[], GATED_ONCE, 4);
    leader.signal(Signal::INT);
    assert_eq!(leader.done().code, Some(130));
    for other in others {
        other.done().is(0, "doc\n");
    }
    assert_eq!(place.calls(), 2);
}

#[test]
fn a_document_invalidated_while_it_is_fetched_is_given_and_not_stored() {
    let place = Place::new("fenced");
    let go = place.fifo("go");
    let (leader, others) = herd(&place, &["--key", "docs/a", "--tag", "t", "--status"], GATED, 2);
    place.larder(&["invalidate", "--tag", "t"]).is(0, "");
    release(&go);
    for one in others.into_iter().chain([leader]) {
        let done = one.done();
        done.is(0, "doc\n");
        done.says(0, &["stored=?0"]);
        assert!(!done.err.contains("warning"), "{}", done.err);
    }
    assert_eq!(place.calls(), 1);
    place.larder(&["get", "docs/a"]).says(3, &["nothing is stored"]);
}

#[test]
fn an_invalidation_of_another_key_does_not_touch_a_flight() {
    let place = Place::new("id10");
    let go = place.fifo("go");
    let (leader, _) = herd(&place, &["--key", "id/10"], GATED, 0);
    place.larder(&["invalidate", "id/1"]).is(0, "");
    release(&go);
    leader.done().is(0, "doc\n");
    place.larder(&["get", "id/10"]).is(0, "doc\n");
}

#[test]
fn who_does_not_want_to_wait_is_told_who_fetches() {
    let place = Place::new("busy");
    let go = place.fifo("go");
    let (mut leader, _) = herd(&place, &[], GATED, 0);
    let holder = format!("pid {}", leader.pid());
    for flag in ["0", "0ms", "0d"] {
        let refused = place.larder(&Place::run(&["--lock-timeout", flag], GATED));
        refused.says(75, &[&holder, "flag --lock-timeout"]);
    }
    let mut command = place.command(&Place::run(&[], GATED));
    let refused = command.env("LARDER_LOCK_TIMEOUT", "20ms").output().unwrap();
    crate::place::Done::from(refused).says(75, &[&holder, "environment variable LARDER_LOCK_TIMEOUT"]);
    place.larder(&Place::run(&["--timeout", "20ms"], GATED)).says(69, &[&holder, "flag --timeout"]);
    release(&go);
    leader.done().is(0, "doc\n");
    assert_eq!(place.calls(), 1);
}

#[test]
fn a_reader_who_does_not_read_delays_nobody_else() {
    let place = Place::new("slow-reader");
    let script = "printf x >> calls; head -c 300000 /dev/zero";
    let mut slow = place.spawn(&Place::run(&[], script));
    let mut output = slow.output();
    // the first byte comes when the document is stored and everybody else served
    read_exactly(&mut output, 1);
    let other = place.larder(&Place::run(&["--lock-timeout", "30s"], script));
    assert_eq!((other.code, other.out.len(), place.calls()), (Some(0), 300_000, 1));
    assert!(slow.is_running(), "its reader was to hold it up");
    read_exactly(&mut output, 299_999);
    assert_eq!(slow.code(), Some(0));
}

#[test]
fn those_who_refresh_at_once_share_one_call() {
    let place = Place::new("refresh");
    place.larder(&["run", "--key", "k", "--", "echo", "old"]).is(0, "old\n");
    let go = place.fifo("go");
    let (leader, others) = herd(&place, &["--key", "k", "--refresh"], GATED, 3);
    place.larder(&["run", "--key", "k", "--", "echo", "new"]).is(0, "old\n");
    release(&go);
    for one in others.into_iter().chain([leader]) {
        one.done().is(0, "doc\n");
    }
    assert_eq!(place.calls(), 1);
}

#[test]
fn what_is_fetched_and_who_fetches_it_can_be_seen() {
    let place = Place::new("seen");
    let go = place.fifo("go");
    let (mut leader, _) = herd(&place, &["--key", "k"], GATED, 0);
    let holder = format!("pid {}", leader.pid());
    for verb in [&["locks"][..], &["explain", "k"]] {
        let shown = place.larder(verb).out;
        assert!(shown.contains(&holder) && shown.contains("being fetched"), "{shown}");
    }
    release(&go);
    leader.done().is(0, "doc\n");
    place.larder(&["locks"]).is(0, "");
}
