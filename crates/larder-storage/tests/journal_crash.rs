//! A journal under power cuts, errors of every call, and `kill -9` at every call.

#![expect(clippy::unwrap_used, reason = "what the tests stand on fails them")]

mod journal_setup;

use std::error::Error as _;
use std::path::Path;
use std::sync::Arc;

use journal_setup::{Seen, all_of, home, home_with, journal_in, journal_on, wait};
use larder_storage::journal::{Durability, Journal, append, compact};
use larder_system::{Disk, SystemClock, SystemDisk};
use larder_testkit::{Action, Child, FaultDisk, Operation, Scratch, Seed, SimDisk, VirtualClock, child, errno};

/// The records of batch `number`; an odd batch has three.
fn batch(number: usize) -> Vec<String> {
    let count = if number % 2 == 1 { 3 } else { 1 };
    (0..count).map(|part| format!("{number}.{part} {}", "x".repeat(number % 5 * 90))).collect()
}

/// Which batches were read: each must be whole, and they must be in order.
fn batches_of(seen: &Seen, context: &str) -> Vec<usize> {
    let texts = seen.texts();
    let mut rest = texts.as_slice();
    let mut numbers = Vec::new();
    while let Some(first) = rest.first() {
        let number: usize = first.split('.').next().unwrap().parse().unwrap();
        let expected = batch(number);
        assert!(rest.starts_with(&expected), "{context}: batch {number} is not whole: {texts:?}");
        rest = &rest[expected.len()..];
        numbers.push(number);
    }
    assert!(numbers.is_sorted_by(|one, next| one < next), "{context}: out of order or twice: {numbers:?}");
    numbers
}

/// Judges what a new process finds, and that it can go on.
fn judge(sim: &SimDisk, acknowledged: &[usize], possible: &[usize], context: &str) {
    let journal = journal_on(sim);
    let mut follower = journal.follow();
    let mut seen = Seen::default();
    seen.poll(&mut follower);
    let found = batches_of(&seen, context);
    for number in acknowledged {
        assert!(found.contains(number), "{context}: acknowledged batch {number} is lost, found {found:?}");
    }
    assert!(found.iter().all(|number| possible.contains(number)), "{context}: found {found:?} of {possible:?}");
    journal.append(&batch(1_001), Durability::Synced, &wait()).unwrap();
    let again = journal_on(sim);
    again.append(&batch(1_002), Durability::Unsynced, &wait()).unwrap();
    let expected = [found, vec![1_001, 1_002]].concat();
    seen.poll(&mut follower);
    assert_eq!(batches_of(&seen, context), expected, "{context}: the follower that was there before");
    assert_eq!(batches_of(&all_of(&again), context), expected, "{context}: after going on");
}

#[test]
fn a_power_cut_at_any_call_takes_no_synced_batch_and_halves_none() {
    let mut seed = Seed::new();
    let sim = SimDisk::new();
    let journal = journal_on(&sim);
    let (mut acknowledged, mut possible) = (Vec::new(), Vec::new());
    for number in 0..12 {
        let durability = if number % 3 == 1 { Durability::Unsynced } else { Durability::Synced };
        possible.push(number);
        sim.record();
        journal.append(&batch(number), durability, &wait()).unwrap();
        for moment in sim.history() {
            for state in moment.crash_states(40, seed.draw()) {
                judge(&state, &acknowledged, &possible, state.describe());
            }
        }
        if durability == Durability::Synced {
            // a sync makes durable all that was appended before it, by whomever
            acknowledged.clone_from(&possible);
        }
        for state in sim.crash_states(40, seed.draw()) {
            judge(&state, &acknowledged, &possible, state.describe());
        }
    }
}

#[test]
fn a_power_cut_at_any_call_of_a_compaction_leaves_the_old_journal_or_the_new() {
    let mut seed = Seed::new();
    let sim = SimDisk::new();
    let journal = journal_on(&sim);
    for number in 0..6 {
        journal.append(&batch(number), Durability::Synced, &wait()).unwrap();
    }
    sim.record();
    let keep = [batch(4), batch(5)].concat();
    journal.exclusive(&wait()).unwrap().compact(&keep).unwrap();
    let (old, new): (Vec<usize>, Vec<usize>) = ((0..6).collect(), vec![4, 5]);
    for moment in sim.history() {
        for state in moment.crash_states(40, seed.draw()) {
            let context = state.describe().to_owned();
            let found = batches_of(&all_of(&journal_on(&state)), &context);
            assert!(found == old || found == new, "{context}: {found:?}");
            judge(&state, &found, &found, &context);
        }
    }
    for state in sim.crash_states(40, seed.draw()) {
        judge(&state, &new, &new, state.describe());
    }
}

#[test]
fn an_append_after_a_compaction_that_was_killed_before_its_folder_sync_survives_a_power_cut() {
    let mut seed = Seed::new();
    let sim = SimDisk::new();
    let journal = journal_on(&sim);
    journal.append(&batch(0), Durability::Synced, &wait()).unwrap();
    journal.append(&batch(1), Durability::Synced, &wait()).unwrap();
    sim.record();
    journal.exclusive(&wait()).unwrap().compact(batch(1)).unwrap();
    for killed in sim.history() {
        let next = journal_on(&killed);
        next.append(&batch(2), Durability::Synced, &wait()).unwrap();
        for state in killed.crash_states(40, seed.draw()) {
            judge(&state, &[1, 2], &[0, 1, 2], state.describe());
        }
    }
}

/// What is done with a journal of two batches, and which batches may and must be there afterwards.
fn operate(journal: &Journal, operation: &str) -> Result<Vec<usize>, String> {
    let appended = |result: Result<_, append::Error>| match result {
        Ok(_) | Err(append::Error::NotDurable { .. }) => Ok(vec![0, 1, 2]),
        Err(error) => Err(format!("{error}: {:?}", std::error::Error::source(&error))),
    };
    match operation {
        "synced" => appended(journal.append(&batch(2), Durability::Synced, &wait())),
        "unsynced" => appended(journal.append(&batch(2), Durability::Unsynced, &wait())),
        _ => match journal.exclusive(&wait()).map(|exclusive| exclusive.compact(batch(1))) {
            Ok(Ok(_) | Err(compact::Error::NotDurable { .. })) => Ok(vec![1]),
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        },
    }
}

/// A disk of two batches, on which `fault` may fail calls.
fn faulty() -> (SimDisk, Arc<FaultDisk>, Journal) {
    let sim = SimDisk::new();
    let before = journal_on(&sim);
    for number in 0..2 {
        before.append(&batch(number), Durability::Synced, &wait()).unwrap();
    }
    let disk = Arc::new(FaultDisk::over(Arc::new(sim.clone())));
    let clock = Arc::new(SystemClock::new());
    let journal = journal_in(&home_with(disk.clone(), Arc::new(sim.clone()), Path::new("/"), clock));
    (sim, disk, journal)
}

#[test]
fn every_error_of_every_call_is_told_truly_and_takes_nothing_away() {
    let mut failures = 0;
    for operation in ["synced", "unsynced", "compact"] {
        let (_, disk, journal) = faulty();
        disk.reset();
        disk.record();
        operate(&journal, operation).unwrap();
        for call in disk.calls() {
            let errnos = call.operation.errnos();
            let actions = errnos.iter().flat_map(|errno| [Action::Fail(*errno), Action::FailAfter(*errno)]);
            for (action, persists) in actions.flat_map(|action| [(action.clone(), false), (action, true)]) {
                let (sim, disk, journal) = faulty();
                disk.reset();
                let (index, scripted) = (call.index, action.clone());
                disk.before(move |now| {
                    let is_hit = now.index == index || persists && now.index > index && now.operation == call.operation;
                    if is_hit { scripted.clone() } else { Action::Proceed }
                });
                let context = format!("{operation}, call {index} {:?}: {action:?} persists={persists}", call.operation);
                let outcome = operate(&journal, operation);
                disk.heal();
                let there = batches_of(&all_of(&journal_on(&sim)), &context);
                match outcome {
                    Ok(expected) => assert_eq!(there, expected, "{context}"),
                    Err(error) => {
                        failures += 1;
                        assert_eq!(there, [0, 1], "{context}: {error}");
                    }
                }
                journal.append(&batch(7), Durability::Synced, &wait()).unwrap();
                judge(&sim, &[&there[..], &[7]].concat(), &[0, 1, 2, 7], &context);
                assert!(
                    sim.tree().keys().all(|path| !path.to_string_lossy().ends_with(".new") || operation == "compact"),
                    "{context}: leftovers"
                );
            }
        }
    }
    assert!(failures > 50, "the faults really happened: {failures}");
}

#[test]
fn short_and_interrupted_calls_change_nothing() {
    for bytes in [1, 7, 100] {
        let (sim, disk, journal) = faulty();
        disk.shorten_writes_to(bytes);
        disk.interrupt_every(3);
        for number in 2..5 {
            journal.append(&batch(number), Durability::Unsynced, &wait()).unwrap();
        }
        assert_eq!(batches_of(&all_of(&journal), "by the interrupted process"), [0, 1, 2, 3, 4]);
        disk.heal();
        disk.shorten_writes_to(bytes);
        journal.exclusive(&wait()).unwrap().compact([batch(3), batch(4)].concat()).unwrap();
        assert_eq!(batches_of(&all_of(&journal_on(&sim)), "by another process"), [3, 4]);
    }
}

#[test]
#[ignore = "a child of other tests"]
fn child_entry() {
    child::run(|role, args| {
        let disk = Arc::new(FaultDisk::over(Arc::new(SystemDisk::new())));
        let journal = journal_in(&home(disk.clone(), Path::new(args.get("path"))));
        let at: u64 = args.parse("call");
        disk.before(move |call| if call.index == at { Action::KillProcess } else { Action::Proceed });
        disk.reset();
        match role {
            "append" => drop(journal.append(&batch(2), Durability::Synced, &wait()).unwrap()),
            _ => drop(journal.exclusive(&wait()).unwrap().compact(batch(1)).unwrap()),
        }
        child::say("done");
    });
}

/// Runs `role` again and again, killed at each of its calls, until one run gets to its end.
fn kill_at_every_call(role: &str, is_good: impl Fn(&[usize], bool) -> bool) -> u64 {
    for call in 0..200 {
        let scratch = Scratch::new("journal-kill");
        let home = home(Arc::new(SystemDisk::new()) as Arc<dyn Disk>, scratch.path());
        let journal = journal_in(&home);
        let mut seen = Seen::default();
        let mut follower = journal.follow();
        for number in 0..2 {
            journal.append(&batch(number), Durability::Synced, &wait()).unwrap();
        }
        seen.poll(&mut follower);
        let path = scratch.path().to_str().unwrap();
        let mut killed = Child::spawn(role, &[("path", path), ("call", &call.to_string())]);
        let is_done = killed.next_line().is_some();
        killed.wait();
        seen.poll(&mut follower);
        let context = format!("{role} killed at call {call}");
        let found = batches_of(&seen, &context);
        assert!(is_good(&found, is_done), "{context}: {found:?}");
        journal.append(&batch(3), Durability::Synced, &wait()).unwrap();
        seen.poll(&mut follower);
        let expected = [&found[..], &[3]].concat();
        assert_eq!(batches_of(&seen, &context), expected, "{context}");
        assert_eq!(batches_of(&all_of(&journal_in(&home)), &context), expected, "{context}");
        journal.exclusive(&wait()).unwrap().compact(batch(3)).unwrap();
        assert_eq!(batches_of(&all_of(&journal), &context), [3], "{context}");
        if is_done {
            return call;
        }
    }
    unreachable!("{role} never got to its end")
}

#[test]
fn an_append_killed_at_any_call_is_whole_or_absent() {
    let calls = kill_at_every_call("append", |found, is_done| found == [0, 1, 2] || (!is_done && found == [0, 1]));
    assert!(calls > 8, "{calls} calls");
}

#[test]
fn a_compaction_killed_at_any_call_leaves_the_old_journal_or_the_new() {
    let calls = kill_at_every_call("compact", |found, is_done| found == [1] || (!is_done && found == [0, 1]));
    assert!(calls > 15, "{calls} calls");
}

#[test]
fn a_sync_that_ran_before_the_write_does_not_vouch_for_it() {
    let (sim, disk, journal) = faulty();
    disk.fail_operation(Operation::SyncData, errno::EIO, 1);
    assert!(matches!(journal.append(&batch(2), Durability::Synced, &wait()), Err(append::Error::NotDurable { .. })));
    journal.append(&batch(3), Durability::Synced, &wait()).unwrap();
    let mut seed = Seed::new();
    for state in sim.crash_states(40, seed.draw()) {
        judge(&state, &[0, 1, 3], &[0, 1, 2, 3], state.describe());
    }
}

#[test]
fn a_descriptor_whose_sync_failed_is_not_used_again() {
    let sim = Arc::new(SimDisk::new());
    let disk = Arc::new(FaultDisk::over(sim.clone()));
    let journal = journal_in(&home_with(disk.clone(), sim, Path::new("/"), Arc::new(VirtualClock::new())));
    journal.append(&["a"], Durability::Synced, &wait()).unwrap();
    disk.fail_operation(Operation::SyncData, errno::EIO, 1);
    let error = journal.append(&["b"], Durability::Synced, &wait()).unwrap_err();
    let append::Error::NotDurable { appended: Some(appended), .. } = &error else { panic!("{error}") };
    assert_eq!(appended.first_sequence, 1);
    assert!(error.source().is_some(), "the cause is there to see");
    disk.reset();
    journal.append(&["c"], Durability::Synced, &wait()).unwrap();
    assert_eq!(disk.count_of(Operation::Open), 1, "opened anew");
    assert_eq!(all_of(&journal).texts(), ["a", "b", "c"]);
}

#[test]
fn a_whole_batch_whose_write_was_reported_as_failed_is_not_taken_back() {
    let sim = Arc::new(SimDisk::new());
    let disk = Arc::new(FaultDisk::over(sim.clone()));
    let journal = journal_in(&home_with(disk.clone(), sim, Path::new("/"), Arc::new(VirtualClock::new())));
    journal.append(&["a"], Durability::Unsynced, &wait()).unwrap();
    disk.before(|call| match call.operation {
        Operation::WriteAt => Action::FailAfter(errno::EIO),
        _ => Action::Proceed,
    });
    journal.append(&["b"], Durability::Unsynced, &wait()).unwrap();
    disk.heal();
    journal.append(&["c"], Durability::Unsynced, &wait()).unwrap();
    assert_eq!(all_of(&journal).texts(), ["a", "b", "c"]);
}
