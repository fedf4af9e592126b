//! The judge of tasks: the facts of the crowd, in their one order.
//!
//! Who begins a task says so after it was claimed, and who has done it after the queue has said so. So when somebody's word
//! was taken, nobody can have begun the task by a later claim; and what was acknowledged was begun by somebody, or is
//! still there.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;

use super::key_text;
use crate::facts::{Fact, Follower, Kind};
use crate::failure::Failure;
use crate::promise::Promise;
use crate::stage::Stage;

/// One task, as the facts tell it.
#[derive(Debug, Default)]
struct Task {
    acknowledged: bool,
    /// Who has begun it, by which claim.
    begun: Vec<(u32, u64)>,
    done: u32,
}

/// Follows the facts of one arena.
#[derive(Debug)]
pub(super) struct Judge {
    follower: Follower,
    facts: Facts,
}

#[derive(Debug, Default)]
struct Facts {
    tasks: BTreeMap<u64, Task>,
    counting: u64,
    counted: u64,
}

impl Judge {
    pub(super) fn open(arena: &Utf8Path) -> Result<Self, Failure> {
        Ok(Self { follower: Follower::open(arena)?, facts: Facts::default() })
    }

    /// How many counts were begun.
    pub(super) const fn counting(&self) -> u64 {
        self.facts.counting
    }

    /// How many were acknowledged.
    pub(super) const fn counted(&self) -> u64 {
        self.facts.counted
    }

    /// Judges what has happened since the last time.
    pub(super) fn catch_up(&mut self, stage: &Stage) -> Result<(), Failure> {
        let now = self.follower.now()?;
        let Self { follower, facts } = self;
        follower.follow(now, |_, fact| match fact.kind {
            Kind::Acknowledged => facts.tasks.entry(fact.version).or_default().acknowledged = true,
            Kind::Enter => facts.tasks.entry(fact.version).or_default().begun.push((fact.worker, fact.extra)),
            Kind::Leave if fact.extra == 1 => facts.done(stage, fact),
            Kind::Counting => facts.counting += 1,
            Kind::Counted => facts.counted += 1,
            _ => {}
        })
    }

    /// Judges what must hold when everybody has gone: what was acknowledged was begun, or is among `left`.
    pub(super) fn finish(&self, stage: &Stage, left: &[String]) {
        let left: BTreeSet<&str> = left.iter().map(String::as_str).collect();
        for (number, task) in self.facts.tasks.iter().filter(|(_, task)| task.acknowledged) {
            let key = key_text(*number);
            let is_there = !task.begun.is_empty() || left.contains(key.as_str());
            let wrong = (!is_there).then(|| "nobody has begun it, and it is gone".to_owned());
            stage.judge(Promise::Task, "queue", &key, "an acknowledged task is done, or there", wrong);
        }
    }
}

impl Facts {
    fn done(&mut self, stage: &Stage, fact: Fact) {
        let task = self.tasks.entry(fact.version).or_default();
        task.done += 1;
        let own = task.begun.iter().rev().find(|(worker, _)| *worker == fact.worker).map(|(_, token)| *token);
        let other = task.begun.iter().find(|(worker, token)| *worker != fact.worker && Some(*token) >= own);
        let wrong = match other {
            _ if task.done > 1 => Some(format!("it was done {} times, each time with the queue's word", task.done)),
            Some((other, token)) => Some(format!(
                "labourer {} was told that it is done by claim {own:?}, and labourer {other} had begun it by claim {token}",
                fact.worker
            )),
            None => None,
        };
        let expected = "a task is done by one at a time, as long as claims stand";
        stage.judge(Promise::Task, "queue", &key_text(fact.version), expected, wrong);
    }
}
