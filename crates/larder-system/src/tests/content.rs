//! Content: where it is read and written, and how long files get.

use std::io::IoSlice;

use rustix::io::Errno;

use super::{Scratch, errno, on_each_disk, path};
use crate::{Disk, Kind, Metadata, Open, read_exact_at, read_to_limit, write_all, write_all_at};

on_each_disk!(
    what_is_written_is_read_back,
    a_read_takes_no_more_than_there_is_room_for,
    reading_at_an_offset_leaves_the_position_alone,
    appending_goes_to_the_end_whoever_wrote_it,
    the_position_after_an_append_is_its_own_end,
    seeking_the_end_tells_the_length_and_stays_there,
    a_file_opened_to_read_is_not_written,
    a_length_is_cut_and_grown_with_zeros,
    an_allocation_makes_a_file_that_long,
    syncs_reach_files_and_folders,
    metadata_tell_kind_length_and_links,
    a_use_is_what_was_recorded,
    a_mode_is_set,
    reading_to_a_limit_tells_whether_there_is_more,
);

fn what_is_written_is_read_back(disk: &dyn Disk) {
    let scratch = Scratch::new();
    let root = scratch.root(disk);
    let file = disk.open(&root, path("a"), Open::CREATE_NEW).unwrap();
    write_all(disk, &file, &[b"one ", b"", b"two ", b"three"]).unwrap();
    write_all_at(disk, &file, b"TWO", 4).unwrap();
    let mut buffer = [0; 20];
    assert_eq!(read_exact_at(disk, &file, &mut buffer, 0).unwrap(), 13);
    assert_eq!(&buffer[..13], b"one TWO three");
    let again = disk.open(&root, path("a"), Open::READ).unwrap();
    let mut content = Vec::new();
    assert!(read_to_limit(disk, &again, &mut content, 100).unwrap());
    assert_eq!(content, b"one TWO three");
}

fn a_read_takes_no_more_than_there_is_room_for(disk: &dyn Disk) {
    let scratch = Scratch::new();
    let root = scratch.root(disk);
    let file = disk.open(&root, path("a"), Open::CREATE_NEW).unwrap();
    write_all_at(disk, &file, b"abcdef", 0).unwrap();
    assert_eq!(disk.read(&file, &mut Vec::new()).unwrap(), 0, "no room, nothing read");
    let mut content = Vec::with_capacity(4);
    content.push(b'>');
    let room = content.capacity() - 1;
    assert_eq!(disk.read(&file, &mut content).unwrap(), room);
    assert_eq!(content, &b">abcdef"[..=room]);
}

fn reading_at_an_offset_leaves_the_position_alone(disk: &dyn Disk) {
    let scratch = Scratch::new();
    let root = scratch.root(disk);
    let file = disk.open(&root, path("a"), Open::CREATE_NEW).unwrap();
    write_all(disk, &file, &[b"abc"]).unwrap();
    disk.read_at(&file, &mut [0; 1], 0).unwrap();
    disk.write_at(&file, b"x", 1).unwrap();
    assert_eq!(disk.position(&file).unwrap(), 3);
    write_all(disk, &file, &[b"d"]).unwrap();
    let mut buffer = [0; 4];
    read_exact_at(disk, &file, &mut buffer, 0).unwrap();
    assert_eq!(&buffer, b"axcd");
}

fn appending_goes_to_the_end_whoever_wrote_it(disk: &dyn Disk) {
    let scratch = Scratch::new();
    let root = scratch.root(disk);
    disk.open(&root, path("log"), Open::CREATE_NEW).unwrap();
    let one = disk.open(&root, path("log"), Open::APPEND).unwrap();
    let other = disk.open(&root, path("log"), Open::APPEND).unwrap();
    for _ in 0..3 {
        disk.write(&one, &[IoSlice::new(b"1")]).unwrap();
        disk.write(&other, &[IoSlice::new(b"2")]).unwrap();
    }
    let mut buffer = [0; 6];
    read_exact_at(disk, &one, &mut buffer, 0).unwrap();
    assert_eq!(&buffer, b"121212");
}

fn the_position_after_an_append_is_its_own_end(disk: &dyn Disk) {
    let scratch = Scratch::new();
    let root = scratch.root(disk);
    disk.open(&root, path("log"), Open::CREATE_NEW).unwrap();
    let one = disk.open(&root, path("log"), Open::APPEND).unwrap();
    let other = disk.open(&root, path("log"), Open::APPEND).unwrap();
    disk.write(&one, &[IoSlice::new(b"12345")]).unwrap();
    disk.write(&other, &[IoSlice::new(b"678")]).unwrap();
    assert_eq!(disk.position(&one).unwrap(), 5);
    assert_eq!(disk.position(&other).unwrap(), 8);
}

fn seeking_the_end_tells_the_length_and_stays_there(disk: &dyn Disk) {
    let scratch = Scratch::new();
    let root = scratch.root(disk);
    let file = disk.open(&root, path("a"), Open::CREATE_NEW).unwrap();
    write_all_at(disk, &file, b"abc", 0).unwrap();
    assert_eq!(disk.seek_end(&file).unwrap(), 3);
    write_all(disk, &file, &[b"de"]).unwrap();
    assert_eq!((disk.position(&file).unwrap(), disk.metadata(&file).unwrap().length), (5, 5));
}

fn a_file_opened_to_read_is_not_written(disk: &dyn Disk) {
    let scratch = Scratch::new();
    let root = scratch.root(disk);
    disk.open(&root, path("a"), Open::CREATE_NEW).unwrap();
    let file = disk.open(&root, path("a"), Open::READ).unwrap();
    assert_eq!(errno(disk.write(&file, &[IoSlice::new(b"x")])), Some(Errno::BADF));
    assert_eq!(errno(disk.write_at(&file, b"x", 0)), Some(Errno::BADF));
    assert_eq!(errno(disk.set_length(&file, 1)), Some(Errno::INVAL));
}

fn a_length_is_cut_and_grown_with_zeros(disk: &dyn Disk) {
    let scratch = Scratch::new();
    let root = scratch.root(disk);
    let file = disk.open(&root, path("a"), Open::CREATE_NEW).unwrap();
    write_all(disk, &file, &[b"abcdef"]).unwrap();
    disk.set_length(&file, 2).unwrap();
    disk.set_length(&file, 4).unwrap();
    let mut buffer = [9; 8];
    assert_eq!(read_exact_at(disk, &file, &mut buffer, 0).unwrap(), 4);
    assert_eq!(&buffer[..4], b"ab\0\0");
}

fn an_allocation_makes_a_file_that_long(disk: &dyn Disk) {
    let scratch = Scratch::new();
    let root = scratch.root(disk);
    let file = disk.open(&root, path("a"), Open::CREATE_NEW).unwrap();
    if let Err(error) = disk.allocate(&file, 100_000) {
        assert_eq!(error.kind(), std::io::ErrorKind::Unsupported);
        return;
    }
    let found = disk.metadata(&file).unwrap();
    assert_eq!(found.length, 100_000);
    assert!(found.allocated >= 100_000, "{} bytes of blocks", found.allocated);
}

fn syncs_reach_files_and_folders(disk: &dyn Disk) {
    let scratch = Scratch::new();
    let root = scratch.root(disk);
    let file = disk.open(&root, path("a"), Open::CREATE_NEW).unwrap();
    write_all(disk, &file, &[b"abc"]).unwrap();
    disk.sync_data(&file).unwrap();
    disk.sync(&file).unwrap();
    disk.sync(&root).unwrap();
    disk.close(file);
}

fn metadata_tell_kind_length_and_links(disk: &dyn Disk) {
    let scratch = Scratch::new();
    let root = scratch.root(disk);
    let file = disk.open(&root, path("a"), Open::CREATE_NEW).unwrap();
    write_all(disk, &file, &[b"abc"]).unwrap();
    let by_handle = disk.metadata(&file).unwrap();
    assert_eq!(by_handle, disk.metadata_at(&root, path("a")).unwrap());
    let glanced = Metadata { modified_ns: 0, changed_ns: 0, ..by_handle };
    assert_eq!(glanced, disk.glance_at(&root, path("a")).unwrap());
    assert!(disk.glance_at(&root, path("absent")).is_err());
    assert_eq!((by_handle.kind, by_handle.length, by_handle.links), (Kind::File, 3, 1));
    assert!(by_handle.modified_ns > 1_600_000_000_000_000_000, "{by_handle:?}");
    disk.link(&root, path("a"), &root, path("b")).unwrap();
    assert_eq!(disk.metadata(&file).unwrap().links, 2);
    disk.remove_file(&root, path("a")).unwrap();
    disk.remove_file(&root, path("b")).unwrap();
    assert_eq!(disk.metadata(&file).unwrap().links, 0);
    let folder = disk.metadata(&root).unwrap();
    assert_eq!(folder.kind, Kind::Folder);
    assert!(!folder.is_same_file(&by_handle));
}

fn a_use_is_what_was_recorded(disk: &dyn Disk) {
    let scratch = Scratch::new();
    let root = scratch.root(disk);
    let file = disk.open(&root, path("a"), Open::CREATE_NEW).unwrap();
    write_all(disk, &file, &[b"abc"]).unwrap();
    let before = disk.metadata(&file).unwrap();
    for used_ns in [1_700_000_000_123_456_789, 1_600_000_000_000_000_000] {
        disk.mark_used(&root, path("a"), used_ns).unwrap();
        let (found, used) = disk.used_at(&root, path("a")).unwrap();
        assert_eq!(used, used_ns);
        assert_eq!((found.modified_ns, found.length, found.inode), (before.modified_ns, 3, before.inode));
    }
    let peeked = disk.open(&root, path("a"), Open::PEEK).unwrap();
    let mut bytes = Vec::with_capacity(8);
    disk.read(&peeked, &mut bytes).unwrap();
    assert_eq!(bytes, b"abc");
    assert!(disk.mark_used(&root, path("absent"), 1).is_err());
    assert!(disk.mark_used(&root, path("a"), i128::MAX).is_err());
}

fn a_mode_is_set(disk: &dyn Disk) {
    let scratch = Scratch::new();
    let root = scratch.root(disk);
    let file = disk.open(&root, path("a"), Open::CREATE_NEW).unwrap();
    disk.set_mode(&file, 0o640).unwrap();
    assert_eq!(disk.metadata(&file).unwrap().mode, 0o640);
    disk.make_folder(&root, path("folder")).unwrap();
    disk.set_mode_at(&root, path("folder"), 0o750).unwrap();
    assert_eq!(disk.metadata_at(&root, path("folder")).unwrap().mode, 0o750);
}

fn reading_to_a_limit_tells_whether_there_is_more(disk: &dyn Disk) {
    let scratch = Scratch::new();
    let root = scratch.root(disk);
    let file = disk.open(&root, path("a"), Open::CREATE_NEW).unwrap();
    write_all(disk, &file, &[&vec![7; 200_000]]).unwrap();
    for (limit, is_whole) in [(0, false), (199_999, false), (200_000, true), (300_000, true)] {
        let again = disk.open(&root, path("a"), Open::READ).unwrap();
        let mut content = b"before".to_vec();
        assert_eq!(read_to_limit(disk, &again, &mut content, limit).unwrap(), is_whole, "{limit}");
        assert_eq!(content.len(), 6 + limit.min(200_000));
    }
}
