//! Many processes on one root: every byte judged, nothing lost, leftovers of the dead swept.
#![expect(clippy::disallowed_methods, reason = "the tests look at files behind larder's back")]

use larder_storage::{Put, Scope, Store};
use larder_testkit::{Child, Scratch, Seed, child};

use crate::shared::{key, names, put, relaxed};

const ENTRY: &str = "races::child_entry";

/// A document that says who wrote it and can be judged byte by byte.
fn document(writer: u64, round: u64) -> Vec<u8> {
    let length = 10 + (writer * 7_919 + round * 104_729) % 90_000;
    let mut document = format!("{writer} {round} {length}\n").into_bytes();
    let seed = writer.wrapping_mul(31).wrapping_add(round);
    document.extend((0..length).map(|at| seed.wrapping_add(at).wrapping_mul(2_654_435_761).to_le_bytes()[1]));
    document
}

fn judge(document_got: &[u8]) -> (u64, u64) {
    let line = document_got.split(|&byte| byte == b'\n').next().unwrap();
    let numbers: Vec<u64> =
        std::str::from_utf8(line).unwrap().split(' ').map(|number| number.parse().unwrap()).collect();
    assert!(document_got == document(numbers[0], numbers[1]), "whole bytes of one writer");
    (numbers[0], numbers[1])
}

#[test]
fn readers_see_whole_documents_while_writers_are_killed() {
    let scratch = Scratch::new("storm");
    let mut seed = Seed::new();
    let root = scratch.path().to_str().unwrap();
    let store = Store::open(scratch.utf8_path()).unwrap();
    put(&store, "docs/0", &document(0, 0));
    for round in 0..6_u64 {
        let mut writers: Vec<Child> = (1..=4_u64)
            .map(|writer| {
                Child::spawn_through(
                    ENTRY,
                    "write",
                    &[("root", root), ("writer", &writer.to_string()), ("from", &(round * 1_000).to_string())],
                )
            })
            .collect();
        for writer in &mut writers {
            writer.wait_for_line("writing");
        }
        for _ in 0..400 {
            let at = seed.below(3);
            if let Some(entry) = store.get(&key(&format!("docs/{at}"))).unwrap() {
                judge(entry.body());
            }
        }
        for writer in &mut writers {
            writer.kill();
        }
    }
    let verified = store.verify(false).unwrap();
    assert_eq!(verified.damaged, 0, "{verified:?}");
    store.sweep().unwrap();
    assert_eq!(names(scratch.join("tmp")), Vec::<String>::new());
    for at in 0..3 {
        put(&store, &format!("docs/{at}"), &document(9, at));
        assert_eq!(judge(store.get(&key(&format!("docs/{at}"))).unwrap().unwrap().body()), (9, at));
    }
}

#[test]
fn a_sweep_leaves_the_living_alone() {
    let scratch = Scratch::new("living");
    let root = scratch.path().to_str().unwrap();
    let store = Store::open(scratch.utf8_path()).unwrap();
    put(&store, "docs/0", b"x");
    let mut writer = Child::spawn_through(ENTRY, "stop-in-put", &[("root", root)]);
    writer.wait_until_stopped();
    assert_eq!(names(scratch.join("tmp")).len(), 1);
    let swept = store.sweep().unwrap();
    assert_eq!((swept.temporaries, swept.in_use), (0, 1));
    writer.resume();
    writer.wait_for_success();
    assert_eq!(store.get(&key("docs/slow")).unwrap().unwrap().body(), b"slow");
    let mut writer = Child::spawn_through(ENTRY, "stop-in-put", &[("root", root)]);
    writer.wait_until_stopped();
    writer.kill();
    let swept = store.sweep().unwrap();
    assert_eq!((swept.temporaries, swept.in_use), (1, 0));
}

#[test]
fn what_a_killed_writer_has_left_goes_when_the_next_process_begins_to_write_and_nothing_of_its_own_stays() {
    let scratch = Scratch::new("leftovers");
    let root = scratch.path().to_str().unwrap();
    put(&Store::open(scratch.utf8_path()).unwrap(), "docs/0", b"x");
    let [mut dead, mut alive] = [(); 2].map(|()| Child::spawn_through(ENTRY, "stop-in-put", &[("root", root)]));
    for writer in [&mut dead, &mut alive] {
        writer.wait_until_stopped();
    }
    dead.kill();
    assert_eq!(names(scratch.join("tmp")).len(), 2);
    put(&Store::open(scratch.utf8_path()).unwrap(), "docs/1", b"x");
    assert_eq!(names(scratch.join("tmp")).len(), 1, "the living one's");
    alive.resume();
    alive.wait_for_success();
    assert_eq!(names(scratch.join("tmp")).len() + names(scratch.join("locks")).len(), 0);
}

#[test]
fn no_reader_takes_an_old_answer_for_current_after_an_invalidation() {
    let scratch = Scratch::new("fences");
    let root = scratch.path().to_str().unwrap();
    let store = Store::open(scratch.utf8_path()).unwrap();
    put(&store, "docs/0", &document(0, 0));
    // children publish under tokens that they take before they look at the number of the round
    let mut writers: Vec<Child> = (1..=3_u64)
        .map(|writer| Child::spawn_through(ENTRY, "fetch", &[("root", root), ("writer", &writer.to_string())]))
        .collect();
    for writer in &mut writers {
        writer.wait_for_line("writing");
    }
    for round in 1..300_u64 {
        // the truth changes first, then what was fetched before is invalidated
        std::fs::write(scratch.join("truth.new"), round.to_string()).unwrap();
        std::fs::rename(scratch.join("truth.new"), scratch.join("truth")).unwrap();
        let scope = if round % 2 == 0 { Scope::Key(key("docs/0")) } else { Scope::Prefix("docs/".parse().unwrap()) };
        store.invalidate(&[scope.soft()]).unwrap();
        for _ in 0..5 {
            if let Some(entry) = store.get(&key("docs/0")).unwrap() {
                let (_, fetched) = judge(entry.body());
                assert!(fetched >= round, "round {round} got an answer of round {fetched}");
            }
        }
    }
    for writer in &mut writers {
        writer.kill();
    }
}

#[test]
fn invalidations_of_many_processes_are_all_kept() {
    let scratch = Scratch::new("appends");
    let root = scratch.path().to_str().unwrap();
    let store = Store::open(scratch.utf8_path()).unwrap();
    for writer in 0..6 {
        for at in 0..40 {
            put(&store, &format!("w{writer}/{at}"), b"x");
        }
    }
    // each batch is half a file: the six of them fold many times under one another
    let mut children: Vec<Child> = (0..6_u64)
        .map(|writer| Child::spawn_through(ENTRY, "invalidate", &[("root", root), ("writer", &writer.to_string())]))
        .collect();
    for child in &mut children {
        child.wait_for_success();
    }
    let fresh = Store::open(scratch.utf8_path()).unwrap();
    for reader in [&store, &fresh] {
        for writer in 0..6 {
            let left = (0..40).filter(|at| reader.get(&key(&format!("w{writer}/{at}"))).unwrap().is_some()).count();
            assert_eq!(left, 0, "writer {writer}");
        }
    }
    assert_eq!(names(scratch.join("stamps")).len(), 1);
    assert_eq!(names(scratch.join("tmp")), Vec::<String>::new());
}

#[test]
#[ignore = "a child of other tests"]
fn child_entry() {
    child::run(|role, args| {
        let store = Store::open(args.get("root")).unwrap();
        match role {
            "write" => {
                let (writer, from) = (args.parse("writer"), args.parse::<u64>("from"));
                child::say("writing");
                for round in from..from + 1_000_000 {
                    let terms = if round % 8 == 0 { Put::new() } else { relaxed() };
                    store.put(&key(&format!("docs/{}", round % 3)), &document(writer, round), &terms).unwrap();
                }
            }
            "stop-in-put" => {
                use larder_testkit::{Action, FaultDisk, Operation};
                let disk = FaultDisk::over(std::sync::Arc::new(larder_system::SystemDisk::new()));
                let temporary = std::path::Path::new(args.get("root")).join("tmp");
                let stopped = std::sync::atomic::AtomicBool::new(false);
                disk.before(move |call| {
                    // its own file is written by then, and the folder of temporary files knows it
                    let syncs = call.operation == Operation::Sync
                        && call.path.as_ref().is_some_and(|path| path.parent() == Some(&temporary));
                    if syncs && !stopped.swap(true, std::sync::atomic::Ordering::Relaxed) {
                        return Action::StopProcess;
                    }
                    Action::Proceed
                });
                let store =
                    larder_storage::Options::new().disk(std::sync::Arc::new(disk)).open(args.get("root")).unwrap();
                store.put(&key("docs/slow"), b"slow", &Put::new()).unwrap();
            }
            "fetch" => {
                let writer = args.parse("writer");
                let truth = std::path::Path::new(args.get("root")).join("truth");
                child::say("writing");
                loop {
                    let token = store.token().unwrap();
                    let round = std::fs::read_to_string(&truth).map_or(0, |text| text.parse().unwrap());
                    // refused when the round ended meanwhile; that is the point
                    let _ = store.put(&key("docs/0"), &document(writer, round), &relaxed().fetched_in(token));
                }
            }
            "invalidate" => {
                let writer = args.get("writer");
                for at in 0..40 {
                    let mut batch: Vec<_> =
                        (0..400).map(|other| Scope::Key(key(&format!("n{writer}/{at}/{other}"))).hard()).collect();
                    batch.push(Scope::Key(key(&format!("w{writer}/{at}"))).hard());
                    store.invalidate(&batch).unwrap();
                    assert!(store.get(&key(&format!("w{writer}/{at}"))).unwrap().is_none());
                }
            }
            other => panic!("no role {other}"),
        }
    });
}
