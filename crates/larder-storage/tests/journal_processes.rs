//! A journal shared by processes that append, follow, compact and die at once; and its model under random operations.

#![expect(clippy::unwrap_used, reason = "what the tests stand on fails them")]

mod journal_setup;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use journal_setup::{Seen, all_of, home, journal_in, journal_on, wait};
use larder_storage::journal::{Appended, Durability, Follower, Journal};
use larder_system::{Disk, Open, SystemDisk, write_all_at};
use larder_testkit::{Child, Scratch, SimDisk, child};
use proptest::prelude::*;

fn journal_at(path: &Path) -> Journal {
    journal_in(&home(Arc::new(SystemDisk::new()), path))
}

#[test]
#[ignore = "a child of other tests"]
fn child_entry() {
    child::run(|role, args| {
        let journal = journal_at(Path::new(args.get("path")));
        match role {
            "append" => append_many(&journal, args.get("name"), args.parse("count")),
            "add" => increment_many(&journal, args.parse("count")),
            _ => compact_until_told(&journal),
        }
    });
}

fn append_many(journal: &Journal, name: &str, count: u32) {
    child::say("ready");
    for number in 0..count {
        let durability = if number % 10 == 0 { Durability::Synced } else { Durability::Unsynced };
        let records: Vec<String> = (0..=number % 3).map(|part| format!("{name} {number} {part}")).collect();
        journal.append(&records, durability, &wait()).unwrap();
        if number % 50 == 0 {
            child::say(&format!("at {number}"));
        }
    }
    child::say("done");
}

/// Each step appends the number after the last one that is there.
fn increment_many(journal: &Journal, count: u32) {
    let mut follower = journal.follow();
    let mut seen = Seen::default();
    for _ in 0..count {
        let mut exclusive = journal.exclusive(&wait()).unwrap();
        exclusive.catch_up(&mut follower, |event| seen.take(event)).unwrap();
        let next = seen.texts().last().map_or(0, |last| last.parse::<u64>().unwrap() + 1).to_string();
        let appended = exclusive.append(&[&next], Durability::Unsynced).unwrap();
        assert!(follower.pass(&appended));
        seen.records = vec![next.into_bytes()];
    }
}

/// Keeps every record, in as many compactions as there is time for.
fn compact_until_told(journal: &Journal) {
    let (stopped, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        child::hear();
        let _ = stopped.send(());
    });
    let (mut follower, mut seen, mut compactions) = (journal.follow(), Seen::default(), 0);
    while told.try_recv().is_err() {
        let exclusive = journal.exclusive(&wait()).unwrap();
        exclusive.catch_up(&mut follower, |event| seen.take(event)).unwrap();
        exclusive.compact(&seen.records).unwrap();
        compactions += 1;
        if compactions == 1 {
            child::say("compacting");
        }
    }
    child::say(&format!("{compactions} compactions"));
}

/// Each appender's records are there once and in order, as far as it got.
fn judge_lines(seen: &Seen, names: &[&str]) -> HashMap<String, Vec<(u32, u32)>> {
    let mut lines: HashMap<String, Vec<(u32, u32)>> = HashMap::new();
    for text in seen.texts() {
        let words: Vec<&str> = text.split(' ').collect();
        lines.entry(words[0].to_owned()).or_default().push((words[1].parse().unwrap(), words[2].parse().unwrap()));
    }
    for name in names {
        let line = lines.get(*name).map(Vec::as_slice).unwrap_or_default();
        let last = line.last().map_or(0, |last| last.0 + 1);
        let expected: Vec<(u32, u32)> =
            (0..last).flat_map(|number| (0..=number % 3).map(move |part| (number, part))).collect();
        assert_eq!(line, expected, "the records of {name}");
    }
    lines
}

#[test]
fn processes_that_append_follow_and_compact_at_once_lose_nothing_and_read_nothing_twice() {
    let scratch = Scratch::new("journal-processes");
    let path = scratch.path().to_str().unwrap();
    let mut compactor = Child::spawn("compact", &[("path", path)]);
    compactor.wait_for_line("compacting");
    let spawn = |name| Child::spawn("append", &[("path", path), ("name", name), ("count", "600")]);
    let mut appenders = [spawn("one"), spawn("two")];
    let (mut follower, mut seen) = (journal_at(scratch.path()).follow(), Seen::default());
    let mut polls = 0;
    while appenders.iter_mut().any(Child::is_running) {
        seen.poll(&mut follower);
        judge_lines(&seen, &["one", "two"]);
        polls += 1;
    }
    appenders.iter_mut().for_each(Child::wait_for_success);
    compactor.send_line("stop");
    compactor.wait_for_success();
    seen.poll(&mut follower);
    for judged in [seen, all_of(&journal_at(scratch.path()))] {
        let lines = judge_lines(&judged, &["one", "two"]);
        assert!(lines.values().all(|line| line.len() == 1_200), "{polls} polls");
        assert_eq!(judged.lost, 0);
        assert!(judged.sequences.is_sorted_by(|one, next| one < next));
    }
}

#[test]
fn read_decide_append_is_one_step_for_eight_processes() {
    let scratch = Scratch::new("journal-increments");
    let path = scratch.path().to_str().unwrap();
    let mut children: Vec<Child> = (0..8).map(|_| Child::spawn("add", &[("path", path), ("count", "150")])).collect();
    children.iter_mut().for_each(Child::wait_for_success);
    let expected: Vec<String> = (0..1_200).map(|number| number.to_string()).collect();
    assert_eq!(all_of(&journal_at(scratch.path())).texts(), expected);
}

#[test]
fn writers_killed_at_random_moments_leave_whole_batches_and_no_work_to_the_next() {
    let scratch = Scratch::new("journal-killed");
    let path = scratch.path().to_str().unwrap();
    let names: Vec<String> = (0..12).map(|number| format!("w{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (mut follower, mut seen) = (journal_at(scratch.path()).follow(), Seen::default());
    for (index, name) in names.iter().enumerate() {
        let mut writer = Child::spawn("append", &[("path", path), ("name", name), ("count", "1000000")]);
        writer.wait_for_line(&format!("at {}", 50 * index));
        writer.kill();
        seen.poll(&mut follower);
        let lines = judge_lines(&seen, &names);
        assert!(lines[*name].last().unwrap().0 >= u32::try_from(50 * index).unwrap(), "{name}: what it did is there");
    }
    judge_lines(&all_of(&journal_at(scratch.path())), &names);
}

#[derive(Clone, Debug)]
enum Step {
    Append { by: usize, lengths: Vec<usize>, synced: bool },
    Poll { follower: usize },
    Compact { by: usize, keep_from: usize },
    Restart { process: usize },
    Tear { garbage: Vec<u8> },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..2_usize, prop::collection::vec(0..2_000_usize, 0..5), any::<bool>())
            .prop_map(|(by, lengths, synced)| Step::Append { by, lengths, synced }),
        4 => (0..2_usize).prop_map(|follower| Step::Poll { follower }),
        1 => (0..2_usize, 0..6_usize).prop_map(|(by, keep_from)| Step::Compact { by, keep_from }),
        1 => (0..2_usize).prop_map(|process| Step::Restart { process }),
        1 => prop::collection::vec(any::<u8>(), 1..200).prop_map(|garbage| Step::Tear { garbage }),
    ]
}

/// Two processes on one disk, a follower in each, and what the journal must hold.
struct World {
    sim: SimDisk,
    journals: Vec<Journal>,
    followers: Vec<(Follower, Seen)>,
    model: Vec<Vec<u8>>,
    end: Option<Appended>,
    next: u64,
}

impl World {
    fn new() -> Self {
        let sim = SimDisk::new();
        let journals: Vec<Journal> = (0..2).map(|_| journal_on(&sim)).collect();
        let followers = journals.iter().map(|journal| (journal.follow(), Seen::default())).collect();
        Self { sim, journals, followers, model: Vec::new(), end: None, next: 0 }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Append { by, lengths, synced } => {
                let records: Vec<Vec<u8>> = lengths.iter().map(|length| self.record(*length)).collect();
                let durability = if *synced { Durability::Synced } else { Durability::Unsynced };
                let appended = self.journals[*by].append(&records, durability, &wait()).unwrap();
                assert_eq!(appended.records, records.len() as u64);
                self.model.extend(records);
                self.end = Some(appended);
            }
            Step::Poll { follower } => {
                let (follower, seen) = &mut self.followers[*follower];
                seen.poll(follower);
                assert_eq!(seen.records, self.model);
            }
            Step::Compact { by, keep_from } => {
                self.model.drain(..(*keep_from).min(self.model.len()));
                self.journals[*by].exclusive(&wait()).unwrap().compact(&self.model).unwrap();
                self.end = None;
            }
            Step::Restart { process } => {
                self.journals[*process] = journal_on(&self.sim);
                self.followers[*process] = (self.journals[*process].follow(), Seen::default());
            }
            Step::Tear { garbage } => {
                let Some(end) = self.end else { return };
                let root = self.sim.open_root(Path::new("/")).unwrap();
                let file = self.sim.open(&root, Path::new("tasks.journal"), Open::READ_WRITE).unwrap();
                write_all_at(&self.sim, &file, garbage, end.end).unwrap();
            }
        }
    }

    fn record(&mut self, length: usize) -> Vec<u8> {
        self.next += 1;
        let mut record = format!("{} ", self.next).into_bytes();
        record.resize(record.len() + length, b'x');
        record
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn a_journal_holds_what_its_model_holds(steps in prop::collection::vec(step(), 1..40)) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
        }
        for process in 0..2 {
            world.take(&Step::Poll { follower: process });
            prop_assert_eq!(&all_of(&world.journals[process]).records, &world.model);
        }
    }
}
