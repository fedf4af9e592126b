//! Leading a flight: the command runs once, for everybody who asks meanwhile.

use std::sync::Arc;
use std::time::Duration;

use larder::counters::{Counter, Fold, Latency};
use larder::{Forward, Outcome};
use larder_staleness::Life;
use larder_storage::{Entry, Key, Put, Store, Token, put};
use larder_system::Clock;
use larder_upstream::{About, Class, Exit as CommandExit, Failure, Flight, Waited};
use larder_watch::fingerprint::{self, Dependency};

use super::{Call, Look, answer};
use crate::child::{self, End, Plan, Ran, Stop, Taken};
use crate::credentials::Given;
use crate::exit::{Exit, Failed, chain};
use crate::group::Group;
use crate::signals::{Signals, Target};
use crate::text::span;
use crate::{credentials, status};

/// What is fresh for less than this may be stale before those who wait have looked: it is handed to them, too.
const HAND_ON_BELOW_MS: u64 = 1_000;

/// How long a command that was ended by a signal may take to say its last words.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(1);

/// The command took too long.
#[derive(Debug, thiserror::Error)]
#[error("the command did not end within {}, as set by flag --timeout, and was ended: give it more time", span(*bound))]
pub(super) struct Overdue {
    pub(super) bound: Duration,
}

/// The command's output was lost on its way.
#[derive(Debug, thiserror::Error)]
#[error("the command's output cannot be read")]
pub(super) struct Unread {
    #[source]
    pub(super) source: std::io::Error,
}

/// One run, from its start to what is to be told of it.
struct Run<'a> {
    call: &'a Call<'a>,
    look: &'a Look<'a>,
    store: &'a Arc<Store>,
    /// What is refreshed, and what is given out if that fails.
    before: Option<&'a Entry>,
    fallback: Option<&'a Entry>,
    /// Taken when the flight has ended: nobody waits any more.
    lead: Option<Lead>,
    outcome: Outcome,
    took: Duration,
    /// What it depends on, as that was before the command ran.
    depends: Result<Vec<Dependency>, fingerprint::Error>,
}

/// The right to store what is fetched.
pub(super) enum Lead {
    /// For all who ask.
    Flight(Flight),
    /// For this caller, where the configuration switches locking off.
    Alone(Token),
}

impl Lead {
    fn token(&self) -> Token {
        match self {
            Self::Flight(flight) => flight.token(),
            Self::Alone(token) => *token,
        }
    }

    /// Ends the flight, if there is one.
    fn end(self, end: impl FnOnce(Flight)) {
        if let Self::Flight(flight) = self {
            end(flight);
        }
    }
}

pub(super) fn lead(
    call: &Call<'_>,
    look: &Look<'_>,
    lead: Lead,
    why: Forward,
    (before, fallback): (Option<&Entry>, Option<&Entry>),
    signals: &Signals,
) -> Result<Exit, Failed> {
    let store = look.store;
    let clock = Arc::clone(store.clock());
    let secrets = match search(call, signals, &*clock) {
        Ok(secrets) => secrets,
        Err(error) => {
            // who has none leaves the flight to others, who may have
            drop(lead);
            return unfound(call, look, fallback, error);
        }
    };
    let (sender, events) = child::events();
    signals.aim(Target::Child(sender.clone()));
    let key = look.key.clone();
    let input = match &lead {
        // without it a successor does not wait for an orphan, which is all that is lost
        Lead::Flight(flight) => flight.lend().ok().flatten(),
        Lead::Alone(_) => None,
    };
    let begun = clock.monotonic();
    let mut run = Run {
        call,
        look,
        store,
        before,
        fallback,
        lead: Some(lead),
        outcome: status::forwarded(why, &Waited::default()),
        took: Duration::ZERO,
        depends: look.dependencies(&call.bounds),
    };
    run.outcome.detail = look.changed().map(Into::into);
    run.outcome.stored = Some(false);
    let limit = store.body_bytes_max();
    let plan = Plan {
        command: &call.job.command,
        environment: &call.job.environment,
        secrets: &secrets,
        input,
        output_bytes_max: limit,
        deadline: call.bounds.deadline(),
        group: Group::suited(),
        clock: &*clock,
    };
    let ran = child::attend(plan, (sender, events), &mut || {
        if let Some(lead) = run.lead.take() {
            lead.end(Flight::alone);
        }
        let note = format!("larder: the output is longer than {limit} bytes: it is passed on, and not stored");
        answer::passed_on(call.output, call.output.is_talkative().then_some(note))
    });
    run.took = clock.monotonic().saturating_sub(begun);
    match ran {
        Ok(ran) => run.finish(&key, ran, signals),
        Err(error) => {
            let exit = CommandExit::Code(error.exit().code().into());
            let failure = Failure { exit: Some(exit), ..Failure::new(Class::Command, error.unnamed()) };
            run.fail(&failure);
            call.fall_back(look, fallback, &failure, &Waited::default()).unwrap_or_else(|| Err(error.into()))
        }
    }
}

/// Looks for the credentials that the command asks for, for as long as the call may take; a signal ends this process meanwhile.
fn search(call: &Call<'_>, signals: &Signals, clock: &dyn Clock) -> Result<Vec<Given>, credentials::Error> {
    if !call.job.credentials.is_empty() {
        signals.aim(Target::Exit);
    }
    credentials::find(&call.job.credentials, call.bounds.left(clock))
}

/// How a call ends whose credentials cannot be had: with an old copy where that is because a place does not answer.
fn unfound(
    call: &Call<'_>,
    look: &Look<'_>,
    fallback: Option<&Entry>,
    error: credentials::Error,
) -> Result<Exit, Failed> {
    let failure = Failure::new(Class::Unavailable, error.to_string());
    let given = error.is_outage().then(|| call.fall_back(look, fallback, &failure, &Waited::default()));
    given.flatten().unwrap_or_else(|| Err(error.into()))
}

impl Run<'_> {
    /// Tells everybody what the run came to: first those who wait, then the caller.
    fn finish(mut self, key: &Key, ran: Ran, signals: &Signals) -> Result<Exit, Failed> {
        let output = self.call.output;
        if let Some(Stop::Signal(signal)) = ran.stop {
            // one of those who wait goes on
            drop(self.lead.take());
            self.count(&[(Counter::FetchFailures, 1), (Counter::NotStored, 1)]);
            ran.errors.finish(Some(LAST_WORDS));
            return Err(Failed::silent(Exit::of_signal(signal)));
        }
        // from here on nobody waits for long, and everybody can do without this process
        signals.aim(Target::Exit);
        if ran.stop.is_some() {
            return self.overdue(ran);
        }
        match (ran.end, ran.output) {
            (End::Code(0), Taken::Whole(body)) => {
                let warning = self.store(&body);
                let given = answer::give(output, Some(key), &body, &self.outcome, Exit::OK);
                say_dropped(self.call, ran.errors.finish(None));
                if self.outcome.stored == Some(true) {
                    crate::room::stored(self.store);
                }
                if let Some(warning) = warning {
                    output.warn(&warning);
                }
                given
            }
            (_, Taken::Unread(source)) => {
                let error = Unread { source };
                self.fail(&Failure::new(Class::Unavailable, chain(&error)));
                ran.errors.finish(None);
                Err(Failed::new(Exit::INPUT_OUTPUT, error))
            }
            (end, taken) => self.ended(end, taken, ran.errors),
        }
    }

    /// Stores the document and lets those who wait have it; a warning comes back when it could not be stored.
    fn store(&mut self, body: &[u8]) -> Option<String> {
        let (clock, job) = (self.store.clock(), self.call.job);
        let lead = self.lead.take()?;
        let about = self.about(body);
        let life = about.life;
        let metadata = match (about.metadata(&job.tags), &self.depends) {
            (Ok(metadata), Ok(_)) => metadata,
            // without tags and dependencies nobody could tell whether it still counts
            (Err(error), _) => return Some(self.alone(lead, &error)),
            (_, Err(error)) => return Some(self.alone(lead, error)),
        };
        let wish = Put::new().durability(job.durability).metadata(metadata.clone()).fetched_in(lead.token());
        let stored = self.store.put(self.look.key, body, &wish);
        let served = (Counter::BytesServed, body.len() as u64);
        match stored {
            Ok(_) => {
                if life.fresh_until_ms.saturating_sub(life.fetched_ms) < HAND_ON_BELOW_MS {
                    // those who wait would find it stale
                    lead.end(|flight| flight.carry(body, &metadata));
                } else {
                    lead.end(Flight::land);
                }
                self.outcome = status::with_life(self.outcome.clone(), &life, clock.wall());
                self.outcome.stored = Some(true);
                self.count(&[(Counter::Stored, 1), served]);
                None
            }
            Err(error @ put::Error::NotDurable { .. }) => {
                lead.end(Flight::land);
                self.outcome.stored = Some(true);
                self.outcome.detail = Some("not durable".into());
                self.count(&[(Counter::Stored, 1), served]);
                Some(chain(&error))
            }
            Err(error) => {
                lead.end(|flight| flight.carry(body, &metadata));
                let fenced = matches!(error, put::Error::Fenced { .. });
                self.outcome.detail = Some(if fenced { "invalidated meanwhile" } else { "could not be stored" }.into());
                self.count(&[(Counter::NotStored, 1), (Counter::Fenced, u64::from(fenced)), served]);
                // an invalidation is in order, and no cause for alarm
                (!fenced).then(|| format!("the output is not stored: {}", chain(&error)))
            }
        }
    }

    /// It is stored by nobody: those who wait run it for themselves.
    fn alone(&self, lead: Lead, error: &dyn std::error::Error) -> String {
        lead.end(Flight::alone);
        self.count(&[(Counter::NotStored, 1)]);
        format!("the output is not stored: {}", chain(error))
    }

    /// What is stored beside it.
    fn about(&mut self, body: &[u8]) -> About {
        let job = self.call.job;
        if let Ok(depends) = &mut self.depends {
            self.look.settle(depends, &self.call.bounds);
        }
        let depends = self.depends.as_ref().map_or_else(|_| Vec::new(), Clone::clone);
        let before = self.before.map(About::of_or_default);
        let has_changed = self.before.is_some_and(|entry| entry.body() != body);
        let history = before.map_or_else(Default::default, |about| about.history.with_check(has_changed));
        let mut policy = job.policy;
        policy.fresh = history.fresh(&policy);
        let life = Life::drawn(self.store.clock().wall(), &policy, self.took, crate::terms::chance());
        About { class: job.class.clone(), history, depends, ..About::new(life) }
    }

    /// The command failed, or its output was too large and is with the caller already.
    fn ended(mut self, end: End, output: Taken, errors: child::Tee) -> Result<Exit, Failed> {
        let exit = end.exit();
        if end == End::Code(0) {
            self.count(&[(Counter::NotStored, 1)]);
        } else {
            let how = match end {
                End::Code(code) => CommandExit::Code(code),
                End::Signal(signal) => CommandExit::Signal(signal),
            };
            let failure = Failure::of_command(how, errors.tail());
            self.fail(&failure);
            if let Some(given) = self.call.fall_back(self.look, self.fallback, &failure, &Waited::default()) {
                say_dropped(self.call, errors.finish(None));
                return given;
            }
        }
        let key = None;
        let given = match output {
            Taken::Whole(body) => answer::give(self.call.output, key, &body, &self.outcome, exit),
            taken => answer::end(self.call.output, key, taken, &self.outcome, exit),
        };
        say_dropped(self.call, errors.finish(None));
        given
    }

    /// The command was ended because its time was over. What it printed until then is the caller's.
    fn overdue(mut self, ran: Ran) -> Result<Exit, Failed> {
        let overdue = Overdue { bound: self.call.bounds.timeout().unwrap_or_default() };
        let failure = Failure { stderr: ran.errors.tail(), ..Failure::new(Class::Unavailable, overdue.to_string()) };
        self.fail(&failure);
        if let Some(given) = self.call.fall_back(self.look, self.fallback, &failure, &Waited::default()) {
            say_dropped(self.call, ran.errors.finish(None));
            return given;
        }
        let _ = match ran.output {
            Taken::Whole(body) if !self.call.output.json => {
                answer::give(self.call.output, None, &body, &self.outcome, Exit::UNAVAILABLE)
            }
            taken => answer::end(self.call.output, None, taken, &self.outcome, Exit::UNAVAILABLE),
        };
        say_dropped(self.call, ran.errors.finish(None));
        Err(Failed::new(Exit::UNAVAILABLE, overdue))
    }

    /// Tells those who wait that it failed.
    fn fail(&mut self, failure: &Failure) {
        if let Some(lead) = self.lead.take() {
            let (job, may_fall_back) = (self.call.job, self.fallback.is_some());
            let depends = self.depends.as_ref().map_or_else(|_| Vec::new(), Clone::clone);
            let failure = &Failure { depends, ..failure.clone() };
            lead.end(|flight| {
                let memory = job.memory(failure, flight.failures(), may_fall_back);
                flight.fail(failure, memory);
            });
        }
        self.count(&[(Counter::FetchFailures, 1), (Counter::NotStored, 1)]);
    }

    fn count(&self, counts: &[(Counter, u64)]) {
        status::measure(Latency::Fetch, self.took);
        let common = [(Counter::Misses, 1), (Counter::Fetches, 1)];
        status::count(self.store, Fold::WhenLong, &[&common, counts].concat());
    }
}

/// Says how much of the command's standard error nobody read in time.
pub(super) fn say_dropped(call: &Call<'_>, bytes: u64) {
    if bytes > 0 {
        call.output.note(&format!(
            "{bytes} bytes of the command's standard error are missing above: they came faster than they were read"
        ));
    }
}
