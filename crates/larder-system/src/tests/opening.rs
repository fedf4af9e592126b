//! Opening: what is made, what is refused, and that no link is followed.

use std::os::unix::fs::symlink;

use rustix::io::Errno;

use super::{Scratch, errno, on_each_disk, path};
use crate::{Access, Create, Disk, Kind, Open};

on_each_disk!(
    a_created_file_is_for_its_owner_alone,
    a_file_is_created_anew_only_where_no_name_is,
    an_absent_file_is_not_there,
    a_file_is_no_folder_and_a_folder_is_no_file,
    a_link_is_refused_in_every_component,
    a_link_that_leads_nowhere_is_not_created_through,
    a_path_that_leads_out_is_refused,
    a_root_may_be_reached_through_a_link,
    a_root_is_made_for_its_owner_alone_and_once,
    a_folder_opens_itself_as_a_dot,
    a_deep_path_opens_at_once,
);

fn a_created_file_is_for_its_owner_alone(disk: &dyn Disk) {
    let scratch = Scratch::new();
    let root = scratch.root(disk);
    for (name, how) in [("new", Open::CREATE_NEW), ("absent", Open::CREATE_OR_OPEN)] {
        let file = disk.open(&root, path(name), how).unwrap();
        assert_eq!(disk.metadata(&file).unwrap().mode, 0o600);
    }
}

fn a_file_is_created_anew_only_where_no_name_is(disk: &dyn Disk) {
    let scratch = Scratch::new();
    let root = scratch.root(disk);
    let first = disk.open(&root, path("a"), Open::CREATE_NEW).unwrap();
    assert_eq!(errno(disk.open(&root, path("a"), Open::CREATE_NEW)), Some(Errno::EXIST));
    let again = disk.open(&root, path("a"), Open::CREATE_OR_OPEN).unwrap();
    assert!(disk.metadata(&first).unwrap().is_same_file(&disk.metadata(&again).unwrap()));
}

fn an_absent_file_is_not_there(disk: &dyn Disk) {
    let scratch = Scratch::new();
    let root = scratch.root(disk);
    for how in [Open::READ, Open::READ_WRITE, Open::APPEND, Open::FOLDER] {
        assert_eq!(errno(disk.open(&root, path("a"), how)), Some(Errno::NOENT), "{how:?}");
        assert_eq!(errno(disk.open(&root, path("a/b"), how)), Some(Errno::NOENT), "{how:?}");
    }
    // That one has no number on every disk: it need not reach the system.
    assert_eq!(disk.open(&root, path(""), Open::READ).unwrap_err().kind(), std::io::ErrorKind::NotFound);
}

fn a_file_is_no_folder_and_a_folder_is_no_file(disk: &dyn Disk) {
    let scratch = Scratch::new();
    let root = scratch.root(disk);
    disk.make_folder(&root, path("folder")).unwrap();
    disk.open(&root, path("file"), Open::CREATE_NEW).unwrap();
    assert_eq!(errno(disk.open(&root, path("file"), Open::FOLDER)), Some(Errno::NOTDIR));
    assert_eq!(errno(disk.open(&root, path("file/x"), Open::READ)), Some(Errno::NOTDIR));
    assert_eq!(errno(disk.open(&root, path("folder"), Open::READ_WRITE)), Some(Errno::ISDIR));
    assert_eq!(errno(disk.open(&root, path("folder"), Open::CREATE_OR_OPEN)), Some(Errno::ISDIR));
}

fn a_link_is_refused_in_every_component(disk: &dyn Disk) {
    let scratch = Scratch::new();
    let root = scratch.root(disk);
    disk.make_folder(&root, path("folder")).unwrap();
    disk.open(&root, path("folder/file"), Open::CREATE_NEW).unwrap();
    symlink("folder", scratch.path.join("to-folder")).unwrap();
    symlink("file", scratch.path.join("folder/to-file")).unwrap();
    for through in ["to-folder", "to-folder/file", "folder/to-file"] {
        for how in [Open::READ, Open::FOLDER, Open::READ_WRITE, Open::APPEND, Open::CREATE_OR_OPEN] {
            let how_is_possible = through != "to-folder" || how.create == Create::Never;
            if how_is_possible {
                assert_eq!(errno(disk.open(&root, path(through), how)), Some(Errno::LOOP), "{through} {how:?}");
            }
        }
    }
    let link = disk.metadata_at(&root, path("to-folder")).unwrap();
    assert_eq!(link.kind, Kind::Link, "metadata are those of the link itself");
}

fn a_link_that_leads_nowhere_is_not_created_through(disk: &dyn Disk) {
    let scratch = Scratch::new();
    let root = scratch.root(disk);
    symlink("target", scratch.path.join("link")).unwrap();
    assert_eq!(errno(disk.open(&root, path("link"), Open::CREATE_OR_OPEN)), Some(Errno::LOOP));
    assert_eq!(errno(disk.open(&root, path("link"), Open::CREATE_NEW)), Some(Errno::EXIST));
    assert!(!scratch.path.join("target").exists());
}

fn a_path_that_leads_out_is_refused(disk: &dyn Disk) {
    let scratch = Scratch::new();
    let root = scratch.root(disk);
    disk.make_folder(&root, path("folder")).unwrap();
    let whole = scratch.path.join("folder");
    for out in ["..", "../x", "folder/..", "folder/../x", "/", whole.to_str().unwrap()] {
        for how in [Open::FOLDER, Open::READ, Open::CREATE_OR_OPEN] {
            assert_eq!(errno(disk.open(&root, path(out), how)), Some(Errno::XDEV), "{out} {how:?}");
        }
    }
}

fn a_root_may_be_reached_through_a_link(disk: &dyn Disk) {
    let scratch = Scratch::new();
    let root = scratch.root(disk);
    disk.make_folder(&root, path("folder")).unwrap();
    symlink("folder", scratch.path.join("link")).unwrap();
    let through = disk.open_root(&scratch.path.join("link")).unwrap();
    let named = disk.root_metadata(&scratch.path.join("link")).unwrap();
    assert!(disk.metadata(&through).unwrap().is_same_file(&named));
    assert!(named.is_same_file(&disk.metadata_at(&root, path("folder")).unwrap()));
}

fn a_root_is_made_for_its_owner_alone_and_once(disk: &dyn Disk) {
    let scratch = Scratch::new();
    let place = scratch.path.join("root");
    disk.make_root(&place).unwrap();
    assert_eq!(errno(disk.make_root(&place)), Some(Errno::EXIST));
    assert_eq!(disk.root_metadata(&place).unwrap().mode, 0o700);
    assert_eq!(errno(disk.make_root(&scratch.path.join("absent/root"))), Some(Errno::NOENT));
    assert_eq!(errno(disk.open_root(&scratch.path.join("absent"))), Some(Errno::NOENT));
}

fn a_folder_opens_itself_as_a_dot(disk: &dyn Disk) {
    let scratch = Scratch::new();
    let root = scratch.root(disk);
    let again = disk.open(&root, path("."), Open::FOLDER).unwrap();
    assert!(disk.metadata(&root).unwrap().is_same_file(&disk.metadata(&again).unwrap()));
}

fn a_deep_path_opens_at_once(disk: &dyn Disk) {
    let scratch = Scratch::new();
    let root = scratch.root(disk);
    let mut deep = String::new();
    for _ in 0..20 {
        let folder = if deep.is_empty() { "." } else { &deep };
        let folder = disk.open(&root, path(folder), Open::FOLDER).unwrap();
        disk.make_folder(&folder, path("folder")).unwrap();
        deep = if deep.is_empty() { "folder".to_owned() } else { format!("{deep}/folder") };
    }
    let file = disk.open(&root, path(&format!("{deep}/file")), Open::CREATE_NEW).unwrap();
    let read = Open { access: Access::Read, create: Create::Never };
    let again = disk.open(&root, path(&format!("{deep}/file")), read).unwrap();
    assert!(disk.metadata(&file).unwrap().is_same_file(&disk.metadata(&again).unwrap()));
}
