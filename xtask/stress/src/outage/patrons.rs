//! The patron processes, seen from the stage: asked, heard, killed, frozen, and waited for without a look at the clock of
//! any of them.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use camino::Utf8Path;
use larder_system::Clock as _;
use larder_testkit::Seed;

use super::TASKS;
use crate::children::{Event, Process, is_asleep};
use crate::failure::Failure;
use crate::message::{Outcome, Said, Served, Told, Wish};
use crate::stage::Stage;
use crate::worker::Role;

/// How long everybody may take to be answered, beside everything else that runs on this machine: far beyond the soft
/// timeout, and far below how long a call is held without it.
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);
/// How long all who have no answer may stand still together. Nobody does who lacks a processor or the disk: a thread that
/// could run, or waits for the disk, does not sleep. So this may be shorter, also on a machine that is loaded.
const STILL_MAX: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// How often it is looked whether they stand still.
const STILL_LOOK_EVERY: Duration = Duration::from_millis(20);

/// A patron process, kept from round to round.
struct Patron {
    process: Process,
    events: Receiver<Event>,
    /// How many questions it has not answered.
    owed: u32,
    /// What it has answered to the last one.
    served: Vec<Served>,
    is_frozen: bool,
    /// It has ended, and nobody has told it to.
    is_gone: bool,
}

/// All of them.
pub(super) struct Patrons<'a> {
    stage: &'a Stage,
    arena: &'a Utf8Path,
    seed: Seed,
    all: Vec<Patron>,
}

impl Patron {
    /// Whether nothing more is to be expected of it.
    const fn is_content(&self) -> bool {
        self.owed == 0 || self.is_frozen
    }
}

impl<'a> Patrons<'a> {
    pub(super) fn start(stage: &'a Stage, arena: &'a Utf8Path, seed: Seed) -> Result<Self, Failure> {
        let mut patrons = Self { stage, arena, seed, all: Vec::new() };
        patrons.fill()?;
        Ok(patrons)
    }

    /// Starts those who are missing. They have not been asked anything.
    pub(super) fn fill(&mut self) -> Result<(), Failure> {
        self.all.retain(|patron| !patron.is_gone);
        while self.all.len() < (self.stage.processes as usize / 6).max(3) {
            let (to, events) = channel();
            let process = Process::start(self.stage, Role::Patron, self.arena, (self.seed.draw(), 0), &to)?;
            self.stage.tally.counted("processes started", 1);
            let (owed, served, is_frozen, is_gone) = (0, Vec::new(), false, false);
            self.all.push(Patron { process, events, owed, served, is_frozen, is_gone });
        }
        Ok(())
    }

    /// Everybody who can asks, in several threads.
    pub(super) fn ask(&mut self, round: u32, key: &str, wish: Wish) {
        let told = Told::Serve { round, key: key.to_owned(), tasks: TASKS, wish };
        for patron in self.all.iter_mut().filter(|patron| !patron.is_frozen) {
            patron.ask(&told);
        }
    }

    /// One of them asks, in one thread.
    pub(super) fn ask_one(&mut self, which: u64, round: u32, key: &str) {
        let told = Told::Serve { round, key: key.to_owned(), tasks: 1, wish: Wish::Soon };
        let at = usize::try_from(which % self.all.len().max(1) as u64).unwrap_or(0);
        if let Some(patron) = self.all.get_mut(at) {
            patron.ask(&told);
        }
    }

    /// The same one, whoever else has come or gone.
    fn of_pid(&mut self, pid: u32) -> Option<&mut Patron> {
        self.all.iter_mut().find(|patron| patron.process.pid() == pid)
    }

    /// Kills it, and starts another one. Whether it was one of them.
    pub(super) fn kill(&mut self, pid: u32) -> Result<bool, Failure> {
        let Some(at) = self.all.iter().position(|patron| patron.process.pid() == pid) else { return Ok(false) };
        let mut patron = self.all.swap_remove(at);
        patron.process.kill();
        patron.process.wait();
        self.stage.tally.counted("processes killed", 1);
        self.fill()?;
        Ok(true)
    }

    /// Freezes it: nothing is asked or expected of it. Whether it was one of them, and stands still.
    pub(super) fn freeze(&mut self, pid: u32) -> bool {
        let (stage, until) = (self.stage, self.stage.clock.monotonic() + ANSWERED_WITHIN);
        let Some(patron) = self.of_pid(pid) else { return false };
        patron.process.freeze();
        while !patron.process.is_frozen() {
            if stage.clock.monotonic() >= until || stage.is_cut_short() {
                patron.process.resume();
                return false;
            }
            stage.clock.sleep(LOOK_EVERY);
        }
        patron.is_frozen = true;
        stage.tally.counted("processes frozen", 1);
        true
    }

    /// It goes on, and still owes what it has not answered.
    pub(super) fn resume(&mut self, pid: u32) {
        if let Some(patron) = self.of_pid(pid) {
            patron.process.resume();
            patron.is_frozen = false;
        }
    }

    /// Waits until `done`, or everybody is content; whether it is done.
    pub(super) fn wait_for(&mut self, mut done: impl FnMut() -> bool) -> bool {
        let until = self.stage.clock.monotonic() + ANSWERED_WITHIN;
        while !self.stage.is_cut_short() && self.stage.clock.monotonic() < until {
            if done() {
                return true;
            }
            self.hear();
            if self.all.iter().all(Patron::is_content) {
                return done();
            }
            self.stage.clock.sleep(LOOK_EVERY);
        }
        false
    }

    /// Waits until everybody has answered who can; those who have not stand in the error.
    pub(super) fn collect(&mut self) -> Result<(), String> {
        let began = self.stage.clock.monotonic();
        let (mut looked, mut still) = (began, Duration::ZERO);
        loop {
            self.hear();
            let late = self.all.iter().filter(|patron| !patron.is_content()).count();
            let now = self.stage.clock.monotonic();
            if late == 0 || self.stage.is_cut_short() {
                return Ok(());
            }
            if now >= began + ANSWERED_WITHIN || still >= STILL_MAX {
                let waited = now.saturating_sub(began);
                return Err(format!("{late} processes have no answer after {waited:.1?}, {still:.1?} of it asleep"));
            }
            if now >= looked + STILL_LOOK_EVERY {
                if self.stand_still() {
                    // a stage that is slow itself has not seen what was between two looks
                    still += now.saturating_sub(looked).min(STILL_LOOK_EVERY * 2);
                }
                looked = now;
            }
            self.stage.clock.sleep(LOOK_EVERY);
        }
    }

    /// Whether all who have no answer sleep.
    fn stand_still(&self) -> bool {
        self.all.iter().filter(|patron| !patron.is_content()).all(|patron| is_asleep(patron.process.pid()))
    }

    /// What was answered to the last question, and not handed over yet.
    pub(super) fn answers(&mut self) -> Vec<Served> {
        self.all.iter_mut().flat_map(|patron| std::mem::take(&mut patron.served)).collect()
    }

    /// What has been said so far.
    fn hear(&mut self) {
        for patron in &mut self.all {
            while let Ok(event) = patron.events.try_recv() {
                match event {
                    Event::Said(Said::Done { outcome: Outcome::Served { served }, .. }) => {
                        patron.owed = patron.owed.saturating_sub(1);
                        // an answer that came too late was judged when it did not come
                        patron.served = if patron.owed == 0 { served } else { Vec::new() };
                    }
                    Event::Said(said) => _ = self.stage.tally.hear(said),
                    Event::Silent(_) => patron.is_gone = true,
                }
            }
            if patron.is_gone && patron.owed > 0 {
                patron.owed = 0;
                patron.served = vec![Served::lost("its process has ended")];
            }
        }
    }

    /// Everybody goes home.
    pub(super) fn end(mut self) {
        for patron in &mut self.all {
            patron.process.hang_up();
        }
    }
}

impl Patron {
    fn ask(&mut self, told: &Told) {
        self.served.clear();
        self.owed += 1;
        self.process.tell(told);
    }
}
