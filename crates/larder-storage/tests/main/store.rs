//! What the store promises while nothing goes wrong.

use larder_storage::{Durability, Metadata, Prefix, Put, Scope, Standing, Store, Wait, put};
use larder_testkit::Scratch;

use crate::shared::{body, key, relaxed};

#[test]
fn what_was_put_is_got_by_every_store_on_the_root() {
    let scratch = Scratch::new("put_get");
    let one = Store::open(scratch.utf8_path().join("root")).unwrap();
    let other = Store::open(scratch.utf8_path().join("root")).unwrap();
    assert_eq!(body(&other, "docs/a"), None);
    let metadata = Metadata::new().with_tag("t").unwrap().with_attributes(&[1, 2]).unwrap();
    one.put(&key("docs/a"), b"first", &Put::new().metadata(metadata)).unwrap();
    let entry = other.get(&key("docs/a")).unwrap().unwrap();
    assert_eq!(entry.body(), b"first");
    assert_eq!(entry.metadata().attributes::<Vec<u32>>().unwrap(), Some(vec![1, 2]));
    assert_eq!(entry.durability(), Durability::Full);
    other.put(&key("docs/a"), b"second", &relaxed()).unwrap();
    assert_eq!(body(&one, "docs/a"), Some(b"second".to_vec()));
    one.put(&key("docs/a"), b"third", &relaxed()).unwrap();
    one.put(&key("docs/a"), b"fourth", &relaxed()).unwrap();
    assert_eq!(body(&other, "docs/a"), Some(b"fourth".to_vec()));
    assert_eq!(body(&one, "docs"), None);
}

#[test]
fn documents_of_every_size_come_back() {
    let scratch = Scratch::new("sizes");
    let store = Store::open(scratch.utf8_path()).unwrap();
    for size in [0, 1, 4095, 16 * 1024, 65_000, 69_000, 69_632, 70_000, 300_000] {
        let document: Vec<u8> = (0..=250).cycle().take(size).collect();
        store.put(&key("big"), &document, &relaxed()).unwrap();
        assert_eq!(body(&store, "big").as_deref(), Some(document.as_slice()), "{size}");
    }
}

#[test]
fn an_invalidation_covers_what_it_names_and_nothing_else() {
    let scratch = Scratch::new("scopes");
    let store = Store::open(scratch.utf8_path()).unwrap();
    let all = ["id/1", "id/10", "id/1/x", "id/1/y/z", "id"];
    let fill = || {
        for text in all {
            let metadata = if text == "id/10" { Metadata::new().with_tag("ten").unwrap() } else { Metadata::new() };
            store.put(&key(text), text.as_bytes(), &relaxed().metadata(metadata)).unwrap();
        }
    };
    let left = || -> Vec<&str> { all.into_iter().filter(|text| body(&store, text).is_some()).collect() };
    let cases: [(Scope, &[&str]); 4] = [
        (Scope::Key(key("id/1")), &["id/10", "id/1/x", "id/1/y/z", "id"]),
        (Scope::Prefix(Prefix::new("id/1/").unwrap()), &["id/1", "id/10", "id"]),
        (Scope::Tag(larder_storage::Tag::new("ten").unwrap()), &["id/1", "id/1/x", "id/1/y/z", "id"]),
        (Scope::All, &[]),
    ];
    for (scope, expected) in cases {
        fill();
        store.invalidate(&[scope.clone().hard()]).unwrap();
        assert_eq!(left(), expected, "hard {scope:?}");
        fill();
        store.invalidate(&[scope.clone().soft()]).unwrap();
        assert_eq!(left(), expected, "soft {scope:?}");
        for text in all {
            let entry = store.get_with_invalidated(&key(text)).unwrap().unwrap();
            assert_eq!(entry.standing() == Standing::Current, expected.contains(&text), "{text} after soft {scope:?}");
        }
    }
}

#[test]
fn a_document_fetched_before_an_invalidation_is_refused_after_it() {
    let scratch = Scratch::new("fence");
    let store = Store::open(scratch.utf8_path()).unwrap();
    let other = Store::open(scratch.utf8_path()).unwrap();
    for scope in [Scope::Key(key("a/b")), Scope::Prefix(Prefix::new("a/").unwrap()), Scope::All] {
        let token = store.token().unwrap();
        other.invalidate(&[scope.soft()]).unwrap();
        let refused = store.put(&key("a/b"), b"old", &relaxed().fetched_in(token));
        assert!(matches!(refused, Err(put::Error::Fenced { .. })), "{refused:?}");
        let token = store.token().unwrap();
        other.invalidate(&[Scope::Key(key("a/c")).hard()]).unwrap();
        store.put(&key("a/b"), b"new", &relaxed().fetched_in(token)).unwrap();
        assert_eq!(body(&other, "a/b"), Some(b"new".to_vec()));
    }
}

#[test]
fn a_renewal_keeps_the_body_and_refuses_a_changed_one() {
    let scratch = Scratch::new("renew");
    let store = Store::open(scratch.utf8_path()).unwrap();
    store.put(&key("a"), b"body", &relaxed()).unwrap();
    store.invalidate(&[Scope::All.soft()]).unwrap();
    let entry = store.get_with_invalidated(&key("a")).unwrap().unwrap();
    let metadata = Metadata::new().with_attributes("renewed").unwrap();
    store.renew(&entry, &relaxed().metadata(metadata)).unwrap();
    let renewed = store.get(&key("a")).unwrap().unwrap();
    assert_eq!((renewed.body(), renewed.metadata().attributes_json()), (&b"body"[..], Some("\"renewed\"")));
    store.put(&key("a"), b"other", &relaxed()).unwrap();
    assert!(matches!(store.renew(&renewed, &relaxed()), Err(put::Error::Changed { .. })));
    store.remove(&key("a"), Durability::Relaxed, &Wait::none()).unwrap();
    assert!(matches!(store.renew(&renewed, &relaxed()), Err(put::Error::Changed { .. })));
}

#[test]
fn lists_show_what_is_there_by_prefix() {
    let scratch = Scratch::new("list");
    let store = Store::open(scratch.utf8_path()).unwrap();
    let deep = vec!["d"; 40].join("/");
    let long = format!("docs/{}", "x".repeat(900));
    for text in ["docs/a", "docs/b/c", "docs", "docs2/a", &deep, &long] {
        store.put(&key(text), b"x", &relaxed()).unwrap();
    }
    let list = |prefix: &str| -> Vec<String> {
        let listing = store.list(&Prefix::new(prefix).unwrap()).unwrap();
        let mut keys: Vec<String> = listing.map(|summary| summary.unwrap().key.to_string()).collect();
        keys.sort();
        keys
    };
    assert_eq!(list("docs/"), ["docs/a", "docs/b/c", &long]);
    assert_eq!(list("").len(), 6);
    assert_eq!(list("d/"), [deep.as_str()]);
    assert_eq!(list("nothing/"), Vec::<String>::new());
    assert_eq!(store.usage().unwrap().entries, 6);
    store.invalidate(&[Scope::Prefix(Prefix::new("docs/").unwrap()).hard()]).unwrap();
    assert_eq!(list("docs/"), Vec::<String>::new());
    assert_eq!(store.sweep().unwrap().entries, 3);
    assert_eq!(store.usage().unwrap().entries, 3);
}

#[test]
fn reading_makes_nothing() {
    let scratch = Scratch::new("absent");
    let path = scratch.utf8_path().join("nothing");
    let store = Store::open(&path).unwrap();
    assert_eq!(body(&store, "a"), None);
    assert_eq!(store.list(&Prefix::everything()).unwrap().count(), 0);
    assert_eq!(store.verify(true).unwrap().whole, 0);
    assert_eq!(store.sweep().unwrap(), larder_storage::Swept::default());
    assert!(!store.remove(&key("a"), Durability::Full, &Wait::none()).unwrap());
    assert!(!path.exists());
}

#[test]
fn a_document_that_changed_its_size_is_read_whole_whatever_was_there_before() {
    let scratch = Scratch::new("resized");
    let store = Store::open(scratch.utf8_path()).unwrap();
    let long = Metadata::new().with_attributes(&"x".repeat(30_000)).unwrap();
    let cases = [(3, false), (3, true), (200_000, false), (0, true), (50_000, true), (1, false), (70_000, true)];
    for (length, header) in cases {
        let document: Vec<u8> = (0..=250).cycle().take(length).collect();
        let metadata = if header { long.clone() } else { Metadata::new() };
        store.put(&key("a"), &document, &relaxed().metadata(metadata)).unwrap();
        for _ in 0..3 {
            assert_eq!(body(&store, "a").as_deref(), Some(document.as_slice()), "{length} {header}");
        }
    }
    assert_eq!(store.quarantined(), 0);
}

#[test]
fn a_renewal_does_not_bring_back_what_was_invalidated_hard() {
    let scratch = Scratch::new("resurrect");
    let store = Store::open(scratch.utf8_path()).unwrap();
    store.put(&key("k"), b"x", &relaxed()).unwrap();
    let entry = store.get(&key("k")).unwrap().unwrap();
    store.invalidate(&[Scope::Key(key("k")).hard()]).unwrap();
    assert!(matches!(store.renew(&entry, &relaxed()), Err(put::Error::Changed { .. })));
    assert_eq!(body(&store, "k"), None);
}
