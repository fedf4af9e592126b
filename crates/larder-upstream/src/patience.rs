//! One deadline over all the waits of a call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use larder_lock::{Bound, Cancellation, Event, Holder, Observer, Wait, acquire};
use larder_storage::{Annex, Key};
use larder_system::Clock;

use crate::begin::Error;

/// A wait is made of pieces of at most this length. Between two of them the caller looks whether the root is still there.
const PIECE: Duration = Duration::from_millis(500);
/// How often an observer hears that a wait goes on.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// What is left of a caller's wait.
pub(crate) struct Patience<'a> {
    key: &'a Key,
    wait: &'a Wait,
    clock: &'a dyn Clock,
    started: Duration,
    /// Time that has passed in pieces, for the sake of a test's clock that stands still.
    slept: Duration,
}

/// How a wait ended, other than by the caller's terms.
pub(crate) enum End<T> {
    /// With what it was for.
    Got(T),
    /// Without, after its own bound.
    Expired,
    /// The root is no longer the folder of its name: what was waited for means nothing any more.
    Moved,
}

impl<'a> Patience<'a> {
    pub(crate) fn new(key: &'a Key, wait: &'a Wait, clock: &'a dyn Clock) -> Self {
        Self { key, wait, clock, started: clock.monotonic(), slept: Duration::ZERO }
    }

    /// Since the call.
    pub(crate) fn passed(&self) -> Duration {
        self.clock.monotonic().saturating_sub(self.started).max(self.slept)
    }

    fn left(&self) -> Bound {
        match self.wait.bound() {
            Bound::UpTo(bound) => Bound::from_duration(bound.saturating_sub(self.passed())),
            other => other,
        }
    }

    /// # Errors
    /// The caller has cancelled.
    pub(crate) fn still_wanted(&self, holder: Option<&Holder>) -> Result<(), Error> {
        if self.wait.cancellation().is_some_and(Cancellation::is_cancelled) {
            return Err(self.cancelled(holder.cloned().unwrap_or_default()));
        }
        Ok(())
    }

    /// Makes `attempt`s at something that locks decide until it is had, for as long as the caller waits; with `at_most`,
    /// no longer than that, and no longer than the caller waits.
    ///
    /// # Errors
    /// The caller's time is up, or it has cancelled; both name `holder`. Or a lock cannot be used.
    pub(crate) fn wait_for<T>(
        &mut self,
        annex: &Annex,
        holder: &Holder,
        at_most: Option<Duration>,
        mut attempt: impl FnMut(&Wait) -> Result<T, acquire::Error>,
    ) -> Result<End<T>, Error> {
        let began = self.passed();
        let mut audience = Audience::new(self.wait, self.key, holder);
        loop {
            let rest = at_most.map(|at_most| at_most.saturating_sub(self.passed().saturating_sub(began)));
            let left = rest.map_or(self.left(), |rest| shorter(self.left(), rest));
            let piece = shorter(left, PIECE);
            let slept = match attempt(&audience.inner(self.wait, piece)) {
                Ok(got) => {
                    audience.tell(&Event::Acquired { waited: self.passed() });
                    return Ok(End::Got(got));
                }
                Err(acquire::Error::Cancelled { .. }) => {
                    audience.tell(&Event::Cancelled { waited: self.passed() });
                    return Err(self.cancelled(holder.clone()));
                }
                Err(error) if error.is_contention() => piece,
                Err(_) if !annex.is_current() => return Ok(End::Moved),
                Err(error) => return Err(error.into()),
            };
            if let Bound::UpTo(slept) = slept {
                self.slept += slept;
            }
            if piece == left {
                // the caller's own time may be up before: then there is none for what would come after
                if rest.map(Bound::from_duration) == Some(left) {
                    return Ok(End::Expired);
                }
                audience.tell(&Event::TimedOut { holder, waited: self.passed() });
                return Err(self.timed_out(holder.clone()));
            }
            if !annex.is_current() {
                return Ok(End::Moved);
            }
            audience.report(self.passed());
        }
    }

    fn timed_out(&self, holder: Holder) -> Error {
        let (key, origin, holder) = (self.key.clone(), self.wait.origin().clone(), Box::new(holder));
        match self.wait.bound() {
            Bound::None => Error::Busy { key, origin, holder },
            bound => Error::TimedOut { key, waited: self.passed(), bound, origin, holder },
        }
    }

    fn cancelled(&self, holder: Holder) -> Error {
        Error::Cancelled { key: self.key.clone(), waited: self.passed(), holder: Box::new(holder) }
    }
}

fn shorter(bound: Bound, at_most: Duration) -> Bound {
    match bound {
        Bound::None => Bound::None,
        Bound::UpTo(bound) => Bound::from_duration(bound.min(at_most)),
        Bound::Infinite => Bound::from_duration(at_most),
    }
}

/// Whoever listens to one wait. To them it is one wait for a key, and not many for locks.
struct Audience {
    relay: Option<Arc<Relay>>,
    reported: Duration,
}

struct Relay {
    to: Arc<dyn Observer>,
    key: Key,
    holder: Holder,
    has_begun: AtomicBool,
}

impl Audience {
    fn new(wait: &Wait, key: &Key, holder: &Holder) -> Self {
        let relay = wait.observer().map(|to| {
            let (to, key, holder) = (Arc::clone(to), key.clone(), holder.clone());
            Arc::new(Relay { to, key, holder, has_begun: AtomicBool::new(false) })
        });
        Self { relay, reported: Duration::ZERO }
    }

    /// The terms of one piece.
    fn inner(&self, wait: &Wait, bound: Bound) -> Wait {
        let mut inner = Wait::new(bound).from(wait.origin().clone()).without_holder();
        if let Some(cancellation) = wait.cancellation() {
            inner = inner.cancelled_by(cancellation);
        }
        match &self.relay {
            Some(relay) => inner.observed_by(Arc::clone(relay) as Arc<dyn Observer>),
            None => inner,
        }
    }

    /// Whoever heard that the wait began hears how it goes on.
    fn tell(&self, event: &Event<'_>) {
        if let Some(relay) = &self.relay
            && relay.has_begun.load(Ordering::Relaxed)
        {
            relay.to.observe(relay.key.as_str(), event);
        }
    }

    fn report(&mut self, waited: Duration) {
        if let Some(relay) = &self.relay
            && waited.saturating_sub(self.reported) >= REPORT_EVERY
        {
            self.reported = waited;
            self.tell(&Event::StillWaiting { holder: &relay.holder, waited });
        }
    }
}

impl Observer for Relay {
    fn observe(&self, _lock: &str, event: &Event<'_>) {
        if matches!(event, Event::Started { .. }) && !self.has_begun.swap(true, Ordering::Relaxed) {
            self.to.observe(self.key.as_str(), &Event::Started { holder: &self.holder });
        }
    }
}
