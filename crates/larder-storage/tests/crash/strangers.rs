//! Files that somebody else put under an entry's name, as restored backups and lost power leave them.

use larder_storage::{Put, put};
use larder_testkit::SimDisk;

use crate::cases::Case;
use crate::place::{BOOT, NEXT_BOOT, Place, key, look};
use crate::power::prepare;

#[test]
fn another_entrys_blocks_under_the_right_name_are_recognised_as_foreign() {
    let sim = SimDisk::new();
    prepare(&sim);
    let place = Place::simulated(&sim);
    let case = Case::named("put over another's entry");
    case.set_up(&place);
    let foreign = place.read("entries/docs", "stay.entry");
    place.write("entries/docs", "old.entry", &foreign);
    let store = place.open(NEXT_BOOT);
    assert_eq!(look(&store, "docs/old"), None);
    assert_eq!((store.quarantined(), look(&store, "docs/stay").as_deref()), (1, Some("stay")));
}

#[test]
fn a_newer_entry_of_the_same_length_in_the_place_of_ones_own_is_not_overwritten() {
    let sim = SimDisk::new();
    prepare(&sim);
    let place = Place::simulated(&sim);
    let store = place.open(BOOT);
    store.put(&key("docs/old"), &[b'o'; 500], &Put::new()).unwrap();
    let length = place.read("entries/docs", "old.entry").len();
    let line = br#"{"larder":2,"everything":"else""#;
    let check = twox_hash::XxHash3_64::oneshot(line);
    let mut newer = [b"---\n", &line[..], format!(",\"check\":\"{check:016x}\"}}\n---\n").as_bytes()].concat();
    newer.resize(length, b'n');
    place.write("entries/docs", "old.entry", &newer);
    let refused = store.put(&key("docs/old"), b"mine", &Put::new());
    assert!(matches!(refused, Err(put::Error::NewerFormat { .. })), "{refused:?}");
    assert!(place.read("entries/docs", "old.entry") == newer, "it was touched");
}
