//! Whether stamps are believed when they prove something, and only then.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, SystemTime};

use rustix::fs::{Timespec, Timestamps, futimens};

use crate::tree::Tree;

/// Sets the time of modification.
fn set_modified(path: &std::path::Path, seconds: i64, nanoseconds: i64) {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    futimens(File::open(path).unwrap(), &Timestamps { last_access: time, last_modification: time }).unwrap();
}

#[test]
fn a_rewrite_of_the_same_length_with_its_time_set_back_is_a_change() {
    let tree = Tree::new("set-back");
    tree.write("a", "one");
    let before = std::fs::metadata(tree.path("a")).unwrap();
    tree.changes(|| {
        tree.write("a", "two");
        set_modified(&tree.path("a"), before.mtime(), before.mtime_nsec());
        let after = std::fs::metadata(tree.path("a")).unwrap();
        assert_eq!((before.mtime_nsec(), before.len()), (after.mtime_nsec(), after.len()));
    });
}

#[test]
fn what_was_written_just_before_is_compared_by_reading_and_settles_later() {
    let tree = Tree::new("settles");
    tree.write("a", "one");
    let mut taken = tree.racy();
    tree.fingerprints().settle(&mut taken);
    assert!(!taken[0].is_settled());
    tree.clock.set_wall(SystemTime::now() + Duration::from_secs(60));
    let content = taken[0].content();
    tree.fingerprints().settle(&mut taken);
    assert!(taken[0].is_settled() && taken[0].content() == content && tree.change(&taken).is_none());
}

#[test]
fn what_has_changed_meanwhile_does_not_settle() {
    let tree = Tree::new("unsettled");
    tree.write("a", "one");
    let mut taken = tree.racy();
    tree.write("a", "two");
    tree.clock.set_wall(SystemTime::now() + Duration::from_secs(60));
    tree.fingerprints().settle(&mut taken);
    assert!(!taken[0].is_settled() && tree.change(&taken).is_some());
}

#[test]
fn a_time_of_the_future_is_not_believed() {
    let tree = Tree::new("future");
    tree.write("a", "one");
    set_modified(&tree.path("a"), i64::from(u32::MAX), 0);
    tree.clock.set_wall(SystemTime::now() + Duration::from_secs(60));
    assert!(!tree.fingerprints().take(&tree.paths()).unwrap()[0].is_settled());
}

#[test]
fn a_settled_file_is_not_read() {
    let tree = Tree::new("unread");
    tree.write("a", "one");
    let taken = tree.settled();
    let nothing = larder_watch::fingerprint::Limits::default().bytes_max(0);
    let sparing = tree.fingerprints().limits(nothing);
    assert!(sparing.check(&taken, &tree.paths()).is_none());
    // what is touched is
    tree.write("a", "one");
    let told = sparing.check(&taken, &tree.paths()).unwrap().to_string();
    assert!(told.contains("more than 0 bytes"), "{told}");
}

#[test]
#[cfg(target_os = "linux")]
fn files_whose_length_is_not_what_they_say_are_always_read() {
    let tree = Tree::new("proc");
    tree.clock.set_wall(SystemTime::now() + Duration::from_secs(60));
    let paths = larder_watch::fingerprint::Paths::new(["/proc/version", "/proc/uptime"]).unwrap();
    let taken = tree.fingerprints().take(&paths).unwrap();
    assert!(taken.iter().all(|one| !one.is_settled()));
    tree.until_files_have_another_time();
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    // it counts hundredths of a second
    assert!((0..10_000_000).any(|_| std::fs::read_to_string("/proc/uptime").unwrap() != uptime));
    assert_eq!(tree.change(&taken).unwrap().path, std::path::Path::new("/proc/uptime"));
    assert!(tree.change(&taken[..1]).is_none());
}
