//! One round: a document is fetched, the upstream goes away, everybody asks, it comes back, everybody asks for a new one.

use std::collections::VecDeque;

use camino::Utf8Path;
use larder_system::Clock as _;
use larder_testkit::{Seed, Upstream};

use super::Twist;
use super::patrons::Patrons;
use crate::facts::{Follower, Kind};
use crate::failure::Failure;
use crate::message::{Served, Wish};
use crate::promise::Promise;
use crate::stage::Stage;

/// How often everybody asks while the upstream fails.
const WAVES: u32 = 3;
/// How many rounds before its own a document is fetched, so that its age is some seconds: of a document that was fetched
/// within the last second, an age that is always 0 would be true.
const AHEAD: usize = 32;
/// Until a document is stale for certain.
const STALE_AFTER: std::time::Duration = std::time::Duration::from_millis(5);
/// By how much the wall clock may be set while a document is fetched.
const CLOCK_SET_MS_MAX: u64 = 1_000;
const SCENE: &str = "outage";

/// The processes that ask, and the upstream that they ask.
pub(super) struct Outage<'a> {
    stage: &'a Stage,
    upstream: Upstream,
    seed: Seed,
    follower: Follower,
    patrons: Patrons<'a>,
    /// The documents of the rounds to come.
    primed: VecDeque<Primed>,
    /// How many there were.
    rounds: u32,
}

/// The document that everybody has before the upstream goes away.
struct Primed {
    round: u32,
    key: String,
    call: u64,
    fetched_ms: u64,
}

impl<'a> Outage<'a> {
    pub(super) fn start(
        stage: &'a Stage,
        arena: &'a Utf8Path,
        upstream: Upstream,
        mut seed: Seed,
    ) -> Result<Self, Failure> {
        let (follower, patrons) = (Follower::open(arena)?, Patrons::start(stage, arena, seed.fork())?);
        Ok(Self { stage, upstream, seed, follower, patrons, primed: VecDeque::new(), rounds: 0 })
    }

    /// Plays one round and judges it.
    pub(super) fn round(&mut self, twist: Twist) -> Result<(), Failure> {
        self.upstream.answers("{key}");
        self.patrons.fill()?;
        while self.primed.len() < AHEAD && !self.stage.is_cut_short() {
            self.rounds += 1;
            let Some(primed) = self.prime(self.rounds) else { return Ok(()) };
            self.primed.push_back(primed);
        }
        let Some(primed) = self.primed.pop_front() else { return Ok(()) };
        self.stage.clock.sleep(STALE_AFTER);
        let crashes = match twist {
            Twist::Fails => {
                self.upstream.fails("the upstream is down");
                for _ in 0..WAVES {
                    // whoever is content soon is so before the call is over, and those who then ask for a new document would
                    // still share its failure
                    self.wave(&primed, Wish::Good);
                }
                0
            }
            Twist::Hangs | Twist::Killed | Twist::Frozen => self.hang(twist, &primed)?,
        };
        self.judge_calls(&primed.key, twist, crashes);
        self.upstream.answers("{key}");
        self.patrons.ask(primed.round, &primed.key, Wish::New);
        self.judge_new(twist, &primed);
        self.judge_at_once(&primed.key, crashes);
        self.stage.tally.counted("outages", 1);
        Ok(())
    }

    /// One patron fetches the document while the upstream works.
    fn prime(&mut self, round: u32) -> Option<Primed> {
        let key = format!("outage/{round}");
        let before = self.wall_ms();
        self.patrons.ask_one(self.seed.draw(), round, &key);
        let served = self.answers(&key, "an upstream that works brings the document").into_iter().next()?;
        let after = self.wall_ms();
        let wrong = match &served.fetched {
            Ok(_) if !served.stale => None,
            other => Some(format!("{other:?}, {}", served.status)),
        };
        self.stage.judge(Promise::Works, SCENE, &key, "an upstream that works brings the document", wrong);
        let (earliest, latest) = (before.saturating_sub(CLOCK_SET_MS_MAX), after + CLOCK_SET_MS_MAX);
        let wrong = (!(earliest..=latest).contains(&served.fetched_ms))
            .then(|| format!("{} ms, and it was asked for at {before} ms", served.fetched_ms));
        self.stage.judge(Promise::Age, SCENE, &key, "it was fetched between the question and the answer", wrong);
        Some(Primed { round, key, call: served.fetched.ok()?, fetched_ms: served.fetched_ms })
    }

    /// Since 1970.
    fn wall_ms(&self) -> u64 {
        let since = self.stage.clock.wall().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// Everybody asks while a call hangs, and is answered before it goes on. How many processes were killed.
    fn hang(&mut self, twist: Twist, primed: &Primed) -> Result<u32, Failure> {
        let hold = self.upstream.hold();
        self.patrons.ask(primed.round, &primed.key, Wish::Soon);
        // the first brought the document; nobody makes another one where everybody is content without
        let upstream = &self.upstream;
        let has_called = self.patrons.wait_for(|| upstream.calls_of(&primed.key) >= 2);
        let leader = self.leader(primed.round)?.filter(|_| has_called);
        let (mut crashes, mut frozen) = (0, None);
        match (twist, leader) {
            (Twist::Killed, Some(pid)) => crashes += u32::from(self.patrons.kill(pid)?),
            (Twist::Frozen, Some(pid)) => frozen = Some(pid).filter(|pid| self.patrons.freeze(*pid)),
            _ => {}
        }
        // the call hangs still: whoever is answered now was not held up by it
        self.judge_stale(primed);
        self.wave(primed, Wish::Soon);
        if let Some(pid) = frozen {
            if self.seed.draw().is_multiple_of(2) {
                // it answers now, unless it had answered just before it was frozen
                self.patrons.resume(pid);
                self.judge_stale(primed);
            } else {
                crashes += u32::from(self.patrons.kill(pid)?);
                self.wave(primed, Wish::Soon);
            }
        }
        drop(hold);
        Ok(crashes)
    }

    /// Who called last in this round.
    fn leader(&mut self, round: u32) -> Result<Option<u32>, Failure> {
        let (now, mut leader) = (self.follower.now()?, None);
        self.follower.follow(now, |_, fact| {
            if fact.kind == Kind::Enter && fact.key == round {
                leader = Some(fact.worker);
            }
        })?;
        Ok(leader)
    }

    /// Everybody asks, and is content with the document from before.
    fn wave(&mut self, primed: &Primed, wish: Wish) {
        self.patrons.ask(primed.round, &primed.key, wish);
        self.judge_stale(primed);
    }

    /// All that were answered; those who were not are judged here.
    fn answers(&mut self, key: &str, expected: &str) -> Vec<Served> {
        let late = self.patrons.collect().err();
        if self.stage.is_cut_short() {
            return Vec::new();
        }
        self.stage.judge(Promise::Waits, SCENE, key, expected, late);
        self.patrons.answers()
    }

    /// Everybody has the document from before, labelled, with its true age.
    fn judge_stale(&mut self, primed: &Primed) {
        for served in self.answers(&primed.key, "whoever has a stale copy is answered while the upstream is down") {
            let is_right = served.fetched == Ok(primed.call) && served.stale;
            let wrong = (!is_right).then(|| format!("{:?}, {}", served.fetched, served.status));
            let expected = format!("the document of call {}, whole, labelled as stale", primed.call);
            self.stage.judge(Promise::Outage, SCENE, &primed.key, &expected, wrong);
            if served.fetched.is_ok() {
                let is_true = served.fetched_ms == primed.fetched_ms && (-1..=1).contains(&served.age_off_s);
                let wrong = (!is_true).then(|| {
                    let later = i128::from(served.fetched_ms) - i128::from(primed.fetched_ms);
                    format!("fetched {later} ms later than it was, its age {} s off that", served.age_off_s)
                });
                self.stage.judge(Promise::Age, SCENE, &primed.key, "the age that counts from its one fetch", wrong);
            }
        }
    }

    fn judge_calls(&self, key: &str, twist: Twist, crashes: u32) {
        if self.stage.is_cut_short() {
            return;
        }
        let (calls, most) = (self.upstream.calls_of(key), 2 + crashes as usize);
        // where nothing hangs, everybody was answered after the one call, which is over
        let least = if twist == Twist::Fails { most } else { 1 };
        self.stage.tally.counted("upstream calls", calls as u64);
        let wrong = (!(least..=most).contains(&calls))
            .then(|| format!("{calls} calls, the first of which brought the document"));
        let bound = if least == most { "exactly" } else { "at most" };
        let expected = format!("{bound} {most} calls of an upstream, twist {twist:?}, however often everybody asks");
        self.stage.judge(Promise::Outage, SCENE, key, &expected, wrong);
    }

    /// The upstream works again, and everybody who asks for a new document has one.
    fn judge_new(&mut self, twist: Twist, primed: &Primed) {
        for served in self.answers(&primed.key, "everybody is answered when the upstream is back") {
            let is_new = served.fetched.as_ref().is_ok_and(|call| *call > primed.call) && !served.stale;
            let wrong = (!is_new).then(|| format!("{:?}, {}", served.fetched, served.status));
            let expected = format!("a document of a later call than {}, after the twist {twist:?}", primed.call);
            self.stage.judge(Promise::Outage, SCENE, &primed.key, &expected, wrong);
        }
    }

    /// Also whoever asks for a new document waits for the call that is under way.
    fn judge_at_once(&self, key: &str, crashes: u32) {
        if self.stage.is_cut_short() {
            return;
        }
        // the upstream may still count a killed process's call when its successor's begins
        let (at_once, most) = (self.upstream.in_flight_max_of(key), 1 + crashes as usize);
        let wrong = (at_once > most).then(|| format!("{at_once} calls in flight at the same time"));
        self.stage.judge(Promise::Once, SCENE, key, "one call in flight at a time", wrong);
    }

    /// Everybody goes home.
    pub(super) fn end(self) {
        self.patrons.end();
    }
}
