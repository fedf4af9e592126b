//! Random steps of two processes against a model that is as simple as can be.

use std::collections::BTreeMap;

use larder_queue::{Claim, Queue, Standing, Worker};
use proptest::prelude::*;

use crate::shared::{Place, SECOND, keys, urgent, wait};

const KEYS: [&str; 5] = ["a", "b/c", "d", "é", "f"];

/// A step of one of two processes.
#[derive(Clone, Debug)]
enum Step {
    Add {
        key: usize,
        priority: u64,
    },
    Claim {
        process: usize,
        tasks: usize,
    },
    Complete {
        process: usize,
        claim: usize,
    },
    Fail {
        process: usize,
        claim: usize,
        for_good: bool,
    },
    Release {
        process: usize,
        claim: usize,
    },
    Retry {
        key: usize,
    },
    Remove {
        key: usize,
    },
    /// Enough work for a compaction, of a key that nothing else concerns.
    Bulk,
    /// The process ends, and another one begins in its place.
    Restart {
        process: usize,
    },
    Pass {
        seconds: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let (key, process, claim) = (0..KEYS.len(), 0..2usize, 0..4usize);
    prop_oneof![
        6 => (key.clone(), 1..=10u64).prop_map(|(key, priority)| Step::Add { key, priority }),
        5 => (process.clone(), 1..4usize).prop_map(|(process, tasks)| Step::Claim { process, tasks }),
        4 => (process.clone(), claim.clone()).prop_map(|(process, claim)| Step::Complete { process, claim }),
        2 => (process.clone(), claim.clone(), any::<bool>())
            .prop_map(|(process, claim, for_good)| Step::Fail { process, claim, for_good }),
        1 => (process.clone(), claim).prop_map(|(process, claim)| Step::Release { process, claim }),
        1 => key.clone().prop_map(|key| Step::Retry { key }),
        1 => key.prop_map(|key| Step::Remove { key }),
        1 => Just(Step::Bulk),
        1 => process.prop_map(|process| Step::Restart { process }),
        2 => (1..100u64).prop_map(|seconds| Step::Pass { seconds }),
    ]
}

/// What the model knows of a task.
#[derive(Clone, Debug, Default, PartialEq)]
struct Known {
    priority: u64,
    turn: u64,
    again: Option<(u64, u64)>,
    attempts: u32,
    losses: u32,
    held_until: u64,
    /// The token, the process's incarnation, and when the lease is over.
    claim: Option<(u64, u64, u64)>,
    is_dead: bool,
}

#[derive(Default)]
struct Model {
    tasks: BTreeMap<&'static str, Known>,
    turns: u64,
    now: u64,
}

impl Model {
    fn add(&mut self, key: &'static str, priority: u64) {
        self.turns += 1;
        let turn = self.turns;
        let new = Known { priority, turn, ..Known::default() };
        match self.tasks.get_mut(key) {
            Some(task) if task.claim.is_some() => {
                let (most, first) = task.again.unwrap_or((priority, turn));
                task.again = Some((most.max(priority), first));
            }
            Some(task) if task.is_dead => *task = new,
            Some(task) => task.priority = task.priority.max(priority),
            None => _ = self.tasks.insert(key, new),
        }
    }

    /// What the claims of those who are gone or silent come to.
    fn reap(&mut self, is_gone: impl Fn(u64) -> bool) {
        let now = self.now;
        for task in self.tasks.values_mut() {
            if task.claim.is_some_and(|(_, by, until)| is_gone(by) || until <= now) {
                task.claim = None;
                task.losses += 1;
                let pause = if task.losses > 2 { back_off(task.losses - 2) } else { 0 };
                task.held_until = now + pause;
                match task.again.take() {
                    Some((priority, _)) => task.priority = task.priority.max(priority),
                    None => task.is_dead = task.losses >= 16,
                }
            }
        }
    }

    fn ready(&self) -> Vec<&'static str> {
        let is_ready = |task: &Known| task.claim.is_none() && !task.is_dead && task.held_until <= self.now;
        let mut ready: Vec<_> = self.tasks.iter().filter(|(_, task)| is_ready(task)).collect();
        ready.sort_by_key(|(_, task)| (std::cmp::Reverse(task.priority), task.turn));
        ready.into_iter().map(|(key, _)| *key).collect()
    }

    fn standing(&self, task: &Known) -> Standing {
        match task {
            Known { claim: Some(_), .. } => Standing::Claimed,
            Known { is_dead: true, .. } => Standing::Dead,
            _ if task.held_until > self.now => Standing::Held,
            _ => Standing::Ready,
        }
    }
}

fn back_off(failures: u32) -> u64 {
    (30u64 << (failures.saturating_sub(1)).min(16)).min(900)
}

struct Process {
    queue: Queue,
    worker: Worker,
    incarnation: u64,
    claims: Vec<Claim>,
}

impl Process {
    fn new(place: &Place, incarnation: u64) -> Self {
        let queue = place.queue();
        Self { worker: queue.worker("w").unwrap(), queue, incarnation, claims: Vec::new() }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn two_processes_and_a_model_agree(steps in prop::collection::vec(step(), 1..60)) {
        let place = Place::new("model");
        let mut model = Model::default();
        let mut processes = [Process::new(&place, 0), Process::new(&place, 1)];
        for (number, step) in steps.iter().enumerate() {
            run(&place, &mut model, &mut processes, step);
            compare(&place, &model, &processes, &format!("after step {number}, {step:?}"));
        }
    }
}

fn run(place: &Place, model: &mut Model, processes: &mut [Process; 2], step: &Step) {
    match *step {
        Step::Add { key, priority } => {
            processes[0].queue.add(&[urgent(KEYS[key], priority)], &wait()).unwrap();
            model.add(KEYS[key], priority);
        }
        Step::Claim { process, tasks } => claim(place, model, processes, process, tasks),
        Step::Complete { process, claim } => end(model, &mut processes[process], claim, End::Done),
        Step::Fail { process, claim, for_good } => {
            let end_of = if for_good { End::FailedForGood } else { End::Failed };
            end(model, &mut processes[process], claim, end_of);
        }
        Step::Release { process, claim } => end(model, &mut processes[process], claim, End::Released),
        Step::Retry { key } => {
            processes[1].queue.retry(&keys(&[KEYS[key]]), &wait()).unwrap();
            if let Some(task) = model.tasks.get_mut(KEYS[key]).filter(|task| task.attempts + task.losses > 0) {
                (task.attempts, task.losses, task.held_until, task.is_dead) = (0, 0, 0, false);
            }
        }
        Step::Remove { key } => {
            processes[1].queue.remove(&keys(&[KEYS[key]]), &wait()).unwrap();
            model.tasks.remove(KEYS[key]);
        }
        Step::Bulk => {
            let queue = place.queue();
            let payload = serde_json::json!("x".repeat(60_000));
            for _ in 0..3 {
                queue.add(&[urgent("bulk", 1).payload(payload.clone()).unwrap()], &wait()).unwrap();
                queue.remove(&keys(&["bulk"]), &wait()).unwrap();
            }
        }
        Step::Restart { process } => {
            let next = processes.iter().map(|process| process.incarnation).max().unwrap() + 1;
            processes[process] = Process::new(place, next);
        }
        Step::Pass { seconds } => {
            place.clock.advance(SECOND * u32::try_from(seconds).unwrap());
            model.now += seconds;
        }
    }
}

fn claim(place: &Place, model: &mut Model, processes: &mut [Process; 2], process: usize, tasks: usize) {
    let live: Vec<u64> = processes.iter().map(|process| process.incarnation).collect();
    // a second is enough for everybody to be looked at
    place.clock.advance(SECOND);
    model.now += 1;
    model.reap(|by| !live.contains(&by));
    let process = &mut processes[process];
    let claims = process.worker.claim(tasks, &wait()).unwrap();
    let mut expected: Vec<_> = model.ready().into_iter().take(tasks).collect();
    // over which a worker was lost comes alone
    let is_suspect = |key: &&str| model.tasks.get(key).is_some_and(|task| task.losses > 0);
    let first = expected.iter().position(is_suspect);
    expected.truncate(first.map_or(tasks, |first| first.max(1)));
    assert_eq!(claims.iter().map(Claim::key).collect::<Vec<_>>(), expected);
    for claim in &claims {
        let task = model.tasks.get_mut(claim.key()).unwrap();
        assert_eq!((claim.attempts(), claim.losses()), (task.attempts, task.losses));
        task.claim = Some((claim.token(), process.incarnation, model.now + 60));
        task.held_until = 0;
    }
    process.claims.extend(claims);
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Done,
    Failed,
    FailedForGood,
    Released,
}

fn end(model: &mut Model, process: &mut Process, at: usize, end: End) {
    let Some((claim, stands)) = take(model, process, at) else { return };
    let worker = &process.worker;
    let is_told = match end {
        End::Done => worker.complete(claim, &wait()).unwrap().is_ok(),
        End::Failed => worker.fail(claim, "no", &wait()).unwrap().is_ok(),
        End::FailedForGood => worker.fail_for_good(claim, "no", &wait()).unwrap().is_ok(),
        End::Released => worker.release(vec![claim], &wait()).unwrap().is_empty(),
    };
    assert_eq!(is_told, stands.is_some());
    let Some(key) = stands else { return };
    let now = model.now;
    let task = model.tasks.get_mut(key).unwrap();
    task.claim = None;
    let again = task.again.take();
    let is_dead = match end {
        End::Done => {
            model.tasks.remove(key);
            if let Some((priority, turn)) = again {
                model.tasks.insert(key, Known { priority, turn, ..Known::default() });
            }
            return;
        }
        End::Released => false,
        End::Failed | End::FailedForGood => {
            task.attempts += 1;
            let is_dead = end == End::FailedForGood || task.attempts >= 5;
            // also one that is dead: if it was added meanwhile, it is tried again then
            task.held_until = now + back_off(task.attempts);
            is_dead
        }
    };
    match again {
        Some((priority, _)) => task.priority = task.priority.max(priority),
        None => task.is_dead = is_dead,
    }
}

/// A claim of the process's, and the key of the task if it stands by the model.
fn take(model: &Model, process: &mut Process, at: usize) -> Option<(Claim, Option<&'static str>)> {
    if at >= process.claims.len() {
        return None;
    }
    let claim = process.claims.remove(at);
    let task = model.tasks.iter().find(|(key, _)| **key == claim.key());
    let stands = task.filter(|(_, task)| task.claim.is_some_and(|(token, ..)| token == claim.token()));
    Some((claim, stands.map(|(key, _)| *key)))
}

fn compare(place: &Place, model: &Model, processes: &[Process; 2], context: &str) {
    let fresh = place.queue();
    for queue in [&processes[0].queue, &processes[1].queue, &fresh] {
        let snapshot = queue.snapshot().unwrap();
        let found: BTreeMap<_, _> = snapshot
            .tasks
            .iter()
            .map(|task| (task.key.as_str(), (task.standing, task.priority.number(), task.attempts, task.losses)))
            .collect();
        let expected: BTreeMap<_, _> = model
            .tasks
            .iter()
            .map(|(key, task)| {
                let priority = u8::try_from(task.priority).unwrap();
                (*key, (model.standing(task), priority, task.attempts, task.losses))
            })
            .collect();
        assert_eq!(found, expected, "{context}");
    }
}
