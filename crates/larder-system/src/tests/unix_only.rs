//! What only the disk of Unix systems promises, and what only the portable one refuses.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::{Scratch, errno, path};
use crate::{Disk, Kind, Open, PortableDisk, Replace, SystemDisk};

fn make_fifo(scratch: &Scratch, name: &str) {
    let made = std::process::Command::new("mkfifo").arg(scratch.path.join(name)).status();
    assert!(made.is_ok_and(|status| status.success()));
}

#[test]
fn a_fifo_opens_without_waiting_for_its_other_end_and_tells_what_it_is() {
    let scratch = Scratch::new();
    make_fifo(&scratch, "fifo");
    for disk in [SystemDisk::new(), SystemDisk::walking()] {
        let root = scratch.root(&disk);
        let named = disk.metadata_at(&root, path("fifo")).unwrap();
        // A thread of its own, so that an open that waits fails the test instead of holding it up.
        let (opened, answer) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let fifo = disk.open(&root, path("fifo"), Open::READ).unwrap();
            opened.send(disk.metadata(&fifo).unwrap().kind)
        });
        assert_eq!(answer.recv_timeout(std::time::Duration::from_secs(60)), Ok(Kind::Special));
        assert_eq!(named.kind, Kind::Special);
    }
}

#[test]
fn the_portable_disk_does_not_open_a_fifo() {
    let scratch = Scratch::new();
    make_fifo(&scratch, "fifo");
    let disk = PortableDisk::new();
    let error = disk.open(&scratch.root(&disk), path("fifo"), Open::READ).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::Unsupported);
}

#[test]
fn a_rename_without_replacing_answers_that_the_name_is_taken() {
    let scratch = Scratch::new();
    let disk = SystemDisk::new();
    let root = scratch.root(&disk);
    for name in ["one", "other"] {
        disk.open(&root, path(name), Open::CREATE_NEW).unwrap();
    }
    assert_eq!(errno(disk.rename(&root, path("one"), &root, path("other"), Replace::No)), Some(Errno::EXIST));
    disk.rename(&root, path("one"), &root, path("free"), Replace::No).unwrap();
}

#[test]
fn files_close_when_another_program_is_run() {
    let scratch = Scratch::new();
    for disk in [SystemDisk::new(), SystemDisk::walking()] {
        let root = scratch.root(&disk);
        let file = disk.open(&root, path("a"), Open::CREATE_OR_OPEN).unwrap();
        for handle in [&root, &file] {
            let flags = rustix::io::fcntl_getfd(handle.file().unwrap()).unwrap();
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        }
    }
}

#[test]
fn a_folder_stays_the_same_when_its_name_goes_to_another() {
    let scratch = Scratch::new();
    for (disk, name) in [(SystemDisk::new(), "a"), (SystemDisk::walking(), "b")] {
        let root = scratch.root(&disk);
        disk.make_folder(&root, path(name)).unwrap();
        let folder = disk.open(&root, path(name), Open::FOLDER).unwrap();
        disk.rename(&root, path(name), &root, path(&format!("{name}-moved")), Replace::Yes).unwrap();
        std::os::unix::fs::symlink("/", scratch.path.join(name)).unwrap();
        disk.open(&folder, path("file"), Open::CREATE_NEW).unwrap();
        assert!(scratch.path.join(format!("{name}-moved/file")).exists());
    }
}

/// While one thread swaps a folder for a link that leads out and back, no look through it ever gets out.
#[test]
fn a_folder_swapped_for_a_link_never_leads_out() {
    let scratch = Scratch::new();
    let other = SystemDisk::new();
    let root = scratch.root(&other);
    for name in ["inside", "outside"] {
        other.make_folder(&root, path(name)).unwrap();
    }
    let inside = other.open(&root, path("inside"), Open::FOLDER).unwrap();
    let outside = other.open(&root, path("outside"), Open::FOLDER).unwrap();
    other.make_folder(&inside, path("folder")).unwrap();
    other.open(&outside, path("secret"), Open::CREATE_NEW).unwrap();
    std::os::unix::fs::symlink("../outside", scratch.path.join("inside/link")).unwrap();
    for disk in [SystemDisk::new(), SystemDisk::walking()] {
        let (start, done) = (Barrier::new(2), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                while !done.load(Ordering::Relaxed) {
                    let (one, two) = (scratch.path.join("inside/folder"), scratch.path.join("inside/link"));
                    rustix::fs::renameat_with(
                        rustix::fs::CWD,
                        &one,
                        rustix::fs::CWD,
                        &two,
                        rustix::fs::RenameFlags::EXCHANGE,
                    )
                    .unwrap();
                }
            });
            start.wait();
            let wrong = (0..20_000)
                .map(|_| errno(disk.open(&inside, path("folder/secret"), Open::READ)))
                .find(|found| !matches!(found, Some(Errno::NOENT | Errno::LOOP | Errno::NOTDIR)));
            done.store(true, Ordering::Relaxed);
            assert_eq!(wrong, None, "an open that got out has no error");
        });
    }
}

#[test]
fn the_file_system_tells_its_room_and_its_kind() {
    let scratch = Scratch::new();
    let disk = SystemDisk::new();
    let found = disk.file_system(&scratch.root(&disk)).unwrap();
    assert!(found.available_bytes > 0 && !found.read_only, "{found:?}");
    assert_eq!(found.magic.is_some(), cfg!(target_os = "linux"));
    let portable = PortableDisk::new();
    let same = portable.file_system(&scratch.root(&portable)).unwrap();
    let distance = same.available_bytes.abs_diff(found.available_bytes);
    assert!(distance < 1 << 30, "both ask the same system: {same:?}, {found:?}");
}

#[test]
fn an_open_file_never_blocks() {
    let scratch = Scratch::new();
    let disk = SystemDisk::new();
    let file = disk.open(&scratch.root(&disk), path("a"), Open::CREATE_NEW).unwrap();
    let flags = rustix::fs::fcntl_getfl(file.file().unwrap()).unwrap();
    assert!(flags.contains(OFlags::NONBLOCK));
}

/// A time of use long before the last change would be overwritten by any read that counts.
#[cfg(target_os = "linux")]
#[test]
fn a_look_is_no_use() {
    let scratch = Scratch::new();
    for disk in [SystemDisk::new(), SystemDisk::walking()] {
        let root = scratch.root(&disk);
        let name = path(if disk.metadata_at(&root, path("a")).is_ok() { "b" } else { "a" });
        let file = disk.open(&root, name, Open::CREATE_NEW).unwrap();
        crate::write_all(&disk, &file, &[b"abc"]).unwrap();
        disk.mark_used(&root, name, 1_600_000_000_000_000_000).unwrap();
        let peeked = disk.open(&root, name, Open::PEEK).unwrap();
        let mut bytes = Vec::with_capacity(8);
        disk.read(&peeked, &mut bytes).unwrap();
        assert_eq!(bytes, b"abc");
        assert_eq!(disk.used_at(&root, name).unwrap().1, 1_600_000_000_000_000_000);
    }
}
