//! Queue: producers and labourers share a queue; some are killed, some frozen, also with a task in hand, and all count what
//! they do.

mod judge;
pub(crate) mod labourer;
pub(crate) mod producer;

use std::time::Duration;

use self::judge::Judge;
use crate::crowd::Crowd;
use crate::facts::{Fact, Kind, Scribe};
use crate::failure::Failure;
use crate::parts::{Counting, Queueing};
use crate::promise::Promise;
use crate::scratch;
use crate::stage::Stage;
use crate::worker::Role;

/// How long one spell lasts, after which everything that was added must be done or there.
const SPELL: Duration = Duration::from_secs(8);

/// The key of a task, by its number.
pub(crate) fn key_text(task: u64) -> String {
    format!("task/{}/{}", task >> 32, task & u64::from(u32::MAX))
}

/// Runs spells until the run's time is over.
pub(crate) fn run(stage: &Stage) -> Result<(), Failure> {
    let mut seed = stage.choices("queue");
    let mut number = 0;
    while !stage.is_over() {
        number += 1;
        let arena = stage.folder.join(format!("queue-{number}"));
        scratch::make(&arena)?;
        // the facts must be there before they are followed
        Scribe::open(&arena)?.append(Fact { kind: Kind::Dead, worker: 0, key: 0, version: 0, extra: 0 })?;
        let counting = Counting::open(&arena, stage.sabotage)?;
        counting.begin()?;
        let mut judge = Judge::open(&arena)?;
        let mut cast = vec![Role::Producer, Role::Producer];
        cast.resize(usize::try_from((stage.processes / 3).max(6)).unwrap_or(6), Role::Labourer);
        let mut crowd = Crowd::start(stage, "queue", arena.clone(), seed.fork(), &cast)?;
        crowd.live(SPELL, || judge.catch_up(stage))?;
        crowd.end()?;
        judge.catch_up(stage)?;
        if stage.is_cut_short() {
            return Ok(());
        }
        let left = Queueing::open(&arena, stage.sabotage).left()?;
        judge.finish(stage, &left);
        let (at_least, at_most, total) = (judge.counted(), judge.counting(), counting.total()?);
        let wrong = (!(at_least..=at_most).contains(&total)).then(|| format!("{total}"));
        let expected = format!("{at_least} to {at_most} counts, of which so many were acknowledged and begun");
        stage.judge(Promise::Counted, "queue", "the count", &expected, wrong);
        if !stage.tally.is_violated() {
            scratch::remove(&arena);
        }
    }
    Ok(())
}
