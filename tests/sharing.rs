//! One folder, several processes: what one puts, the others read; what dies, nobody has to clear away.

use larder_lock::{Locks, Mode, Options, Wait};
use larder_storage::{Durability, Key, Put, Store};
use larder_testkit::child::{self, Args};
use larder_testkit::{Child, Scratch};

const KEY: &str = "sharing/document";

/// Puts a document, takes a lock of its own, says so, and lives until it is told to end or killed.
pub(crate) fn writer(arguments: &Args) {
    let folder = arguments.get("folder");
    let store = Store::open(format!("{folder}/root")).unwrap();
    let put = Put::new().durability(Durability::Relaxed);
    store.put(&key(), arguments.get("document").as_bytes(), &put).unwrap();
    let locks = Locks::open(format!("{folder}/locks").as_str().into(), Options::new()).unwrap();
    let _guard = locks.acquire("writer", Mode::Exclusive, &Wait::none()).unwrap();
    child::say("put and locked");
    while child::hear().is_some() {}
}

fn key() -> Key {
    KEY.parse().unwrap()
}

fn start(scratch: &Scratch, document: &str) -> Child {
    let folder = scratch.utf8_path().as_str();
    let mut child = Child::spawn("sharing writer", &[("folder", folder), ("document", document)]);
    child.wait_for_line("put and locked");
    child
}

#[test]
fn what_a_living_process_has_put_another_reads_whole() {
    let scratch = Scratch::new("sharing-read");
    let _writer = start(&scratch, "the whole of it");
    let store = Store::open(scratch.utf8_path().join("root")).unwrap();
    let entry = store.get(&key()).unwrap().expect("it was put before it was said");
    assert_eq!(entry.body(), b"the whole of it");
}

#[test]
fn a_killed_process_leaves_its_document_and_neither_lock() {
    let scratch = Scratch::new("sharing-kill");
    let mut writer = start(&scratch, "first");
    let locks = Locks::open(&scratch.utf8_path().join("locks"), Options::new()).unwrap();
    let refused = locks.acquire("writer", Mode::Exclusive, &Wait::none());
    assert!(refused.is_err(), "the writer lives and holds it");
    writer.kill();
    drop(locks.acquire("writer", Mode::Exclusive, &Wait::none()).expect("whoever held it is dead"));

    let store = Store::open(scratch.utf8_path().join("root")).unwrap();
    assert_eq!(store.get(&key()).unwrap().expect("it was put").body(), b"first");
    store.put(&key(), b"second", &Put::new().wait(Wait::none())).expect("the dead writer holds no key");
    assert_eq!(store.get(&key()).unwrap().expect("it was put").body(), b"second");
}
