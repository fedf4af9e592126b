//! Herd: many processes and threads ask for one absent document at the same moment, round after round.
//!
//! The upstream holds its call until everybody stands and waits, so that what goes wrong when a leader dies, or fails,
//! goes wrong in every round that has it, not now and then.

pub(crate) mod asker;
mod command;
mod round;
pub(crate) mod upstream;

use larder_testkit::Upstream;

use self::round::Herd;
use crate::facts::{Fact, Kind, Scribe};
use crate::failure::Failure;
use crate::scratch;
use crate::stage::Stage;

/// How many threads of one process ask at once.
const TASKS: u32 = 3;
/// After so many rounds the store begins anew.
const ROUNDS_MAX: u32 = 200;

/// What happens in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Twist {
    None,
    /// Whoever fetches is killed.
    Crash,
    /// The upstream fails.
    Failure,
}

/// Runs rounds until the run's time is over.
pub(crate) fn run(stage: &Stage) -> Result<(), Failure> {
    let mut seed = stage.choices("herd");
    let mut number = 0;
    while !stage.is_over() {
        number += 1;
        let arena = stage.folder.join(format!("herd-{number}"));
        scratch::make(&arena)?;
        let scribe = Scribe::open(&arena)?;
        scribe.append(Fact { kind: Kind::Dead, worker: 0, key: 0, version: 0, extra: 0 })?;
        let upstream = Upstream::open(arena.join("upstream"));
        let mut herd = Herd::start(stage, &arena, upstream, seed.fork())?;
        for block in 0..ROUNDS_MAX / 3 {
            let mut twists = [Twist::None, Twist::Crash, Twist::Failure];
            seed.shuffle(&mut twists);
            for (at, twist) in (1..).zip(twists) {
                if stage.is_over() {
                    break;
                }
                herd.round(block * 3 + at, twist)?;
            }
        }
        herd.end();
        if !stage.tally.is_violated() {
            scratch::remove(&arena);
        }
    }
    Ok(())
}
