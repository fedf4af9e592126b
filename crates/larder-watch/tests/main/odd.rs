//! What is odd in folders: loops, pipes, what cannot be read, names that are no text.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use larder_watch::fingerprint::{Error, Paths, Why};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::tree::Tree;

#[test]
fn a_loop_of_links_ends() {
    let tree = Tree::new("loop");
    tree.write("a/file", "");
    symlink("..", tree.path("a/up")).unwrap();
    symlink("self", tree.path("self")).unwrap();
    tree.changes_nothing(|| {});
}

#[test]
fn a_pipe_is_never_opened_and_one_that_appears_is_a_change() {
    let tree = Tree::new("pipe");
    tree.write("a", "");
    tree.changes(|| mknodat(CWD, tree.path("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap());
    tree.changes_nothing(|| {});
    tree.changes(|| {
        std::fs::remove_file(tree.path("pipe")).unwrap();
        drop(std::os::unix::net::UnixListener::bind(tree.path("pipe")).unwrap());
    });
}

#[test]
fn what_cannot_be_looked_at_is_an_error_that_names_it_and_a_change_later() {
    let tree = Tree::new("unreadable");
    let paths = Paths::new([tree.path("loop/file")]).unwrap();
    let before = tree.fingerprints().take(&paths).unwrap();
    // not even root gets through
    symlink("loop", tree.path("loop")).unwrap();
    let error = tree.fingerprints().take(&paths).unwrap_err();
    assert!(matches!(&error, Error::Unreadable { path, .. } if *path == tree.path("loop/file")), "{error}");
    let change = tree.change(&before).unwrap();
    assert!(matches!(change.why, Why::Unknown(_)), "{change}");
    assert!(change.to_string().starts_with(&format!("{} cannot be read: ", tree.path("loop/file").display())));
}

#[test]
fn a_file_that_may_not_be_read_is_an_error_that_names_it_and_a_change_later() {
    let tree = Tree::new("forbidden");
    tree.write("a", "text");
    let taken = tree.settled();
    std::fs::set_permissions(tree.path("a"), Permissions::from_mode(0o000)).unwrap();
    // root reads everything
    if std::fs::read(tree.path("a")).is_ok() {
        return;
    }
    let error = tree.fingerprints().take(&tree.paths()).unwrap_err();
    assert!(matches!(&error, Error::Unreadable { path, .. } if *path == tree.path("a")), "{error}");
    assert!(tree.change(&taken).unwrap().to_string().contains("cannot be read"));
}

#[test]
fn names_that_are_no_text_count_like_others() {
    let tree = Tree::new("bytes");
    std::fs::write(tree.path(OsStr::from_bytes(b"\xff")), "one").unwrap();
    tree.changes(|| std::fs::write(tree.path(OsStr::from_bytes(b"\xff")), "two").unwrap());
    tree.changes(|| {
        let (old, new) = (OsStr::from_bytes(b"\xff"), OsStr::from_bytes(b"\xfe"));
        std::fs::rename(tree.path(old), tree.path(new)).unwrap();
    });
}
