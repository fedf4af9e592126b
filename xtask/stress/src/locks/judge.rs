//! The judge of exclusion: the facts of the crowd, in their one order.
//!
//! Who enters says so after the lock was got, and who leaves before it is let go. So if somebody enters while another is
//! inside, and that other one leaves later, both had the lock at once. One that never leaves was killed inside, maybe
//! before the other entered: that proves nothing.

use std::collections::BTreeMap;

use camino::Utf8Path;

use super::lock_name;
use crate::facts::{Fact, Follower, Kind};
use crate::failure::Failure;
use crate::promise::Promise;
use crate::stage::Stage;

/// One lock, as the facts tell it.
#[derive(Debug, Default)]
struct Lock {
    /// Who is inside: since when, exclusively or not, and who entered beside it.
    inside: BTreeMap<u32, Inside>,
    counter: Option<(u64, u32)>,
}

#[derive(Debug)]
struct Inside {
    since: u64,
    exclusive: bool,
    beside: Option<(u32, u64)>,
}

/// Follows the facts of one arena.
#[derive(Debug)]
pub(super) struct Judge {
    follower: Follower,
    locks: BTreeMap<u32, Lock>,
}

impl Judge {
    pub(super) fn open(arena: &Utf8Path) -> Result<Self, Failure> {
        Ok(Self { follower: Follower::open(arena)?, locks: BTreeMap::new() })
    }

    /// Judges what has happened since the last time.
    pub(super) fn catch_up(&mut self, stage: &Stage) -> Result<(), Failure> {
        let now = self.follower.now()?;
        let Self { follower, locks } = self;
        follower.follow(now, |at, fact| match fact.kind {
            Kind::Enter => locks.entry(fact.key).or_default().enter(at, fact),
            Kind::Leave => locks.entry(fact.key).or_default().leave(stage, at, fact),
            Kind::Dead => locks.values_mut().for_each(|lock| lock.bury(stage, fact.worker)),
            _ => {}
        })
    }
}

impl Lock {
    fn enter(&mut self, at: u64, fact: Fact) {
        let exclusive = fact.extra == 1;
        for inside in self.inside.values_mut().filter(|inside| inside.exclusive || exclusive) {
            inside.beside.get_or_insert((fact.worker, at));
        }
        self.inside.insert(fact.worker, Inside { since: at, exclusive, beside: None });
    }

    fn leave(&mut self, stage: &Stage, at: u64, fact: Fact) {
        let name = lock_name(fact.key);
        let Some(inside) = self.inside.remove(&fact.worker) else { return };
        let overlap = inside.beside.map(|(other, since)| {
            format!(
                "contender {} was inside from fact {} to fact {at}, and contender {other} entered at fact {since}",
                fact.worker, inside.since
            )
        });
        stage.judge(Promise::Exclusion, "locks", &name, "one holder at a time", overlap);
        if inside.exclusive {
            let lost = self.counter.filter(|(counter, _)| fact.extra <= *counter).map(|(counter, by)| {
                format!(
                    "contender {} counted {} after contender {by} had counted {counter}: an update is lost",
                    fact.worker, fact.extra
                )
            });
            let expected = "a counter that only the holder touches grows with each holder";
            stage.judge(Promise::Exclusion, "locks", &name, expected, lost);
            self.counter = Some((fact.extra, fact.worker));
        }
    }

    fn bury(&mut self, stage: &Stage, worker: u32) {
        if self.inside.remove(&worker).is_some() {
            stage.tally.counted("holders that died inside", 1);
        }
    }
}
