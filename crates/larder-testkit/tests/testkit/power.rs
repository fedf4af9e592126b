//! Power cuts: writers known to be bad lose something in some state, the known good one in none.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use larder_system::{Disk, Handle, LockMode, Open, Replace, write_all};
use larder_testkit::{SimDisk, errno};

const OLD: &[u8] = b"the old document, which was there before";
const NEW: &[u8] = b"the new document, somewhat longer than the old one was, so that a tear shows";

/// What a writer leaves out.
#[derive(Clone, Copy, PartialEq)]
enum Omission {
    Nothing,
    FileSync,
    FolderSync,
    Rename,
}

fn root_of(disk: &SimDisk) -> Handle {
    disk.open_root(Path::new("/")).expect("a simulated disk has a root")
}

/// Replaces `/entry`, leaving one thing out.
fn replace(disk: &SimDisk, content: &[u8], omission: Omission) -> io::Result<()> {
    let root = root_of(disk);
    if omission == Omission::Rename {
        let file = disk.open(&root, Path::new("entry"), Open::CREATE_OR_OPEN)?;
        disk.set_length(&file, 0)?;
        write_all(disk, &file, &[content])?;
        disk.sync(&file)?;
        return disk.sync(&root);
    }
    let file = disk.open(&root, Path::new("new"), Open::CREATE_OR_OPEN)?;
    disk.set_length(&file, 0)?;
    write_all(disk, &file, &[content])?;
    if omission != Omission::FileSync {
        disk.sync(&file)?;
    }
    disk.rename(&root, Path::new("new"), &root, Path::new("entry"), Replace::Yes)?;
    if omission != Omission::FolderSync {
        disk.sync(&root)?;
    }
    Ok(())
}

/// A disk with the old document, durably.
fn prepared() -> SimDisk {
    let disk = SimDisk::new();
    replace(&disk, OLD, Omission::Nothing).expect("the disk has room");
    disk
}

fn entries(states: &[SimDisk]) -> BTreeSet<Option<Vec<u8>>> {
    states.iter().map(|state| state.read_file("/entry")).collect()
}

fn only(contents: &[&[u8]]) -> BTreeSet<Option<Vec<u8>>> {
    contents.iter().map(|content| Some(content.to_vec())).collect()
}

#[test]
fn a_writer_that_syncs_file_and_folder_is_always_there_after_it_returned() {
    let disk = prepared();
    replace(&disk, NEW, Omission::Nothing).expect("the disk has room");
    assert_eq!(entries(&disk.crash_states(1_000, 1)), only(&[NEW]));
}

#[test]
fn a_power_cut_at_every_call_of_a_good_writer_leaves_old_or_new() {
    let disk = prepared();
    disk.record();
    replace(&disk, NEW, Omission::Nothing).expect("the disk has room");
    let history = disk.history();
    assert_eq!(history.len(), 6, "create, cut, write, sync, rename, sync: {history:?}");
    let mut seen = BTreeSet::new();
    for before in &history {
        let states = before.crash_states(1_000, 1);
        assert!(entries(&states).is_subset(&only(&[OLD, NEW])), "{states:?}");
        seen.append(&mut entries(&states));
    }
    assert_eq!(seen, only(&[OLD, NEW]), "the history reaches from the old document to the new one");
}

#[test]
fn a_writer_that_does_not_sync_the_file_leaves_it_empty_torn_zeroed_and_foreign() {
    let disk = prepared();
    replace(&disk, NEW, Omission::FileSync).expect("the disk has room");
    let found = entries(&disk.crash_states(10_000, 1));
    let has = |what: &dyn Fn(&[u8]) -> bool| found.iter().flatten().any(|content| what(content));
    assert!(has(&|content| content.is_empty()), "empty");
    assert!(has(&|content| !content.is_empty() && content.len() < NEW.len() && NEW.starts_with(content)), "torn");
    assert!(has(&|content| content.len() == NEW.len() && content.iter().all(|byte| *byte == 0)), "zeroed");
    assert!(has(&|content| content.len() == NEW.len() && content.starts_with(OLD)), "foreign");
    assert!(has(&|content| content == NEW), "whole");
}

#[test]
fn a_writer_that_does_not_sync_the_folder_may_leave_the_old_document() {
    let disk = prepared();
    replace(&disk, NEW, Omission::FolderSync).expect("the disk has room");
    assert_eq!(entries(&disk.crash_states(1_000, 1)), only(&[OLD, NEW]));
}

#[test]
fn a_writer_in_place_leaves_neither_old_nor_new_if_cut_halfway() {
    let disk = prepared();
    disk.record();
    replace(&disk, NEW, Omission::Rename).expect("the disk has room");
    let bad =
        disk.history().iter().any(|before| !entries(&before.crash_states(1_000, 1)).is_subset(&only(&[OLD, NEW])));
    assert!(bad);
}

#[test]
fn a_folder_whose_parent_was_not_synced_may_vanish_with_all_that_was_synced_in_it() {
    let disk = SimDisk::new();
    let root = root_of(&disk);
    disk.make_folder(&root, Path::new("folder")).expect("the name is free");
    let folder = disk.open(&root, Path::new("folder"), Open::FOLDER).expect("it was just made");
    let file = disk.open(&folder, Path::new("file"), Open::CREATE_NEW).expect("the name is free");
    disk.sync(&file).and_then(|()| disk.sync(&folder)).expect("syncs work");
    let is_there = |state: &SimDisk| state.read_file("/folder/file").is_some();
    assert!(disk.crash_states(100, 1).iter().any(|state| !is_there(state)));
    disk.sync(&root).expect("syncs work");
    assert!(disk.crash_states(100, 1).iter().all(is_there));
}

#[test]
fn unsynced_names_survive_in_any_order() {
    let disk = SimDisk::new();
    let root = root_of(&disk);
    for name in ["a", "b", "c"] {
        disk.make_folder(&root, Path::new(name)).expect("the name is free");
    }
    let states = disk.crash_states(100, 1);
    let names: BTreeSet<usize> = states.iter().map(|state| state.tree().len()).collect();
    assert_eq!((states.len(), names), (8, BTreeSet::from([1, 2, 3, 4])), "every subset of three names");
}

#[test]
fn a_rename_between_folders_is_durable_whole_or_not_at_all() {
    let disk = SimDisk::new();
    let root = root_of(&disk);
    for name in ["tmp", "entries"] {
        disk.make_folder(&root, Path::new(name)).expect("the name is free");
    }
    let tmp = disk.open(&root, Path::new("tmp"), Open::FOLDER).expect("it was just made");
    let target = disk.open(&root, Path::new("entries"), Open::FOLDER).expect("it was just made");
    disk.open(&tmp, Path::new("x"), Open::CREATE_NEW).expect("the name is free");
    disk.sync(&root).and_then(|()| disk.sync(&tmp)).expect("syncs work");
    disk.rename(&tmp, Path::new("x"), &target, Path::new("x"), Replace::Yes).expect("the name is there");
    let places = |state: &SimDisk| ["/tmp/x", "/entries/x"].map(|path| state.read_file(path).is_some());
    let found: BTreeSet<[bool; 2]> = disk.crash_states(100, 1).iter().map(places).collect();
    assert_eq!(found, BTreeSet::from([[true, false], [false, true]]));
    disk.sync(&target).expect("syncs work");
    let found: BTreeSet<[bool; 2]> = disk.crash_states(100, 1).iter().map(places).collect();
    assert_eq!(found, BTreeSet::from([[false, true]]));
}

#[test]
fn a_journal_keeps_its_synced_records_and_may_tear_the_last() {
    let disk = SimDisk::new();
    let root = root_of(&disk);
    disk.open(&root, Path::new("entry"), Open::CREATE_NEW).expect("the name is free");
    let journal = disk.open(&root, Path::new("entry"), Open::APPEND).expect("it was just made");
    write_all(&disk, &journal, &[b"record one\n"]).expect("the disk has room");
    disk.sync(&journal).and_then(|()| disk.sync(&root)).expect("syncs work");
    write_all(&disk, &journal, &[b"record two\n"]).expect("the disk has room");
    let found = entries(&disk.crash_states(1_000, 1));
    assert!(found.iter().all(|content| content.as_ref().is_some_and(|content| content.starts_with(b"record one\n"))));
    assert!(found.contains(&Some(b"record one\nrecord".to_vec())) || found.contains(&Some(b"record one\nr".to_vec())));
}

#[test]
fn sampled_states_are_as_many_as_asked_for_and_repeat_with_their_seed() {
    let disk = prepared();
    let root = root_of(&disk);
    for number in 0..40 {
        let file = disk.open(&root, Path::new(&format!("{number}")), Open::CREATE_NEW).expect("the name is free");
        write_all(&disk, &file, &[&[7; 2_000]]).expect("the disk has room");
    }
    let trees = |seed| disk.crash_states(50, seed).iter().map(SimDisk::tree).collect::<Vec<_>>();
    assert_eq!(trees(1).len(), 50);
    assert_eq!(trees(1), trees(1));
    assert_ne!(trees(1), trees(2));
    let described: BTreeSet<String> = disk.crash_states(50, 1).iter().map(|state| format!("{state:?}")).collect();
    assert_eq!(described.len(), 50, "each state tells how to get it");
}

#[test]
fn states_are_disks_of_their_own_with_nothing_open_or_locked() {
    let disk = prepared();
    let root = root_of(&disk);
    let file = disk.open(&root, Path::new("entry"), Open::READ_WRITE).expect("it is there");
    assert!(disk.try_lock(&file, LockMode::Exclusive).expect("locks work"));
    let state = disk.crash_states(10, 1).remove(0);
    let there = root_of(&state);
    let other = state.open(&there, Path::new("entry"), Open::READ_WRITE).expect("it is there");
    assert!(state.try_lock(&other, LockMode::Exclusive).expect("locks work"));
    state.remove_file(&there, Path::new("entry")).expect("it is there");
    assert_eq!(disk.read_file("/entry").as_deref(), Some(OLD));
    assert_eq!(state.metadata(&root).map_err(|error| error.raw_os_error()), Err(Some(errno::EBADF)));
}

#[test]
fn a_kill_loses_nothing_but_the_locks() {
    let disk = SimDisk::new();
    let root = root_of(&disk);
    let file = disk.open(&root, Path::new("entry"), Open::CREATE_NEW).expect("the name is free");
    write_all(&disk, &file, &[NEW]).expect("the disk has room");
    disk.lock(&file, LockMode::Exclusive).expect("nobody holds it");
    let after = disk.snapshot();
    assert_eq!(after.read_file("/entry").as_deref(), Some(NEW));
    let again = after.open(&root_of(&after), Path::new("entry"), Open::READ_WRITE).expect("it is there");
    assert!(after.try_lock(&again, LockMode::Exclusive).expect("locks work"));
    assert!(entries(&after.crash_states(100, 1)).contains(&None), "its name was never synced");
}

#[test]
fn a_full_disk_takes_what_fits_and_still_reads_and_removes() {
    let disk = SimDisk::new();
    let root = root_of(&disk);
    let file = disk.open(&root, Path::new("a"), Open::CREATE_NEW).expect("the disk has room");
    disk.set_capacity(10);
    assert_eq!(disk.write_at(&file, &[1; 16], 0).expect("some of it fits"), 10);
    let full = |error: io::Error| error.raw_os_error() == Some(errno::ENOSPC);
    assert!(disk.write_at(&file, &[1; 16], 10).is_err_and(full));
    assert!(disk.make_folder(&root, Path::new("b")).is_err_and(full));
    assert_eq!(disk.read_at(&file, &mut [0; 16], 0).expect("reading goes on"), 10);
    disk.rename(&root, Path::new("a"), &root, Path::new("b"), Replace::Yes).expect("renaming goes on");
    disk.remove_file(&root, Path::new("b")).expect("removing goes on");
    assert_eq!(disk.file_system(&root).expect("it is a folder").available_bytes, 0, "the open file keeps its space");
    drop(file);
    assert_eq!(disk.file_system(&root).expect("it is a folder").available_bytes, 10);
}

#[test]
fn a_waiter_gets_the_lock_when_its_holder_closes() {
    let disk = SimDisk::new();
    let root = root_of(&disk);
    let holder = disk.open(&root, Path::new("lock"), Open::CREATE_OR_OPEN).expect("the disk has room");
    let waiter = disk.open(&root, Path::new("lock"), Open::CREATE_OR_OPEN).expect("the disk has room");
    disk.lock(&holder, LockMode::Exclusive).expect("nobody holds it");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| disk.lock(&waiter, LockMode::Exclusive));
        assert!(!disk.try_lock(&waiter, LockMode::Exclusive).is_ok_and(|taken| taken));
        disk.close(holder);
        waiting.join().expect("no panic").expect("the holder is gone");
    });
}
