//! What all scenes of a run share: its time, its seed, its folder, its processes, its sums.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use camino::Utf8PathBuf;
use larder_system::{Clock as _, SystemClock};
use larder_testkit::Seed;

use crate::corpus::Corpus;
use crate::interrupt::Interrupt;
use crate::message::Violation;
use crate::promise::Promise;
use crate::sabotage::Sabotage;
use crate::tally::Tally;

/// One run.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) folder: Utf8PathBuf,
    pub(crate) seed: u64,
    pub(crate) processes: u32,
    pub(crate) duration: Duration,
    pub(crate) sabotage: Option<Sabotage>,
    pub(crate) corpus: Corpus,
    /// This program, to be run again as a worker.
    pub(crate) program: Utf8PathBuf,
    /// The `larder` command, if there is one to try.
    pub(crate) larder: Option<Utf8PathBuf>,
    pub(crate) tally: Tally,
    pub(crate) interrupt: Interrupt,
    pub(crate) clock: SystemClock,
    /// By the monotonic clock.
    pub(crate) began: Duration,
    /// A violation ends the run: it was the one that was waited for.
    pub(crate) stops_at_first: bool,
    pub(crate) workers: AtomicU32,
}

impl Stage {
    /// Whether scenes come to their end now.
    pub(crate) fn is_over(&self) -> bool {
        self.left().is_zero() || self.is_cut_short()
    }

    /// Whether nothing more is to be learned: what is under way is not worth waiting for.
    pub(crate) fn is_cut_short(&self) -> bool {
        self.interrupt.signal().is_some() || (self.stops_at_first && self.tally.is_violated())
    }

    /// Since the run began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.clock.monotonic().saturating_sub(self.began)
    }

    /// Until its time is over.
    pub(crate) fn left(&self) -> Duration {
        self.duration.saturating_sub(self.elapsed())
    }

    /// A number for a process that no other process of the run has; from 1.
    pub(crate) fn next_worker(&self) -> u32 {
        self.workers.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The choices of one scene: the same for the same seed, whatever other scenes choose.
    pub(crate) fn choices(&self, scene: &str) -> Seed {
        let mixed =
            scene.bytes().fold(self.seed, |sum, byte| sum.rotate_left(9).wrapping_mul(0x9e37_79b9) ^ u64::from(byte));
        Seed::from_number(mixed)
    }

    /// One judgement of a scene's own.
    pub(crate) fn judge(&self, promise: Promise, scene: &str, key: &str, expected: &str, wrong: Option<String>) {
        let verdict = match wrong {
            None => Ok(()),
            Some(seen) => {
                let (key, expected, by) = (key.to_owned(), expected.to_owned(), scene.to_owned());
                Err(Violation { promise, key, expected, seen, by })
            }
        };
        self.tally.judge(promise, verdict);
    }
}
