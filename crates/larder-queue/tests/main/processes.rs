//! Many workers, killed and frozen at random: every task is done, and none by two at once.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

use larder_lock::Cancellation;
use larder_queue::{Options, Queue};
use larder_system::{Clock as _, SystemClock, SystemDisk};
use larder_testkit::{Child, Scratch, Seed, child};
use std::sync::Arc;

use crate::shared::{keys, task, urgent, wait};

const WORKERS: usize = 8;

/// How many tasks; more with `LARDER_TEST_TASKS`.
fn tasks() -> usize {
    std::env::var("LARDER_TEST_TASKS").ok().and_then(|text| text.parse().ok()).unwrap_or(2_000)
}

fn open(path: &str, lease: Duration) -> Queue {
    let clock = Arc::new(SystemClock::new());
    Queue::open_with(path, Options::new().lease(lease), Arc::new(SystemDisk::new()), clock)
}

/// Works until there is nothing to be done. While it does a task it holds a lock of the task's own, which tells whether
/// two do it at once, and which goes with the process, as the claim does.
pub(crate) fn work(_: &str, args: &child::Args) {
    let queue = open(args.get("queue"), Duration::from_millis(args.parse("lease_ms")));
    let mut log = append_to(args.get("log"));
    let worker = queue.worker(&format!("pid {}", std::process::id())).unwrap();
    child::say("begun");
    while worker.wait(Duration::from_secs(2), &Cancellation::new()).unwrap() {
        for claim in worker.claim(4, &wait()).unwrap() {
            if claim.key() == "poison" {
                worker.fail(claim, "poison", &wait()).unwrap().ok();
                continue;
            }
            let token = claim.token();
            log.write_all(format!("begin {} {token}\n", claim.key()).as_bytes()).unwrap();
            let key = claim.key().to_owned();
            // by the queue's own word, at the end of the work
            let word = match worker.complete(claim, &wait()).unwrap() {
                Ok(()) => "done",
                Err(_) => "late",
            };
            log.write_all(format!("{word} {key} {token}\n").as_bytes()).unwrap();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a log beside the queue")]
fn append_to(path: &str) -> File {
    File::options().append(true).create(true).open(path).unwrap()
}

#[test]
fn every_task_is_done_by_workers_that_are_killed_and_frozen_at_random() {
    let (scratch, mut seed, count) = (Scratch::new("processes"), Seed::new(), tasks());
    let (path, log) = (scratch.utf8_path().join("queue"), scratch.utf8_path().join("log"));
    let lease = Duration::from_millis(400);
    let queue = open(path.as_str(), lease);
    queue.add(&[urgent("poison", 10)], &wait()).unwrap();
    let all: Vec<_> = (0..count).map(|number| task(&format!("t/{number}"))).collect();
    queue.add(&all, &wait()).unwrap();
    let spawn = || {
        let lease_ms = lease.as_millis().to_string();
        Child::spawn("work", &[("queue", path.as_str()), ("log", log.as_str()), ("lease_ms", &lease_ms)])
    };
    let mut workers: Vec<Child> = (0..WORKERS).map(|_| spawn()).collect();
    for worker in &mut workers {
        worker.wait_for_line("begun");
    }
    // frozen for longer than a lease; one that is caught with the journal's lock in hand holds up all others meanwhile
    let thaw_after = lease * 2;
    let mut frozen: Vec<(Duration, Child)> = Vec::new();
    let mut thawed = Vec::new();
    let clock = SystemClock::new();
    let (mut kills, step) = (0, (count / 60) as u64);
    loop {
        let open = queue.counts().unwrap().open();
        if open <= 1 {
            break;
        }
        // so much is done between two blows
        while queue.counts().unwrap().open() > open.saturating_sub(step).max(1) {
            clock.sleep(Duration::from_millis(5));
            let is_over = |since: Duration| clock.monotonic().saturating_sub(since) >= thaw_after;
            for (_, mut worker) in frozen.extract_if(.., |(since, _)| is_over(*since)) {
                worker.resume();
                thawed.push(worker);
            }
            // some are unlucky: those over whom three workers died are left alone for half a minute
            let counts = queue.counts().unwrap();
            if counts.ready == 0 && counts.held > 1 {
                queue.retry(&larder_queue::Selection::All, &wait()).unwrap();
            }
            for worker in &mut workers {
                if !worker.is_running() {
                    *worker = spawn();
                }
            }
        }
        let victim = usize::try_from(seed.draw() % WORKERS as u64).unwrap();
        if !workers[victim].is_running() {
            workers[victim] = spawn();
        } else if kills % 8 == 3 {
            workers[victim].stop();
            frozen.push((clock.monotonic(), std::mem::replace(&mut workers[victim], spawn())));
        } else {
            workers[victim].kill();
            workers[victim] = spawn();
        }
        kills += 1;
    }
    for (_, worker) in &mut frozen {
        worker.resume();
    }
    let frozen = frozen.into_iter().map(|(_, worker)| worker);
    for mut worker in workers.into_iter().chain(thawed).chain(frozen) {
        worker.wait_for_success();
    }
    finish(&queue, &log, count);
}

fn finish(queue: &Queue, log: &camino::Utf8Path, count: usize) {
    let poison = queue.find("poison").unwrap().unwrap();
    assert!(poison.attempts >= 1 && poison.error.as_deref() == Some("poison"), "{poison:?}");
    queue.remove(&keys(&["poison"]), &wait()).unwrap();
    assert_eq!(queue.snapshot().unwrap().tasks, []);
    judge(&std::fs::read_to_string(log).unwrap(), count);
}

/// Judges the log: each task was done, by one whose claim stood; by nobody whose claim was older than another that had
/// begun.
fn judge(log: &str, count: usize) {
    let mut done: BTreeMap<&str, u64> = BTreeMap::new();
    let mut begun: BTreeMap<&str, u64> = BTreeMap::new();
    for line in log.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [word, key, token] = words.as_slice() else { panic!("{line}") };
        let token: u64 = token.parse().unwrap();
        match *word {
            "begin" => _ = begun.entry(key).and_modify(|last| *last = token.max(*last)).or_insert(token),
            // a task is completed once: it is gone then
            "done" => assert_eq!(done.insert(key, token), None, "{key} was completed twice"),
            "late" => {}
            other => panic!("{other}"),
        }
    }
    for (key, token) in &done {
        // nobody begins what is done, or has been taken from whoever had it
        assert_eq!(begun.get(key), Some(token), "{key} was done by a claim that was not the last");
    }
    // a worker that was killed between its word and its line has done it as well
    assert_eq!(begun.len(), count);
    assert!(done.len() + WORKERS * 200 > count, "{} of {count} are known to be done", done.len());
}
