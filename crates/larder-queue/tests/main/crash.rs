//! Killed, failed and cut off at every system call: what was acknowledged is there, and nobody is stuck.

use std::collections::BTreeMap;
use std::sync::Arc;

use larder_queue::{Claim, Error, Queue, Standing, Worker};
use larder_system::Disk;
use larder_testkit::{Action, FaultDisk, Operation, Seed, SimDisk};

use crate::shared::{queue_on, task, urgent, wait};

/// A queue as a process that begins now finds it.
fn fresh(sim: &SimDisk) -> Queue {
    queue_on(Arc::new(sim.clone()), Arc::new(sim.clone()))
}

/// Where each task stands, those that are gone left out; a claim is as good as ready: what it is, time will tell.
fn tasks(queue: &Queue) -> BTreeMap<String, Standing> {
    let snapshot = queue.snapshot().unwrap();
    // a claim that was not synced may be damaged where what came after it is whole
    assert_eq!(snapshot.foreign_records, 0);
    let open = |standing| if standing == Standing::Claimed { Standing::Ready } else { standing };
    snapshot.tasks.into_iter().map(|task| (task.key, open(task.standing))).collect()
}

/// What is done, by a worker that has claimed `done`, `failed` and `freed`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    Add,
    Claim,
    Complete,
    Fail,
    Release,
    Retry,
    Remove,
    Heartbeat,
    CompleteAndCompact,
    AddAndCompact,
}

impl Step {
    const ALL: [Self; 10] = [
        Self::Add,
        Self::Claim,
        Self::Complete,
        Self::Fail,
        Self::Release,
        Self::Retry,
        Self::Remove,
        Self::Heartbeat,
        Self::CompleteAndCompact,
        Self::AddAndCompact,
    ];

    fn run(self, scene: &mut Scene) -> Result<(), Error> {
        let Scene { queue, worker, claims } = scene;
        let mut take = |key: &str| claims.remove(key).unwrap();
        match self {
            Self::Add => queue.add(&[task("new/1"), urgent("new/2", 9), task("waiting")], &wait()).map(drop),
            Self::AddAndCompact => {
                let large = task("waiting").payload(bulk(60_000)).unwrap();
                queue.add(&[task("new/1"), urgent("new/2", 9), large], &wait()).map(drop)
            }
            Self::Claim => worker.claim(2, &wait()).map(drop),
            Self::Complete | Self::CompleteAndCompact => {
                worker.complete(take("done"), &wait()).map(|ended| ended.unwrap())
            }
            Self::Fail => worker.fail_for_good(take("failed"), "no", &wait()).map(|ended| ended.unwrap()),
            Self::Release => worker.release(vec![take("freed")], &wait()).map(|lost| assert_eq!(lost, [])),
            Self::Retry => queue.retry(&larder_queue::Selection::Dead, &wait()).map(drop),
            Self::Remove => queue.remove(&crate::shared::keys(&["waiting"]), &wait()).map(drop),
            Self::Heartbeat => worker.heartbeat(&wait()),
        }
    }

    /// What is there afterwards, of what was there `before`.
    fn after(self, mut before: BTreeMap<String, Standing>) -> BTreeMap<String, Standing> {
        match self {
            Self::Add | Self::AddAndCompact => {
                before.extend(["new/1", "new/2"].map(|key| (key.to_owned(), Standing::Ready)));
            }
            Self::Complete | Self::CompleteAndCompact => _ = before.remove("done"),
            Self::Fail => _ = before.insert("failed".to_owned(), Standing::Dead),
            Self::Retry => _ = before.insert("dead".to_owned(), Standing::Ready),
            Self::Remove => _ = before.remove("waiting"),
            Self::Claim | Self::Release | Self::Heartbeat => {}
        }
        before
    }

    /// Whether it is on the disk when it returns.
    const fn is_durable(self) -> bool {
        !matches!(self, Self::Claim | Self::Release | Self::Heartbeat)
    }
}

/// A worker at work on a disk.
struct Scene {
    queue: Queue,
    worker: Worker,
    claims: BTreeMap<String, Claim>,
}

impl Scene {
    fn new(disk: Arc<dyn Disk>, locks: Arc<dyn Disk>, step: Step) -> Self {
        let queue = queue_on(disk, locks);
        let worker = queue.worker("w").unwrap();
        if step == Step::CompleteAndCompact {
            // as much as a journal may have without being looked at
            let tasks: Vec<_> = (0..4).map(|_| urgent("bulk", 10).payload(bulk(63_000)).unwrap()).collect();
            queue.add(&tasks, &wait()).unwrap();
            let bulk = worker.claim(1, &wait()).unwrap();
            assert_eq!(worker.complete_all(bulk, &wait()).unwrap(), []);
        }
        queue.add(&["done", "failed", "freed", "dead", "waiting"].map(task), &wait()).unwrap();
        let mut claims: BTreeMap<_, _> =
            worker.claim(4, &wait()).unwrap().into_iter().map(|claim| (claim.key().to_owned(), claim)).collect();
        worker.fail_for_good(claims.remove("dead").unwrap(), "no", &wait()).unwrap().unwrap();
        // who only adds does not look before a power of two: the step itself comes to that
        match step {
            Step::CompleteAndCompact => {
                _ = queue.add(&[task("filler").payload(bulk(15_000)).unwrap()], &wait()).unwrap();
            }
            Step::AddAndCompact => {
                for _ in 0..16 {
                    queue.add(&[task("filler").payload(bulk(63_000)).unwrap()], &wait()).unwrap();
                }
            }
            _ => {}
        }
        Self { queue, worker, claims }
    }
}

fn bulk(bytes: usize) -> serde_json::Value {
    serde_json::json!("x".repeat(bytes))
}

#[test]
fn a_power_cut_at_any_call_takes_nothing_that_was_acknowledged() {
    let mut seed = Seed::new();
    for step in Step::ALL {
        let sim = SimDisk::new();
        let mut scene = Scene::new(Arc::new(sim.clone()), Arc::new(sim.clone()), step);
        let before = tasks(&fresh(&sim));
        let after = step.after(before.clone());
        sim.record();
        step.run(&mut scene).unwrap();
        for moment in sim.history() {
            for state in moment.crash_states(24, seed.draw()) {
                let found = tasks(&fresh(&state));
                assert!(found == before || found == after, "{step:?}, {}: {found:?}", state.describe());
                go_on(&state, &format!("{step:?}, {}", state.describe()));
            }
        }
        for state in sim.crash_states(24, seed.draw()) {
            let found = tasks(&fresh(&state));
            if step.is_durable() {
                assert_eq!(found, after, "{step:?} returned, {}", state.describe());
            }
            go_on(&state, &format!("{step:?} returned, {}", state.describe()));
        }
    }
}

/// Whoever comes next can claim and complete everything that is left.
fn go_on(sim: &SimDisk, context: &str) {
    let queue = fresh(sim);
    queue.add(&[task("next")], &wait()).unwrap();
    let worker = queue.worker("next").unwrap();
    // those of the worker that the power took, whose lock is free now
    let mut all = Vec::new();
    loop {
        // those over which a worker was lost come alone
        let claims = worker.claim(100, &wait()).unwrap();
        if claims.is_empty() {
            break;
        }
        all.extend(claims);
    }
    assert!(all.iter().any(|claim| claim.key() == "next"), "{context}");
    let open = tasks(&queue).into_values().filter(|standing| *standing == Standing::Ready).count();
    assert_eq!((all.len(), queue.counts().unwrap().ready), (open, 0), "{context}");
    assert_eq!(worker.complete_all(all, &wait()).unwrap(), [], "{context}");
    assert_eq!(fresh(sim).counts().unwrap().open(), 0, "{context}");
}

#[test]
fn killed_at_any_call_everything_acknowledged_is_there_and_the_claims_are_free() {
    for step in Step::ALL {
        let sim = SimDisk::new();
        let mut scene = Scene::new(Arc::new(sim.clone()), Arc::new(sim.clone()), step);
        let before = tasks(&fresh(&sim));
        let after = step.after(before.clone());
        sim.record();
        step.run(&mut scene).unwrap();
        for moment in sim.history() {
            let found = tasks(&fresh(&moment));
            assert!(found == before || found == after, "{step:?}, {}: {found:?}", moment.describe());
        }
        assert_eq!(tasks(&fresh(&sim)), after, "{step:?}");
    }
}

#[test]
fn an_error_of_any_call_is_told_and_loses_nothing() {
    for step in Step::ALL {
        let calls = {
            let sim = SimDisk::new();
            let fault = FaultDisk::over(Arc::new(sim.clone()));
            let mut scene = Scene::new(Arc::new(fault.clone()), Arc::new(sim.clone()), step);
            fault.reset();
            fault.record();
            step.run(&mut scene).unwrap();
            fault.calls()
        };
        let compacts = matches!(step, Step::CompleteAndCompact | Step::AddAndCompact);
        assert_eq!(calls.iter().any(|call| call.operation == Operation::Rename), compacts, "{step:?}");
        for call in calls {
            for &errno in call.operation.errnos() {
                let sim = SimDisk::new();
                let fault = FaultDisk::over(Arc::new(sim.clone()));
                let mut scene = Scene::new(Arc::new(fault.clone()), Arc::new(sim.clone()), step);
                let before = tasks(&fresh(&sim));
                let after = step.after(before.clone());
                fault.reset();
                let index = call.index;
                fault.before(move |now| if now.index == index { Action::Fail(errno) } else { Action::Proceed });
                let ended = step.run(&mut scene);
                fault.heal();
                let context = format!("{step:?}, {call} fails with {errno}: {ended:?}");
                let found = tasks(&fresh(&sim));
                match &ended {
                    Err(error) if error.is_not_durable() => assert_eq!(found, after, "{context}"),
                    Ok(()) => {
                        assert_eq!(found, after, "{context}");
                    }
                    // told that it was not, it was not
                    Err(_) => assert_eq!(found, before, "{context}"),
                }
                // the same process goes on
                scene.queue.add(&[task("next")], &wait()).unwrap();
                assert!(
                    tasks(&scene.queue).contains_key("next"),
                    "{context} {:?} {:?}",
                    tasks(&scene.queue),
                    tasks(&fresh(&sim))
                );
                assert_eq!(tasks(&scene.queue), tasks(&fresh(&sim)), "{context}");
            }
        }
    }
}

#[test]
fn a_full_disk_refuses_what_is_added_and_keeps_what_is_there() {
    let sim = SimDisk::new();
    let queue = fresh(&sim);
    queue.add(&["a", "b"].map(task), &wait()).unwrap();
    let payload = serde_json::json!("x".repeat(60_000));
    sim.set_capacity(200_000);
    let mut added = 0;
    let error = loop {
        match queue.add(&[task(&format!("big/{added}")).payload(payload.clone()).unwrap()], &wait()) {
            Ok(_) => added += 1,
            Err(error) => break error,
        }
        assert!(added < 100);
    };
    let says = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(format!("{error} {says}").to_lowercase().contains("space"), "{error} {says}");
    assert_eq!(tasks(&fresh(&sim)).len(), 2 + added);
    // and what is done still can be told: there is room for that, or it is an error and done again
    let worker = queue.worker("w").unwrap();
    let claims = worker.claim(10, &wait());
    sim.set_capacity(u64::MAX);
    if let Ok(claims) = claims {
        assert_eq!(worker.complete_all(claims, &wait()).unwrap(), []);
    }
    queue.add(&[task("after")], &wait()).unwrap();
    assert!(tasks(&fresh(&sim)).contains_key("after"));
}

#[test]
fn durable_steps_are_one_sync_and_the_others_none() {
    for (step, syncs) in [(Step::Add, 1), (Step::Complete, 1), (Step::Claim, 0), (Step::Heartbeat, 0)] {
        let sim = SimDisk::new();
        let fault = FaultDisk::over(Arc::new(sim.clone()));
        let mut scene = Scene::new(Arc::new(fault.clone()), Arc::new(sim), step);
        fault.reset();
        step.run(&mut scene).unwrap();
        let count = fault.count_of(Operation::Sync) + fault.count_of(Operation::SyncData);
        assert_eq!(count, syncs, "{step:?}");
    }
}
