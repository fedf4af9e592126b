//! Every system call that touches the root is a call of the seam: counted from outside, under strace.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;

use larder_storage::{Put, Scope};
use larder_system::SystemDisk;
use larder_testkit::child::{self, Args};
use larder_testkit::{Child, FaultDisk, Operation, Scratch};

use crate::cases::Case;
use crate::place::{Place, key, look};

/// Set in the process that strace looks at.
const TRACED: &str = "LARDER_TEST_TRACED";

/// Runs itself under strace; there, works and says what the seam counted.
pub(crate) fn count(args: &Args) {
    if std::env::var_os(TRACED).is_none() {
        let program = std::env::current_exe().unwrap();
        let mut strace = Command::new("strace");
        strace.args(["-f", "-y", "-s", "4096", "-o", args.get("log")]).arg(program).args(std::env::args().skip(1));
        let status = strace.env(TRACED, "1").status().unwrap();
        assert!(status.success(), "{status}");
        return;
    }
    let fault = FaultDisk::over(Arc::new(SystemDisk::new()));
    let path = args.get("path");
    let store = Place::new(Arc::new(fault.clone()), path).options(crate::place::BOOT).open(path).unwrap();
    store.put(&key("deep/er/new"), b"new", &Put::new()).unwrap();
    assert_eq!(look(&store, "deep/er/new").as_deref(), Some("new"));
    store.invalidate(&[Scope::All.soft()]).unwrap();
    drop(store);
    for operation in Operation::ALL {
        child::say(&format!("{operation:?} {}", fault.count_of(operation)));
    }
}

/// What strace calls the system calls behind a call of the seam.
fn seam_calls_of(system_call: &str) -> &'static str {
    match system_call {
        "open" | "openat" | "openat2" => "open",
        "read" | "readv" | "pread64" => "read",
        "write" | "writev" | "pwrite64" => "write",
        "lseek" => "position",
        "ftruncate" | "fallocate" => "length",
        "fchmod" | "fchmodat" | "fchmodat2" => "mode",
        "utimensat" => "times",
        "fsync" | "fdatasync" => "sync",
        "stat" | "fstat" | "newfstatat" | "statx" => "metadata",
        "rename" | "renameat" | "renameat2" | "link" | "linkat" => "name",
        "unlink" | "unlinkat" | "rmdir" => "remove",
        "mkdir" | "mkdirat" => "make folder",
        "getdents64" => "list",
        "flock" => "lock",
        "fstatfs" | "statfs" => "file system",
        "close" => "close",
        _ => "none of the seam's",
    }
}

fn group_of(operation: &str) -> &'static str {
    match operation {
        "OpenRoot" | "Open" => "open",
        "Read" | "ReadAt" => "read",
        "Write" | "WriteAt" => "write",
        "Position" | "SeekEnd" => "position",
        "SetLength" | "Allocate" => "length",
        "SetMode" | "SetModeAt" => "mode",
        "MarkUsed" => "times",
        "Sync" | "SyncData" => "sync",
        "RootMetadata" | "Metadata" | "MetadataAt" => "metadata",
        "Rename" | "Link" => "name",
        "RemoveFile" | "RemoveFolder" => "remove",
        "MakeRoot" | "MakeFolder" => "make folder",
        "List" => "list",
        "TryLock" | "Lock" | "Unlock" => "lock",
        "FileSystem" => "file system",
        "Close" => "close",
        other => panic!("{other}"),
    }
}

/// The system call of a line such as `1234 fsync(5</root>) = 0`, when it touches `root`.
fn touching<'a>(line: &'a str, root: &str) -> Option<&'a str> {
    let call = line.trim_start_matches(|digit: char| digit.is_ascii_digit()).trim_start();
    let (name, rest) = call.split_once('(')?;
    // what is printed, and how the child was started, may name the root without touching it
    // the standard library's own check, in debug builds, that a descriptor it closes is open
    if name == "fcntl" && rest.contains("F_GETFD") {
        return None;
    }
    let is_about = rest.contains(root) && name != "execve" && !rest.starts_with("1<");
    (is_about && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')).then_some(name)
}

#[test]
fn every_system_call_on_the_root_is_counted_by_the_seam() {
    if Command::new("strace").args(["-o", "/dev/null", "true"]).status().is_ok_and(|status| status.success()) {
        compare();
    } else {
        child::say("skipped: strace is not here, or may not trace");
    }
}

fn compare() {
    let scratch = Scratch::new("traced");
    let place = Place::new(Arc::new(SystemDisk::new()), scratch.utf8_path().join("the-root"));
    Case::named("put into new folders").set_up(&place);
    let log = scratch.utf8_path().join("strace.log");
    let mut child = Child::spawn("counted", &[("path", place.path.as_str()), ("log", log.as_str())]);
    child.wait_for_success();
    let mut counted: BTreeMap<&str, u64> = BTreeMap::new();
    for line in child.said() {
        let (operation, count) = line.split_once(' ').unwrap();
        *counted.entry(group_of(operation)).or_default() += count.parse::<u64>().unwrap();
    }
    counted.retain(|_, count| *count > 0);
    let log = std::fs::read_to_string(&log).unwrap();
    let mut traced: BTreeMap<&str, u64> = BTreeMap::new();
    for name in log.lines().filter_map(|line| touching(line, place.path.as_str())) {
        *traced.entry(seam_calls_of(name)).or_default() += 1;
    }
    assert!(counted.values().sum::<u64>() > 30, "{counted:?}\n{}", child.printed());
    assert_eq!(counted, traced, "the seam's count, and the system's");
}
