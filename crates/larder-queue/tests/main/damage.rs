//! Damaged, foreign and newer content of the file.
#![expect(clippy::disallowed_methods, reason = "the tests damage files")]

use std::collections::BTreeSet;
use std::sync::Arc;

use larder_storage::journal::Durability;

use crate::shared::{Place, claim_all, keys, task, wait};

/// A queue of tasks that were added one by one, and its bytes.
fn filled(name: &str) -> (Place, Vec<u8>) {
    let place = Place::new(name);
    let queue = place.queue();
    for key in ["a", "b", "c", "d"] {
        queue.add_as(&[task(key)], Durability::Unsynced, &wait()).unwrap();
    }
    let bytes = std::fs::read(place.file()).unwrap();
    (place, bytes)
}

fn keys_in(place: &Place) -> BTreeSet<String> {
    place.queue().snapshot().unwrap().tasks.into_iter().map(|task| task.key).collect()
}

#[test]
fn a_flipped_bit_costs_one_task_at_most_and_the_rest_goes_on() {
    let (place, bytes) = filled("damage-flips");
    for at in (0..bytes.len()).step_by(3) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        std::fs::write(place.file(), &damaged).unwrap();
        let found = keys_in(&place);
        assert!(found.len() >= 3, "byte {at}: {found:?}");
        let queue = place.queue();
        queue.add(&[task("e")], &wait()).unwrap();
        let worker = queue.worker("w").unwrap();
        assert!(claim_all(&worker).contains(&"e".to_owned()), "byte {at}");
    }
}

#[test]
fn a_torn_tail_is_no_task_and_the_next_one_takes_its_place() {
    let (place, bytes) = filled("damage-torn");
    for length in (64..bytes.len()).step_by(7) {
        std::fs::write(place.file(), &bytes[..length]).unwrap();
        let found = keys_in(&place);
        place.queue().add(&[task("next")], &wait()).unwrap();
        let after = keys_in(&place);
        assert!(after.is_superset(&found) && after.contains("next"), "{length}: {found:?} then {after:?}");
        assert_eq!(after.len(), found.len() + 1, "{length}");
    }
}

#[test]
fn records_of_other_versions_are_left_alone_also_by_a_compaction() {
    let place = Place::new("damage-foreign");
    let queue = place.queue();
    queue.add(&[task("ours")], &wait()).unwrap();
    let newer = br#"{"queue":2,"add":{"key":"theirs"}}"#;
    let field = br#"{"queue":1,"add":{"key":"coloured","colour":"red"}}"#;
    append(&place, &[newer, field]);
    let snapshot = place.queue().snapshot().unwrap();
    assert_eq!((snapshot.tasks.len(), snapshot.foreign_records), (2, 1));
    // until it is compacted
    let worker = queue.worker("w").unwrap();
    let payload = serde_json::json!("x".repeat(60_000));
    for _ in 0..8 {
        queue.add(&[crate::shared::urgent("bulk", 10).payload(payload.clone()).unwrap()], &wait()).unwrap();
        let bulk = worker.claim(1, &wait()).unwrap();
        worker.complete_all(bulk, &wait()).unwrap();
    }
    let bytes = std::fs::read(place.file()).unwrap();
    assert!(bytes.len() < 400_000, "it was not compacted: {} bytes", bytes.len());
    let has = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    assert!(has(newer) && has(br#""colour":"red""#));
    assert_eq!(place.queue().snapshot().unwrap().foreign_records, 1);
}

/// Appends raw records, as a newer version would.
fn append(place: &Place, records: &[&[u8]]) {
    let path = place.scratch.utf8_path().join("queue");
    let disk: Arc<dyn larder_system::Disk> = Arc::new(larder_system::SystemDisk::new());
    let clock: Arc<dyn larder_system::Clock> = Arc::clone(&place.clock) as _;
    let options = larder_lock::Options::new().record_holder(false);
    let locks = larder_lock::Locks::open_with(disk.clone(), clock.clone(), &path.join("locks"), options).unwrap();
    let folder = Arc::new(disk.open_root(path.as_std_path()).unwrap());
    let home = larder_storage::journal::Home { disk, clock, folder, locks };
    let journal =
        larder_storage::journal::Journal::new(home, "queue", larder_storage::journal::Options::default()).unwrap();
    journal.append(records, Durability::Synced, &wait()).unwrap();
}

#[test]
fn a_file_of_a_newer_format_is_not_written_and_said_to_be_so() {
    let (place, bytes) = filled("damage-newer");
    for (may_read, may_append) in [(1, 9), (9, 9)] {
        let mut newer = bytes.clone();
        for header in [0, 64] {
            let part = &mut newer[header..header + 64];
            part[8..10].copy_from_slice(&9u16.to_le_bytes());
            part[10..12].copy_from_slice(&u16::to_le_bytes(may_read));
            part[12..14].copy_from_slice(&u16::to_le_bytes(may_append));
            let sum = twox_hash::XxHash3_64::oneshot(&part[..56]);
            part[56..].copy_from_slice(&sum.to_le_bytes());
        }
        std::fs::write(place.file(), &newer).unwrap();
        let queue = place.queue();
        let error = queue.add(&[task("e")], &wait()).unwrap_err().to_string();
        assert!(error.contains("format 9") && error.contains("newer"), "{error}");
        match queue.snapshot() {
            Ok(snapshot) => assert!(may_read == 1 && snapshot.tasks.len() == 4, "{snapshot:?}"),
            Err(error) => assert!(may_read == 9 && error.to_string().contains("format 9"), "{error}"),
        }
        assert_eq!(std::fs::read(place.file()).unwrap(), newer);
    }
}

#[test]
fn a_folder_that_goes_away_is_an_empty_queue_for_the_next_process() {
    let (place, _) = filled("damage-gone");
    std::fs::remove_dir_all(place.scratch.path().join("queue")).unwrap();
    assert!(keys_in(&place).is_empty());
    place.queue().add(&[task("new")], &wait()).unwrap();
    assert_eq!(keys_in(&place).len(), 1);
}

#[test]
fn a_damaged_record_is_told_and_with_the_file_it_was_in_it_is_forgotten() {
    let (place, mut bytes) = filled("damage-told");
    let at = bytes.windows(3).position(|window| window == br#""b""#).unwrap();
    bytes[at + 1] ^= 0x10;
    std::fs::write(place.file(), &bytes).unwrap();
    let queue = place.queue();
    let lost = || queue.snapshot().unwrap().lost_records;
    assert_eq!((lost(), keys_in(&place).len()), (1, 3));
    // a file that another process writes anew has none of it, also for those who have read the old one
    let other = place.queue();
    let payload = serde_json::json!("x".repeat(60_000));
    let inode = || std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(place.file()).unwrap());
    let before = inode();
    for _ in 0..1_000 {
        other.add_as(&[task("bulk").payload(payload.clone()).unwrap()], Durability::Unsynced, &wait()).unwrap();
        other.remove(&keys(&["bulk"]), &wait()).unwrap();
        if inode() != before {
            break;
        }
    }
    assert_ne!(inode(), before, "it was not written anew");
    assert_eq!((lost(), keys_in(&place).len()), (0, 3));
}
