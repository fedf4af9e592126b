//! Roots: made, shared, read-only, newer, broken, removed, replaced and copied.
#![expect(clippy::disallowed_methods, reason = "the tests do to roots what people do")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use camino::Utf8Path;
use larder_storage::{Backend, Options, Scope, Store, root};
use larder_testkit::{Scratch, VirtualClock};

use crate::shared::{body, drop_key, key, names, put, relaxed};

#[test]
fn a_root_has_what_the_format_says_and_nothing_else() {
    let scratch = Scratch::new("layout");
    let store = Store::open(scratch.utf8_path().join("a/b/root")).unwrap();
    put(&store, "docs/a", b"x");
    let root = scratch.join("a/b/root");
    let expected = ["CACHEDIR.TAG", "entries", "format.yaml", "locks", "quarantine", "stamps", "tmp"];
    assert_eq!(names(&root), expected);
    assert!(
        fs::read_to_string(root.join("CACHEDIR.TAG"))
            .unwrap()
            .starts_with("Signature: 8a477f597d28d172789f06886806bc55")
    );
    assert_eq!(names(root.join("tmp")), Vec::<String>::new());
    assert_eq!(names(root.join("stamps")).len(), 1);
    let entry = fs::read_to_string(root.join("entries/docs/a.entry")).unwrap();
    assert!(entry.starts_with("---\n{\"larder\":1,\"key\":\"docs/a\","), "{entry}");
    assert!(entry.ends_with("}\n---\nx"), "{entry}");
}

#[test]
fn a_folder_that_is_there_keeps_its_mode_and_its_files() {
    let scratch = Scratch::new("existing");
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(scratch.join("mine.txt"), "x").unwrap();
    put(&Store::open(scratch.utf8_path()).unwrap(), "a", b"x");
    assert_eq!(fs::metadata(scratch.path()).unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(fs::read(scratch.join("mine.txt")).unwrap(), b"x");
}

#[test]
fn unusable_paths_are_refused_with_the_reason() {
    let scratch = Scratch::new("unusable");
    let file = scratch.utf8_path().join("file");
    fs::write(&file, "x").unwrap();
    assert!(matches!(Store::open(&file), Err(root::Error::NotAFolder { .. })));
    let below = Store::open(file.join("root")).unwrap_err();
    assert!(matches!(below, root::Error::NotAFolder { .. }), "{below}");
    let cases = [
        ("format: 9\nread_from: 1\nwrite_from: 9\nroot: ff\nlocks: advisory\n", true, "may write"),
        ("format: 9\nread_from: 9\nwrite_from: 9\nroot: ff\nlocks: advisory\n", false, "may read"),
        ("what is this", false, "cannot be understood"),
    ];
    for (text, opens, reason) in cases {
        let path = scratch.utf8_path().join("root");
        put(&Store::open(&path).unwrap(), "a", b"x");
        fs::write(path.join("format.yaml"), text).unwrap();
        match Store::open(&path) {
            Ok(store) => {
                assert!(opens, "{text}");
                assert_eq!(body(&store, "a"), Some(b"x".to_vec()), "a newer root that allows it is read");
                let refused = store.put(&key("a"), b"y", &relaxed()).unwrap_err();
                assert!(refused.to_string().contains(reason), "{refused}");
            }
            Err(error) => {
                assert!(!opens, "{error}");
                assert!(error.to_string().contains(reason), "{error}");
            }
        }
        fs::remove_dir_all(&path).unwrap();
    }
}

#[test]
fn a_store_for_reading_changes_nothing() {
    let scratch = Scratch::new("reader");
    let root = scratch.utf8_path().join("root");
    let writer = Store::open(&root).unwrap();
    put(&writer, "docs/a", b"x");
    put(&writer, "docs/b", b"x");
    fs::write(root.join("entries/docs/b.entry"), "damaged").unwrap();
    let before = snapshot(&root);
    let reader = Options::new().read_only().open(&root).unwrap();
    assert_eq!(body(&reader, "docs/a"), Some(b"x".to_vec()));
    assert_eq!(body(&reader, "docs/b"), None);
    assert_eq!(reader.verify(true).unwrap().repaired, 0);
    let refused = reader.put(&key("docs/a"), b"y", &relaxed()).unwrap_err();
    assert!(refused.to_string().contains("for reading only"), "{refused}");
    assert!(reader.invalidate(&[Scope::All.hard()]).is_err());
    assert_eq!(snapshot(&root), before);
    drop_key(&writer, "docs/a");
    assert_eq!(body(&reader, "docs/a"), None, "invalidations reach readers");
}

fn snapshot(root: &Utf8Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![root.as_std_path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push((path.clone(), fs::read(&path).unwrap())) }
        }
    }
    found.sort();
    found
}

#[test]
fn a_root_made_for_one_kind_of_lock_refuses_the_other() {
    let scratch = Scratch::new("backend");
    let lease = || Options::new().backend(Backend::LEASE);
    let store = lease().open(scratch.utf8_path()).unwrap();
    put(&store, "a", b"x");
    assert_eq!(body(&store, "a"), Some(b"x".to_vec()));
    assert_eq!(body(&Store::open(scratch.utf8_path()).unwrap(), "a"), Some(b"x".to_vec()), "its own kind is taken");
    let refused = Options::new().backend(Backend::Advisory).open(scratch.utf8_path()).unwrap_err();
    assert!(refused.to_string().contains("uses lease locks, advisory locks were asked for"), "{refused}");
}

#[test]
fn a_removed_root_is_noticed_by_writers_at_once_and_by_readers_within_a_second() {
    let scratch = Scratch::new("removed");
    let root = scratch.utf8_path().join("root");
    let clock = Arc::new(VirtualClock::new());
    let store = Options::new().clock(clock.clone()).open(&root).unwrap();
    put(&store, "docs/a", b"old");
    let token = store.token().unwrap();
    fs::remove_dir_all(&root).unwrap();
    assert_eq!(body(&store, "docs/a"), None);
    let other = Store::open(&root).unwrap();
    put(&other, "docs/a", b"new");
    clock.advance_monotonic(Duration::from_secs(1));
    assert_eq!(body(&store, "docs/a"), Some(b"new".to_vec()), "the reader found the new root");
    fs::remove_dir_all(&root).unwrap();
    put(&store, "docs/b", b"here");
    assert_eq!(body(&Store::open(&root).unwrap(), "docs/b"), Some(b"here".to_vec()), "not in a ghost");
    let refused = store.put(&key("docs/c"), b"x", &relaxed().fetched_in(token));
    assert!(refused.is_err(), "a token of the old root means nothing in the new one");
    fs::rename(&root, scratch.join("moved")).unwrap();
    drop_key(&store, "docs/b");
    assert_eq!(body(&Store::open(scratch.utf8_path().join("moved")).unwrap(), "docs/b"), Some(b"here".to_vec()));
    put(&store, "docs/b", b"there");
    assert_eq!(body(&Store::open(&root).unwrap(), "docs/b"), Some(b"there".to_vec()));
}

#[test]
fn folders_that_vanish_between_two_steps_are_made_again() {
    let scratch = Scratch::new("vanish");
    let store = Store::open(scratch.utf8_path()).unwrap();
    put(&store, "docs/deep/a", b"x");
    fs::remove_dir_all(scratch.join("entries/docs")).unwrap();
    assert_eq!(body(&store, "docs/deep/a"), None);
    put(&store, "docs/deep/a", b"y");
    assert_eq!(body(&store, "docs/deep/a"), Some(b"y".to_vec()));
}

#[test]
fn a_missing_or_damaged_record_of_invalidations_makes_everything_absent() {
    for remove in [true, false] {
        let scratch = Scratch::new("stampless");
        let store = Store::open(scratch.utf8_path()).unwrap();
        put(&store, "a", b"x");
        let token = store.token().unwrap();
        let stamps = scratch.join("stamps");
        let file = stamps.join(&names(&stamps)[0]);
        if remove {
            fs::remove_file(&file).unwrap();
        } else {
            fs::write(&file, vec![7; 9_000]).unwrap();
        }
        let fresh = Store::open(scratch.utf8_path()).unwrap();
        assert_eq!(body(&fresh, "a"), None);
        assert!(fresh.put(&key("b"), b"x", &relaxed().fetched_in(token)).is_err());
        put(&fresh, "a", b"y");
        assert_eq!(body(&fresh, "a"), Some(b"y".to_vec()));
        drop_key(&fresh, "a");
        assert_eq!(body(&fresh, "a"), None);
    }
}

#[test]
fn sixteen_first_runs_make_one_root() {
    let scratch = Scratch::new("first");
    let root = scratch.utf8_path().join("root");
    std::thread::scope(|scope| {
        for at in 0..16 {
            let root = &root;
            scope.spawn(move || put(&Store::open(root).unwrap(), &format!("docs/{at}"), b"x"));
        }
    });
    let store = Store::open(&root).unwrap();
    assert_eq!((0..16).filter(|at| body(&store, &format!("docs/{at}")).is_some()).count(), 16);
    assert_eq!(names(root.join("tmp")), Vec::<String>::new());
}
