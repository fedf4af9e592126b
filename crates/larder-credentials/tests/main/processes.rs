//! Sixteen processes that set, rotate, remove and read, killed at random.

use std::collections::BTreeMap;

use larder_credentials::Store;
use larder_testkit::{Child, Seed, child};

use crate::place::{Place, below, name, secret, value};

const CHILD: &str = "processes::child_entry";
const WRITERS: usize = 12;
const READERS: usize = 4;
const KILLS: usize = 24;

/// A long secret of which every piece tells which it is, so that a torn or mixed one is seen.
fn made(own: &str, number: u64) -> String {
    format!("{own}-{number}:").repeat(200)
}

/// Whether it is one that somebody made, and its number.
fn number_of(own: &str, text: &str) -> Option<u64> {
    let number = text.split_once(':')?.0.strip_prefix(own)?.strip_prefix('-')?.parse().ok()?;
    (made(own, number) == text).then_some(number)
}

/// Rotates its own name, and a passing one that it removes again; says what was acknowledged.
fn write(store: &Store, own: &str, mut number: u64) {
    loop {
        number += 1;
        child::say(&format!("begin {number}"));
        store.set(&name(own), &secret(&made(own, number))).unwrap();
        child::say(&format!("done {number}"));
        let passing = format!("{own}.passing");
        store.set(&name(&passing), &secret("x")).unwrap();
        assert_eq!(value(store, own), Some(made(own, number)));
        store.remove(&name(&passing)).unwrap();
    }
}

/// Reads all names again and again: each has one whole value, and none that was there is ever lost.
fn read(store: &Store) {
    let mut last = BTreeMap::new();
    loop {
        for listed in store.list().unwrap() {
            let own = listed.name.to_string();
            let Some(text) = value(store, &own) else {
                assert!(own.ends_with(".passing"), "{own} is lost");
                continue;
            };
            if own.ends_with(".passing") {
                continue;
            }
            let number = number_of(&own, &text).unwrap_or_else(|| panic!("{own} is torn: {text}"));
            let before = last.insert(own.clone(), number).unwrap_or(0);
            assert!(before <= number, "{own} went back from {before} to {number}");
        }
        child::say("read");
    }
}

#[test]
#[ignore = "a child of other tests"]
fn child_entry() {
    child::run(|role, args| {
        let store = Store::at(args.get("path")).lock_wait(std::time::Duration::from_secs(100));
        match role {
            "write" => write(&store, args.get("own"), args.parse("number")),
            _ => read(&store),
        }
    });
}

/// The number in the last line of this kind.
fn last(child: &Child, kind: &str) -> Option<u64> {
    child.said().iter().rev().find_map(|line| line.strip_prefix(kind)?.trim().parse().ok())
}

#[test]
fn sixteen_processes_killed_at_random_lose_nothing_and_tear_nothing() {
    let place = Place::new("processes");
    let path = place.file().to_str().unwrap().to_owned();
    let spawn = |own: &str, number: u64| {
        let number = number.to_string();
        Child::spawn_through(CHILD, "write", &[("path", &path), ("own", own), ("number", &number)])
    };
    let mut seed = Seed::new();
    let names: Vec<String> = (0..WRITERS).map(|number| format!("w{number}")).collect();
    let mut writers: Vec<Child> = names.iter().map(|own| spawn(own, 0)).collect();
    let mut readers: Vec<Child> =
        (0..READERS).map(|_| Child::spawn_through(CHILD, "read", &[("path", &path)])).collect();
    for writer in &mut writers {
        writer.wait_for_line("done 1");
    }
    let mut acknowledged = [Some(1); WRITERS];
    for _ in 0..KILLS {
        // somebody got on meanwhile, so that kills meet all states
        let busy = seed.index(WRITERS);
        assert!(writers[busy].next_line().is_some(), "{}", writers[busy].printed());
        let victim = seed.index(WRITERS);
        writers[victim].kill();
        let own = &names[victim];
        while writers[victim].next_line().is_some() {}
        let (begun, done) = (last(&writers[victim], "begin"), last(&writers[victim], "done"));
        let found = value(&place.store, own).and_then(|text| number_of(own, &text));
        // what was acknowledged is there, also to those before it of the same name; what was only begun may be
        acknowledged[victim] = done.or(acknowledged[victim]);
        let at_least = acknowledged[victim];
        assert!(found >= at_least && found <= begun, "{own}: found {found:?}, done {at_least:?}, begun {begun:?}");
        writers[victim] = spawn(own, begun.unwrap_or(0));
        // begun before the next kill may meet it, so that its first number is known
        assert!(writers[victim].next_line().is_some(), "{}", writers[victim].printed());
    }
    for reader in &mut readers {
        reader.wait_for_line("read");
        assert!(reader.is_running(), "{}", reader.printed());
        reader.kill();
    }
    for (own, writer) in names.iter().zip(&mut writers) {
        assert!(writer.is_running(), "{}", writer.printed());
        writer.kill();
        assert!(value(&place.store, own).is_some_and(|text| number_of(own, &text).is_some()), "{own} is lost");
    }
    place.store.set(&name("next"), &secret("x")).unwrap();
    let left: Vec<_> =
        below(&place.folder()).into_iter().filter(|path| path.to_str().unwrap().contains(".new-")).collect();
    assert!(left.is_empty(), "{left:?}");
}
