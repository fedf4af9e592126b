//! Choosing a backend, and agreeing on it.

use std::sync::Arc;
use std::time::Duration;

use larder_lock::{Backend, Finding, Locks, Mode, Options, Wait, open, probe};
use larder_system::{SystemClock, SystemDisk};
use larder_testkit::{Action, FaultDisk, Gate, Operation, Scratch, errno};

use crate::stage::LEASE;

fn open_on(disk: &FaultDisk, scratch: &Scratch, options: Options) -> Result<Locks, open::Error> {
    Locks::open_with(Arc::new(disk.clone()), Arc::new(SystemClock::new()), scratch.utf8_path(), options)
}

fn system() -> FaultDisk {
    FaultDisk::over(Arc::new(SystemDisk::new()))
}

fn short_probe(backend: Backend) -> Options {
    Options::new().backend(backend).probe_bound(Duration::from_millis(50))
}

#[test]
fn a_local_disk_is_honest_and_its_backend_recorded() {
    let scratch = Scratch::new("local");
    let locks = Locks::open(scratch.utf8_path(), Options::new()).unwrap();
    assert_eq!(locks.backend(), Backend::Advisory);
    let record = std::fs::read_to_string(scratch.join("backend.json")).unwrap();
    assert!(record.contains("\"backend\":\"advisory\""), "{record}");
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 1, "the probe leaves nothing");
}

#[test]
fn a_probe_whose_file_is_swept_makes_another() {
    let (scratch, disk) = (Scratch::new("swept-probe"), system());
    let (folder, swept) = (scratch.path().to_owned(), std::sync::atomic::AtomicU32::new(0));
    disk.before(move |_| {
        let names = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        for probe in names.filter(|path| path.to_string_lossy().contains("/probe-")) {
            if swept.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < 3 {
                std::fs::remove_file(probe).unwrap();
            }
        }
        Action::Proceed
    });
    assert_eq!(open_on(&disk, &scratch, Options::new()).unwrap().backend(), Backend::Advisory);
}

#[test]
fn the_folder_is_made_when_it_is_absent() {
    let scratch = Scratch::new("absent");
    Locks::open(&scratch.utf8_path().join("locks"), Options::new()).unwrap();
    assert!(scratch.join("locks").is_dir());
}

#[test]
fn a_file_system_without_locks_gets_leases_when_the_choice_is_free() {
    for number in [errno::ENOSYS, errno::EOPNOTSUPP, errno::ENOLCK, errno::EBADF] {
        let (scratch, disk) = (Scratch::new("missing"), system());
        disk.fail_operation(Operation::TryLock, number, 1);
        let locks = open_on(&disk, &scratch, Options::new()).unwrap();
        assert_eq!(locks.backend(), Backend::LEASE);
        drop(locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap());
        assert_eq!(disk.count_of(Operation::TryLock), 1, "leases lock nothing");
    }
}

#[test]
fn a_lock_call_that_hangs_gets_leases_within_the_bound() {
    let (scratch, disk, gate) = (Scratch::new("hanging"), system(), Gate::new());
    let held = Arc::clone(&gate);
    disk.before(move |call| match call.operation {
        Operation::TryLock => Action::Hold(Arc::clone(&held)),
        _ => Action::Proceed,
    });
    let locks = open_on(&disk, &scratch, short_probe(Backend::Auto)).unwrap();
    assert_eq!(locks.backend(), Backend::LEASE);
    gate.open();
}

#[test]
fn a_lock_call_that_hangs_is_a_clear_error_when_advisory_locks_are_asked_for() {
    let (scratch, disk, gate) = (Scratch::new("hanging-forced"), system(), Gate::new());
    let held = Arc::clone(&gate);
    disk.before(move |call| match call.operation {
        Operation::TryLock => Action::Hold(Arc::clone(&held)),
        _ => Action::Proceed,
    });
    let error = open_on(&disk, &scratch, short_probe(Backend::Advisory)).unwrap_err();
    assert!(matches!(&error, open::Error::Unsupported { finding: Finding::Silent { .. }, .. }), "{error}");
    assert!(error.to_string().contains("lease backend"), "{error}");
    gate.open();
}

#[test]
fn a_file_system_that_grants_one_lock_twice_is_found_out() {
    let scratch = Scratch::new("lies");
    let disk: Arc<dyn larder_system::Disk> = Arc::new(liar::LyingDisk(SystemDisk::new()));
    let folder = Arc::new(disk.open_root(scratch.path()).unwrap());
    assert!(matches!(probe(&disk, &folder, Duration::from_secs(60)).unwrap(), Finding::Lies));
    let locks = Locks::open_with(disk, Arc::new(SystemClock::new()), scratch.utf8_path(), Options::new()).unwrap();
    assert_eq!(locks.backend(), Backend::LEASE);
}

#[test]
fn a_file_system_that_machines_share_is_not_believed() {
    let scratch = Scratch::new("remote");
    let disk: Arc<dyn larder_system::Disk> = Arc::new(liar::NetworkDisk(SystemDisk::new()));
    let folder = Arc::new(disk.open_root(scratch.path()).unwrap());
    let finding = probe(&disk, &folder, Duration::from_secs(60)).unwrap();
    assert!(matches!(finding, Finding::Remote { kind: "nfs" }), "{finding}");
}

#[test]
fn the_recorded_backend_is_used_by_whoever_has_no_wish() {
    let scratch = Scratch::new("recorded");
    Locks::open(scratch.utf8_path(), Options::new().backend(LEASE)).unwrap();
    assert_eq!(Locks::open(scratch.utf8_path(), Options::new()).unwrap().backend(), LEASE);
}

#[test]
fn another_backend_than_the_recorded_one_is_refused() {
    for (first, second) in [(LEASE, Backend::Advisory), (Backend::Advisory, LEASE)] {
        let scratch = Scratch::new("mismatch");
        Locks::open(scratch.utf8_path(), Options::new().backend(first)).unwrap();
        let error = Locks::open(scratch.utf8_path(), Options::new().backend(second)).unwrap_err();
        assert!(matches!(error, open::Error::Mismatch { .. }), "{error}");
    }
}

#[test]
fn of_two_that_open_at_the_same_time_both_use_the_first_ones_backend() {
    let (scratch, disk) = (Scratch::new("race"), system());
    let path = scratch.utf8_path().to_owned();
    disk.before(move |call| {
        if call.operation == Operation::Link {
            Locks::open(&path, Options::new().backend(LEASE)).unwrap();
        }
        Action::Proceed
    });
    assert_eq!(open_on(&disk, &scratch, Options::new()).unwrap().backend(), LEASE);
}

#[test]
fn a_record_of_a_later_version_is_refused_and_left_alone() {
    let scratch = Scratch::new("newer");
    std::fs::write(scratch.join("backend.json"), r#"{"format":2,"backend":"ring"}"#).unwrap();
    let error = Locks::open(scratch.utf8_path(), Options::new()).unwrap_err();
    assert!(matches!(error, open::Error::Newer { format: 2, .. }), "{error}");
    assert!(std::fs::read_to_string(scratch.join("backend.json")).unwrap().contains("ring"));
}

#[test]
fn a_record_that_makes_no_sense_is_refused() {
    for text in ["", "{", "{\"format\":1,\"backend\":\"ring\"}", &" ".repeat(10_000)] {
        let scratch = Scratch::new("damaged");
        std::fs::write(scratch.join("backend.json"), text).unwrap();
        let error = Locks::open(scratch.utf8_path(), Options::new()).unwrap_err();
        assert!(matches!(error, open::Error::Damaged { .. }), "{error}");
    }
}

mod liar;
