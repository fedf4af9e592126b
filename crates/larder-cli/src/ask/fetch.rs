//! The way of a miss: joining the run that is under way, or leading the next one.

use std::sync::Arc;
use std::time::SystemTime;

use larder::counters::{Counter, Fold};
use larder::{Forward, Outcome};
use larder_lock::{Cancellation, Event, Observer};
use larder_staleness::Life;
use larder_storage::{Entry, Key, Store, Token};
use larder_system::Clock;
use larder_upstream::{About, Carried, Class, Exit as CommandExit, Failure, Terms, Turn, UnderWay, Waited, begin};

use super::lead::Lead;
use super::{Call, Look, Unusable, answer, bounds, lead, uncached};
use crate::child;
use crate::exit::{Exit, Failed};
use crate::output::Output;
use crate::signals::{Signals, Target};
use crate::status;

/// How often a caller may be handed what was made from files that have changed since.
const ROUNDS_MAX: u32 = 8;

/// Which copy was stored, as far as one can be told from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Copy {
    token: Token,
    stored_at: SystemTime,
    life: Life,
}

impl Copy {
    fn of(entry: &Entry) -> Self {
        Self { token: entry.token(), stored_at: entry.stored_at(), life: About::of_or_default(entry).life }
    }
}

/// The run that this caller waited for has failed.
#[derive(Debug, thiserror::Error)]
#[error("{message} ({})", if *remembered { "a failure that is still remembered: --refresh asks all the same" } else { "it ran for another process" })]
struct Shared {
    message: String,
    remembered: bool,
}

/// Told how a wait goes, it tells the person.
struct Teller(Output);

impl Observer for Teller {
    fn observe(&self, name: &str, event: &Event<'_>) {
        if let Event::StillWaiting { holder, waited } = event {
            self.0.note(&format!("{name} is being run by {holder}; waited for {waited:.0?}"));
        }
    }
}

/// Joins or leads. An error means that there is no flight to be had, and that nothing was run.
pub(super) fn fetch(
    call: &Call<'_>,
    look: &Look<'_>,
    found: Option<&Entry>,
    fallback: Option<&Entry>,
) -> Result<Result<Exit, Failed>, Unusable> {
    let (store, key, job) = (look.store, look.key, call.job);
    let clock = Arc::clone(store.clock());
    let bounds = call.bounds.begin(&*clock);
    let cancellation = Cancellation::new();
    let signals = Signals::catch(Target::Wait(cancellation.clone())).map_err(Unusable::Signals)?;
    let wait = match bounds.wait(call.global, call.loaded) {
        Ok(wait) => wait.cancelled_by(&cancellation).observed_by(Arc::new(Teller(call.output))),
        Err(failed) => return Ok(Err(failed)),
    };
    let takes_remembered = !job.wish.refresh && !look.is_outlived.get();
    let terms = Terms::new().wait(wait).tags(job.tags.iter().cloned()).accept_remembered_failure(takes_remembered);
    let before = found.map(Copy::of);
    let why = if job.wish.refresh { Forward::Request } else { status::reason(found) };
    let call = &Call { bounds, ..*call };
    if !job.is_shared {
        let token = store.token().map_err(begin::Error::from)?;
        return Ok(lead::lead(call, look, Lead::Alone(token), why, (found, fallback), &signals));
    }
    let find = || {
        let entry = store.get(key)?;
        // one that came since this call began is an answer, however short its life, unless its files have changed already
        Ok(entry.filter(|entry| before != Some(Copy::of(entry)) && look.change_of(entry).is_none()))
    };
    let mut turn = look.flights.begin(key, &terms, find);
    for _ in 0..ROUNDS_MAX {
        match &turn {
            Ok(Turn::Carried { document, .. }) if has_changed(look, document) => {
                turn = look.flights.begin(key, &terms, find);
            }
            _ => break,
        }
    }
    if let Err(signalled) = signals.check() {
        return Ok(Err(signalled));
    }
    Ok(match turn {
        Ok(Turn::Lead(flight)) => {
            tracing::info!(%key, "the command is run, for all who ask");
            lead::lead(call, look, Lead::Flight(flight), why, (found, fallback), &signals)
        }
        Ok(turn) => settle(call, look, turn, why, fallback, &signals),
        Err(error) => match ended(error) {
            Ok((failed, waited)) => {
                status::count(store, Fold::WhenPressing, &[(Counter::LockTimeouts, 1)]);
                match fallback {
                    Some(entry) => call.give_stale(look, entry, &waited, "another process is still at it"),
                    None => Err(failed),
                }
            }
            Err(error) => {
                call.output.warn(&format!("runs without the cache: {}", crate::exit::chain(&error)));
                alone(call, key, &signals, &*clock, &Waited::default())
            }
        },
    })
}

/// Whether what another run hands on was made from files that have changed since.
fn has_changed(look: &Look<'_>, document: &Carried) -> bool {
    look.change_since(&About::in_metadata(&document.metadata).unwrap_or_default().depends).is_some()
}

/// What somebody else's flight has come to.
fn settle(
    call: &Call<'_>,
    look: &Look<'_>,
    turn: Turn<Entry>,
    why: Forward,
    fallback: Option<&Entry>,
    signals: &Signals,
) -> Result<Exit, Failed> {
    let (store, key) = (look.store, look.key);
    let clock = store.clock();
    match turn {
        Turn::Found { found, waited } => {
            tracing::info!(%key, "the copy that another run has stored is given");
            signals.aim(Target::Exit);
            give(call, store, Given::Entry(&found), &landed(&found, why, &waited, clock.wall()))
        }
        Turn::Carried { document, waited } if has_changed(look, &document) => {
            alone(call, key, signals, &**clock, &waited)
        }
        Turn::Carried { document, waited } => {
            tracing::info!(%key, "the output of another run is given");
            signals.aim(Target::Exit);
            let mut outcome = status::forwarded(why, &waited);
            outcome.stored = Some(false);
            give(call, store, Given::Bytes(key, &document.body), &outcome)
        }
        Turn::Failed { failure, waited, remembered } => {
            tracing::info!(%key, "the failure of another run is told");
            signals.aim(Target::Exit);
            if let Some(given) = call.fall_back(look, fallback, &failure, &waited) {
                return given;
            }
            failed(call, store, key, &failure, &status::forwarded(why, &waited), remembered)
        }
        Turn::Alone { waited } => {
            tracing::info!(%key, "the command is run, for this caller alone");
            let counts = [(Counter::Misses, 1), (Counter::Fetches, 1), (Counter::NotStored, 1)];
            status::count(store, Fold::WhenLong, &counts);
            alone(call, key, signals, &**clock, &waited)
        }
        // a flight that is not led is given up, and somebody else leads the next
        Turn::Lead(flight) => {
            drop(flight);
            alone(call, key, signals, &**clock, &Waited::default())
        }
    }
}

/// Runs it for this caller, without a flight.
fn alone(call: &Call<'_>, key: &Key, signals: &Signals, clock: &dyn Clock, waited: &Waited) -> Result<Exit, Failed> {
    let (sender, events) = child::events();
    signals.aim(Target::Child(sender.clone()));
    let mut outcome = status::forwarded(Forward::Bypass, waited);
    (outcome.collapsed, outcome.stored) = (false, Some(false));
    uncached::run(call, Some(key), &outcome, clock, Some(signals), (sender, events))
}

/// How a wait ends the call; an error that is not about the wait comes back.
fn ended(error: begin::Error) -> Result<(Failed, Waited), begin::Error> {
    let mut waited = Waited::default();
    if let begin::Error::TimedOut { waited: duration, holder, .. } = &error {
        (waited.duration, waited.holder) = (*duration, Some((**holder).clone()));
    }
    let failed = match &error {
        begin::Error::TimedOut { origin, .. } if bounds::is_whole(origin) => Failed::new(Exit::UNAVAILABLE, error),
        begin::Error::TimedOut { .. } | begin::Error::Busy { .. } | begin::Error::Cancelled { .. } => {
            Failed::new(Exit::TIMEOUT, error)
        }
        _ => return Err(error),
    };
    Ok((failed, waited))
}

/// How an answer came that somebody else has stored meanwhile.
fn landed(entry: &Entry, why: Forward, waited: &Waited, now: SystemTime) -> Outcome {
    let life = About::of_or_default(entry).life;
    if waited.flights == 0 {
        return status::hit(&life, now);
    }
    let mut outcome = status::with_life(status::forwarded(why, waited), &life, now);
    outcome.stored = Some(true);
    outcome
}

/// What is given out.
#[derive(Clone, Copy)]
enum Given<'a> {
    Entry(&'a Entry),
    Bytes(&'a Key, &'a [u8]),
}

fn give(call: &Call<'_>, store: &Arc<Store>, given: Given<'_>, outcome: &Outcome) -> Result<Exit, Failed> {
    let length = match &given {
        Given::Entry(entry) => entry.body().len(),
        Given::Bytes(_, bytes) => bytes.len(),
    };
    let how = if outcome.is_hit() { Counter::HitsDisk } else { Counter::Misses };
    let counts = [(how, 1), (Counter::Collapsed, u64::from(outcome.collapsed)), (Counter::BytesServed, length as u64)];
    let given = match given {
        Given::Entry(entry) => answer::give_entry(call.output, entry, outcome, Exit::OK),
        Given::Bytes(key, bytes) => answer::give(call.output, Some(key), bytes, outcome, Exit::OK),
    };
    status::count(store, Fold::WhenPressing, &counts);
    given
}

fn failed(
    call: &Call<'_>,
    store: &Arc<Store>,
    key: &Key,
    failure: &Failure,
    outcome: &Outcome,
    remembered: bool,
) -> Result<Exit, Failed> {
    let counts = [(Counter::Misses, 1), (Counter::Collapsed, u64::from(outcome.collapsed))];
    status::count(store, Fold::WhenPressing, &counts);
    let exit = match failure.exit {
        Some(CommandExit::Code(code)) => Exit::of_code(code),
        Some(CommandExit::Signal(signal)) => Exit::of_signal(signal),
        None if failure.class == Class::Unavailable => Exit::UNAVAILABLE,
        None => Exit::FAILURE,
    };
    let detail = remembered.then_some("remembered".into());
    let outcome = &Outcome { detail, ..outcome.clone() };
    call.output.raw(&failure.stderr);
    if !failure.stderr.is_empty() && failure.exit.is_some() {
        return answer::give(call.output, Some(key), &[], outcome, exit);
    }
    call.output.status(outcome);
    Err(Failed::new(exit, Shared { message: failure.message.clone(), remembered }))
}

/// Tells a failure that all processes remember, without asking anybody.
pub(super) fn remembered(
    call: &Call<'_>,
    look: &Look<'_>,
    found: Option<&Entry>,
    under_way: Option<UnderWay>,
) -> Result<Exit, Failed> {
    let memory = under_way.and_then(|flight| flight.remembered);
    let gone = || Failure::new(Class::Unavailable, "its upstream has failed lately");
    let failure = memory.map_or_else(gone, |memory| memory.failure);
    let outcome = status::forwarded(status::reason(found), &Waited::default());
    failed(call, look.store, look.key, &failure, &outcome, true)
}
