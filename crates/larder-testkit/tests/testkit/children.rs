//! Children: heard, stopped, killed, and able to stop and kill themselves between two system calls.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use larder_system::{Disk, Open, SystemDisk, write_all};
use larder_testkit::child::{self, Args};
use larder_testkit::{Action, Child, FaultDisk, Operation, Scratch};

/// The role that says back what it hears.
pub(crate) fn echo() {
    child::say("ready");
    while let Some(line) = child::hear() {
        child::say(&format!("heard {line}"));
    }
}

/// The role that uses processor time until it is killed.
pub(crate) fn busy() {
    child::say("ready");
    let mut number = 1_u64;
    loop {
        number = std::hint::black_box(number.wrapping_mul(3));
    }
}

/// The role that writes a file, and is stopped or killed before a named call.
pub(crate) fn write_with_a_fault(args: &Args) {
    let disk = FaultDisk::over(Arc::new(SystemDisk::new()));
    let action = match args.get("fault") {
        "kill" => Action::KillProcess,
        "stop" => Action::StopProcess,
        other => panic!("no fault {other:?}"),
    };
    disk.before(move |call| if call.operation == Operation::Sync { action.clone() } else { Action::Proceed });
    let root = disk.open_root(Path::new(args.get("root"))).expect("the test made it");
    let file = disk.open(&root, Path::new("written"), Open::CREATE_NEW).expect("the folder is fresh");
    write_all(&disk, &file, &[b"written"]).expect("the disk has room");
    child::say("about to sync");
    disk.sync(&file).expect("the disk works");
    child::say("synced");
}

#[test]
fn a_child_hears_and_is_heard() {
    let mut child = Child::spawn("echo", &[]);
    child.wait_for_line("ready");
    child.send_line("one");
    child.send_line("two");
    child.wait_for_line("heard two");
    assert_eq!(child.said(), ["ready", "heard one", "heard two"]);
    child.wait_for_success();
}

#[test]
fn a_killed_child_is_gone_at_once() {
    let mut child = Child::spawn("echo", &[]);
    child.wait_for_line("ready");
    child.kill();
    assert!(!child.is_running());
    assert_eq!(child.wait().signal(), Some(9));
    assert_eq!(child.next_line(), None, "a dead child says no more");
}

#[test]
fn a_stopped_child_uses_no_processor_time_until_it_goes_on() {
    let mut child = Child::spawn("busy", &[]);
    child.wait_for_line("ready");
    let until_used = |child: &Child, used: Duration| while child.cpu_time() < used {};
    until_used(&child, Duration::from_millis(10));
    child.stop();
    let (before, mut looks) = (child.cpu_time(), 0);
    while looks < 1_000 {
        looks += 1;
        assert_eq!(child.cpu_time(), before);
    }
    child.resume();
    until_used(&child, before + Duration::from_millis(10));
}

#[test]
#[should_panic(expected = "ended without saying \"never\"")]
fn a_child_that_ends_early_fails_the_test_with_what_it_printed() {
    let mut child = Child::spawn("echo", &[]);
    child.hang_up();
    child.wait_for_line("never");
}

#[test]
#[should_panic(expected = "no role \"unheard of\"")]
fn a_child_that_panics_shows_its_panic() {
    Child::spawn("unheard of", &[]).wait_for_success();
}

#[test]
fn a_disk_can_kill_its_process_between_two_calls() {
    let scratch = Scratch::new("kill");
    let mut child = Child::spawn("faulty-writer", &[("root", scratch.utf8_path().as_str()), ("fault", "kill")]);
    assert_eq!(child.wait().signal(), Some(9));
    while child.next_line().is_some() {}
    assert_eq!(child.said(), ["about to sync"]);
    assert_eq!(std::fs::read(scratch.join("written")).expect("the write before the kill happened"), b"written");
}

#[test]
fn a_disk_can_stop_its_process_between_two_calls() {
    let scratch = Scratch::new("stop");
    let mut child = Child::spawn("faulty-writer", &[("root", scratch.utf8_path().as_str()), ("fault", "stop")]);
    child.wait_until_stopped();
    assert!(!child.said().contains(&"synced".to_owned()));
    child.resume();
    child.wait_for_line("synced");
    child.wait_for_success();
}
