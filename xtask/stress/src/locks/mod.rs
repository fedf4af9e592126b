//! Locks: a crowd that wants a few of them, some of it killed and frozen inside; and rounds with one dead or frozen holder.

pub(crate) mod contender;
pub(crate) mod holder;
mod judge;
mod rounds;

use std::time::Duration;

use self::judge::Judge;
use self::rounds::Rounds;
use crate::crowd::Crowd;
use crate::facts::{Fact, Kind, Scribe};
use crate::failure::Failure;
use crate::parts::Locking;
use crate::promise::Promise;
use crate::scratch;
use crate::stage::Stage;
use crate::worker::Role;

/// How long one spell lasts, after which the record of the crowd begins anew.
const SPELL: Duration = Duration::from_secs(10);
/// The locks that the crowd wants: few, so that it has to wait.
pub(crate) const LOCKS: u32 = 2;
/// How long a free lock may take to be had, beside everything else that runs on this machine.
const FREE_WITHIN: Duration = Duration::from_secs(20);

/// The name of a lock.
pub(crate) fn lock_name(number: u32) -> String {
    format!("lock/{number}")
}

/// Runs spells until the run's time is over.
pub(crate) fn run(stage: &Stage) -> Result<(), Failure> {
    let mut seed = stage.choices("locks");
    let mut number = 0;
    while !stage.is_over() {
        number += 1;
        let arena = stage.folder.join(format!("locks-{number}"));
        scratch::make(&arena.join("locks"))?;
        // the facts must be there before they are followed
        let scribe = Scribe::open(&arena)?;
        scribe.append(Fact { kind: Kind::Dead, worker: 0, key: 0, version: 0, extra: 0 })?;
        let cast = vec![Role::Contender; usize::try_from((stage.processes / 4).max(3)).unwrap_or(3)];
        let mut judge = Judge::open(&arena)?;
        let (crowd_seed, rounds_seed) = (seed.fork(), seed.fork());
        std::thread::scope(|scope| {
            let rounds = scope.spawn(|| Rounds::start(stage, &arena, rounds_seed)?.play(SPELL));
            let mut crowd = Crowd::start(stage, "locks", arena.clone(), crowd_seed, &cast)?;
            crowd.live(SPELL, || judge.catch_up(stage))?;
            crowd.end()?;
            judge.catch_up(stage)?;
            rounds.join().unwrap_or(Ok(()))
        })?;
        if stage.is_cut_short() {
            return Ok(());
        }
        for name in (0..LOCKS).map(lock_name) {
            let locking = Locking::open(&arena.join("locks"), None)?;
            let refused = locking.acquire(&name, larder_lock::Mode::Exclusive, FREE_WITHIN).err();
            let expected = "a lock that nobody holds is free";
            stage.judge(Promise::Clean, "locks", &name, expected, refused.map(|refusal| refusal.message));
        }
        if !stage.tally.is_violated() {
            scratch::remove(&arena);
        }
    }
    Ok(())
}
