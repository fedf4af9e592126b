//! One caller's wait: its deadline, its cancellation, its observer.

use std::sync::Arc;
use std::time::Duration;

use crate::acquire::Error;
use crate::cancel::Subscription;
use crate::holder::Effort;
use crate::locks::Shared;
use crate::name::Name;
use crate::observe::Event;
use crate::park::Latch;
use crate::{Bound, Holder, Mode, Observer, Wait};

/// One call, from its start; it becomes a wait when it has to.
pub(crate) struct Call<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) name: &'a Name,
    pub(crate) mode: Mode,
    pub(crate) wait: &'a Wait,
    waiting: Option<Waiting>,
}

struct Waiting {
    /// When it was first refused. What came before is one attempt: a lock that is had at once asks no clock.
    started: Duration,
    latch: Arc<Latch>,
    report_at: Duration,
    announced: bool,
    _subscription: Option<Subscription>,
}

/// Why a wait ended without the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    TimedOut,
    Cancelled,
}

impl<'a> Call<'a> {
    pub(crate) fn new(shared: &'a Arc<Shared>, name: &'a Name, mode: Mode, wait: &'a Wait) -> Self {
        Self { shared, name, mode, wait, waiting: None }
    }

    pub(crate) fn waits(&self) -> bool {
        self.wait.bound() != Bound::None
    }

    /// What wakes this caller.
    pub(crate) fn latch(&mut self) -> Arc<Latch> {
        if let Some(waiting) = &self.waiting {
            return Arc::clone(&waiting.latch);
        }
        let latch = Arc::new(Latch::default());
        let subscription = self.wait.cancellation().map(|cancellation| cancellation.subscribe(&latch));
        let started = self.shared.clock.monotonic();
        let report_at = started.saturating_add(self.shared.options.report_every);
        let waiting =
            Waiting { started, latch: Arc::clone(&latch), report_at, announced: false, _subscription: subscription };
        self.waiting = Some(waiting);
        latch
    }

    /// Tells the observer that the wait begins; by then this caller has its place among those who wait.
    fn announce(&mut self) {
        let new = self.waiting.as_mut().is_some_and(|waiting| !std::mem::replace(&mut waiting.announced, true));
        if new {
            self.tell(Effort::Glance, |holder| Event::Started { holder });
        }
    }

    /// Who hears how the wait ends: whoever heard that it began.
    fn audience(&self) -> Option<&'a dyn Observer> {
        self.waiting.as_ref().filter(|waiting| waiting.announced).and(self.wait.watcher())
    }

    /// Waits for a wake-up, for `at_most`, or for a report that is due: the caller looks again after each.
    pub(crate) fn pause(&mut self, at_most: Option<Duration>) -> Result<(), Stop> {
        let latch = self.latch();
        self.announce();
        self.still_wanted()?;
        let now = self.shared.clock.monotonic();
        let left = match self.wait.bound() {
            Bound::UpTo(bound) => Some(self.started().saturating_add(bound).saturating_sub(now)),
            Bound::None | Bound::Infinite => None,
        };
        let report_in = match (self.wait.watcher(), &self.waiting) {
            (Some(_), Some(waiting)) => Some(waiting.report_at.saturating_sub(now)),
            _ => None,
        };
        let until = [at_most, left, report_in].into_iter().flatten().min();
        let slept_through = latch.sleep(until);
        self.report();
        // All that was left has passed in real time, even if the clock of a test stands still.
        if slept_through && left.is_some() && until == left { Err(Stop::TimedOut) } else { Ok(()) }
    }

    /// Whether there is time left and nobody has cancelled.
    pub(crate) fn still_wanted(&self) -> Result<(), Stop> {
        if self.wait.cancellation().is_some_and(crate::Cancellation::is_cancelled) {
            return Err(Stop::Cancelled);
        }
        match self.wait.bound() {
            Bound::None => Err(Stop::TimedOut),
            Bound::UpTo(bound) if self.waited() >= bound => Err(Stop::TimedOut),
            Bound::UpTo(_) | Bound::Infinite => Ok(()),
        }
    }

    pub(crate) fn waited(&self) -> Duration {
        if self.waiting.is_some() {
            self.shared.clock.monotonic().saturating_sub(self.started())
        } else {
            Duration::ZERO
        }
    }

    fn started(&self) -> Duration {
        self.waiting.as_ref().map_or(Duration::ZERO, |waiting| waiting.started)
    }

    fn report(&mut self) {
        let now = self.shared.clock.monotonic();
        let due = match &mut self.waiting {
            Some(waiting) if waiting.report_at <= now => {
                waiting.report_at = now.saturating_add(self.shared.options.report_every);
                true
            }
            _ => false,
        };
        if due {
            let waited = self.waited();
            self.tell(Effort::Search, |holder| Event::StillWaiting { holder, waited });
        }
    }

    /// Naming the holder costs some system calls, so it is done only for somebody who listens.
    fn tell(&self, effort: Effort, event: impl for<'h> FnOnce(&'h Holder) -> Event<'h>) {
        if let Some(observer) = self.wait.watcher() {
            observer.observe(self.name.text(), &event(&self.holder(effort)));
        }
    }

    fn holder(&self, effort: Effort) -> Holder {
        if self.wait.names_holder() { self.shared.holder_of(self.name, effort) } else { Holder::unknown() }
    }

    /// To be called when the lock is got.
    pub(crate) fn won(&self) {
        if let Some(observer) = self.audience() {
            observer.observe(self.name.text(), &Event::Acquired { waited: self.waited() });
        }
    }

    /// The error for a wait that ended without the lock.
    pub(crate) fn lost(&self, stop: Stop) -> Error {
        // A refusal without a wait is often one of many tries, and must be as cheap as a grant.
        let effort = if self.waits() { Effort::Search } else { Effort::Glance };
        let holder = self.holder(effort);
        let (name, waited) = (self.name.text().to_owned(), self.waited());
        if let Some(observer) = self.audience() {
            let event = match stop {
                Stop::TimedOut => Event::TimedOut { holder: &holder, waited },
                Stop::Cancelled => Event::Cancelled { waited },
            };
            observer.observe(&name, &event);
        }
        let (holder, origin) = (Box::new(holder), self.wait.origin().clone());
        match (stop, self.wait.bound()) {
            (Stop::Cancelled, _) => Error::Cancelled { name, waited, holder },
            (Stop::TimedOut, Bound::None) => Error::Busy { name, origin, holder },
            (Stop::TimedOut, bound) => Error::TimedOut { name, waited, bound, origin, holder },
        }
    }
}
