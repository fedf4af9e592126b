//! The way of a miss: joining the run that is under way, or leading the next one.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use larder::counters::{Counter, Fold};
use larder::{Forward, Outcome};
use larder_lock::{Cancellation, Event, Observer};
use larder_storage::{Entry, Key, Standing, Store, Token};
use larder_system::Clock;
use larder_upstream::{Class, Exit as CommandExit, Failure, Flights, Life, Terms, Turn, Waited, begin};

use super::{Call, Unusable, answer, bounds, lead, uncached};
use crate::child;
use crate::exit::{Exit, Failed};
use crate::output::Output;
use crate::signals::{Signals, Target};
use crate::status;

/// Which copy was stored, as far as one can be told from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Copy {
    token: Token,
    stored_at: SystemTime,
    life: Life,
}

impl Copy {
    fn of(entry: &Entry) -> Self {
        Self { token: entry.token(), stored_at: entry.stored_at(), life: Life::of_or_default(entry) }
    }
}

/// The run that this caller waited for has failed.
#[derive(Debug, thiserror::Error)]
#[error("{message} ({})", if *remembered { "a failure that is still remembered: see --fail-ttl" } else { "it ran for another process" })]
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
    store: &Arc<Store>,
    key: &Key,
    found: Option<&Entry>,
) -> Result<Result<Exit, Failed>, Unusable> {
    let clock = Arc::clone(store.clock());
    let bounds = call.bounds.begin(&*clock);
    let cancellation = Cancellation::new();
    let signals = Signals::catch(Target::Wait(cancellation.clone())).map_err(Unusable::Signals)?;
    let wait = match bounds.wait(call.global) {
        Ok(wait) => wait.cancelled_by(&cancellation).observed_by(Arc::new(Teller(call.output))),
        Err(failed) => return Ok(Err(failed)),
    };
    let terms =
        Terms::new().wait(wait).tags(call.terms.tag.iter().cloned()).accept_remembered_failure(!call.terms.refresh);
    let before = found.filter(|entry| entry.standing() == Standing::Current).map(Copy::of);
    let flights = Flights::new(Arc::clone(store));
    let turn = flights.begin(key, &terms, || {
        let entry = store.get(key)?;
        Ok(entry.filter(|entry| {
            let copy = Copy::of(entry);
            // one that came since this call began is an answer, however short its life
            let is_new = before != Some(copy);
            is_new || (!call.terms.refresh && copy.life.is_fresh(clock.wall()))
        }))
    });
    if let Err(signalled) = signals.check() {
        return Ok(Err(signalled));
    }
    let why = if call.terms.refresh { Forward::Request } else { status::reason(found) };
    let call = Call { bounds, variables: Vec::new(), ..*call };
    Ok(match turn {
        Ok(Turn::Lead(flight)) => {
            tracing::info!(%key, "the command is run, for all who ask");
            lead::lead(&call, store, flight, why, &signals)
        }
        Ok(Turn::Alone { waited }) => {
            tracing::info!(%key, "the command is run, for this caller alone");
            let counts = [(Counter::Misses, 1), (Counter::Fetches, 1), (Counter::NotStored, 1)];
            status::count(store, Fold::WhenLong, &counts);
            alone(&call, key, &signals, &*clock, &waited)
        }
        Ok(Turn::Found { found, waited }) => {
            tracing::info!(%key, "the copy that another run has stored is given");
            signals.aim(Target::Exit);
            give(&call, store, key, found.body(), &landed(&found, why, &waited, clock.wall()))
        }
        Ok(Turn::Carried { document, waited }) => {
            tracing::info!(%key, "the output of another run is given");
            signals.aim(Target::Exit);
            let mut outcome = status::forwarded(why, &waited);
            outcome.stored = Some(false);
            give(&call, store, key, &document.body, &outcome)
        }
        Ok(Turn::Failed { failure, waited, remembered }) => {
            tracing::info!(%key, "the failure of another run is told");
            signals.aim(Target::Exit);
            failed(&call, store, key, &failure, &status::forwarded(why, &waited), remembered)
        }
        Err(error) => match ended(error) {
            Ok(failed) => Err(failed),
            Err(error) => {
                call.output.warn(&format!("runs without the cache: {}", crate::exit::chain(&error)));
                alone(&call, key, &signals, &*clock, &Waited::default())
            }
        },
    })
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
fn ended(error: begin::Error) -> Result<Failed, begin::Error> {
    match &error {
        begin::Error::TimedOut { origin, .. } if bounds::is_whole(origin) => Ok(Failed::new(Exit::UNAVAILABLE, error)),
        begin::Error::TimedOut { .. } | begin::Error::Busy { .. } | begin::Error::Cancelled { .. } => {
            Ok(Failed::new(Exit::TIMEOUT, error))
        }
        _ => Err(error),
    }
}

/// How an answer came that somebody else has stored meanwhile.
fn landed(entry: &Entry, why: Forward, waited: &Waited, now: SystemTime) -> Outcome {
    let life = Life::of_or_default(entry);
    if waited.flights == 0 {
        return status::hit(&life, now);
    }
    let mut outcome = status::with_life(status::forwarded(why, waited), &life, now);
    outcome.stored = Some(true);
    outcome
}

fn give(call: &Call<'_>, store: &Arc<Store>, key: &Key, body: &[u8], outcome: &Outcome) -> Result<Exit, Failed> {
    let how = if outcome.is_hit() { Counter::HitsDisk } else { Counter::Misses };
    let counts =
        [(how, 1), (Counter::Collapsed, u64::from(outcome.collapsed)), (Counter::BytesServed, body.len() as u64)];
    let given = answer::give(call.output, Some(key), body, outcome, Exit::OK);
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

/// How long a failure is told to those who come later.
pub(super) fn memory(call: &Call<'_>) -> Option<Duration> {
    call.terms.fail_ttl.map(|span| span.0).filter(|length| !length.is_zero())
}
