//! What the tests share: short names for long calls.

use larder_storage::{Durability, Entry, Key, Put, Scope, Store};

/// A key that is allowed.
pub(crate) fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

/// Terms of a put that syncs nothing.
pub(crate) fn relaxed() -> Put {
    Put::new().durability(Durability::Relaxed)
}

/// The document under a key.
pub(crate) fn body(store: &Store, text: &str) -> Option<Vec<u8>> {
    store.get(&key(text)).unwrap().map(Entry::into_body)
}

/// Stores a document without syncing.
pub(crate) fn put(store: &Store, text: &str, body: &[u8]) {
    store.put(&key(text), body, &relaxed()).unwrap();
}

/// Invalidates one key hard.
pub(crate) fn drop_key(store: &Store, text: &str) {
    store.invalidate(&[Scope::Key(key(text)).hard()]).unwrap();
}

/// The names in a folder.
pub(crate) fn names(folder: impl AsRef<std::path::Path>) -> Vec<String> {
    let listed = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = listed.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// An entry as a later version might write it: the first field, the last one and a right checksum are all that is known.
pub(crate) fn newer_entry() -> Vec<u8> {
    let line = br#"{"larder":2,"everything":"else""#;
    let check = twox_hash::XxHash3_64::oneshot(line);
    [b"---\n", &line[..], format!(",\"check\":\"{check:016x}\"}}\n---\n").as_bytes(), b"body"].concat()
}
