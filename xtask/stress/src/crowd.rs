//! A crowd of workers that is kept at its size while some of it are killed, some frozen, and all come to their end.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use camino::Utf8PathBuf;
use larder_system::Clock as _;
use larder_testkit::Seed;

use crate::children::{Event, Process};
use crate::facts::{Fact, Kind, Scribe};
use crate::failure::Failure;
use crate::promise::Promise;
use crate::stage::Stage;
use crate::worker::Role;

/// How often due fates are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(4);
/// How often those that froze themselves are resumed.
const THAW_EVERY: Duration = Duration::from_millis(150);
/// How long a worker may take to come to its end, beside everything else that runs on this machine.
const END_MAX: Duration = Duration::from_secs(60);
/// Of a hundred workers, how many are killed and how many frozen.
const KILLED_OF_100: u64 = 30;
const FROZEN_OF_100: u64 = 5;

/// What becomes of a worker before its own end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Spared,
    Killed {
        at: Duration,
    },
    Frozen {
        at: Duration,
        until: Duration,
    },
    /// It stands still now.
    Standing {
        until: Duration,
    },
}

struct Member {
    process: Process,
    role: Role,
    fate: Fate,
    killed: bool,
}

/// Workers of one arena.
pub(crate) struct Crowd<'a> {
    stage: &'a Stage,
    scene: &'static str,
    arena: Utf8PathBuf,
    scribe: Scribe,
    seed: Seed,
    members: BTreeMap<u32, Member>,
    to: Sender<Event>,
    events: Receiver<Event>,
    thaw_at: Duration,
}

impl<'a> Crowd<'a> {
    /// Starts one worker for each of `roles`.
    pub(crate) fn start(
        stage: &'a Stage,
        scene: &'static str,
        arena: Utf8PathBuf,
        seed: Seed,
        roles: &[Role],
    ) -> Result<Self, Failure> {
        let scribe = Scribe::open(&arena)?;
        let (to, events) = channel();
        let (members, thaw_at) = (BTreeMap::new(), Duration::ZERO);
        let mut crowd = Self { stage, scene, arena, scribe, seed, members, to, events, thaw_at };
        for role in roles {
            crowd.add(*role)?;
        }
        Ok(crowd)
    }

    fn add(&mut self, role: Role) -> Result<(), Failure> {
        let now = self.stage.clock.monotonic();
        let life_ms = 250 + self.seed.below(900);
        let seed = self.seed.draw();
        // from its first instruction on: also while it starts
        let at = now + Duration::from_millis(self.seed.below(life_ms));
        let fate = match self.seed.below(100) {
            0..KILLED_OF_100 => Fate::Killed { at },
            drawn if drawn < KILLED_OF_100 + FROZEN_OF_100 => {
                Fate::Frozen { at, until: at + Duration::from_millis(60 + self.seed.below(240)) }
            }
            _ => Fate::Spared,
        };
        let process = Process::start(self.stage, role, &self.arena, (seed, life_ms), &self.to)?;
        self.stage.tally.counted("processes started", 1);
        self.members.insert(process.id, Member { process, role, fate, killed: false });
        Ok(())
    }

    /// Lets the crowd live for `length`, or to the end of the run. `meanwhile` is called many times a second.
    pub(crate) fn live(
        &mut self,
        length: Duration,
        mut meanwhile: impl FnMut() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let until = self.stage.clock.monotonic() + length.min(self.stage.left());
        while self.stage.clock.monotonic() < until && !self.stage.is_cut_short() {
            self.strike();
            for role in self.hear(LOOK_EVERY)? {
                self.add(role)?;
            }
            meanwhile()?;
        }
        Ok(())
    }

    /// Brings everybody to their end, judges that they come to it, and hears them out.
    pub(crate) fn end(mut self) -> Result<(), Failure> {
        for member in self.members.values_mut() {
            member.fate = Fate::Spared;
            member.process.resume();
            member.process.hang_up();
        }
        let until = self.stage.clock.monotonic() + END_MAX;
        while !self.members.is_empty() && !self.stage.is_cut_short() && self.stage.clock.monotonic() < until {
            self.thaw();
            self.hear(LOOK_EVERY)?;
        }
        if self.stage.is_cut_short() {
            return Ok(());
        }
        let late = self.members.values().next().map(|member| format!("a {} does not end", member.role.name()));
        let expected = "a worker comes to its end when its input does";
        self.stage.judge(Promise::Waits, self.scene, "the end of a scene", expected, late);
        Ok(())
    }

    /// Kills, freezes and resumes those whose time has come.
    fn strike(&mut self) {
        let now = self.stage.clock.monotonic();
        for member in self.members.values_mut() {
            match member.fate {
                Fate::Killed { at } if at <= now && !member.killed => {
                    member.killed = true;
                    member.process.kill();
                    self.stage.tally.counted("processes killed", 1);
                }
                Fate::Frozen { at, until } if at <= now => {
                    member.fate = Fate::Standing { until };
                    member.process.freeze();
                    self.stage.tally.counted("processes frozen", 1);
                }
                Fate::Standing { until } if until <= now => {
                    member.fate = Fate::Spared;
                    member.process.resume();
                }
                _ => {}
            }
        }
        self.thaw();
    }

    /// Resumes those that froze themselves.
    fn thaw(&mut self) {
        let now = self.stage.clock.monotonic();
        if now < self.thaw_at {
            return;
        }
        self.thaw_at = now + THAW_EVERY;
        for member in self.members.values() {
            if !matches!(member.fate, Fate::Standing { .. }) {
                member.process.resume();
            }
        }
    }

    /// Hears what is said within `at_most`; the roles of those who have ended are free again.
    fn hear(&mut self, at_most: Duration) -> Result<Vec<Role>, Failure> {
        let mut free = Vec::new();
        let mut next = self.events.recv_timeout(at_most).ok();
        while let Some(event) = next {
            match event {
                Event::Said(said) => _ = self.stage.tally.hear(said),
                Event::Silent(id) => free.extend(self.bury(id)?),
            }
            next = self.events.try_recv().ok();
        }
        Ok(free)
    }

    /// Waits for one whose output has ended, and records that it is gone.
    fn bury(&mut self, id: u32) -> Result<Option<Role>, Failure> {
        let Some(mut member) = self.members.remove(&id) else { return Ok(None) };
        let status = member.process.wait();
        self.scribe.append(Fact { kind: Kind::Dead, worker: id, key: 0, version: 0, extra: 0 })?;
        let signal = status.and_then(|status| status.signal());
        if signal == Some(9) && !member.killed {
            self.stage.tally.counted("processes killed", 1);
        }
        let well = status.is_some_and(|status| status.success()) || signal == Some(9);
        if !well && !self.stage.is_cut_short() {
            let (key, seen) = (format!("{} {id}", member.role.name()), format!("it ended with {status:?}"));
            self.stage.judge(Promise::Works, self.scene, &key, "a worker does its work", Some(seen));
        }
        Ok(Some(member.role))
    }
}
