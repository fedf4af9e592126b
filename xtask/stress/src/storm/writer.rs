//! Puts versions of shared keys, and reads after each acknowledgement.

use std::time::Duration;

use larder_lock::Wait;
use larder_storage::{Durability, Put, put};

use super::judge::Judge;
use super::{KEYS, reader};
use crate::facts::{Fact, Kind, Scribe};
use crate::failure::{Failure, chain};
use crate::parts::Shelf;
use crate::promise::Promise;
use crate::worker::Worker;

/// How long a put waits for another writer of its key, which may be frozen.
pub(super) const PATIENCE: Duration = Duration::from_millis(250);
/// What may come on top of it on a machine with more to do than it can: a wait is broken if it is not near its bound.
pub(super) const SLACK: Duration = Duration::from_secs(20);

pub(crate) fn play(worker: &mut Worker) -> Result<(), Failure> {
    let arena = worker.order.folder.clone();
    let shelf = Shelf::open(&arena.join("root"), worker.order.sabotage)?;
    let (mut judge, scribe) = (Judge::open(&arena, &worker.order.corpus)?, Scribe::open(&arena)?);
    let mut number = 0;
    while !worker.end.has_come() {
        number += 1;
        let key = u32::try_from(worker.seed.below(u64::from(KEYS))).unwrap_or(0);
        put_one(worker, &shelf, &mut judge, &scribe, key, number)?;
        reader::read_one(worker, &shelf, &mut judge, key)?;
        let pause = worker.seed.below(1_500);
        worker.end.pause(pause);
    }
    Ok(())
}

fn put_one(
    worker: &mut Worker,
    shelf: &Shelf,
    judge: &mut Judge,
    scribe: &Scribe,
    key: u32,
    number: u32,
) -> Result<(), Failure> {
    let version = (u64::from(worker.order.id) << 32) | u64::from(number);
    let (text, name) = judge.key(key)?;
    let body = crate::document::make(judge.corpus(), &text, version);
    let durability = if worker.seed.chance(1, 16) { Durability::Full } else { Durability::Relaxed };
    let terms = Put::new().durability(durability).wait(Wait::up_to(PATIENCE));
    let fact = Fact { kind: Kind::Begin, worker: worker.order.id, key, version, extra: 0 };
    scribe.append(fact)?;
    let before = worker.end.now();
    let put = shelf.put(&name, &body, terms);
    let took = worker.end.now().saturating_sub(before);
    let kind = if put.is_ok() { Kind::Acknowledged } else { Kind::Refused };
    scribe.append(Fact { kind, ..fact })?;
    judge_put(worker, &text, &put, took);
    Ok(())
}

/// A put works, or says that somebody else has the key, at its bound.
pub(super) fn judge_put(worker: &mut Worker, key: &str, put: &Result<(), put::Error>, took: Duration) {
    let verdict = match put {
        Err(put::Error::Locked { source, .. }) if source.is_contention() => {
            worker.voice.count("puts that gave up at their bound");
            let named = source.holder().is_some_and(|holder| holder.pid.is_some());
            let seen = format!("gave up after {took:?}, naming {}", if named { "the holder" } else { "nobody" });
            let in_time = took <= PATIENCE + SLACK;
            worker.judge(Promise::Waits, key, if in_time { Ok(()) } else { Err((format!("{PATIENCE:?}"), seen)) });
            Ok(())
        }
        Err(put::Error::Fenced { .. }) => {
            worker.voice.count("puts refused by the fence");
            Ok(())
        }
        Err(error) => Err(("a put works".to_owned(), chain(error))),
        Ok(()) => {
            worker.voice.count("puts");
            Ok(())
        }
    };
    worker.judge(Promise::Works, key, verdict);
}
