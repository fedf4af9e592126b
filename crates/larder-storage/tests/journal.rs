//! A journal's behaviour while nothing crashes: appending, following, compaction, damage, limits, cost.

#![expect(clippy::unwrap_used, reason = "what the tests stand on fails them")]

mod journal_setup;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use journal_setup::{Seen, all_of, home, home_with, journal_in, journal_on, wait};
use larder_storage::journal::{
    Appended, Durability, Event, Journal, Options, RECORD_LENGTH_MAX, append, compact, follow, reach,
};
use larder_system::{Disk, Kind, Open, Replace, SystemDisk, write_all_at};
use larder_testkit::{Action, FaultDisk, Gate, Operation, Scratch, SimDisk, VirtualClock};

const FILE: &str = "tasks.journal";

fn append(journal: &Journal, records: &[&str]) -> Appended {
    journal.append(records, Durability::Unsynced, &wait()).unwrap()
}

/// Puts `bytes` in the place of the journal's file, as a new file.
fn plant(sim: &SimDisk, bytes: &[u8]) {
    let root = sim.open_root(Path::new("/")).unwrap();
    let _ = sim.remove_file(&root, Path::new(FILE));
    let file = sim.open(&root, Path::new(FILE), Open::CREATE_NEW).unwrap();
    write_all_at(sim, &file, bytes, 0).unwrap();
}

/// What a new process reads when the file holds `bytes`.
fn read_planted(bytes: &[u8]) -> Result<Seen, follow::Error> {
    let sim = SimDisk::new();
    plant(&sim, bytes);
    let mut seen = Seen::default();
    journal_on(&sim).follow().poll(|event| seen.take(event)).map(|_| seen)
}

#[test]
fn a_follower_is_given_each_record_once_in_order() {
    let sim = SimDisk::new();
    let (writer, reader) = (journal_on(&sim), journal_on(&sim));
    let (mut follower, mut seen) = (reader.follow(), Seen::default());
    seen.poll(&mut follower);
    assert_eq!(seen.resets, 0, "there is no journal yet, and following makes none");
    append(&writer, &["a", "", "c"]);
    seen.poll(&mut follower);
    assert_eq!(seen.texts(), ["a", "", "c"]);
    reader.append(&["d"], Durability::Synced, &wait()).unwrap();
    append(&writer, &["e"]);
    seen.poll(&mut follower);
    seen.poll(&mut follower);
    assert_eq!(seen.texts(), ["a", "", "c", "d", "e"]);
    assert_eq!(seen.sequences, [0, 1, 2, 3, 4]);
    assert_eq!(seen.resets, 1);
}

#[test]
fn a_poll_that_finds_nothing_new_is_one_pread() {
    for durability in [Durability::Synced, Durability::Unsynced] {
        let sim = SimDisk::new();
        let disk = Arc::new(FaultDisk::over(Arc::new(sim)));
        let clock = Arc::new(VirtualClock::new());
        let journal = journal_in(&home_with(disk.clone(), disk.clone(), Path::new("/"), clock));
        let (mut follower, mut seen) = (journal.follow(), Seen::default());
        journal.append(&["a"], durability, &wait()).unwrap();
        seen.poll(&mut follower);
        seen.poll(&mut follower);
        disk.reset();
        seen.poll(&mut follower);
        assert_eq!((disk.count(), disk.count_of(Operation::ReadAt)), (1, 1), "{durability:?}");
    }
}

#[test]
fn an_append_is_one_look_at_the_name_and_one_write() {
    let sim = Arc::new(SimDisk::new());
    let disk = Arc::new(FaultDisk::over(sim.clone()));
    let journal = journal_in(&home_with(disk.clone(), sim, Path::new("/"), Arc::new(VirtualClock::new())));
    append(&journal, &["first"]);
    disk.reset();
    append(&journal, &["second"]);
    assert_eq!(disk.count_of(Operation::MetadataAt), 1);
    assert_eq!(disk.count_of(Operation::WriteAt), 1);
    assert_eq!(disk.count(), 2);
}

#[test]
fn a_synced_batch_of_ten_thousand_is_one_write_and_one_sync_in_reserved_space() {
    let sim = Arc::new(SimDisk::new());
    let disk = Arc::new(FaultDisk::over(sim.clone()));
    let journal = journal_in(&home_with(disk.clone(), sim.clone(), Path::new("/"), Arc::new(VirtualClock::new())));
    let keys: Vec<String> = (0..10_000).map(|number| format!("k{number}")).collect();
    journal.append(&keys, Durability::Synced, &wait()).unwrap();
    let length = sim.read_file("/tasks.journal").unwrap().len();
    for records in [&keys[..1], &keys[..100]] {
        disk.reset();
        journal.append(records, Durability::Synced, &wait()).unwrap();
        assert_eq!(disk.count_of(Operation::WriteAt), 1);
        assert_eq!((disk.count_of(Operation::SyncData), disk.count_of(Operation::Sync)), (1, 0));
        assert_eq!((disk.count_of(Operation::Allocate), disk.count_of(Operation::SetLength)), (0, 0));
    }
    assert_eq!(sim.read_file("/tasks.journal").unwrap().len(), length, "the space was there already");
    assert_eq!(all_of(&journal).records.len(), 10_101);
}

#[test]
fn threads_that_append_while_a_sync_runs_share_the_next_one() {
    const THREADS: u64 = 8;
    // A thread may reach the second sync late, and then needs one of its own; that nobody ever shares is the failure.
    let shared = (0..50).any(|_| {
        let sim = Arc::new(SimDisk::new());
        let disk = Arc::new(FaultDisk::over(sim.clone()));
        let home = home_with(disk.clone(), sim, Path::new("/"), Arc::new(larder_system::SystemClock::new()));
        let journal = journal_in(&home);
        journal.append(&["first"], Durability::Synced, &wait()).unwrap();
        let gate = Gate::new();
        let held = Arc::clone(&gate);
        let first = AtomicBool::new(true);
        disk.before(move |call| {
            let is_held = call.operation == Operation::SyncData && first.swap(false, Ordering::SeqCst);
            if is_held { Action::Hold(Arc::clone(&held)) } else { Action::Proceed }
        });
        disk.reset();
        std::thread::scope(|scope| {
            scope.spawn(|| journal.append(&["held"], Durability::Synced, &wait()).unwrap());
            gate.wait_until_held(1);
            let others: Vec<_> = (0..THREADS)
                .map(|_| scope.spawn(|| journal.append(&["other"], Durability::Synced, &wait()).unwrap()))
                .collect();
            // nobody can finish before the gate opens, unless by failing; once all have written, all but the slowest
            // wait for the sync that is held
            let mut follower = journal.follow();
            let mut seen = Seen::default();
            while seen.records.len() < 2 + others.len()
                && !others.iter().any(std::thread::ScopedJoinHandle::is_finished)
            {
                seen.poll(&mut follower);
                std::thread::yield_now();
            }
            gate.open();
        });
        assert!(disk.count_of(Operation::SyncData) <= 1 + THREADS);
        disk.count_of(Operation::SyncData) <= THREADS / 2
    });
    assert!(shared, "every thread made a sync of its own");
}

#[test]
fn a_compaction_keeps_what_it_is_given_and_tells_followers_to_begin_again() {
    let sim = SimDisk::new();
    let (writer, other) = (journal_on(&sim), journal_on(&sim));
    let (mut follower, mut seen) = (other.follow(), Seen::default());
    append(&writer, &["a", "b"]);
    append(&other, &["c"]);
    seen.poll(&mut follower);
    let compacted = writer.exclusive(&wait()).unwrap().compact(["b", "c"]).unwrap();
    assert_eq!((compacted.records, compacted.origin.generation, compacted.origin.first_sequence), (2, 1, 3));
    append(&other, &["d"]);
    seen.poll(&mut follower);
    assert_eq!(
        (seen.texts(), seen.sequences, seen.resets),
        (vec!["b".into(), "c".into(), "d".into()], vec![3, 4, 5], 2)
    );
    assert_eq!(all_of(&writer).texts(), ["b", "c", "d"]);
    assert_eq!(sim.tree().keys().filter(|path| path.to_string_lossy().contains(".new")).count(), 0);
}

#[test]
fn whoever_holds_the_journal_reads_decides_and_appends_without_reading_it_back() {
    let sim = Arc::new(SimDisk::new());
    let disk = Arc::new(FaultDisk::over(sim.clone()));
    let journal = journal_in(&home_with(disk.clone(), sim.clone(), Path::new("/"), Arc::new(VirtualClock::new())));
    let (mut follower, mut seen) = (journal.follow(), Seen::default());
    append(&journal_on(&sim), &["add"]);
    let mut exclusive = journal.exclusive(&wait()).unwrap();
    exclusive.catch_up(&mut follower, |event| seen.take(event)).unwrap();
    assert_eq!(seen.texts(), ["add"]);
    let appended = exclusive.append(&["claim"], Durability::Unsynced).unwrap();
    assert!(follower.pass(&appended));
    assert!(!follower.pass(&appended), "it is behind it now");
    disk.reset();
    exclusive.catch_up(&mut follower, |event| seen.take(event)).unwrap();
    assert_eq!(disk.count(), 0, "the holder of the lock knows that there is no more");
    drop(exclusive);
    append(&journal_on(&sim), &["complete"]);
    seen.poll(&mut follower);
    assert_eq!(seen.texts(), ["add", "complete"]);
    assert_eq!(seen.sequences, [0, 2]);
}

#[test]
fn a_flipped_bit_costs_at_most_the_record_or_batch_it_is_in() {
    let sim = SimDisk::new();
    let journal = journal_on(&sim);
    let batches: [&[&str]; 4] = [&["one"], &["two", "three", "four"], &["five"], &["last"]];
    let places: Vec<Appended> = batches.iter().map(|batch| append(&journal, batch)).collect();
    let whole = sim.read_file("/tasks.journal").unwrap();
    let all: Vec<String> = batches.concat().iter().map(|&record| record.to_owned()).collect();
    let (mut single, mut batch) = (0, 0);
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        let seen = read_planted(&bytes).unwrap();
        let hit = places.iter().position(|place| (place.offset..place.end).contains(&(at as u64)));
        let Some(hit) = hit else {
            assert_eq!(seen.texts(), all, "byte {at} of the header has a copy");
            continue;
        };
        let lost: Vec<&String> = all.iter().filter(|record| !seen.texts().contains(record)).collect();
        assert!(lost.iter().all(|record| batches[hit].contains(&record.as_str())), "byte {at} cost {lost:?}");
        if hit < 3 {
            assert_eq!(seen.lost, lost.len() as u64, "byte {at}: losses are counted");
        }
        single += usize::from(hit == 1 && lost.len() == 1);
        batch += usize::from(hit == 1 && lost.len() == 3);
    }
    assert_eq!(single, "two".len() + "three".len() + "four".len(), "a byte of a record costs that record");
    assert!(batch > 0, "a byte of a batch's head or table costs the batch");
}

#[test]
fn a_journal_cut_at_any_length_reads_as_its_whole_batches_and_takes_more() {
    let sim = SimDisk::new();
    let journal = journal_on(&sim);
    let batches: [&[&str]; 3] = [&["one"], &["two", "three"], &["four"]];
    let ends: Vec<u64> = batches.iter().map(|batch| append(&journal, batch).end).collect();
    let whole = sim.read_file("/tasks.journal").unwrap();
    for length in 128..whole.len() {
        for rest in [vec![], vec![0; 300], vec![0xa5; 300]] {
            let sim = SimDisk::new();
            plant(&sim, &[&whole[..length], &rest].concat());
            let kept = ends.iter().filter(|end| **end <= length as u64).count();
            let mut expected: Vec<&str> = batches[..kept].concat();
            let mut follower = journal_on(&sim).follow();
            let mut seen = Seen::default();
            seen.poll(&mut follower);
            assert_eq!(seen.texts(), expected, "cut at {length}, then {} bytes", rest.len());
            let end = append(&journal_on(&sim), &["more"]).end;
            let behind = sim.read_file("/tasks.journal").unwrap().split_off(usize::try_from(end).unwrap());
            assert!(behind.iter().all(|byte| *byte == 0), "cut at {length}: what was torn is cut off");
            expected.push("more");
            seen.poll(&mut follower);
            assert_eq!(seen.texts(), expected, "cut at {length}, then {} bytes, then appended", rest.len());
            assert_eq!(all_of(&journal_on(&sim)).texts(), expected);
        }
    }
}

#[test]
fn a_batch_that_never_got_to_its_end_proves_no_damage_before_it() {
    let sim = SimDisk::new();
    let journal = journal_on(&sim);
    append(&journal, &["a"]);
    let (lost, torn) = (append(&journal, &["b"]), append(&journal, &["c"]));
    let mut bytes = sim.read_file("/tasks.journal").unwrap();
    let end = usize::try_from(torn.end).unwrap();
    bytes[end - 16..end].fill(0);
    bytes[usize::try_from(lost.offset).unwrap()..usize::try_from(lost.end).unwrap()].fill(0);
    plant(&sim, &bytes);
    let (mut follower, mut seen) = (journal_on(&sim).follow(), Seen::default());
    seen.poll(&mut follower);
    let next = append(&journal_on(&sim), &["d"]);
    seen.poll(&mut follower);
    assert_eq!((next.offset, seen.texts()), (lost.offset, vec!["a".to_owned(), "d".to_owned()]));
}

#[test]
fn an_unreadable_journal_is_kept_aside_and_never_taken_for_an_empty_one() {
    for bytes in [vec![], vec![0; 4096], b"#!/bin/sh\nexit 0\n".repeat(20), vec![0xff; 64]] {
        let sim = SimDisk::new();
        plant(&sim, &bytes);
        let journal = journal_on(&sim);
        assert!(matches!(journal.follow().poll(|_| ()), Err(follow::Error::Unreadable { .. })));
        assert_eq!(sim.read_file("/tasks.journal"), Some(bytes.clone()), "a reader moves nothing");
        let refused = journal.append(&["a"], Durability::Synced, &wait()).unwrap_err();
        let append::Error::Reach(reach::Error::Unreadable { kept_as, .. }) = &refused else { panic!("{refused}") };
        assert_eq!(sim.read_file(Path::new("/").join(kept_as)), Some(bytes));
        append(&journal, &["b"]);
        assert_eq!(all_of(&journal).texts(), ["b"]);
    }
}

#[test]
fn unreadable_journals_kept_aside_are_bounded_in_number() {
    let sim = SimDisk::new();
    for _ in 0..10 {
        plant(&sim, b"foreign");
        assert!(journal_on(&sim).append(&["a"], Durability::Unsynced, &wait()).is_err());
    }
    let kept = sim.tree().keys().filter(|path| path.to_string_lossy().contains("damaged")).count();
    assert_eq!(kept, 4);
}

#[test]
fn what_is_no_file_is_neither_followed_nor_replaced() {
    let scratch = Scratch::new("journal-not-a-file");
    let disk: Arc<dyn Disk> = Arc::new(SystemDisk::new());
    let home = home(Arc::clone(&disk), scratch.path());
    disk.make_folder(&home.folder, Path::new(FILE)).unwrap();
    let refused = journal_in(&home).append(&["a"], Durability::Synced, &wait()).unwrap_err();
    assert!(matches!(refused, append::Error::Reach(reach::Error::NotAFile { .. })), "{refused}");
    assert!(journal_in(&home).follow().poll(|_| ()).is_err());
    assert_eq!(disk.metadata_at(&home.folder, Path::new(FILE)).unwrap().kind, Kind::Folder);
}

#[test]
fn a_follower_outlives_the_file_and_a_writer_makes_another() {
    let sim = Arc::new(SimDisk::new());
    let clock = Arc::new(VirtualClock::new());
    let journal = journal_in(&home_with(sim.clone(), sim.clone(), Path::new("/"), clock.clone()));
    let (mut follower, mut seen) = (journal.follow(), Seen::default());
    let before = append(&journal, &["a"]);
    seen.poll(&mut follower);
    let root = sim.open_root(Path::new("/")).unwrap();
    sim.remove_file(&root, Path::new(FILE)).unwrap();
    clock.advance(Duration::from_secs(1));
    seen.poll(&mut follower);
    assert_eq!((seen.gone, seen.records.len()), (1, 0));
    let after = append(&journal, &["b"]);
    assert_ne!(before.origin.lineage, after.origin.lineage);
    seen.poll(&mut follower);
    assert_eq!((seen.texts(), seen.resets), (vec!["b".into()], 2));
}

#[test]
fn a_removed_folder_is_an_error_for_writers_and_an_absence_for_followers() {
    let scratch = Scratch::new("journal-folder");
    let path = scratch.join("inner");
    let disk: Arc<dyn Disk> = Arc::new(SystemDisk::new());
    disk.make_root(&path).unwrap();
    let clock = Arc::new(VirtualClock::new());
    let home = home_with(Arc::clone(&disk), disk, &path, clock.clone());
    let journal = journal_in(&home);
    append(&journal, &["a"]);
    let (mut follower, mut seen) = (journal.follow(), Seen::default());
    seen.poll(&mut follower);
    larder_remove_all(&path);
    clock.advance(Duration::from_secs(1));
    seen.poll(&mut follower);
    assert_eq!(seen.gone, 1);
    assert!(journal.append(&["b"], Durability::Unsynced, &wait()).is_err());
}

#[expect(clippy::disallowed_methods, reason = "the stranger who removes a folder asks nobody")]
fn larder_remove_all(path: &Path) {
    std::fs::remove_dir_all(path).unwrap();
}

#[test]
fn a_file_that_a_stranger_swapped_is_not_written_through_the_old_descriptor() {
    let (sim, other) = (SimDisk::new(), SimDisk::new());
    let journal = journal_on(&sim);
    append(&journal, &["old"]);
    append(&journal_on(&other), &["restored"]);
    let root = sim.open_root(Path::new("/")).unwrap();
    sim.rename(&root, Path::new(FILE), &root, Path::new("backup"), Replace::Yes).unwrap();
    plant(&sim, &other.read_file("/tasks.journal").unwrap());
    append(&journal, &["new"]);
    assert_eq!(all_of(&journal).texts(), ["restored", "new"]);
}

#[test]
fn a_lock_file_removed_while_the_lock_is_held_stops_the_write() {
    let sim = SimDisk::new();
    let clock = Arc::new(VirtualClock::new());
    let journal = journal_in(&home_with(Arc::new(sim.clone()), Arc::new(sim.clone()), Path::new("/"), clock.clone()));
    append(&journal, &["a"]);
    let remove_lock_files = || {
        let root = sim.open_root(Path::new("/")).unwrap();
        for path in sim.tree().keys().filter(|path| path.extension().is_some_and(|extension| extension == "lock")) {
            sim.remove_file(&root, Path::new(path.file_name().unwrap())).unwrap();
        }
    };
    let mut exclusive = journal.exclusive(&wait()).unwrap();
    remove_lock_files();
    clock.advance(Duration::from_millis(2));
    let refused = exclusive.append(&["b"], Durability::Unsynced).unwrap_err();
    assert!(matches!(refused, append::Error::LockLost { .. }), "{refused}");
    drop(exclusive);
    let exclusive = journal.exclusive(&wait()).unwrap();
    remove_lock_files();
    let refused = exclusive.compact([""; 0]).unwrap_err();
    assert!(matches!(refused, compact::Error::LockLost { .. }), "{refused}");
    assert_eq!(all_of(&journal).texts(), ["a"]);
}

#[test]
fn limits_are_refused_before_anything_is_written() {
    let sim = SimDisk::new();
    let home = home(Arc::new(sim.clone()), Path::new("/"));
    let journal = Journal::new(home.clone(), "tasks", Options::default().length_max(1_000)).unwrap();
    let long = vec![0; RECORD_LENGTH_MAX + 1];
    let refused = journal.append(&[long], Durability::Synced, &wait()).unwrap_err();
    assert!(matches!(refused, append::Error::RecordTooLong { index: 0, .. }), "{refused}");
    assert!(sim.read_file("/tasks.journal").is_none());
    append(&journal, &["small"]);
    let before = sim.read_file("/tasks.journal").unwrap();
    let refused = journal.append(&[[0; 1_000]], Durability::Synced, &wait()).unwrap_err();
    assert!(matches!(refused, append::Error::Full { limit: 1_000, .. }), "{refused}");
    let refused = journal.exclusive(&wait()).unwrap().compact([[0; 1_000]]).unwrap_err();
    assert!(matches!(refused, compact::Error::Full { .. }), "{refused}");
    assert_eq!(sim.read_file("/tasks.journal").unwrap(), before);
    assert!(Journal::new(home.clone(), "../tasks", Options::default()).is_err());
    assert!(Journal::new(home, "", Options::default()).is_err());
}

#[test]
fn an_unreadable_file_that_was_replaced_meanwhile_is_not_set_aside() {
    let (sim, good) = (SimDisk::new(), SimDisk::new());
    append(&journal_on(&good), &["good"]);
    let good = good.read_file("/tasks.journal").unwrap();
    plant(&sim, b"foreign");
    let disk = Arc::new(FaultDisk::over(Arc::new(sim.clone())));
    let clock = Arc::new(VirtualClock::new());
    let journal = journal_in(&home_with(disk.clone(), Arc::new(sim.clone()), Path::new("/"), clock));
    let (looks, stranger, bytes) = (AtomicUsize::new(0), sim.clone(), good.clone());
    disk.before(move |call| {
        // the first look finds the name, the second is the one before it is moved
        if call.operation == Operation::MetadataAt && looks.fetch_add(1, Ordering::SeqCst) == 1 {
            plant(&stranger, &bytes);
        }
        Action::Proceed
    });
    assert!(journal.append(&["a"], Durability::Unsynced, &wait()).is_err());
    assert_eq!(sim.read_file("/tasks.journal"), Some(good));
}

#[test]
fn a_full_disk_takes_nothing_away_and_lets_compaction_make_room() {
    let sim = SimDisk::new();
    let journal = journal_on(&sim);
    let big = "x".repeat(40_000);
    let end = append(&journal, &["a", &big]).end;
    sim.set_capacity(42_000);
    assert!(matches!(journal.append(&[&big], Durability::Synced, &wait()), Err(append::Error::Write { .. })));
    assert_eq!(sim.read_file("/tasks.journal").unwrap().len() as u64, end, "the part that fitted is cut off");
    assert_eq!(all_of(&journal_on(&sim)).records.len(), 2);
    append(&journal, &["b"]);
    journal.exclusive(&wait()).unwrap().compact(["a", "b"]).unwrap();
    append(&journal, &["c", &big]);
    assert_eq!(all_of(&journal_on(&sim)).texts(), ["a", "b", "c", &big]);
}

#[test]
fn a_large_journal_is_opened_for_appending_without_reading_it() {
    let sim = Arc::new(SimDisk::new());
    let writer = journal_on(&sim);
    for _ in 0..50 {
        append(&writer, &["x".repeat(100_000).as_str()]);
    }
    let disk = Arc::new(FaultDisk::over(sim.clone()));
    let journal = journal_in(&home_with(disk.clone(), sim, Path::new("/"), Arc::new(VirtualClock::new())));
    append(&journal, &["more"]);
    assert!(disk.count_of(Operation::ReadAt) < 12, "{} reads", disk.count_of(Operation::ReadAt));
    assert_eq!(all_of(&journal).records.len(), 51);
}

#[test]
fn events_of_damage_stand_where_the_damage_is() {
    let sim = SimDisk::new();
    let journal = journal_on(&sim);
    append(&journal, &["a"]);
    let damaged = append(&journal, &["b", "c"]);
    append(&journal, &["d"]);
    let mut bytes = sim.read_file("/tasks.journal").unwrap();
    let (from, to) = (usize::try_from(damaged.offset).unwrap(), usize::try_from(damaged.end).unwrap());
    bytes[from..to].fill(0);
    plant(&sim, &bytes);
    let mut told = Vec::new();
    journal_on(&sim).follow().poll(|event| told.push(format!("{event:?}"))).unwrap();
    let lost = format!("{:?}", Event::Lost { records: 2 });
    assert_eq!(told.iter().position(|event| *event == lost), Some(2), "{told:?}");
}
