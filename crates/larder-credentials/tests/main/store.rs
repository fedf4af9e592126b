//! The file of secrets: what it keeps, what it refuses, and that looking makes nothing.
#![expect(clippy::disallowed_methods, reason = "files as their users and strangers change them")]

use std::error::Error as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use larder_credentials::store::{Error, Removed, Set};
use larder_credentials::{Store, secret};
use larder_system::SystemDisk;
use larder_testkit::{Child, VirtualClock, child};
use proptest::prelude::*;

use crate::place::{Place, below, mode, name, secret as key, set_mode, value};

#[test]
fn what_is_set_is_there_until_it_is_set_again_or_removed() {
    let Place { store, .. } = &Place::new("round-trip");
    assert_eq!(store.set(&name("a"), &key("one")).unwrap(), Set::New);
    assert_eq!(store.set(&name("b"), &key("other")).unwrap(), Set::New);
    assert_eq!(store.set(&name("a"), &key("two")).unwrap(), Set::Replaced);
    assert_eq!((value(store, "a").as_deref(), value(store, "b").as_deref()), (Some("two"), Some("other")));
    assert_eq!(store.remove(&name("a")).unwrap(), Removed::Removed);
    assert_eq!(store.remove(&name("a")).unwrap(), Removed::Absent);
    assert_eq!((value(store, "a"), value(store, "b").as_deref()), (None, Some("other")));
}

#[test]
fn the_list_has_names_fingerprints_and_times() {
    let place = Place::new("list");
    let clock = Arc::new(VirtualClock::new());
    let when = |ms| UNIX_EPOCH + Duration::from_millis(ms);
    let store = place.store.clone().system(Arc::new(SystemDisk::new()), clock.clone());
    for (at, ms) in [("b", 1_700_000_000_123), ("a", 1_800_000_000_456)] {
        clock.set_wall(when(ms));
        store.set(&name(at), &key(at)).unwrap();
    }
    let seen: Vec<(String, String, SystemTime)> = store
        .list()
        .unwrap()
        .into_iter()
        .map(|listed| (listed.name.to_string(), listed.fingerprint.to_string(), listed.stored))
        .collect();
    let expected = |at: &str, ms| (at.to_owned(), key(at).fingerprint().to_string(), when(ms));
    assert_eq!(seen, [expected("a", 1_800_000_000_456), expected("b", 1_700_000_000_123)]);
    assert_eq!(store.get(&name("a")).unwrap().unwrap().stored, when(1_800_000_000_456));
}

#[test]
fn looking_makes_nothing() {
    let place = Place::new("look");
    assert_eq!(value(&place.store, "a"), None);
    assert_eq!(place.store.list().unwrap(), []);
    assert_eq!(place.store.remove(&name("a")).unwrap(), Removed::Absent);
    assert_eq!(below(place.scratch.path()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn looking_takes_no_lock_and_is_not_held_up_by_one() {
    let place = Place::with("unlocked", "a", "one");
    let locks = place.scratch.utf8_path().join("config/tool/credentials.json.locks");
    let locks = larder_lock::Locks::open(&locks, larder_lock::Options::new()).unwrap();
    let held = locks.acquire("credentials.json", larder_lock::Mode::Exclusive, &larder_lock::Wait::none()).unwrap();
    assert_eq!(value(&place.store, "a").as_deref(), Some("one"));
    let hasty = place.store.clone().lock_wait(Duration::ZERO);
    let error = hasty.set(&name("a"), &key("two")).unwrap_err();
    assert!(matches!(&error, Error::Lock { source, .. } if source.is_contention()), "{error:?}");
    drop(held);
    assert_eq!(hasty.set(&name("a"), &key("two")).unwrap(), Set::Replaced);
}

#[test]
fn a_file_that_others_may_use_is_refused_until_the_command_is_run() {
    for bits in [0o604, 0o602, 0o640, 0o620, 0o601, 0o610, 0o577, 0o677] {
        let place = Place::with("loose", "a", "one");
        set_mode(&place.file(), bits);
        let error = place.store.get(&name("a")).unwrap_err();
        let Error::Loose { command, mode: seen, .. } = &error else { panic!("{error:?}") };
        assert_eq!((*seen, error.is_refusal()), (bits, true));
        assert!(place.store.set(&name("a"), &key("two")).is_err(), "{bits:o}");
        assert!(place.store.remove(&name("a")).is_err() && place.store.list().is_err());
        assert!(Command::new("sh").args(["-c", command]).status().unwrap().success());
        assert_eq!(value(&place.store, "a").as_deref(), Some("one"));
    }
}

#[test]
fn a_folder_that_others_may_write_is_refused_until_the_command_is_run() {
    for bits in [0o777, 0o720, 0o702, 0o1777] {
        let place = Place::with("loose folder's", "a", "one");
        set_mode(&place.folder(), bits);
        let error = place.store.get(&name("a")).unwrap_err();
        let Error::Loose { command, .. } = &error else { panic!("{error:?}") };
        assert!(place.store.set(&name("a"), &key("two")).is_err(), "{bits:o}");
        assert!(Command::new("sh").args(["-c", command]).status().unwrap().success());
        assert_eq!(value(&place.store, "a").as_deref(), Some("one"));
    }
    let place = Place::with("read", "a", "one");
    set_mode(&place.folder(), 0o755);
    assert_eq!(value(&place.store, "a").as_deref(), Some("one"), "names of files are no secrets");
}

/// Puts something in the file's place.
type Make<'a> = &'a dyn Fn(&Place);

#[test]
fn what_is_no_file_is_refused_and_not_followed_or_waited_for() {
    let elsewhere = Place::with("elsewhere", "a", "one");
    let link = |place: &Place| symlink(elsewhere.file(), place.file()).unwrap();
    let folder = |place: &Place| fs::create_dir(place.file()).unwrap();
    let pipe = |place: &Place| assert!(Command::new("mkfifo").arg(place.file()).status().unwrap().success());
    let all: [(&str, Make); 3] = [("a symbolic link", &link), ("a folder", &folder), ("a device or pipe", &pipe)];
    for (kind, make) in all {
        let place = Place::with("no-file", "a", "one");
        fs::remove_file(place.file()).unwrap();
        make(&place);
        for error in [place.store.get(&name("a")).unwrap_err(), place.store.set(&name("a"), &key("x")).unwrap_err()] {
            assert!(matches!(&error, Error::NotAFile { what, .. } if *what == kind), "{kind}: {error:?}");
            assert!(error.is_refusal());
        }
    }
    assert_eq!(value(&elsewhere.store, "a").as_deref(), Some("one"));
}

#[test]
fn what_is_another_users_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let place = Place::with("foreign", "a", "one");
    let stranger = Some(rustix::fs::Uid::from_raw(65_534));
    rustix::fs::chown(place.file(), stranger, None).unwrap();
    let error = place.store.get(&name("a")).unwrap_err();
    assert!(matches!(error, Error::Foreign { owner: 65_534, what: "the file", .. }), "{error:?}");
    rustix::fs::chown(place.file(), Some(rustix::fs::Uid::ROOT), None).unwrap();
    rustix::fs::chown(place.folder(), stranger, None).unwrap();
    let error = place.store.set(&name("a"), &key("two")).unwrap_err();
    assert!(matches!(error, Error::Foreign { what: "the folder", .. }) && error.is_refusal(), "{error:?}");
}

#[test]
fn a_damaged_file_and_one_of_a_later_version_are_never_overwritten() {
    for text in
        ["", "{", "CANARY", r#"{"version": 2, "credentials": {}}"#, r#"{"version": 1, "credentials": {"A b": {}}}"#]
    {
        let place = Place::with("damaged", "a", "one");
        place.write(text);
        let errors = [
            place.store.get(&name("a")).unwrap_err(),
            place.store.list().unwrap_err(),
            place.store.set(&name("a"), &key("two")).unwrap_err(),
            place.store.remove(&name("a")).unwrap_err(),
        ];
        for error in errors {
            let newer = matches!(error, Error::Newer { version: 2, .. });
            assert!(newer == text.contains("2,") && (newer || matches!(error, Error::Malformed { .. })), "{error:?}");
            assert_eq!(error.is_refusal(), newer);
            assert!(!format!("{error} {error:?}").contains("CANARY"));
        }
        assert_eq!(place.text(), text);
    }
}

#[test]
fn a_bad_value_is_an_error_of_its_name_alone_and_can_be_set_again() {
    let place = Place::with("value", "good", "one");
    place.write(&place.text().replacen("{\n    ", r#"{ "bad": {"value": "CANARY\nCANARY", "stored_ms": 1}, "#, 1));
    let error = place.store.get(&name("bad")).unwrap_err();
    assert!(matches!(&error, Error::Value { source: secret::Error::SeveralLines, .. }), "{error:?}");
    assert!(!format!("{error} {error:?} {:?}", error.source()).contains("CANARY"));
    assert_eq!(value(&place.store, "good").as_deref(), Some("one"));
    place.store.set(&name("bad"), &key("two")).unwrap();
    assert_eq!(value(&place.store, "bad").as_deref(), Some("two"));
}

#[test]
fn what_is_not_known_stays() {
    let place = Place::with("unknown", "a", "one");
    let text = place.text().replacen("\"version\": 1,", "\"version\": 1, \"note\": [1.0],", 1);
    place.write(&text.replacen("\"stored_ms\"", "\"expires\": 1e2, \"stored_ms\"", 1));
    place.store.set(&name("b"), &key("two")).unwrap();
    place.store.set(&name("a"), &key("three")).unwrap();
    place.store.remove(&name("b")).unwrap();
    assert!(place.text().contains("\"note\": [1.0]") && place.text().contains("\"expires\": 1e2"), "{}", place.text());
    assert_eq!(value(&place.store, "a").as_deref(), Some("three"));
}

#[test]
fn a_file_of_more_than_a_mebibyte_is_neither_read_nor_written() {
    let place = Place::with("large", "a", "one");
    let most = "x".repeat(16 * 1024);
    let full = (0..100).map(|number| place.store.set(&name(&format!("n{number}")), &key(&most))).find_map(Result::err);
    assert!(matches!(full, Some(Error::TooLarge { .. })), "{full:?}");
    assert!(place.text().len() <= 1024 * 1024);
    assert_eq!(value(&place.store, "a").as_deref(), Some("one"));
    place.write(&" ".repeat(1024 * 1024 + 1));
    assert!(matches!(place.store.get(&name("a")), Err(Error::TooLarge { bytes: 1_048_577, .. })));
}

#[test]
fn what_killed_writers_left_goes_with_the_next_change_and_nothing_else_does() {
    let place = Place::with("left", "a", "one");
    let left = place.folder().join("credentials.json.new-00112233445566ff");
    let mine =
        ["bak", "new-token", "new-00112233445566FF"].map(|end| place.folder().join(format!("credentials.json.{end}")));
    fs::write(&left, "secret").unwrap();
    for mine in &mine {
        fs::write(mine, "mine").unwrap();
    }
    assert_eq!(value(&place.store, "a").as_deref(), Some("one"));
    assert!(left.exists());
    place.store.set(&name("a"), &key("two")).unwrap();
    assert!(!left.exists() && mine.iter().all(|mine| mine.exists()));
    // also with a removal that has nothing else to do
    fs::write(&left, "secret").unwrap();
    assert_eq!(place.store.remove(&name("b")).unwrap(), Removed::Absent);
    assert!(!left.exists() && mine.iter().all(|mine| mine.exists()));
}

#[test]
fn a_path_that_names_no_file_is_refused() {
    for path in ["", "/", "..", "a/", "a/.", "a/.."] {
        let error = Store::at(path).get(&name("a")).unwrap_err();
        assert!(matches!(error, Error::NoFileName { .. }), "{path:?}: {error:?}");
    }
}

#[test]
fn files_are_0600_and_folders_0700_under_any_umask() {
    for mask in ["000", "022", "077", "277", "777"] {
        let place = Place::new("umask");
        let path = place.file().to_str().unwrap().to_owned();
        let mut child = Child::spawn_through("store::child_entry", "umask", &[("mask", mask), ("path", &path)]);
        child.wait_for_success();
        for path in below(place.scratch.path()) {
            let expected = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode(&path), expected, "{} under {mask}", path.display());
        }
        assert_eq!(value(&place.store, "b").as_deref(), Some("two"), "under {mask}");
    }
}

#[test]
#[ignore = "a child of other tests"]
fn child_entry() {
    child::run(|_, args| {
        let mask = u32::from_str_radix(args.get("mask"), 8).unwrap();
        rustix::process::umask(rustix::fs::Mode::from_bits_truncate(mask));
        let store = Store::at(args.get("path"));
        store.set(&name("a"), &key("one")).unwrap();
        store.set(&name("b"), &key("two")).unwrap();
    });
}

#[derive(Clone, Debug)]
enum Step {
    Set(String, String),
    Remove(String),
}

fn any_step() -> impl Strategy<Value = Step> {
    let at = || "[a-c]";
    prop_oneof![
        3 => (at(), "\\PC{1,30}").prop_map(|(at, text)| Step::Set(at, text)),
        1 => at().prop_map(Step::Remove),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn any_changes_leave_what_a_map_would_have(steps in prop::collection::vec(any_step(), 1..12)) {
        let place = Place::new("model");
        let mut model = std::collections::BTreeMap::new();
        for step in steps {
            match step {
                Step::Set(at, text) => {
                    let Ok(secret) = larder_credentials::Secret::new(text.as_str()) else { continue };
                    let new = model.insert(at.clone(), secret.expose().to_owned()).is_none();
                    prop_assert_eq!(place.store.set(&name(&at), &secret).unwrap() == Set::New, new);
                }
                Step::Remove(at) => {
                    let was = model.remove(&at).is_some();
                    prop_assert_eq!(place.store.remove(&name(&at)).unwrap() == Removed::Removed, was);
                }
            }
            let listed: Vec<String> = place.store.list().unwrap().into_iter().map(|one| one.name.to_string()).collect();
            prop_assert_eq!(listed, model.keys().cloned().collect::<Vec<_>>());
        }
        for (at, text) in &model {
            prop_assert_eq!(value(&place.store, at), Some(text.clone()));
        }
    }
}
