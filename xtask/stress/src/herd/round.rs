//! One round: everybody asks, everybody waits, the twist, and what each of them got.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use camino::Utf8Path;
use larder_system::Clock as _;
use larder_testkit::{Seed, Upstream};
use rustix::process::{Pid, WaitOptions};

use super::command::Run;
use super::upstream::{FAILED, MESSAGE};
use super::{TASKS, Twist};
use crate::children::{Event, Process, is_asleep};
use crate::document;
use crate::facts::{Follower, Kind};
use crate::failure::Failure;
use crate::message::{Answer, Outcome, Said, Told};
use crate::promise::Promise;
use crate::stage::Stage;
use crate::worker::Role;

/// How long a round may take, beside everything else that runs on this machine.
const ROUND_MAX: Duration = Duration::from_secs(90);
/// How long everybody may take to stand and wait; a round in which they do not is judged less strictly.
const STANDING_MAX: Duration = Duration::from_millis(700);
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// How many looks in a row must find everybody asleep.
const LOOKS: u32 = 4;
/// With what `larder run` ends when the call failed that it waited for, and when that call was no command.
const UNAVAILABLE: i32 = 69;
const SCENE: &str = "herd";

/// An asker process, kept from round to round.
struct Asker {
    process: Process,
    events: Receiver<Event>,
    answers: Option<Vec<Answer>>,
}

/// The processes that ask, and the upstream that they ask.
pub(super) struct Herd<'a> {
    stage: &'a Stage,
    arena: &'a Utf8Path,
    upstream: Upstream,
    seed: Seed,
    follower: Follower,
    askers: Vec<Asker>,
    /// Processes that call the upstream although whoever started them is dead.
    orphans: Vec<u32>,
}

/// What one round is about.
struct Round {
    number: u32,
    key: String,
    twist: Twist,
    /// Who leads, by what those who called have said, and the process that called.
    leaders: Vec<(u32, u32)>,
    crashes: u32,
    /// Of those, the ones that called themselves. The system lets go of what a killed process had one by one, and the
    /// upstream may still count its call when the successor's begins.
    callers_killed: usize,
    /// Everybody was seen waiting before the upstream answered.
    stood: bool,
}

impl<'a> Herd<'a> {
    pub(super) fn start(
        stage: &'a Stage,
        arena: &'a Utf8Path,
        upstream: Upstream,
        seed: Seed,
    ) -> Result<Self, Failure> {
        let follower = Follower::open(arena)?;
        let mut herd = Self { stage, arena, upstream, seed, follower, askers: Vec::new(), orphans: Vec::new() };
        // half of those who ask are threads of these
        for _ in 0..(stage.processes / 2 / TASKS).max(2) {
            herd.add()?;
        }
        Ok(herd)
    }

    fn add(&mut self) -> Result<(), Failure> {
        let (to, events) = channel();
        let process = Process::start(self.stage, Role::Asker, self.arena, (self.seed.draw(), 0), &to)?;
        self.stage.tally.counted("processes started", 1);
        self.askers.push(Asker { process, events, answers: None });
        Ok(())
    }

    /// Plays one round and judges it.
    pub(super) fn round(&mut self, number: u32, twist: Twist) -> Result<(), Failure> {
        let key = format!("herd/{number}");
        let mut round = Round { number, key, twist, leaders: Vec::new(), crashes: 0, callers_killed: 0, stood: false };
        if twist == Twist::Failure {
            self.upstream.fails(MESSAGE);
        } else {
            self.upstream.answers("{key}");
        }
        let hold = self.upstream.hold();
        let mut runs = self.release(&round)?;
        let until = self.stage.clock.monotonic() + ROUND_MAX;
        round.stood = self.wait_for_calls(&mut round, 1, until)? && self.stand(&mut runs);
        if twist == Twist::Crash && !self.stage.is_cut_short() {
            self.crash(&mut round, &mut runs, hold, until)?;
        } else {
            drop(hold);
        }
        let ended = self.collect(&mut runs, until);
        if self.stage.is_cut_short() {
            return Ok(());
        }
        self.hear_leaders(&mut round)?;
        self.judge(&round, ended, runs);
        self.stage.tally.counted("rounds", 1);
        self.stage.tally.counted("rounds in which everybody was seen asleep", u64::from(round.stood));
        self.reap();
        Ok(())
    }

    /// Everybody asks.
    fn release(&mut self, round: &Round) -> Result<Vec<Run>, Failure> {
        let told = Told::Ask { round: round.number, key: round.key.clone(), tasks: TASKS };
        for asker in &mut self.askers {
            asker.answers = None;
            asker.process.tell(&told);
        }
        let mut runs = Vec::new();
        if let Some(larder) = &self.stage.larder {
            // in some rounds the command is alone, in some absent: whoever leads is one of either
            let count = match round.number % 3 {
                0 => 0,
                _ => self.stage.processes / 4,
            };
            for _ in 0..count {
                runs.push(Run::start(self.stage, larder, self.arena, round.number, &round.key)?);
            }
        }
        let askers = self.askers.len() as u64 * u64::from(TASKS) + runs.len() as u64;
        self.stage.tally.counted("askers", askers);
        Ok(runs)
    }

    fn wait_for_calls(&mut self, round: &mut Round, calls: usize, until: Duration) -> Result<bool, Failure> {
        while !self.stage.is_cut_short() && self.stage.clock.monotonic() < until {
            self.hear_leaders(round)?;
            if self.upstream.calls_of(&round.key) >= calls {
                return Ok(true);
            }
            self.stage.clock.sleep(LOOK_EVERY);
        }
        Ok(false)
    }

    fn hear_leaders(&mut self, round: &mut Round) -> Result<(), Failure> {
        let now = self.follower.now()?;
        self.follower.follow(now, |_, fact| {
            if fact.kind == Kind::Enter && fact.key == round.number {
                round.leaders.push((fact.worker, u32::try_from(fact.version).unwrap_or(0)));
            }
        })
    }

    /// Waits until all who asked are asleep: they wait for the upstream, or for whoever has called it.
    fn stand(&mut self, runs: &mut [Run]) -> bool {
        let until = self.stage.clock.monotonic() + STANDING_MAX;
        let mut looks = 0;
        while looks < LOOKS {
            if self.stage.clock.monotonic() >= until || self.stage.is_cut_short() {
                return false;
            }
            self.stage.clock.sleep(LOOK_EVERY);
            let asleep = self.askers.iter().all(|asker| is_asleep(asker.process.pid()))
                && runs.iter_mut().all(|run| run.has_ended() || is_asleep(run.pid()));
            looks = if asleep { looks + 1 } else { 0 };
        }
        true
    }

    /// Kills whoever leads while everybody waits, and sees a successor call.
    fn crash(
        &mut self,
        round: &mut Round,
        runs: &mut Vec<Run>,
        hold: larder_testkit::Hold,
        until: Duration,
    ) -> Result<(), Failure> {
        let Some((leader, caller)) = round.leaders.first().copied() else { return Ok(()) };
        let killed = if let Some(at) = self.askers.iter().position(|asker| asker.process.pid() == leader) {
            let mut asker = self.askers.swap_remove(at);
            asker.process.kill();
            asker.process.wait();
            round.callers_killed += 1;
            self.add()?;
            if let Some(asker) = self.askers.last_mut() {
                // it was not asked
                asker.answers = Some(Vec::new());
            }
            self.wait_for_calls(round, 2, until)?;
            round.stood &= self.stand(runs);
            true
        } else if let Some(at) = runs.iter().position(|run| run.pid() == leader) {
            let mut run = runs.swap_remove(at);
            run.kill();
            // its command lives on, and who succeeds waits for its end
            self.orphans.push(caller);
            true
        } else {
            false
        };
        if killed {
            round.crashes += 1;
            self.stage.tally.counted("leaders killed", 1);
            self.stage.tally.counted("processes killed", 1);
        }
        drop(hold);
        Ok(())
    }

    /// Waits until everybody has an answer; whether they have.
    fn collect(&mut self, runs: &mut [Run], until: Duration) -> bool {
        while !self.stage.is_cut_short() && self.stage.clock.monotonic() < until {
            for asker in self.askers.iter_mut().filter(|asker| asker.answers.is_none()) {
                while let Ok(event) = asker.events.try_recv() {
                    match event {
                        Event::Said(Said::Done { outcome: Outcome::Answers { answers }, .. }) => {
                            asker.answers = Some(answers);
                        }
                        Event::Said(said) => _ = self.stage.tally.hear(said),
                        Event::Silent(_) => {
                            let lost = Answer { fetched: Err("its process has ended".to_owned()), collapsed: false };
                            asker.answers = Some(vec![lost]);
                        }
                    }
                }
            }
            if self.askers.iter().all(|asker| asker.answers.is_some()) && runs.iter_mut().all(Run::has_ended) {
                return true;
            }
            self.stage.clock.sleep(LOOK_EVERY);
        }
        false
    }

    fn judge(&mut self, round: &Round, ended: bool, runs: Vec<Run>) {
        let (stage, key) = (self.stage, round.key.as_str());
        let late = (!ended).then(|| format!("some have no answer after {ROUND_MAX:?}"));
        stage.judge(Promise::Waits, SCENE, key, "everybody is answered", late);
        self.judge_calls(round);
        let expected = match round.twist {
            Twist::Failure => "the failure of the call",
            Twist::None | Twist::Crash => "the document of a call, whole",
        };
        for answer in self.askers.iter_mut().filter_map(|asker| asker.answers.take()).flatten() {
            stage.tally.counted("answers of somebody else's call", u64::from(answer.collapsed));
            let wrong = match (round.twist, answer.fetched) {
                (Twist::Failure, Err(message)) if message.contains(MESSAGE) => None,
                (Twist::None | Twist::Crash, Ok(call)) if call >= 1 => None,
                (_, other) => Some(format!("{other:?}")),
            };
            stage.judge(Promise::Shared, SCENE, key, expected, wrong);
        }
        for run in runs {
            self.judge_run(round, run, expected);
        }
    }

    fn judge_calls(&self, round: &Round) {
        let (stage, key, calls) = (self.stage, round.key.as_str(), self.upstream.calls_of(&round.key));
        stage.tally.counted("upstream calls", calls as u64);
        let by = || {
            let leaders: Vec<String> = round.leaders.iter().map(|(leader, _)| format!("pid {leader}")).collect();
            leaders.join(", ")
        };
        let most = if round.twist == Twist::Failure { 2 } else { 1 + round.crashes };
        if round.twist != Twist::Failure || round.stood {
            let is_right = u32::try_from(calls).is_ok_and(|calls| (1..=most).contains(&calls));
            let wrong = (!is_right).then(|| format!("{calls} calls, by {}", by()));
            let expected = match round.twist {
                Twist::None => "1 call for all who ask at once".to_owned(),
                Twist::Crash => format!("at most {most} calls, {} who called having been killed", round.crashes),
                Twist::Failure => format!("at most {most} calls of an upstream that fails"),
            };
            stage.judge(Promise::Once, SCENE, key, &expected, wrong);
        }
        let at_once = self.upstream.in_flight_max_of(key);
        let wrong = (at_once > 1 + round.callers_killed)
            .then(|| format!("{at_once} calls in flight at the same time, by {}", by()));
        stage.judge(Promise::Once, SCENE, key, "one call in flight at a time", wrong);
    }

    /// A command that has ended says by its exit code what happened; one that has not is killed.
    fn judge_run(&self, round: &Round, mut run: Run, expected: &str) {
        if !run.has_ended() {
            return;
        }
        let pid = run.pid();
        let ended = run.result();
        let code = ended.status.and_then(|status| status.code());
        let body = document::judge(&self.stage.corpus, &round.key, &ended.output);
        let wrong = match (round.twist, code) {
            (Twist::Failure, Some(code)) if [FAILED, UNAVAILABLE].contains(&code) && ended.errors.contains(MESSAGE) => {
                None
            }
            (Twist::None | Twist::Crash, Some(0)) if body.is_ok() => None,
            _ => Some(format!(
                "larder run, pid {pid}, ended with {:?}, {:?} on its output, and said {:?}",
                ended.status,
                body.map(document::name),
                ended.errors
            )),
        };
        self.stage.judge(Promise::Shared, SCENE, &round.key, expected, wrong);
    }

    /// Reaps the commands of killed leaders, which this process has adopted.
    fn reap(&mut self) {
        self.orphans.retain(|orphan| {
            let pid = i32::try_from(*orphan).ok().and_then(Pid::from_raw);
            matches!(rustix::process::waitpid(pid, WaitOptions::NOHANG), Ok(None)) && pid.is_some()
        });
    }

    /// Everybody goes home.
    pub(super) fn end(mut self) {
        for asker in &mut self.askers {
            asker.process.hang_up();
        }
    }
}
