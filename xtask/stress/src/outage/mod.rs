//! Outage: documents of which everybody has a stale copy, and an upstream that fails or hangs, or whose caller is killed or
//! frozen.
//!
//! What must be answered in spite of a call that hangs is answered while it hangs: the upstream holds it until everybody
//! else has an answer. So no judgement depends on how fast anything is.

pub(crate) mod patron;
mod patrons;
mod round;

use larder_testkit::Upstream;

use self::round::Outage;
use crate::facts::{Fact, Kind, Scribe};
use crate::failure::Failure;
use crate::scratch;
use crate::stage::Stage;

/// How many threads of one process ask at once.
const TASKS: u32 = 2;
/// After so many rounds the store begins anew.
const ROUNDS_MAX: u32 = 80;

/// What is wrong in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Twist {
    /// The upstream fails.
    Fails,
    /// It does not answer.
    Hangs,
    /// Nor does it, and whoever has called it is killed.
    Killed,
    /// Likewise, frozen; in the end it is woken, or killed.
    Frozen,
}

/// Runs rounds until the run's time is over.
pub(crate) fn run(stage: &Stage) -> Result<(), Failure> {
    let mut seed = stage.choices("outage");
    let mut number = 0;
    while !stage.is_over() {
        number += 1;
        let arena = stage.folder.join(format!("outage-{number}"));
        scratch::make(&arena)?;
        // the file of facts, for those who follow it
        Scribe::open(&arena)?.append(Fact { kind: Kind::Dead, worker: 0, key: 0, version: 0, extra: 0 })?;
        let upstream = Upstream::open(arena.join("upstream"));
        let mut outage = Outage::start(stage, &arena, upstream, seed.fork())?;
        for _ in 0..ROUNDS_MAX / 4 {
            let mut twists = [Twist::Fails, Twist::Hangs, Twist::Killed, Twist::Frozen];
            seed.shuffle(&mut twists);
            for twist in twists {
                if stage.is_over() {
                    break;
                }
                outage.round(twist)?;
            }
        }
        outage.end();
        if !stage.tally.is_violated() {
            scratch::remove(&arena);
        }
    }
    Ok(())
}
