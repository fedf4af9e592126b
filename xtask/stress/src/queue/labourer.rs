//! Takes tasks and does them; dies or freezes with one in hand.

use rustix::process::Signal;

use crate::facts::{Fact, Kind, Scribe};
use crate::failure::Failure;
use crate::parts::{Counting, Queueing};
use crate::worker::{Worker, strike_self};

/// How many tasks are taken at a time.
const TAKEN_MAX: u64 = 3;

pub(crate) fn play(worker: &mut Worker) -> Result<(), Failure> {
    let arena = worker.order.folder.clone();
    let mut queueing = Queueing::open(&arena, worker.order.sabotage);
    let counting = Counting::open(&arena, worker.order.sabotage)?;
    let scribe = Scribe::open(&arena)?;
    let fact = |kind, version, extra| Fact { kind, worker: worker.order.id, key: 0, version, extra };
    while !worker.end.has_come() {
        let most = usize::try_from(1 + worker.seed.below(TAKEN_MAX)).unwrap_or(1);
        let taken = queueing.take(most)?;
        if taken.is_empty() {
            worker.end.pause(2_000);
        }
        for task in taken {
            let Some(number) = number_of(&task.key) else { continue };
            scribe.append(fact(Kind::Enter, number, task.token))?;
            match worker.seed.below(200) {
                0..2 => {
                    worker.voice.flush();
                    strike_self(Signal::KILL);
                }
                2..4 => {
                    worker.voice.count("processes frozen");
                    strike_self(Signal::STOP);
                }
                _ => {}
            }
            worker.end.pause(300 + worker.seed.below(1_000));
            let is_done = queueing.done(task)?;
            scribe.append(fact(Kind::Leave, number, u64::from(is_done)))?;
            worker.voice.count(if is_done { "tasks done" } else { "tasks done too late" });
            scribe.append(fact(Kind::Counting, 0, 0))?;
            counting.count()?;
            scribe.append(fact(Kind::Counted, 0, 0))?;
        }
    }
    Ok(())
}

/// The number of a task, by its key.
fn number_of(key: &str) -> Option<u64> {
    let (producer, number) = key.strip_prefix("task/")?.split_once('/')?;
    Some((producer.parse::<u64>().ok()? << 32) | number.parse::<u64>().ok()?)
}
