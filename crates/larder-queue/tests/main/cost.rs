//! What a step costs does not grow with the queue: system calls are counted, which no load on the machine changes.

use std::sync::Arc;

use larder_testkit::{FaultDisk, SimDisk};

use crate::shared::{claim, queue_on, task, wait};

/// System calls on the queue's file of one add, claim and completion with so many tasks queued.
fn calls(queued: usize) -> [u64; 3] {
    let sim = SimDisk::new();
    let fault = FaultDisk::over(Arc::new(sim.clone()));
    let queue = queue_on(Arc::new(fault.clone()), Arc::new(sim));
    let tasks: Vec<_> = (0..queued).map(|number| task(&format!("some/key/{number}"))).collect();
    queue.add(&tasks, &wait()).unwrap();
    let worker = queue.worker("w").unwrap();
    // what a process reads once
    let first = claim(&worker).unwrap();
    worker.complete(first, &wait()).unwrap().unwrap();
    let mut counts = [0; 3];
    let mut count = |at: usize| {
        counts[at] = fault.count();
        fault.reset();
    };
    fault.reset();
    queue.add(&[task("one more")], &wait()).unwrap();
    count(0);
    let claimed = claim(&worker).unwrap();
    count(1);
    worker.complete(claimed, &wait()).unwrap().unwrap();
    count(2);
    counts
}

#[test]
fn a_step_makes_the_same_system_calls_at_any_length() {
    let few = calls(100);
    assert_eq!(calls(20_000), few);
    assert!(few.iter().all(|calls| *calls <= 6), "{few:?}");
}
