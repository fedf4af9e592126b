//! Adds tasks, and says so when they are there for good.

use super::key_text;
use crate::facts::{Fact, Kind, Scribe};
use crate::failure::Failure;
use crate::parts::Queueing;
use crate::worker::Worker;

/// The most tasks of one batch.
const BATCH_MAX: u64 = 12;

pub(crate) fn play(worker: &mut Worker) -> Result<(), Failure> {
    let arena = worker.order.folder.clone();
    let queueing = Queueing::open(&arena, worker.order.sabotage);
    let scribe = Scribe::open(&arena)?;
    let mut number = u64::from(worker.order.id) << 32;
    while !worker.end.has_come() {
        let count = 1 + worker.seed.below(BATCH_MAX);
        let tasks: Vec<u64> = (number..number + count).collect();
        number += count;
        let keys: Vec<String> = tasks.iter().map(|task| key_text(*task)).collect();
        queueing.add(&keys)?;
        for task in tasks {
            worker.voice.count("tasks added");
            let id = worker.order.id;
            scribe.append(Fact { kind: Kind::Acknowledged, worker: id, key: 0, version: task, extra: 0 })?;
        }
        let pause = 2_000 + worker.seed.below(6_000);
        worker.end.pause(pause);
    }
    Ok(())
}
