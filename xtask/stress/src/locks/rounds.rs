//! Rounds with one lock each, that nobody else wants: its holder is killed, or frozen, and another process tries.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use camino::Utf8Path;
use larder_system::Clock as _;
use larder_testkit::Seed;

use crate::children::{Event, Process};
use crate::failure::{Doing as _, Failure};
use crate::message::{Outcome, Said, Told};
use crate::promise::Promise;
use crate::stage::Stage;
use crate::worker::Role;

/// How long an answer may take, beside everything else that runs on this machine.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// The bound of a try on a frozen holder's lock, and what may come on top of it.
const TRY_MS: u64 = 30;
const SLACK: Duration = Duration::from_secs(20);
/// How long a lock that was let go may take to be had.
const FREE_WITHIN_MS: u64 = 20_000;
/// Between two rounds.
const PAUSE: Duration = Duration::from_millis(15);
const SCENE: &str = "locks, a round";

/// A process that is told what to do.
struct Holder {
    process: Process,
    events: Receiver<Event>,
}

/// The taker, and who holds in the next round.
pub(super) struct Rounds<'a> {
    stage: &'a Stage,
    arena: &'a Utf8Path,
    seed: Seed,
    taker: Holder,
    number: u32,
}

impl<'a> Rounds<'a> {
    pub(super) fn start(stage: &'a Stage, arena: &'a Utf8Path, mut seed: Seed) -> Result<Self, Failure> {
        let taker = Holder::start(stage, arena, &mut seed)?;
        Ok(Self { stage, arena, seed, taker, number: 0 })
    }

    pub(super) fn play(mut self, length: Duration) -> Result<(), Failure> {
        let until = self.stage.clock.monotonic() + length.min(self.stage.left());
        while self.stage.clock.monotonic() < until && !self.stage.is_cut_short() {
            self.number += 1;
            let name = format!("round/{}", self.number);
            let mut holder = Holder::start(self.stage, self.arena, &mut self.seed)?;
            let held = holder.ask(self.stage, &Told::Hold { name: name.clone() })?;
            if let Some((_, Outcome::Held)) = held {
                if self.seed.chance(1, 2) { self.dead(&name, holder)? } else { self.frozen(&name, holder)? }
            } else if !self.stage.is_cut_short() {
                let seen = Some(format!("{held:?}"));
                self.stage.judge(Promise::Works, SCENE, &name, "a lock that nobody has is got", seen);
            }
            self.stage.clock.sleep(PAUSE);
        }
        Ok(())
    }

    /// A lock whose holder was killed, and is gone, is free: no wait is needed.
    fn dead(&mut self, name: &str, mut holder: Holder) -> Result<(), Failure> {
        let pid = holder.process.pid();
        holder.process.kill();
        holder.process.wait();
        self.stage.tally.counted("holders that died inside", 1);
        let tried = self.taker.ask(self.stage, &Told::Try { name: name.to_owned(), bound_ms: 0 })?;
        let wrong = match tried {
            Some((_, Outcome::Held)) => None,
            None if self.stage.is_cut_short() => return Ok(()),
            other => Some(format!("its holder, pid {pid}, is dead, and another process is told {other:?}")),
        };
        self.stage.judge(Promise::Successor, SCENE, name, "the lock of a dead process is free", wrong);
        Ok(())
    }

    /// A lock whose holder is frozen is not to be had; the wait for it ends; it is free when it was let go.
    fn frozen(&mut self, name: &str, mut holder: Holder) -> Result<(), Failure> {
        let pid = holder.process.pid();
        holder.process.freeze();
        let until = self.stage.clock.monotonic() + ANSWER_MAX;
        while !holder.process.is_frozen() && self.stage.clock.monotonic() < until {
            self.stage.clock.sleep(Duration::from_micros(200));
        }
        self.stage.tally.counted("processes frozen", 1);
        let tried = self.taker.ask(self.stage, &Told::Try { name: name.to_owned(), bound_ms: TRY_MS })?;
        if self.stage.is_cut_short() {
            return Ok(());
        }
        let stolen = match &tried {
            Some((_, Outcome::Refused { .. })) => None,
            other => Some(format!("its holder, pid {pid}, is frozen, and another process is told {other:?}")),
        };
        self.stage.judge(Promise::Exclusion, SCENE, name, "the lock of a frozen process stays its own", stolen);
        if let Some((took, Outcome::Refused { holder: named, message })) = &tried {
            let late = *took > Duration::from_millis(TRY_MS) + SLACK;
            let wrong = (late || *named != Some(pid)).then(|| format!("after {took:?}: {message}"));
            let expected = format!("an end after {TRY_MS} ms that names pid {pid}");
            self.stage.judge(Promise::Waits, SCENE, name, &expected, wrong);
        }
        holder.process.resume();
        let freed = holder.ask(self.stage, &Told::Free)?;
        // for an instant the taker's own wait that has ended may still have the lock
        let again = self.taker.ask(self.stage, &Told::Try { name: name.to_owned(), bound_ms: FREE_WITHIN_MS })?;
        if self.stage.is_cut_short() {
            return Ok(());
        }
        let is_free = matches!((&freed, &again), (Some((_, Outcome::Freed)), Some((_, Outcome::Held))));
        let wrong = (!is_free).then(|| format!("let go: {freed:?}; tried again: {again:?}"));
        self.stage.judge(Promise::Works, SCENE, name, "a lock that was let go is free", wrong);
        Ok(())
    }
}

impl Holder {
    fn start(stage: &Stage, arena: &Utf8Path, seed: &mut Seed) -> Result<Self, Failure> {
        let (to, events) = channel();
        let process = Process::start(stage, Role::Holder, arena, (seed.draw(), 0), &to)?;
        stage.tally.counted("processes started", 1);
        Ok(Self { process, events })
    }

    /// How it ended, and how long it took; `None` when there is no answer, which is judged unless the run is cut short.
    fn ask(&mut self, stage: &Stage, told: &Told) -> Result<Option<(Duration, Outcome)>, Failure> {
        self.process.tell(told);
        let until = stage.clock.monotonic() + ANSWER_MAX;
        while stage.clock.monotonic() < until && !stage.is_cut_short() {
            match self.events.recv_timeout(Duration::from_millis(50)) {
                Ok(Event::Said(Said::Done { took_us, outcome })) => {
                    return Ok(Some((Duration::from_micros(took_us), outcome)));
                }
                Ok(Event::Said(other)) => _ = stage.tally.hear(other),
                Ok(Event::Silent(_)) => return Err("it has ended").doing("hear a holder of locks"),
                Err(_) => {}
            }
        }
        if !stage.is_cut_short() {
            let seen = Some(format!("none to {told:?} within {ANSWER_MAX:?}"));
            stage.judge(Promise::Waits, SCENE, "a holder", "an answer", seen);
        }
        Ok(None)
    }
}
