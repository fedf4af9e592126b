//! The flight of one document, in a task of its own: elected among all processes, fetched, stored, handed on.
//!
//! Nothing here depends on the caller that began it: its going away cancels nothing that somebody else may wait for.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use larder_lock::{Bound, Cancellation, Event, Observer, Origin, Wait};
use larder_storage::{GetError, Key, Metadata, Put, Tag, Token, put};
use larder_upstream::tasks::Lead;
use larder_upstream::{Class, Failure, Flight, Life, Turn, Waited, begin};
use tokio::task::{JoinError, spawn_blocking};

use crate::counters::Counter;
use crate::document::Document;
use crate::fetch::{Context, Fetched, GRACE};
use crate::inner::{Identity, Inner, Looked};

/// A caller's fetch, ready to be made.
pub(crate) type Fetch = Box<dyn FnOnce(Context) -> Fetching + Send>;
pub(crate) type Fetching = Pin<Box<dyn Future<Output = Result<Fetched, Failure>> + Send>>;

/// How a flight ended, for its own caller and for those who joined.
#[derive(Clone, Debug)]
pub(crate) enum Landed {
    /// With a document that was fetched: by this process, or by another one that did not store it.
    Document(Arc<Arrival>),
    /// With a document in the store.
    Found { document: Document, waited: Waited },
    /// The fetch failed.
    Failed { failure: Arc<Failure>, waited: Waited },
    /// Its answer may not be shared.
    Alone,
    /// Its caller's wait was over.
    Unended(Arc<begin::Error>),
    /// There is somebody to wait for, and no thread to do it in.
    NoThread(Arc<std::io::Error>),
    /// Its caller's fetch has panicked.
    Panicked,
    /// The runtime ends, or nobody wants it any more.
    Dropped,
}

/// A document that was fetched just now.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) document: Document,
    /// The generation its fetch began in; `None` where it was made without one.
    pub(crate) token: Option<Token>,
    pub(crate) is_stored: bool,
    /// Whether this process fetched it.
    pub(crate) is_own: bool,
    /// Whether it was fetched without a flight.
    pub(crate) is_bypass: bool,
    pub(crate) detail: Option<Detail>,
    pub(crate) waited: Waited,
}

/// What a flight needs of its caller.
pub(crate) struct Plan {
    pub(crate) inner: Arc<Inner>,
    pub(crate) key: Key,
    pub(crate) tags: Vec<Tag>,
    pub(crate) ttl: Duration,
    /// How long others are waited for.
    pub(crate) wait: Duration,
    /// When everything must be over, in monotonic time.
    pub(crate) deadline: Duration,
    /// What was there and is not good enough.
    pub(crate) refused: Option<Identity>,
}

impl Plan {
    /// Makes the flight. What it returns is its own caller's; those who joined are told through `lead`.
    pub(crate) async fn fly(self, fetch: Fetch, lead: Lead<Landed>) -> Landed {
        match self.begin(lead.cancellation()).await {
            Ok(Ok(Turn::Lead(flight))) => self.lead(fetch, lead, flight).await,
            Ok(Ok(Turn::Found { found, waited })) => land(lead, Landed::Found { document: found, waited }),
            Ok(Ok(Turn::Carried { document, waited })) => {
                let otherwise = Life::new(self.inner.wall(), self.ttl, Duration::ZERO);
                let (document, token) = Document::of_carried(document, otherwise);
                let detail = Some("not stored by the process that fetched it".into());
                let (token, is_stored, is_own, is_bypass) = (Some(token), false, false, false);
                let arrival = Arrival { document, token, is_stored, is_own, is_bypass, detail, waited };
                land(lead, Landed::Document(Arc::new(arrival)))
            }
            Ok(Ok(Turn::Failed { failure, waited, .. })) => {
                land(lead, Landed::Failed { failure: Arc::new(failure), waited })
            }
            Ok(Ok(_)) => {
                lead.land(Landed::Alone);
                self.fly_alone(fetch, None, None).await
            }
            Ok(Err(error)) if error.is_contention() => {
                // others may be more patient: they enter again, and one of them leads
                drop(lead);
                Landed::Unended(Arc::new(error))
            }
            Ok(Err(error)) => {
                let key = &self.key;
                tracing::warn!(%key, error = &error as &dyn std::error::Error, "fetched without the other processes");
                if lead.commit(None) {
                    let detail = format!("not stored: {error}");
                    self.fly_alone(fetch, Some(lead), Some(detail.into())).await
                } else {
                    Landed::Dropped
                }
            }
            // others may fare better: they enter again
            Err(Unbegun::NoThread(error)) => Landed::NoThread(Arc::new(error)),
            Err(Unbegun::RuntimeEnds) => Landed::Dropped,
        }
    }

    /// The same where it cannot be shared with other processes, or with nobody; nothing is stored.
    pub(crate) async fn fly_alone(self, fetch: Fetch, lead: Option<Lead<Landed>>, detail: Option<Detail>) -> Landed {
        let Self { inner, key, tags, ttl, deadline, .. } = self;
        let fetched = call(&inner, &key, fetch, deadline).await;
        let landed = match fetched {
            Ok((fetched, took)) => {
                let life = Life::new(inner.wall(), fetched.ttl.unwrap_or(ttl), took);
                let metadata = metadata(life, &tags, &fetched).unwrap_or_default();
                inner.counters.add(Counter::NotStored, 1);
                let document = Document { body: fetched.body, metadata: Arc::new(metadata), life };
                let (token, is_stored, is_own, is_bypass) = (None, false, true, true);
                let detail = detail.or(Some("may not be shared".into()));
                let waited = Waited::default();
                Landed::Document(Arc::new(Arrival { document, token, is_stored, is_own, is_bypass, detail, waited }))
            }
            Err(Uncalled::Failed(failure)) => Landed::Failed { failure: Arc::new(failure), waited: Waited::default() },
            Err(Uncalled::Panicked) => return Landed::Panicked,
            Err(Uncalled::Dropped) => return Landed::Dropped,
        };
        match lead {
            Some(lead) => land(lead, landed),
            None => landed,
        }
    }

    /// This process fetches for all.
    async fn lead(self, fetch: Fetch, lead: Lead<Landed>, flight: Flight) -> Landed {
        let Self { inner, key, tags, ttl, deadline, .. } = self;
        let (token, waited) = (flight.token(), flight.waited().clone());
        if !lead.commit(Some(token)) {
            give_up(flight).await;
            return Landed::Dropped;
        }
        match call(&inner, &key, fetch, deadline).await {
            Ok((fetched, took)) => {
                // whoever comes from here on looks at the store when this is over
                lead.close();
                let publication = Publication { inner, key, tags, ttl, fetched, took, waited };
                let published = spawn_blocking(move || publication.publish(flight)).await;
                let Ok((own, others)) = published else { return Landed::Dropped };
                lead.land(others);
                own
            }
            Err(Uncalled::Failed(failure)) => {
                let shared = failure.clone();
                let told = spawn_blocking(move || flight.fail(&shared, None)).await;
                if told.is_err() {
                    return Landed::Dropped;
                }
                land(lead, Landed::Failed { failure: Arc::new(failure), waited })
            }
            Err(uncalled) => {
                // abandoned: exactly one of those who wait, in this process or another, is elected
                give_up(flight).await;
                drop(lead);
                if matches!(uncalled, Uncalled::Panicked) { Landed::Panicked } else { Landed::Dropped }
            }
        }
    }

    /// The turn among all processes: at first as a piece of blocking work that ends where a wait would begin, then, if
    /// there is somebody to wait for, in a thread of its own.
    async fn begin(&self, cancellation: &Cancellation) -> Result<Result<Turn<Document>, begin::Error>, Unbegun> {
        let until = self.inner.monotonic().saturating_add(self.wait).min(self.deadline);
        let impatient = Arc::new(Impatient::default());
        let wait = Wait::forever().cancelled_by(&impatient.cancellation).observed_by(impatient.clone());
        let turn = spawn_blocking(self.turn(until, wait)).await?;
        if !matches!(turn, Err(begin::Error::Cancelled { .. })) || !impatient.has_met_somebody.load(Ordering::Relaxed) {
            return Ok(turn);
        }
        let mut left = CancelOnDrop(Some(cancellation));
        let watch = Arc::new(Watch { waiting: Arc::clone(&self.inner.elsewhere), has_begun: AtomicBool::new(false) });
        let wait = Wait::forever().cancelled_by(cancellation).observed_by(watch);
        let work = self.inner.threads.run(self.turn(until, wait));
        // the wait ends by itself, but begins only when there is a thread for it
        let bound = until.saturating_sub(self.inner.monotonic());
        let turn = tokio::time::timeout(bound.saturating_add(GRACE), work).await;
        left.0 = None;
        match turn {
            Ok(turn) => Ok(turn?),
            Err(_) => Ok(Err(begin::Error::TimedOut {
                key: self.key.clone(),
                waited: bound,
                bound: Bound::from_duration(self.wait),
                origin: Origin::Caller,
                holder: Box::default(),
            })),
        }
    }

    /// A turn that waits until this moment at most, otherwise as `wait` says.
    fn turn(
        &self,
        until: Duration,
        wait: Wait,
    ) -> impl FnOnce() -> Result<Turn<Document>, begin::Error> + Send + 'static {
        let (inner, key, refused) = (Arc::clone(&self.inner), self.key.clone(), self.refused);
        let tags = self.tags.clone();
        move || {
            let bound = Bound::from_duration(until.saturating_sub(inner.monotonic()));
            let terms = larder_upstream::Terms::new().wait(bounded(&wait, bound)).tags(tags);
            let look = || -> Result<Option<Document>, GetError> {
                Ok(match inner.look(&key)? {
                    Looked::Fresh(document, identity) if Some(identity) != refused => Some(document),
                    _ => None,
                })
            };
            inner.flights.begin(&key, &terms, look)
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

fn land(lead: Lead<Landed>, landed: Landed) -> Landed {
    lead.land(landed.clone());
    landed
}

/// Why there was no turn.
enum Unbegun {
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

/// Abandons a flight, which touches the disk.
async fn give_up(flight: Flight) {
    // when the runtime ends, the flight is dropped with the work
    let _ = spawn_blocking(move || drop(flight)).await;
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

/// Why there is nothing from upstream.
enum Uncalled {
    Failed(Failure),
    Panicked,
    Dropped,
}

/// Asks upstream, in a task of its own: a panic ends it alone.
async fn call(inner: &Inner, key: &Key, fetch: Fetch, deadline: Duration) -> Result<(Fetched, Duration), Uncalled> {
    let began = inner.monotonic();
    let left = deadline.saturating_sub(began);
    inner.counters.add(Counter::Fetches, 1);
    let context = Context::new(key.clone(), left);
    let mut task = Aborting(tokio::spawn(async move { fetch(context).await }));
    let outcome = match tokio::time::timeout(left, &mut task.0).await {
        Ok(Ok(Ok(fetched))) => return Ok((fetched, inner.monotonic().saturating_sub(began))),
        Ok(Ok(Err(failure))) => Uncalled::Failed(failure),
        Ok(Err(error)) if error.is_panic() => Uncalled::Panicked,
        Ok(Err(_)) => Uncalled::Dropped,
        Err(_) => {
            let message = format!("no answer for `{key}` within {left:.1?}: allow more time, or ask again later");
            Uncalled::Failed(Failure::new(Class::Unavailable, message))
        }
    };
    inner.counters.add(Counter::FetchFailures, 1);
    Err(outcome)
}

/// A task that ends with whoever waits for it.
struct Aborting(tokio::task::JoinHandle<Result<Fetched, Failure>>);

impl Drop for Aborting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn metadata(life: Life, tags: &[Tag], fetched: &Fetched) -> Result<Metadata, larder_storage::MetadataError> {
    life.metadata(&tags.iter().chain(&fetched.tags).cloned().collect::<Vec<_>>())
}

/// What was fetched, on its way to the store.
struct Publication {
    inner: Arc<Inner>,
    key: Key,
    tags: Vec<Tag>,
    ttl: Duration,
    fetched: Fetched,
    took: Duration,
    waited: Waited,
}

impl Publication {
    /// Stores it if it may be, and ends the flight; for its own caller, and for those who joined.
    fn publish(self, flight: Flight) -> (Landed, Landed) {
        let Self { inner, key, tags, ttl, fetched, took, waited } = self;
        let token = flight.token();
        let life = Life::new(inner.wall(), fetched.ttl.unwrap_or(ttl), took);
        let made = metadata(life, &tags, &fetched);
        let arrival = |metadata: Metadata, is_stored, detail| {
            inner.counters.add(if is_stored { Counter::Stored } else { Counter::NotStored }, 1);
            let document = Document { body: fetched.body.clone(), metadata: Arc::new(metadata), life };
            let (token, is_own, is_bypass) = (Some(token), true, false);
            Landed::Document(Arc::new(Arrival { document, token, is_stored, is_own, is_bypass, detail, waited }))
        };
        let metadata = match made {
            Ok(metadata) => metadata,
            Err(error) => {
                // nobody could tell whether it was invalidated: it is for its own caller
                flight.alone();
                return (arrival(Metadata::new(), false, Some(format!("not stored: {error}").into())), Landed::Alone);
            }
        };
        let detail = if fetched.store {
            let put = Put::new().fetched_in(token).metadata(metadata.clone()).durability(inner.settings.durability);
            stored(&inner, &key, inner.store.put(&key, &fetched.body, &put))
        } else {
            Err("not to be stored".into())
        };
        let landed = match detail {
            Ok(detail) => {
                flight.land();
                arrival(metadata, true, detail)
            }
            Err(detail) => {
                flight.carry(&fetched.body, &metadata);
                arrival(metadata, false, Some(detail))
            }
        };
        (landed.clone(), landed)
    }
}

type Detail = Cow<'static, str>;

/// Whether it is stored, and what there is to say of it.
fn stored(inner: &Inner, key: &Key, put: Result<put::Published, put::Error>) -> Result<Option<Detail>, Detail> {
    match put {
        Ok(_) => Ok(None),
        Err(error @ put::Error::NotDurable { .. }) => {
            tracing::warn!(%key, error = &error as &dyn std::error::Error, "published, not known to be durable");
            Ok(Some("not known to be durable".into()))
        }
        Err(put::Error::Fenced { .. }) => {
            inner.counters.add(Counter::Fenced, 1);
            Err("not stored: invalidated while it was being fetched".into())
        }
        Err(error) => {
            tracing::warn!(%key, error = &error as &dyn std::error::Error, "fetched, but not stored");
            Err(format!("not stored: {error}").into())
        }
    }
}
