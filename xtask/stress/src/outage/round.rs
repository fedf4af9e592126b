//! One round: a document is fetched, the upstream goes away, everybody asks, it comes back, everybody asks for a new one.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use camino::Utf8Path;
use larder_system::Clock as _;
use larder_testkit::{Seed, Upstream};

use super::{TASKS, Twist};
use crate::children::{Event, Process};
use crate::facts::{Follower, Kind};
use crate::failure::Failure;
use crate::message::{Outcome, Said, Served, Told};
use crate::promise::Promise;
use crate::stage::Stage;
use crate::worker::Role;

/// How long everybody may take to be answered, beside everything else that runs on this machine: far beyond the soft
/// timeout, and far below how long a call is held without it.
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// How often everybody asks in an outage.
const WAVES: u32 = 3;
/// Until the document of a round is stale for certain, and its age a whole number of something.
const STALE_AFTER: Duration = Duration::from_millis(5);
const SCENE: &str = "outage";

/// A patron process, kept from round to round.
struct Patron {
    process: Process,
    events: Receiver<Event>,
    served: Option<Vec<Served>>,
}

/// The processes that ask, and the upstream that they ask.
pub(super) struct Outage<'a> {
    stage: &'a Stage,
    arena: &'a Utf8Path,
    upstream: Upstream,
    seed: Seed,
    follower: Follower,
    patrons: Vec<Patron>,
}

/// The document that everybody has, before the upstream goes away.
struct Primed {
    call: u64,
    fetched_ms: u64,
}

impl<'a> Outage<'a> {
    pub(super) fn start(
        stage: &'a Stage,
        arena: &'a Utf8Path,
        upstream: Upstream,
        seed: Seed,
    ) -> Result<Self, Failure> {
        let follower = Follower::open(arena)?;
        let mut outage = Self { stage, arena, upstream, seed, follower, patrons: Vec::new() };
        for _ in 0..(stage.processes / 6).max(3) {
            outage.add()?;
        }
        Ok(outage)
    }

    fn add(&mut self) -> Result<(), Failure> {
        let (to, events) = channel();
        let process = Process::start(self.stage, Role::Patron, self.arena, (self.seed.draw(), 0), &to)?;
        self.stage.tally.counted("processes started", 1);
        self.patrons.push(Patron { process, events, served: None });
        Ok(())
    }

    /// Plays one round and judges it.
    pub(super) fn round(&mut self, number: u32, twist: Twist) -> Result<(), Failure> {
        let key = format!("outage/{number}");
        self.upstream.answers("{key}");
        let Some(primed) = self.prime(number, &key) else { return Ok(()) };
        self.stage.clock.sleep(STALE_AFTER);
        let crashes = match twist {
            Twist::Fails => {
                self.upstream.fails("the upstream is down");
                for _ in 0..WAVES {
                    self.wave(number, &key, false);
                    self.judge_stale(&key, &primed);
                }
                0
            }
            Twist::Hangs | Twist::Killed | Twist::Frozen => self.hang(number, &key, twist, &primed)?,
        };
        self.judge_calls(&key, twist, crashes);
        self.upstream.answers("{key}");
        self.wave(number, &key, true);
        self.judge_new(&key, &primed);
        self.stage.tally.counted("outages", 1);
        Ok(())
    }

    /// One patron fetches the document while the upstream works.
    fn prime(&mut self, round: u32, key: &str) -> Option<Primed> {
        let (first, _) = self.patrons.split_first_mut()?;
        let told = Told::Serve { round, key: key.to_owned(), tasks: 1, refresh: false };
        first.served = None;
        first.process.tell(&told);
        for patron in self.patrons.iter_mut().skip(1) {
            patron.served = Some(Vec::new());
        }
        if !self.collect() {
            return None;
        }
        let served = self.patrons.first_mut()?.served.take()?;
        let first = served.first()?;
        let wrong = match &first.fetched {
            Ok(_) if !first.stale => None,
            other => Some(format!("{other:?}, stale: {}", first.stale)),
        };
        self.stage.judge(Promise::Works, SCENE, key, "an upstream that works brings the document", wrong);
        Some(Primed { call: first.fetched.clone().ok()?, fetched_ms: first.fetched_ms })
    }

    /// Everybody asks while a call hangs, and is answered before it goes on. How many processes were killed.
    fn hang(&mut self, number: u32, key: &str, twist: Twist, primed: &Primed) -> Result<u32, Failure> {
        let hold = self.upstream.hold();
        self.tell(number, key, false);
        let called = self.wait_for_call(key);
        let leader = self.leader(number)?.filter(|_| called);
        let at = leader.and_then(|leader| self.patrons.iter().position(|patron| patron.process.pid() == leader));
        let mut crashes = 0;
        let mut frozen = None;
        match (twist, at) {
            (Twist::Killed, Some(at)) => {
                let mut patron = self.patrons.swap_remove(at);
                patron.process.kill();
                patron.process.wait();
                crashes = 1;
                self.stage.tally.counted("processes killed", 1);
                self.add()?;
                if let Some(new) = self.patrons.last_mut() {
                    // it was not asked
                    new.served = Some(Vec::new());
                }
            }
            (Twist::Frozen, Some(at)) => {
                if let Some(patron) = self.patrons.get_mut(at) {
                    patron.process.freeze();
                    // it may have answered before, and what it says later is left out
                    patron.served = Some(Vec::new());
                    frozen = Some(patron.process.pid());
                    self.stage.tally.counted("processes frozen", 1);
                }
            }
            _ => {}
        }
        self.collect();
        // the call hangs still: whoever is answered now was not held up by it
        self.judge_stale(key, primed);
        drop(hold);
        if let Some(pid) = frozen {
            // it answers now, or has answered just before it was frozen; nobody else has anything to say
            for patron in &mut self.patrons {
                let is_frozen = patron.process.pid() == pid;
                patron.served = (!is_frozen).then(Vec::new);
                if is_frozen {
                    patron.process.resume();
                }
            }
            self.collect();
        }
        Ok(crashes)
    }

    /// Waits until somebody calls; nobody does where everybody is content without.
    fn wait_for_call(&mut self, key: &str) -> bool {
        let until = self.stage.clock.monotonic() + ANSWERED_WITHIN;
        while !self.stage.is_cut_short() && self.stage.clock.monotonic() < until {
            // the first brought the document
            if self.upstream.calls_of(key) >= 2 {
                return true;
            }
            self.hear();
            if self.is_everybody_served() {
                return false;
            }
            self.stage.clock.sleep(LOOK_EVERY);
        }
        false
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

    fn tell(&mut self, round: u32, key: &str, refresh: bool) {
        let told = Told::Serve { round, key: key.to_owned(), tasks: TASKS, refresh };
        for patron in &mut self.patrons {
            patron.served = None;
            patron.process.tell(&told);
        }
    }

    fn wave(&mut self, round: u32, key: &str, refresh: bool) {
        self.tell(round, key, refresh);
        self.collect();
    }

    /// Waits until everybody has an answer; whether they have.
    fn collect(&mut self) -> bool {
        let until = self.stage.clock.monotonic() + ANSWERED_WITHIN;
        while !self.stage.is_cut_short() && self.stage.clock.monotonic() < until {
            self.hear();
            if self.is_everybody_served() {
                return true;
            }
            self.stage.clock.sleep(LOOK_EVERY);
        }
        false
    }

    fn is_everybody_served(&self) -> bool {
        self.patrons.iter().all(|patron| patron.served.is_some())
    }

    /// What has been said so far.
    fn hear(&mut self) {
        for patron in self.patrons.iter_mut().filter(|patron| patron.served.is_none()) {
            while let Ok(event) = patron.events.try_recv() {
                match event {
                    Event::Said(Said::Done { outcome: Outcome::Served { served }, .. }) => patron.served = Some(served),
                    Event::Said(said) => _ = self.stage.tally.hear(said),
                    Event::Silent(_) => patron.served = Some(vec![Served::lost("its process has ended")]),
                }
            }
        }
    }

    /// All that were answered; those who were not are judged here.
    fn answers(&mut self, key: &str, expected: &str) -> Vec<Served> {
        if self.stage.is_cut_short() {
            return Vec::new();
        }
        let late = self.patrons.iter().filter(|patron| patron.served.is_none()).count();
        let wrong = (late > 0).then(|| format!("{late} processes have no answer after {ANSWERED_WITHIN:?}"));
        self.stage.judge(Promise::Waits, SCENE, key, expected, wrong);
        self.patrons.iter_mut().filter_map(|patron| patron.served.take()).flatten().collect()
    }

    /// Everybody has the document from before, labelled, with its true age.
    fn judge_stale(&mut self, key: &str, primed: &Primed) {
        for served in self.answers(key, "whoever has a stale copy is answered while the upstream is down") {
            let is_right = served.fetched == Ok(primed.call) && served.stale;
            let wrong = (!is_right).then(|| format!("{:?}, stale: {}", served.fetched, served.stale));
            let expected = format!("the document of call {}, whole, labelled as stale", primed.call);
            self.stage.judge(Promise::Outage, SCENE, key, &expected, wrong);
            if served.fetched.is_ok() {
                let is_true = served.fetched_ms == primed.fetched_ms && (-1..=1).contains(&served.age_off_s);
                let wrong = (!is_true).then(|| {
                    let later = i128::from(served.fetched_ms) - i128::from(primed.fetched_ms);
                    format!("fetched {later} ms later than it was, its age {} s off that", served.age_off_s)
                });
                self.stage.judge(Promise::Age, SCENE, key, "the age that counts from its one fetch", wrong);
            }
        }
    }

    fn judge_calls(&self, key: &str, twist: Twist, crashes: u32) {
        if self.stage.is_cut_short() {
            return;
        }
        let (calls, most) = (self.upstream.calls_of(key), 2 + crashes as usize);
        self.stage.tally.counted("upstream calls", calls as u64);
        let wrong = (calls > most).then(|| format!("{calls} calls, the first of which brought the document"));
        let expected =
            format!("at most {most} calls of an upstream that {twist:?}, also when everybody asks {WAVES} times");
        self.stage.judge(Promise::Outage, SCENE, key, &expected, wrong);
    }

    /// The upstream works again, and everybody who asks for a new document has one.
    fn judge_new(&mut self, key: &str, primed: &Primed) {
        for served in self.answers(key, "everybody is answered when the upstream is back") {
            let is_new = served.fetched.as_ref().is_ok_and(|call| *call > primed.call) && !served.stale;
            let wrong = (!is_new).then(|| format!("{:?}, stale: {}", served.fetched, served.stale));
            let expected = format!("a document of a later call than {}", primed.call);
            self.stage.judge(Promise::Outage, SCENE, key, &expected, wrong);
        }
    }

    /// Everybody goes home.
    pub(super) fn end(mut self) {
        for patron in &mut self.patrons {
            patron.process.hang_up();
        }
    }
}
