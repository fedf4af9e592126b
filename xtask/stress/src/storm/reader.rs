//! Reads shared keys, from disk or through a memory tier, and judges every byte.

use super::KEYS;
use super::judge::Judge;
use crate::failure::{Failure, chain};
use crate::parts::{Memory, Shelf};
use crate::promise::Promise;
use crate::worker::{Role, Worker};

/// How many reads a reader makes between two breaths.
const READS: u32 = 24;

pub(crate) fn play(worker: &mut Worker) -> Result<(), Failure> {
    let arena = worker.order.folder.clone();
    let root = arena.join("root");
    let shelf = Shelf::open(&root, worker.order.sabotage)?;
    let mut judge = Judge::open(&arena, &worker.order.corpus)?;
    let mut memory = Memory::open(&root, shelf.store(), worker.order.sabotage)?;
    while !worker.end.has_come() {
        for _ in 0..READS {
            let key = u32::try_from(worker.seed.below(u64::from(KEYS))).unwrap_or(0);
            if worker.order.role == Role::Rememberer {
                remember_one(worker, &mut memory, &mut judge, key)?;
            } else {
                read_one(worker, &shelf, &mut judge, key)?;
            }
        }
        worker.end.pause(1_000);
    }
    Ok(())
}

pub(super) fn read_one(worker: &mut Worker, shelf: &Shelf, judge: &mut Judge, key: u32) -> Result<(), Failure> {
    let (text, name) = judge.key(key)?;
    let demand = judge.demand(key)?;
    match shelf.get(&name) {
        Ok(body) => {
            worker.voice.count("reads");
            worker.judge(Promise::Works, &text, Ok(()));
            judge.judge(worker, demand, body.as_deref(), false)
        }
        Err(error) => {
            worker.judge(Promise::Works, &text, Err(("a get works".to_owned(), chain(&error))));
            Ok(())
        }
    }
}

fn remember_one(worker: &mut Worker, memory: &mut Memory, judge: &mut Judge, key: u32) -> Result<(), Failure> {
    let (text, name) = judge.key(key)?;
    let demand = judge.demand(key)?;
    match memory.get(&name) {
        Ok((body, from_memory)) => {
            worker.voice.count(if from_memory { "reads from memory" } else { "reads" });
            worker.judge(Promise::Works, &text, Ok(()));
            judge.judge(worker, demand, body.as_deref(), from_memory)
        }
        Err(error) => {
            worker.judge(Promise::Works, &text, Err(("a get works".to_owned(), chain(&error))));
            Ok(())
        }
    }
}
