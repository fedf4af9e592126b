//! Names: moved, linked, removed and listed, one folder at a time.

use std::collections::BTreeSet;

use rustix::io::Errno;

use super::{Scratch, errno, on_each_disk, path};
use crate::{Disk, Handle, Kind, Open, Replace, write_all};

on_each_disk!(
    a_name_with_a_separator_is_refused_by_every_call,
    a_rename_replaces_what_has_the_name,
    a_rename_that_may_not_replace_does_not,
    a_link_is_a_second_name_and_takes_nobodys_place,
    a_removed_file_is_still_read_by_who_has_it_open,
    only_an_empty_folder_is_removed,
    a_made_folder_is_for_its_owner_alone,
    a_listing_gives_every_name_once_with_its_kind,
    a_listing_of_many_names_comes_in_batches,
    a_handle_of_another_disk_is_refused,
);

fn create(disk: &dyn Disk, root: &Handle, name: &str, content: &[u8]) {
    let file = disk.open(root, path(name), Open::CREATE_NEW).unwrap();
    write_all(disk, &file, &[content]).unwrap();
}

fn content(disk: &dyn Disk, root: &Handle, name: &str) -> Vec<u8> {
    let file = disk.open(root, path(name), Open::READ).unwrap();
    let mut content = Vec::new();
    crate::read_to_limit(disk, &file, &mut content, 1_000).unwrap();
    content
}

fn names(disk: &dyn Disk, folder: &Handle) -> Vec<crate::Listed> {
    let mut names = Vec::new();
    while disk.list(folder, &mut names).unwrap() {}
    names
}

fn a_name_with_a_separator_is_refused_by_every_call(disk: &dyn Disk) {
    let scratch = Scratch::new();
    let root = scratch.root(disk);
    disk.make_folder(&root, path("folder")).unwrap();
    create(disk, &root, "folder/file", b"");
    create(disk, &root, "file", b"");
    let good = path("file");
    for odd in ["folder/file", "./file", "folder/", "/", "/file", "..", "."] {
        let odd = path(odd);
        let refused = [
            errno(disk.metadata_at(&root, odd)),
            errno(disk.rename(&root, odd, &root, good, Replace::Yes)),
            errno(disk.rename(&root, good, &root, odd, Replace::Yes)),
            errno(disk.link(&root, odd, &root, path("new"))),
            errno(disk.link(&root, good, &root, odd)),
            errno(disk.remove_file(&root, odd)),
            errno(disk.remove_folder(&root, odd)),
            errno(disk.make_folder(&root, odd)),
            errno(disk.set_mode_at(&root, odd, 0o600)),
        ];
        assert!(refused.iter().all(|errno| *errno == Some(Errno::XDEV)), "{odd:?}: {refused:?}");
    }
    assert_eq!(content(disk, &root, "folder/file"), b"");
}

fn a_rename_replaces_what_has_the_name(disk: &dyn Disk) {
    let scratch = Scratch::new();
    let root = scratch.root(disk);
    disk.make_folder(&root, path("tmp")).unwrap();
    let tmp = disk.open(&root, path("tmp"), Open::FOLDER).unwrap();
    create(disk, &tmp, "new", b"new");
    create(disk, &root, "entry", b"old");
    disk.rename(&tmp, path("new"), &root, path("entry"), Replace::Yes).unwrap();
    assert_eq!(content(disk, &root, "entry"), b"new");
    assert!(names(disk, &tmp).is_empty());
}

fn a_rename_that_may_not_replace_does_not(disk: &dyn Disk) {
    let scratch = Scratch::new();
    let root = scratch.root(disk);
    create(disk, &root, "new", b"new");
    create(disk, &root, "entry", b"old");
    let refused = disk.rename(&root, path("new"), &root, path("entry"), Replace::No);
    let kind = refused.unwrap_err().kind();
    assert!(matches!(kind, std::io::ErrorKind::AlreadyExists | std::io::ErrorKind::Unsupported), "{kind:?}");
    assert_eq!(content(disk, &root, "entry"), b"old");
    assert_eq!(content(disk, &root, "new"), b"new");
}

fn a_link_is_a_second_name_and_takes_nobodys_place(disk: &dyn Disk) {
    let scratch = Scratch::new();
    let root = scratch.root(disk);
    create(disk, &root, "one", b"one");
    create(disk, &root, "other", b"other");
    disk.link(&root, path("one"), &root, path("second")).unwrap();
    assert_eq!(content(disk, &root, "second"), b"one");
    assert_eq!(errno(disk.link(&root, path("one"), &root, path("other"))), Some(Errno::EXIST));
    assert_eq!(content(disk, &root, "other"), b"other");
}

fn a_removed_file_is_still_read_by_who_has_it_open(disk: &dyn Disk) {
    let scratch = Scratch::new();
    let root = scratch.root(disk);
    create(disk, &root, "a", b"abc");
    let file = disk.open(&root, path("a"), Open::READ).unwrap();
    disk.remove_file(&root, path("a")).unwrap();
    assert_eq!(errno(disk.metadata_at(&root, path("a"))), Some(Errno::NOENT));
    assert_eq!(errno(disk.remove_file(&root, path("a"))), Some(Errno::NOENT));
    assert_eq!(disk.read_at(&file, &mut [0; 8], 0).unwrap(), 3);
}

fn only_an_empty_folder_is_removed(disk: &dyn Disk) {
    let scratch = Scratch::new();
    let root = scratch.root(disk);
    disk.make_folder(&root, path("folder")).unwrap();
    create(disk, &root, "folder/file", b"");
    assert_eq!(errno(disk.remove_folder(&root, path("folder"))), Some(Errno::NOTEMPTY));
    assert!(disk.remove_file(&root, path("folder")).is_err());
    let folder = disk.open(&root, path("folder"), Open::FOLDER).unwrap();
    disk.remove_file(&folder, path("file")).unwrap();
    disk.remove_folder(&root, path("folder")).unwrap();
    assert_eq!(errno(disk.metadata_at(&root, path("folder"))), Some(Errno::NOENT));
}

fn a_made_folder_is_for_its_owner_alone(disk: &dyn Disk) {
    let scratch = Scratch::new();
    let root = scratch.root(disk);
    disk.make_folder(&root, path("folder")).unwrap();
    assert_eq!(disk.metadata_at(&root, path("folder")).unwrap().mode, 0o700);
    assert_eq!(errno(disk.make_folder(&root, path("folder"))), Some(Errno::EXIST));
}

fn a_listing_gives_every_name_once_with_its_kind(disk: &dyn Disk) {
    let scratch = Scratch::new();
    let root = scratch.root(disk);
    disk.make_folder(&root, path("folder")).unwrap();
    create(disk, &root, "file", b"");
    std::os::unix::fs::symlink("file", scratch.path.join("link")).unwrap();
    let mut found = names(disk, &root);
    found.sort_by(|one, other| one.name.cmp(&other.name));
    let found: Vec<(&str, Kind)> = found.iter().map(|listed| (listed.name.to_str().unwrap(), listed.kind)).collect();
    assert_eq!(found, [("file", Kind::File), ("folder", Kind::Folder), ("link", Kind::Link)]);
}

fn a_listing_of_many_names_comes_in_batches(disk: &dyn Disk) {
    const COUNT: usize = 10_500;
    let scratch = Scratch::new();
    let root = scratch.root(disk);
    create(disk, &root, "0", b"");
    for number in 1..COUNT {
        disk.link(&root, path("0"), &root, path(&number.to_string())).unwrap();
    }
    let (mut names, mut batches) = (Vec::new(), 1);
    let folder = disk.open(&root, path("."), Open::FOLDER).unwrap();
    while disk.list(&folder, &mut names).unwrap() {
        batches += 1;
    }
    assert!(batches > 2, "{batches} batches");
    let distinct: BTreeSet<_> = names.iter().map(|listed| &listed.name).collect();
    assert_eq!((names.len(), distinct.len()), (COUNT, COUNT));
}

fn a_handle_of_another_disk_is_refused(disk: &dyn Disk) {
    let foreign = Handle::from_other("of another disk");
    assert_eq!(errno(disk.metadata(&foreign)), Some(Errno::BADF));
    assert_eq!(errno(disk.open(&foreign, path("a"), Open::READ)), Some(Errno::BADF));
    assert_eq!(foreign.other::<&str>(), Some(&"of another disk"));
    assert!(foreign.file().is_none());
}
