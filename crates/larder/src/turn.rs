//! A flight's turn among all processes, asked for without holding up a runtime.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use larder_lock::{Bound, Cancellation, Event, Observer, Origin, Wait};
use larder_storage::GetError;
use larder_upstream::{Begun, Met, Turn, begin};
use tokio::task::{JoinError, spawn_blocking};

use crate::document::Document;
use crate::fetch::GRACE;
use crate::flight::Plan;

/// How soon, and how seldom, somebody for whom there is no thread looks again.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// Why there was no turn.
pub(crate) enum Unbegun {
    RuntimeEnds,
    NoThread(std::io::Error),
}

impl From<JoinError> for Unbegun {
    fn from(_: JoinError) -> Self {
        Self::RuntimeEnds
    }
}

impl From<std::io::Error> for Unbegun {
    fn from(error: std::io::Error) -> Self {
        Self::NoThread(error)
    }
}

pub(crate) type Begin = Result<Turn<Document>, begin::Error>;

/// What a piece of work that does not wait comes to.
enum Tried {
    Turn(Box<Begin>),
    /// Somebody is to be waited for: whose flight, if it is one that is under way.
    Waits(Option<Met>),
}

impl Plan {
    /// The turn among all processes: at first as a piece of blocking work that ends where a wait would begin, then, if
    /// there is somebody to wait for, in a thread of its own. A flight that was met is kept open from the one to the
    /// other, so that its end in between is not missed.
    pub(crate) async fn begin(&self, cancellation: &Cancellation) -> Result<Begin, Unbegun> {
        let until = self.inner.monotonic().saturating_add(self.wait).min(self.deadline);
        let met = match self.try_once(until, None).await? {
            Tried::Turn(turn) => return Ok(*turn),
            Tried::Waits(met) => met,
        };
        let mut left = CancelOnDrop(Some(cancellation));
        // the wait ends by itself, but begins only when there is a thread for it
        let bound = until.saturating_sub(self.inner.monotonic());
        let turn = tokio::time::timeout(bound.saturating_add(GRACE), self.wait(until, met, cancellation)).await;
        left.0 = None;
        turn.unwrap_or_else(|_| {
            let (key, bound) = (self.key.clone(), Bound::from_duration(self.wait));
            let (origin, holder) = (Origin::Caller, Box::default());
            Ok(Err(begin::Error::TimedOut { key, waited: self.wait, bound, origin, holder }))
        })
    }

    /// Waits in a thread, as soon as there is one. Until then it looks now and then: those who hold up all threads hold
    /// up nobody else.
    async fn wait(&self, until: Duration, met: Option<Met>, cancellation: &Cancellation) -> Result<Begin, Unbegun> {
        let (mut met, mut pause) = (met, PAUSE_MIN);
        let permit = loop {
            match tokio::time::timeout(pause, self.inner.threads.permit()).await {
                Ok(permit) => break permit?,
                Err(_) if cancellation.is_cancelled() => {
                    let (key, waited, holder) = (self.key.clone(), Duration::ZERO, Box::default());
                    return Ok(Err(begin::Error::Cancelled { key, waited, holder }));
                }
                Err(_) => {}
            }
            met = match self.try_once(until, met).await? {
                Tried::Turn(turn) => return Ok(*turn),
                Tried::Waits(met) => met,
            };
            pause = pause.saturating_mul(2).min(PAUSE_MAX);
        };
        let watch = Arc::new(Watch { waiting: Arc::clone(&self.inner.elsewhere), has_begun: AtomicBool::new(false) });
        let wait = Wait::forever().cancelled_by(cancellation).observed_by(watch);
        let (flights, key) = (self.inner.flights.clone(), self.key.clone());
        let (terms, look) = (self.terms(until, wait), self.look());
        let work = move || match met {
            Some(met) => met.wait(&flights, &terms(), look),
            None => flights.begin(&key, &terms(), look),
        };
        Ok(permit.run(work).await?)
    }

    /// Goes as far as it goes without a wait.
    async fn try_once(&self, until: Duration, met: Option<Met>) -> Result<Tried, Unbegun> {
        let impatient = Arc::new(Impatient::default());
        let wait = Wait::forever().cancelled_by(&impatient.cancellation).observed_by(impatient.clone());
        let (flights, key) = (self.inner.flights.clone(), self.key.clone());
        let (terms, look, inner) = (self.terms(until, wait), self.look(), Arc::clone(&self.inner));
        let begun = spawn_blocking(move || match met {
            // there is no time to wait, and so no need for a thread to do it in
            met if until <= inner.monotonic() => match met {
                Some(met) => met.wait(&flights, &terms(), look).map(Begun::Turn),
                None => flights.begin(&key, &terms(), look).map(Begun::Turn),
            },
            Some(met) => met.at_once(&flights, &terms(), look),
            None => flights.begin_at_once(&key, &terms(), look),
        });
        Ok(match begun.await? {
            Ok(Begun::Met(met)) => Tried::Waits(Some(met)),
            Err(begin::Error::Cancelled { .. }) if impatient.has_met_somebody.load(Ordering::Relaxed) => {
                Tried::Waits(None)
            }
            Ok(Begun::Turn(turn)) => Tried::Turn(Box::new(Ok(turn))),
            Err(error) => Tried::Turn(Box::new(Err(error))),
        })
    }

    /// The terms of a wait that ends at this moment, whenever it begins, otherwise as `wait` says.
    fn terms(&self, until: Duration, wait: Wait) -> impl FnOnce() -> larder_upstream::Terms + Send + 'static {
        let (inner, tags, takes_remembered) = (Arc::clone(&self.inner), self.tags.clone(), self.takes_remembered);
        move || {
            let bound = Bound::from_duration(until.saturating_sub(inner.monotonic()));
            let terms = larder_upstream::Terms::new().wait(bounded(&wait, bound)).tags(tags);
            terms.accept_remembered_failure(takes_remembered)
        }
    }

    /// Looks for what would do in the place of a fetch.
    fn look(&self) -> impl FnMut() -> Result<Option<Document>, GetError> + Send + 'static {
        let (inner, key, refused) = (Arc::clone(&self.inner), self.key.clone(), self.refused);
        let (depends, deadline) = (self.depends.clone(), self.deadline);
        move || {
            Ok(match inner.look(&key)? {
                Some(mut found) if Some(found.identity) != refused && found.is_fresh(inner.wall()) => {
                    found.compare(&inner, &depends, deadline).is_none().then_some(found.document)
                }
                _ => None,
            })
        }
    }
}

/// The same wait with another bound.
fn bounded(wait: &Wait, bound: Bound) -> Wait {
    let mut bounded = Wait::new(bound);
    if let Some(cancellation) = wait.cancellation() {
        bounded = bounded.cancelled_by(cancellation);
    }
    match wait.observer() {
        Some(observer) => bounded.observed_by(Arc::clone(observer)),
        None => bounded,
    }
}

/// Ends a wait as soon as it begins.
#[derive(Default)]
struct Impatient {
    cancellation: Cancellation,
    has_met_somebody: AtomicBool,
}

impl Observer for Impatient {
    fn observe(&self, _key: &str, event: &Event<'_>) {
        if matches!(event, Event::Started { .. }) {
            self.has_met_somebody.store(true, Ordering::Relaxed);
            self.cancellation.cancel();
        }
    }
}

/// Counts itself as long as it waits.
struct Watch {
    waiting: Arc<AtomicUsize>,
    has_begun: AtomicBool,
}

impl Observer for Watch {
    fn observe(&self, _key: &str, event: &Event<'_>) {
        if matches!(event, Event::Started { .. }) && !self.has_begun.swap(true, Ordering::Relaxed) {
            self.waiting.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if *self.has_begun.get_mut() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Ends a wait in a thread when the task that it is for is dropped with its runtime.
struct CancelOnDrop<'a>(Option<&'a Cancellation>);

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(cancellation) = self.0 {
            cancellation.cancel();
        }
    }
}
