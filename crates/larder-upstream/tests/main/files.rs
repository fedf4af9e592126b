//! Files of flights that are damaged, foreign, newer, in the way, or cannot be written.
#![expect(clippy::disallowed_methods, reason = "the tests damage files behind larder's back")]

use std::sync::Arc;

use larder_system::SystemDisk;
use larder_testkit::{Action, FaultDisk, Operation, Scratch};
use larder_upstream::{Class, Failure, Flights, Turn, begin};

use crate::shared::{Waiter, assert_swept, begin, flight_file, flights, found, lead, led, long, names, on, put};

const ENOSPC: i32 = 28;

/// A root in which a leader has died, and the bytes of its file.
fn dead(name: &str) -> (Scratch, Flights, Vec<u8>) {
    let scratch = Scratch::new(name);
    let flights = flights(&scratch);
    let flight = lead(&flights, "docs/a");
    let bytes = std::fs::read(flight_file(&scratch)).unwrap();
    let file = flight_file(&scratch);
    drop(flight);
    std::fs::write(file, &bytes).unwrap();
    (scratch, flights, bytes)
}

fn replace(scratch: &Scratch, bytes: &[u8]) {
    std::fs::write(flight_file(scratch), bytes).unwrap();
}

#[test]
fn a_dead_leaders_file_is_replaced() {
    let (scratch, flights, bytes) = dead("dead");
    let flight = led(begin(&flights, "docs/a", &long()));
    assert_ne!(std::fs::read(flight_file(&scratch)).unwrap(), bytes);
    flight.land();
    assert_swept(&scratch, &flights);
}

#[test]
fn a_file_cut_short_or_damaged_anywhere_is_replaced() {
    let (scratch, flights, bytes) = dead("damaged");
    for length in [0, 1, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(file_path(&scratch), &bytes[..length]).unwrap();
        led(begin(&flights, "docs/a", &long())).land();
    }
    for at in (0..bytes.len()).step_by(7) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x04;
        std::fs::write(file_path(&scratch), &damaged).unwrap();
        led(begin(&flights, "docs/a", &long())).land();
    }
    std::fs::write(file_path(&scratch), vec![0; 100_000]).unwrap();
    led(begin(&flights, "docs/a", &long())).land();
    assert_swept(&scratch, &flights);
}

fn file_path(scratch: &Scratch) -> std::path::PathBuf {
    // the name that the key docs/a has
    scratch.join("flights").join(blake3::hash(b"docs/a").to_hex().chars().take(32).collect::<String>())
}

#[test]
fn a_sweep_removes_what_the_dead_left_and_what_is_damaged() {
    let (scratch, flights, bytes) = dead("swept");
    assert_eq!(flights.sweep(10).unwrap().removed, 1);
    std::fs::write(file_path(&scratch), &bytes[..9]).unwrap();
    assert_eq!(flights.sweep(10).unwrap().removed, 1);
    assert_swept(&scratch, &flights);
}

#[test]
fn an_outcome_that_was_there_before_is_not_a_newcomers() {
    let scratch = Scratch::new("before");
    let flights = flights(&scratch);
    let flight = lead(&flights, "docs/a");
    // its leader is killed after it has written its outcome: the name stays
    let file = flight_file(&scratch);
    std::fs::hard_link(&file, scratch.join("kept")).unwrap();
    flight.fail(&Failure::new(Class::Absent, "gone"), None);
    std::fs::rename(scratch.join("kept"), file).unwrap();
    led(begin(&flights, "docs/a", &long())).land();
}

#[test]
fn a_newer_versions_file_is_left_where_it_is() {
    let (scratch, flights, _) = dead("newer");
    let json = br#"{"flight":2,"id":"00112233445566778899aabbccddeeff","wings":4}"#;
    let sum: String = blake3::hash(json).to_hex().chars().take(32).collect();
    let newer = [json.as_slice(), b" ", sum.as_bytes(), b"\nmore"].concat();
    replace(&scratch, &newer);
    let error = begin(&flights, "docs/a", &long()).unwrap_err();
    assert!(matches!(error, begin::Error::Newer { .. }) && error.to_string().contains("a newer larder's"), "{error}");
    assert_eq!(flights.sweep(10).unwrap().kept, 1);
    assert_eq!(std::fs::read(file_path(&scratch)).unwrap(), newer);
    lead(&flights, "docs/b").land();
}

#[test]
fn a_newer_versions_flight_is_waited_for() {
    let scratch = Scratch::new("newer-alive");
    let flights = flights(&scratch);
    drop(lead(&flights, "docs/warm"));
    let json = br#"{"flight":9,"id":"00112233445566778899aabbccddeeff"}"#;
    let sum: String = blake3::hash(json).to_hex().chars().take(32).collect();
    std::fs::write(file_path(&scratch), [json.as_slice(), b" ", sum.as_bytes(), b"\n"].concat()).unwrap();
    let annex = flights.store().annex("flights").unwrap();
    let alive = annex.locks().acquire(
        "//flights/00112233445566778899aabbccddeeff",
        larder_lock::Mode::Exclusive,
        &larder_lock::Wait::none(),
    );
    let waiter = Waiter::for_flight(&flights, "docs/a", long());
    std::fs::remove_file(file_path(&scratch)).unwrap();
    drop(alive.unwrap());
    led(waiter.end()).land();
}

#[test]
fn a_symbolic_link_in_the_way_is_replaced_and_never_followed() {
    let (scratch, flights, bytes) = dead("link");
    std::fs::write(scratch.join("target"), &bytes).unwrap();
    std::fs::remove_file(file_path(&scratch)).unwrap();
    std::os::unix::fs::symlink(scratch.join("target"), file_path(&scratch)).unwrap();
    let flight = led(begin(&flights, "docs/a", &long()));
    flight.fail(&Failure::new(Class::Absent, "gone"), None);
    assert_eq!(std::fs::read(scratch.join("target")).unwrap(), bytes);
}

#[test]
fn a_folder_in_the_way_is_a_clear_error() {
    let (scratch, flights, _) = dead("folder");
    std::fs::remove_file(file_path(&scratch)).unwrap();
    std::fs::create_dir(file_path(&scratch)).unwrap();
    let error = begin(&flights, "docs/a", &long()).unwrap_err();
    assert!(matches!(error, begin::Error::Folder { .. }) && error.to_string().ends_with("move it away"), "{error}");
    assert_eq!(flights.sweep(10).unwrap().kept, 1);
    lead(&flights, "docs/b").land();
}

#[test]
fn on_a_full_disk_those_who_waited_look_at_the_store_and_one_of_them_leads_if_need_be() {
    for is_stored in [true, false] {
        let scratch = Scratch::new("full");
        let disk = FaultDisk::over(Arc::new(SystemDisk::new()));
        let flights = on(Arc::new(disk.clone()), &scratch);
        let flight = lead(&flights, "docs/a");
        let waiter = Waiter::for_flight(&crate::shared::flights(&scratch), "docs/a", long());
        if is_stored {
            assert!(put(&flights, &flight, b"whole"));
        }
        // the first write takes a part, and then there is no more room
        let written = std::sync::atomic::AtomicBool::new(false);
        disk.before(move |call| match call.operation {
            Operation::WriteAt if written.swap(true, std::sync::atomic::Ordering::Relaxed) => Action::Fail(ENOSPC),
            Operation::WriteAt => Action::Short(20),
            _ => Action::Proceed,
        });
        flight.fail(&Failure::new(Class::Absent, "gone"), Some(std::time::Duration::from_secs(3_600)));
        match waiter.end() {
            Ok(Turn::Found { found, .. }) if is_stored => assert_eq!(found, b"whole"),
            Ok(Turn::Lead(flight)) if !is_stored => flight.land(),
            other => panic!("{other:?}"),
        }
        disk.heal();
        assert_eq!(names(scratch.join("flights")), Vec::<String>::new());
    }
}

#[test]
fn a_failure_that_cannot_be_recorded_is_not_remembered_and_leaves_nothing() {
    let scratch = Scratch::new("unrecorded");
    let disk = FaultDisk::over(Arc::new(SystemDisk::new()));
    let flights = on(Arc::new(disk.clone()), &scratch);
    let flight = lead(&flights, "docs/a");
    disk.fail_operation(Operation::WriteAt, ENOSPC, 1);
    flight.fail(&Failure::new(Class::Absent, "gone"), Some(std::time::Duration::from_secs(3_600)));
    assert_eq!(names(scratch.join("flights")), Vec::<String>::new());
}

#[test]
fn a_leader_whose_lock_file_a_stranger_removed_leaves_its_successors_file_alone() {
    let scratch = Scratch::new("stranger");
    let flights = flights(&scratch);
    let args = [("root", scratch.utf8_path().as_str()), ("key", "docs/a")];
    let mut first = larder_testkit::Child::spawn("lead", &args);
    first.wait_for_line("leading");
    for lock in names(scratch.join("locks")).iter().filter(|name| name.contains("flights")) {
        std::fs::remove_file(scratch.join("locks").join(lock)).unwrap();
    }
    let second = lead(&flights, "docs/a");
    let file = std::fs::read(flight_file(&scratch)).unwrap();
    first.send_line("fail");
    first.wait_for_success();
    assert_eq!(std::fs::read(flight_file(&scratch)).unwrap(), file);
    second.land();
    assert_eq!(names(scratch.join("flights")), Vec::<String>::new());
}

#[test]
fn outcomes_written_in_small_pieces_are_whole() {
    let scratch = Scratch::new("short");
    let disk = FaultDisk::over(Arc::new(SystemDisk::new()));
    let flights = on(Arc::new(disk.clone()), &scratch);
    disk.shorten_writes_to(7);
    let flight = lead(&flights, "docs/a");
    let waiter = Waiter::for_flight(&crate::shared::flights(&scratch), "docs/a", long());
    flight.fail(&Failure::new(Class::Absent, "gone"), None);
    assert!(matches!(waiter.end(), Ok(Turn::Failed { failure, .. }) if failure.message == "gone"));
}

#[test]
fn every_call_may_fail_and_the_next_caller_leads() {
    let scratch = Scratch::new("errors");
    let disk = FaultDisk::over(Arc::new(SystemDisk::new()));
    let flights = on(Arc::new(disk.clone()), &scratch);
    lead(&flights, "docs/warm").land();
    let mut met = 0;
    for at in 0..500 {
        disk.reset();
        disk.fail_at(at, 5);
        // an error, or a flight that has ended as well as it could
        if let Ok(Turn::Lead(flight)) = begin(&flights, "docs/a", &long()) {
            flight.fail(&Failure::new(Class::Absent, "gone"), None);
        }
        let calls = disk.count();
        disk.heal();
        let after = crate::shared::flights(&scratch);
        led(begin(&after, "docs/a", &long())).land();
        if calls <= at {
            met = at;
            break;
        }
    }
    assert!(met > 20, "{met} calls");
    assert!(put(&flights, &lead(&flights, "docs/a"), b"x"));
    assert_eq!(found(begin(&flights, "docs/a", &long())), b"x");
    // what this process could not remove goes once it is gone
    drop(flights);
    assert_swept(&scratch, &crate::shared::flights(&scratch));
}
