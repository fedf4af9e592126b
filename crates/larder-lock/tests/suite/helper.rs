//! The threads that wait in the operating system.

use larder_lock::{Backend, HELPERS_MAX, Mode};
use larder_testkit::{Child, Scratch};

use crate::stage::{holder, open};

#[test]
fn a_helper_that_was_left_behind_is_used_again_and_lets_go_in_the_end() {
    let scratch = Scratch::new("linger");
    let mut other = holder(&scratch, Backend::Advisory, "lingering");
    let mut child = Child::spawn("linger", &[("folder", scratch.utf8_path().as_str())]);
    for _ in 0..4 {
        assert_eq!(child.next_line().as_deref(), Some("helpers 1"));
    }
    other.send_line("release");
    other.wait_for_line("released");
    child.send_line("go on");
    child.wait_for_line("free");
}

#[test]
fn a_left_behind_helper_does_not_keep_its_process_from_ending() {
    let scratch = Scratch::new("exit");
    let _other = holder(&scratch, Backend::Advisory, "a");
    let folder = scratch.utf8_path().as_str();
    let mut child = Child::spawn("leave", &[("folder", folder)]);
    child.wait_for_success();
}

#[test]
fn waits_beyond_the_number_of_helpers_poll_and_are_served_all_the_same() {
    let scratch = Scratch::new("crowd");
    let count = HELPERS_MAX + 8;
    let locks = open(scratch.utf8_path(), Backend::Advisory);
    let guards: Vec<_> = (0..count)
        .map(|number| locks.acquire(&number.to_string(), Mode::Exclusive, &crate::stage::patient()).unwrap())
        .collect();
    let arguments = [("folder", scratch.utf8_path().as_str()), ("count", &count.to_string())];
    let mut child = Child::spawn("crowd", &arguments);
    for _ in 0..count {
        assert_eq!(child.next_line().as_deref(), Some("waiting"));
    }
    child.send_line("all wait");
    child.wait_for_line(&format!("helpers {HELPERS_MAX}"));
    drop(guards);
    child.wait_for_line(&format!("got {count}"));
}
