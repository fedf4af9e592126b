//! Many processes, one key: one call.

use std::time::Duration;

use larder_testkit::{Child, Scratch, Seed, Upstream};

use crate::shared::{assert_swept, begin, flights, led, long};

pub(crate) struct Herd {
    pub(crate) scratch: Scratch,
    pub(crate) upstream: Upstream,
    path: Scratch,
}

impl Herd {
    pub(crate) fn new(name: &str) -> Self {
        let (scratch, path) = (Scratch::new(name), Scratch::new("upstream"));
        let upstream = Upstream::open(path.path());
        upstream.answers("page for {key}, call {call}");
        Self { scratch, upstream, path }
    }

    /// A process that asks for `key` once it is sent a line.
    pub(crate) fn held(&self, key: &str, args: &[(&str, &str)]) -> Child {
        let mut child = self.free(key, &[args, &[("released", "")]].concat());
        child.wait_for_line("ready");
        child
    }

    /// A process that asks for `key` at once.
    pub(crate) fn free(&self, key: &str, args: &[(&str, &str)]) -> Child {
        let (root, upstream) = (self.scratch.utf8_path().as_str(), self.path.utf8_path().as_str());
        let own = [("root", root), ("upstream", upstream), ("key", key)];
        Child::spawn("ask", &[&own, args].concat())
    }

    /// One that waits for somebody else's flight by the time it is handed out.
    pub(crate) fn waiting(&self, key: &str, args: &[(&str, &str)]) -> Child {
        let mut child = self.free(key, args);
        child.wait_for_line("waiting");
        child
    }
}

/// What a child said last.
pub(crate) fn answer(child: &mut Child) -> String {
    child.wait_for_success();
    child.said().pop().unwrap()
}

#[test]
fn sixteen_processes_that_ask_at_once_make_one_call() {
    let herd = Herd::new("herd");
    let mut children: Vec<Child> = (0..16).map(|_| herd.held("docs/a", &[])).collect();
    let hold = herd.upstream.hold();
    for child in &mut children {
        child.send_line("go");
    }
    herd.upstream.wait_for_calls(1);
    drop(hold);
    let answers: Vec<String> = children.iter_mut().map(answer).collect();
    assert_eq!(herd.upstream.calls(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| *answer == "led page for docs/a, call 1").count(), 1, "{answers:?}");
    let found = answers.iter().filter(|answer| answer.starts_with("found page for docs/a, call 1"));
    assert_eq!(found.count(), 15, "{answers:?}");
    assert_swept(&herd.scratch, &flights(&herd.scratch));
}

#[test]
fn each_killed_leader_has_exactly_one_successor() {
    let herd = Herd::new("successors");
    let hold = herd.upstream.hold();
    let mut first = herd.free("docs/a", &[]);
    herd.upstream.wait_for_calls(1);
    let mut waiters: Vec<Child> = (0..8).map(|_| herd.waiting("docs/a", &[])).collect();
    first.kill();
    let flights = flights(&herd.scratch);
    for calls in 2..=6 {
        herd.upstream.wait_for_calls(calls);
        let leader = flights.under_way().unwrap().remove(0).holder.pid.unwrap();
        let at = waiters.iter().position(|waiter| waiter.pid() == leader).unwrap();
        waiters.remove(at).kill();
    }
    herd.upstream.wait_for_calls(7);
    drop(hold);
    let answers: Vec<String> = waiters.iter_mut().map(answer).collect();
    // each call was held, so that two leaders at a time would have made one call more
    assert_eq!(herd.upstream.calls(), 7, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| *answer == "led page for docs/a, call 7").count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| answer.starts_with("found page for docs/a, call 7")).count(), 2);
    assert_swept(&herd.scratch, &flights);
}

#[test]
fn however_flights_end_there_is_never_more_than_one_at_a_time() {
    let scratch = Scratch::new("storm");
    let marks = Scratch::new("mark");
    let mark = marks.utf8_path().join("leading");
    let mut seed = Seed::new();
    let mut children: Vec<Child> = (0..5)
        .map(|_| {
            let number = seed.below(1_000_000).to_string();
            let args = [("root", scratch.utf8_path().as_str()), ("mark", mark.as_str()), ("seed", &number)];
            let mut child = Child::spawn("storm", &args);
            child.wait_for_line("ready");
            child
        })
        .collect();
    for child in &mut children {
        child.send_line("go");
    }
    for child in &mut children {
        child.wait_for_success();
    }
    let flights = flights(&scratch);
    drop(led(begin(&flights, "docs/a", &long().accept_remembered_failure(false))));
    assert_swept(&scratch, &flights);
}

#[test]
fn waiters_of_a_frozen_leader_leave_at_their_bound_and_name_it_while_other_keys_proceed() {
    let herd = Herd::new("frozen");
    let hold = herd.upstream.hold();
    let mut leader = herd.free("docs/a", &[]);
    herd.upstream.wait_for_calls(1);
    leader.stop();
    drop(hold);
    let mut waiters: Vec<Child> = (0..3).map(|_| herd.free("docs/a", &[("wait_ms", "50")])).collect();
    for waiter in &mut waiters {
        let said = answer(waiter);
        assert!(
            said.starts_with(&format!("error true `docs/a` is still being fetched by pid {}", leader.pid())),
            "{said}"
        );
        assert!(said.contains("gave up after"), "{said}");
    }
    assert_eq!(answer(&mut herd.free("docs/b", &[])), "led page for docs/b, call 2");
    leader.resume();
    assert_eq!(answer(&mut leader), "led page for docs/a, call 1");
}

#[test]
fn waiting_processes_use_no_processor_time() {
    let herd = Herd::new("idle");
    let hold = herd.upstream.hold();
    let mut leader = herd.free("docs/a", &[]);
    herd.upstream.wait_for_calls(1);
    let mut waiters: Vec<Child> = (0..4).map(|_| herd.waiting("docs/a", &[("stays", "")])).collect();
    let spent = |waiters: &[Child]| waiters.iter().map(Child::cpu_time).sum::<Duration>();
    let before = spent(&waiters);
    // something must pass for a spinning waiter to be caught: three pieces of a wait, of another key's waiter
    let mut other = herd.free("docs/b", &[]);
    herd.upstream.wait_for_calls(2);
    let mut timed = herd.free("docs/b", &[("wait_ms", "1200")]);
    assert!(answer(&mut timed).starts_with("error true"));
    let used = spent(&waiters).saturating_sub(before);
    assert!(used <= Duration::from_millis(40), "four waiters used {used:?} of processor time in 1.2 s");
    drop(hold);
    assert!(answer(&mut leader).starts_with("led"));
    assert!(answer(&mut other).starts_with("led"));
    for waiter in &mut waiters {
        assert!(answer(waiter).starts_with("found"));
    }
}
