//! The disk that fails: each rule does what it says, and each call is counted once.

use std::path::Path;
use std::sync::Arc;

use larder_system::{Disk, Handle, LockMode, Open, Replace, SystemDisk, write_all};
use larder_testkit::{Action, FaultDisk, Gate, Operation, Scratch, SimDisk, errno};

fn faulty() -> (FaultDisk, Handle) {
    let disk = FaultDisk::over(Arc::new(SimDisk::new()));
    let root = disk.open_root(Path::new("/")).expect("a simulated disk has a root");
    disk.reset();
    (disk, root)
}

fn code<T>(result: std::io::Result<T>) -> Option<i32> {
    result.err().and_then(|error| error.raw_os_error())
}

fn create(disk: &FaultDisk, root: &Handle, name: &str) -> Handle {
    disk.open(root, Path::new(name), Open::CREATE_NEW).expect("the name is free")
}

/// One call of each operation but `Close`, each of which succeeds without a fault.
fn call_everything(disk: &FaultDisk, root: &Handle, file: &Handle) -> Vec<(Operation, std::io::Result<()>)> {
    let name = Path::new("file");
    let mut room = Vec::with_capacity(4);
    vec![
        (Operation::OpenRoot, disk.open_root(Path::new("/")).map(drop)),
        (Operation::MakeRoot, disk.make_root(Path::new("/other"))),
        (Operation::RootMetadata, disk.root_metadata(Path::new("/")).map(drop)),
        (Operation::Open, disk.open(root, name, Open::READ).map(drop)),
        (Operation::Write, disk.write(file, &[std::io::IoSlice::new(b"bytes")]).map(drop)),
        (Operation::WriteAt, disk.write_at(file, b"bytes", 0).map(drop)),
        (Operation::Read, disk.read(file, &mut room).map(drop)),
        (Operation::ReadAt, disk.read_at(file, &mut [0; 4], 0).map(drop)),
        (Operation::Position, disk.position(file).map(drop)),
        (Operation::SeekEnd, disk.seek_end(file).map(drop)),
        (Operation::SetLength, disk.set_length(file, 3)),
        (Operation::Allocate, disk.allocate(file, 9)),
        (Operation::SetMode, disk.set_mode(file, 0o600)),
        (Operation::SetModeAt, disk.set_mode_at(root, name, 0o600)),
        (Operation::Sync, disk.sync(file)),
        (Operation::SyncData, disk.sync_data(file)),
        (Operation::Metadata, disk.metadata(file).map(drop)),
        (Operation::MetadataAt, disk.metadata_at(root, name).map(drop)),
        (Operation::MarkUsed, disk.mark_used(root, name, 1_600_000_000_000_000_000)),
        (Operation::Link, disk.link(root, name, root, Path::new("linked"))),
        (Operation::Rename, disk.rename(root, Path::new("linked"), root, Path::new("moved"), Replace::Yes)),
        (Operation::RemoveFile, disk.remove_file(root, Path::new("moved"))),
        (Operation::MakeFolder, disk.make_folder(root, Path::new("folder"))),
        (Operation::RemoveFolder, disk.remove_folder(root, Path::new("folder"))),
        (Operation::List, disk.list(root, &mut Vec::new()).map(drop)),
        (Operation::TryLock, disk.try_lock(file, LockMode::Exclusive).map(drop)),
        (Operation::Lock, disk.lock(file, LockMode::Exclusive)),
        (Operation::Unlock, disk.unlock(file)),
        (Operation::FileSystem, disk.file_system(root).map(drop)),
    ]
}

#[test]
fn every_operation_passes_counts_once_and_fails_with_each_of_its_errors() {
    let (disk, root) = faulty();
    let file = create(&disk, &root, "file");
    disk.reset();
    let results = call_everything(&disk, &root, &file);
    for (operation, result) in &results {
        assert!(result.is_ok(), "{operation:?}: {result:?}");
        assert_eq!(disk.count_of(*operation), 1, "{operation:?}");
    }
    assert_eq!(disk.count_of(Operation::Close), 2, "the second root and the second file were dropped");
    let mut covered: Vec<Operation> = results.iter().map(|(operation, _)| *operation).collect();
    covered.push(Operation::Close);
    covered.sort_unstable();
    let mut all = Operation::ALL.to_vec();
    all.sort_unstable();
    assert_eq!(covered, all);
    for operation in Operation::ALL {
        for errno in operation.errnos() {
            let (disk, root) = faulty();
            let file = create(&disk, &root, "file");
            disk.fail_operation(operation, *errno, 1);
            let failed: Vec<Operation> = call_everything(&disk, &root, &file)
                .into_iter()
                .filter(|(_, result)| result.as_ref().is_err_and(|error| error.raw_os_error() == Some(*errno)))
                .map(|(operation, _)| operation)
                .collect();
            assert!(failed.contains(&operation), "{operation:?} did not fail with {errno}: {failed:?}");
        }
    }
}

#[test]
fn a_call_failed_by_its_index_fails_once() {
    let (disk, root) = faulty();
    disk.fail_at(1, errno::EIO);
    assert_eq!(code(disk.metadata(&root)), None);
    assert_eq!(code(disk.metadata(&root)), Some(errno::EIO));
    assert_eq!(code(disk.metadata(&root)), None);
}

#[test]
fn a_persistent_failure_ends_only_when_the_disk_is_healed() {
    let (disk, root) = faulty();
    disk.fail_from(1, errno::ENOSPC);
    let codes = [(); 3].map(|()| code(disk.sync(&root)));
    assert_eq!(codes, [None, Some(errno::ENOSPC), Some(errno::ENOSPC)]);
    disk.heal();
    assert_eq!(code(disk.sync(&root)), None);
}

#[test]
fn a_failed_call_does_not_happen_and_a_lost_acknowledgement_does() {
    let (disk, root) = faulty();
    let is_there = || disk.metadata_at(&root, Path::new("a")).is_ok();
    disk.fail_operation(Operation::MakeFolder, errno::EIO, 1);
    assert_eq!(code(disk.make_folder(&root, Path::new("a"))), Some(errno::EIO));
    assert!(!is_there());
    disk.before(|call| match call.operation {
        Operation::MakeFolder => Action::FailAfter(errno::EIO),
        _ => Action::Proceed,
    });
    assert_eq!(code(disk.make_folder(&root, Path::new("a"))), Some(errno::EIO));
    assert!(is_there());
}

#[test]
fn shortened_writes_lose_no_byte_of_a_caller_that_goes_on() {
    let (disk, root) = faulty();
    let file = create(&disk, &root, "file");
    disk.shorten_writes_to(3);
    assert_eq!(disk.write_at(&file, b"12345", 0).expect("the disk has room"), 3);
    write_all(&disk, &file, &[b"ab", b"", b"cdefg", b"h"]).expect("the disk has room");
    disk.heal();
    let mut content = Vec::with_capacity(100);
    let again = disk.open(&root, Path::new("file"), Open::READ).expect("the file is there");
    disk.read(&again, &mut content).expect("the file is there");
    assert_eq!(content, b"abcdefgh");
    assert_eq!(disk.count_of(Operation::Write), 3);
}

#[test]
fn a_short_read_leaves_the_rest_to_be_read() {
    let (disk, root) = faulty();
    let file = create(&disk, &root, "file");
    write_all(&disk, &file, &[b"abcdef"]).expect("the disk has room");
    let again = disk.open(&root, Path::new("file"), Open::READ).expect("the file is there");
    disk.before(|call| if call.operation == Operation::Read { Action::Short(4) } else { Action::Proceed });
    let mut content = Vec::with_capacity(100);
    assert_eq!(disk.read(&again, &mut content).expect("the file is there"), 4);
    assert_eq!(disk.read(&again, &mut content).expect("the file is there"), 2);
    assert_eq!(content, b"abcdef");
}

#[test]
fn interruptions_hit_every_nth_interruptible_call_and_no_other() {
    let (disk, root) = faulty();
    let file = create(&disk, &root, "file");
    disk.reset();
    disk.interrupt_every(2);
    let codes: Vec<Option<i32>> = (0..6)
        .map(|_| {
            disk.position(&file).expect("a position is never interrupted");
            code(disk.write_at(&file, b"x", 0))
        })
        .collect();
    assert_eq!(codes, [None, Some(errno::EINTR)].repeat(3));
}

#[test]
fn a_handle_closes_once_whether_dropped_or_closed() {
    let (disk, root) = faulty();
    drop(create(&disk, &root, "dropped"));
    assert_eq!(disk.count_of(Operation::Close), 1);
    disk.close(create(&disk, &root, "closed"));
    assert_eq!(disk.count_of(Operation::Close), 2);
}

#[test]
fn dropping_a_handle_lets_go_of_its_lock_on_the_real_disk() {
    let scratch = Scratch::new("fault-lock");
    let disk = FaultDisk::over(Arc::new(SystemDisk::new()));
    let root = disk.open_root(scratch.path()).expect("the folder is there");
    let one = disk.open(&root, Path::new("lock"), Open::CREATE_OR_OPEN).expect("the folder is writable");
    let other = disk.open(&root, Path::new("lock"), Open::CREATE_OR_OPEN).expect("the folder is writable");
    assert!(disk.try_lock(&one, LockMode::Exclusive).expect("the file system has locks"));
    assert!(!disk.try_lock(&other, LockMode::Exclusive).expect("the file system has locks"));
    drop(one);
    assert!(disk.try_lock(&other, LockMode::Exclusive).expect("the file system has locks"));
}

#[test]
fn a_gate_holds_one_thread_before_its_call_and_no_other_thread() {
    let (disk, root) = faulty();
    let gate = Gate::new();
    let held = Arc::clone(&gate);
    disk.before(move |call| match &call.path {
        Some(path) if path.ends_with("slow") => Action::Hold(Arc::clone(&held)),
        _ => Action::Proceed,
    });
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| disk.make_folder(&root, Path::new("slow")));
        gate.wait_until_held(1);
        disk.make_folder(&root, Path::new("fast")).expect("nobody holds this thread");
        assert_eq!(code(disk.metadata_at(&root, Path::new("fast"))), None);
        assert!(!slow.is_finished());
        gate.open();
        slow.join().expect("the thread did not panic").expect("the call happened after the gate opened");
    });
}

#[test]
fn recorded_calls_tell_their_order_and_their_paths() {
    let (disk, root) = faulty();
    disk.record();
    drop(create(&disk, &root, "new"));
    disk.rename(&root, Path::new("new"), &root, Path::new("kept"), Replace::Yes).expect("the name is there");
    let calls: Vec<String> = disk.calls().iter().map(ToString::to_string).collect();
    assert_eq!(calls, ["call 0: Open /new", "call 1: Close /new", "call 2: Rename /new -> /kept"]);
}

#[test]
fn a_handle_of_another_disk_is_refused() {
    let (disk, root) = faulty();
    let other = SimDisk::new();
    assert_eq!(code(other.metadata(&root)), Some(errno::EBADF));
    let foreign = other.open_root(Path::new("/")).expect("a simulated disk has a root");
    assert_eq!(code(disk.metadata(&foreign)), Some(errno::EBADF));
}
