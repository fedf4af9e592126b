//! Locks that other processes want: one hand-off, and a convoy of sixteen.

use std::time::Duration;

use camino::Utf8Path;
use larder_system::{Clock as _, SystemClock};

use crate::contender::{Contender, Lock, With};
use crate::pairs::{Pairs, as_float, judge, nanoseconds};
use crate::report::{Row, duration};
use crate::run::{Context, Error};

const HAND_OFF_NS_MAX: u64 = 100_000;
const CONVOY: u32 = 16;
const HOLD: Duration = Duration::from_millis(1);
/// Long enough for every contender to be asleep in its wait, also on a busy machine.
const SETTLE: Duration = Duration::from_millis(20);

pub(crate) fn rows(context: &Context) -> Result<Vec<Row>, Error> {
    let folders = (context.scratch.folder("flock")?, context.scratch.folder("larder")?);
    let folders = (folders.0.as_path(), folders.1.as_path());
    Ok(vec![hand_off(context, folders)?, convoy(context, folders)?])
}

/// From the holder's release to the waiter's return, in two processes.
fn hand_off(context: &Context, (flock, larder): (&Utf8Path, &Utf8Path)) -> Result<Row, Error> {
    let rounds = context.samples() / 3 * 2;
    let mut bare = Relay::new(With::Flock, flock, 1, Duration::ZERO)?;
    let mut ours = Relay::new(With::Larder, larder, 1, Duration::ZERO)?;
    let settle = Duration::from_millis(1);
    let pairs = rounds_of(rounds, || bare.round(settle), || ours.round(settle))?;
    let note = format!("a bare flock, which cannot time out: {}", duration(pairs.limit_ns));
    Ok(Row::time("hand-off with a timeout, 2 processes", pairs.ours_ns, HAND_OFF_NS_MAX, pairs.samples).with_note(note))
}

/// Sixteen that wait already, from the first release to the end of the last hold.
fn convoy(context: &Context, (flock, larder): (&Utf8Path, &Utf8Path)) -> Result<Row, Error> {
    let rounds = if context.quick { 5 } else { 31 };
    let mut bare = Relay::new(With::Flock, flock, CONVOY, HOLD)?;
    let mut ours = Relay::new(With::Larder, larder, CONVOY, HOLD)?;
    let beside = rounds_of(rounds, || bare.round(SETTLE), || ours.round(SETTLE))?;
    let ideal_ns = nanoseconds(HOLD * CONVOY);
    let pairs = Pairs { limit_ns: ideal_ns, ratio: as_float(beside.ours_ns) / as_float(ideal_ns), ..beside };
    let note = format!("a bare flock, which cannot time out: {}", duration(beside.limit_ns));
    Ok(Row::ratio("convoy of 16 processes, 1 ms each", "16 ms of holding", pairs, 1.25).with_note(note))
}

/// Rounds of both in turn, each returning what it took; the first tenth is not counted.
fn rounds_of(
    rounds: usize,
    mut limit: impl FnMut() -> Result<u64, Error>,
    mut ours: impl FnMut() -> Result<u64, Error>,
) -> Result<Pairs, Error> {
    let mut taken = Vec::with_capacity(rounds);
    let warm_up = rounds / 10 + 1;
    for _ in 0..warm_up + rounds {
        taken.push((limit()?, ours()?));
    }
    let counted = taken.get(warm_up..).unwrap_or_default();
    Ok(judge(counted))
}

/// A lock of this process, and those who wait for it.
struct Relay {
    lock: Lock,
    contenders: Vec<Contender>,
    clock: SystemClock,
}

impl Relay {
    fn new(with: With, folder: &Utf8Path, contenders: u32, hold: Duration) -> Result<Self, Error> {
        let start = |_| Contender::start(with, folder, hold);
        Ok(Self {
            lock: Lock::open(with, folder)?,
            contenders: (0..contenders).map(start).collect::<Result<_, _>>()?,
            clock: SystemClock::new(),
        })
    }

    /// Holds the lock until all wait for it, lets go, and says how long it took until the last of them was done.
    fn round(&mut self, settle: Duration) -> Result<u64, Error> {
        let (contenders, clock) = (&mut self.contenders, &self.clock);
        let released = self.lock.hold(|| {
            for contender in contenders.iter_mut() {
                contender.ask()?;
            }
            clock.sleep(settle);
            Ok(nanoseconds(clock.monotonic()))
        })?;
        let mut last = 0;
        for contender in &mut self.contenders {
            let (_, left) = contender.answer()?;
            last = last.max(left);
        }
        Ok(last.saturating_sub(released))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rounds_that_warm_up_are_not_counted() {
        let mut round = 0;
        let limit = || {
            round += 1;
            Ok(if round <= 2 { 1_000_000 } else { 10 })
        };
        let pairs = rounds_of(10, limit, || Ok(20)).unwrap();
        assert_eq!((pairs.limit_ns, pairs.ours_ns, pairs.samples), (10, 20, 10));
    }
}
