//! The counting source: exact across processes, killed ones included.

use std::sync::Arc;

use larder_testkit::child::{self, Args};
use larder_testkit::{Child, Scratch, Upstream};

/// The role that calls the source so many times.
pub(crate) fn call_as_a_child(args: &Args) {
    let upstream = Upstream::open(args.get("folder"));
    for _ in 0..args.parse::<u32>("calls") {
        match upstream.call(args.get("key")) {
            Ok(answer) => child::say(&answer.body),
            Err(failure) => child::say(&format!("failed: {failure}")),
        }
    }
}

fn caller(scratch: &Scratch, key: &str, calls: &str) -> Child {
    Child::spawn("caller", &[("folder", scratch.utf8_path().as_str()), ("key", key), ("calls", calls)])
}

#[test]
fn calls_of_several_processes_are_all_counted_and_numbered_once() {
    let scratch = Scratch::new("upstream");
    let upstream = Upstream::open(scratch.path());
    upstream.answers("{call}");
    let mut children: Vec<Child> = (0..4).map(|_| caller(&scratch, "react", "50")).collect();
    let mut numbers = Vec::new();
    for child in &mut children {
        child.wait_for_success();
        numbers.extend(child.said().iter().map(|said| said.parse::<u32>().expect("a number")));
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=200).collect::<Vec<_>>());
    assert_eq!((upstream.calls(), upstream.calls_of("react"), upstream.calls_of("vue")), (200, 200, 0));
}

#[test]
fn overlapping_calls_are_seen_as_overlapping_and_others_are_not() {
    let scratch = Scratch::new("upstream");
    let upstream = Arc::new(Upstream::open(scratch.path()));
    upstream.answers("x");
    upstream.call("alone").expect("the plan is an answer");
    upstream.call("alone").expect("the plan is an answer");
    assert_eq!(upstream.in_flight_max(), 1);
    let hold = upstream.hold();
    let mut children = [caller(&scratch, "react", "1"), caller(&scratch, "react", "1"), caller(&scratch, "vue", "1")];
    upstream.wait_for_calls(5);
    drop(hold);
    children.iter_mut().for_each(Child::wait_for_success);
    let most = ["react", "vue", "alone"].map(|key| upstream.in_flight_max_of(key));
    assert_eq!((upstream.in_flight_max(), most), (3, [2, 1, 1]));
}

#[test]
fn the_call_of_a_killed_process_does_not_overlap_with_its_successors() {
    let scratch = Scratch::new("upstream");
    let upstream = Upstream::open(scratch.path());
    upstream.answers("x");
    let hold = upstream.hold();
    let mut child = caller(&scratch, "react", "1");
    upstream.wait_for_calls(1);
    child.kill();
    drop(hold);
    upstream.call("react").expect("the plan is an answer");
    assert_eq!((upstream.calls(), upstream.in_flight_max()), (2, 1));
}

#[test]
fn a_planned_failure_reaches_other_processes() {
    let scratch = Scratch::new("upstream");
    Upstream::open(scratch.path()).fails("no quota for {key}");
    let mut child = caller(&scratch, "react", "1");
    child.wait_for_line("failed: no quota for react");
}
