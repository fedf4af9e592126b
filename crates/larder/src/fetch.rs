//! Asking through the cache: memory, disk, the flight under way in this process or another one, and at last upstream.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use camino::Utf8PathBuf;
use larder_lock::{Bound, Holder, Origin};
use larder_storage::{GetError, Key, Standing, Tag, Token};
use larder_upstream::tasks::{Ended, Role, Ticket};
use larder_upstream::{Failure, begin};
use tokio::task::spawn_blocking;

use crate::cache::Cache;
use crate::counters::Counter;
use crate::document::{Answer, Document};
use crate::flight::{Arrival, Fetch, Landed, Plan};
use crate::inner::{Identity, Inner, Looked};
use crate::outcome::{Forward, Level, Outcome};
use crate::terms::Terms;

/// How often a caller may find that what it waited for is not for it, before it gives up.
const ROUNDS_MAX: u32 = 64;
/// How much longer than the terms allow a caller waits for word of what has ended, before it suspects the disk.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

/// What a fetch is told.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Context {
    /// What is wanted.
    pub key: Key,
    /// How long the fetch may take. It is dropped when that is over.
    pub time_left: Duration,
}

impl Context {
    pub(crate) const fn new(key: Key, time_left: Duration) -> Self {
        Self { key, time_left }
    }
}

/// What a fetch has brought.
///
/// ```
/// use std::time::Duration;
/// use larder::Fetched;
///
/// let fetched = Fetched::new("# Hooks\n").ttl(Duration::from_secs(3_600));
/// # assert!(fetched.store);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Fetched {
    /// The document.
    pub body: Bytes,
    /// For how long it is fresh; `None` leaves that to the caller's terms.
    pub ttl: Option<Duration>,
    /// Its tags, beside those of the caller's terms.
    pub tags: Vec<Tag>,
    /// Whether it may be stored. If not, it is given to those who were waiting for it, in all processes, and to nobody else.
    pub store: bool,
}

impl Fetched {
    /// A document to be stored, without tags of its own.
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ttl: None, tags: Vec::new(), store: true }
    }

    /// Says for how long it is fresh.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Adds a tag.
    #[must_use]
    pub fn tag(mut self, tag: Tag) -> Self {
        self.tags.push(tag);
        self
    }

    /// Forbids to store it.
    #[must_use]
    pub fn do_not_store(mut self) -> Self {
        self.store = false;
        self
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The fetch failed: this caller's own, or the one it waited for.
    #[error("`{key}` could not be fetched: {failure}")]
    Failed {
        /// What was asked for.
        key: Key,
        /// How it failed.
        failure: Arc<Failure>,
        /// Whether it was the fetch of somebody else.
        collapsed: bool,
    },
    /// This caller's fetch has panicked. Those who waited for it go on with a fetch of their own.
    #[error("the fetch of `{key}` has panicked: see the panic's own message")]
    Panicked {
        /// What was asked for.
        key: Key,
    },
    /// Somebody else's fetch took longer than this caller waits.
    #[error(transparent)]
    Wait(Arc<begin::Error>),
    /// Another process fetches it, and the system gives no thread to wait for it in.
    #[error(
        "`{key}` is being fetched by another process, and there is no thread to wait in: allow this one more threads"
    )]
    NoThread {
        /// What was asked for.
        key: Key,
        /// What the system says.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// The terms forbid to fetch, and nothing is kept.
    #[error("`{key}` is not kept here: ask for it when a fetch is allowed")]
    Absent {
        /// What was asked for.
        key: Key,
    },
    /// The terms forbid to fetch, and the disk cannot be read.
    #[error(transparent)]
    Read(GetError),
    /// Again and again, what was waited for had been invalidated or replaced when it came.
    #[error("`{key}` is invalidated faster than it can be fetched: ask again later")]
    Restless {
        /// What was asked for.
        key: Key,
    },
    /// Everything has taken longer than the terms allow, and the fetch is not why.
    #[error("`{key}` was not answered within {after:.1?}: see whether the disk of {root} answers")]
    Stalled {
        /// What was asked for.
        key: Key,
        /// How long it was waited for.
        after: Duration,
        /// The root.
        root: Utf8PathBuf,
    },
    /// The runtime was shut down meanwhile.
    #[error("the runtime ended before `{key}` came: ask in a runtime that lives on")]
    Interrupted {
        /// What was asked for.
        key: Key,
    },
}

impl Cache {
    /// The fresh document under `key`; when there is none, the one that `fetch` brings, which is stored.
    ///
    /// Of all tasks, threads and processes that ask at the same time, one fetches. The others get its answer, also when
    /// that is a failure.
    ///
    /// A get that begins after an invalidation of the key, a prefix of it, or one of its tags never gets an answer whose
    /// fetch began before. A caller whose fetch was overtaken by an invalidation gets its document all the same; it is not
    /// stored, and the outcome says so. The same holds where the root cannot be written.
    ///
    /// # Errors
    /// See [`Error`].
    ///
    /// # Panics
    /// It is awaited outside of a tokio runtime with its time enabled.
    ///
    /// # Cancel safety
    /// Dropping it is leaving: a fetch that has begun goes on, for others and for the store; a wait for another process's
    /// fetch ends when nobody in this process wants it any more.
    pub async fn get_or_fetch<F, Fut>(&self, key: &Key, fetch: F) -> Result<Answer, Error>
    where
        F: FnOnce(Context) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Fetched, Failure>> + Send + 'static,
    {
        match self.inner().hit_in_memory(key) {
            Some(answer) => Ok(answer),
            None => Box::pin(self.ask(key, Terms::new(), fetch)).await,
        }
    }

    /// The same on these terms.
    ///
    /// # Errors
    /// See [`Error`].
    ///
    /// # Panics
    /// As [`Cache::get_or_fetch`].
    ///
    /// # Cancel safety
    /// As [`Cache::get_or_fetch`].
    pub async fn get_or_fetch_with<F, Fut>(&self, key: &Key, terms: &Terms, fetch: F) -> Result<Answer, Error>
    where
        F: FnOnce(Context) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Fetched, Failure>> + Send + 'static,
    {
        if !terms.refresh
            && let Some(answer) = self.inner().hit_in_memory(key)
        {
            return Ok(answer);
        }
        Box::pin(self.ask(key, terms.clone(), fetch)).await
    }

    async fn ask<F, Fut>(&self, key: &Key, terms: Terms, fetch: F) -> Result<Answer, Error>
    where
        F: FnOnce(Context) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Fetched, Failure>> + Send + 'static,
    {
        let fetch: Fetch = Box::new(move |context| Box::pin(fetch(context)));
        let call = Call::new(Arc::clone(self.inner()), key.clone(), terms);
        let after = call.deadline.saturating_sub(call.began).saturating_add(GRACE);
        let answer = async { if call.terms.offline { call.offline().await } else { call.run(fetch).await } };
        match tokio::time::timeout(after, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::Stalled { key: key.clone(), after, root: self.store().path().to_owned() }),
        }
    }
}

/// One caller's call.
struct Call {
    inner: Arc<Inner>,
    key: Key,
    terms: Terms,
    began: Duration,
    /// When everything must be over.
    deadline: Duration,
    /// Why upstream is asked; `None` before that is known.
    why: Option<Forward>,
    /// What was there at first and is not good enough.
    refused: Option<Identity>,
    /// What waiting for others has taken.
    wait: Duration,
    holder: Option<u32>,
    has_joined: bool,
}

/// Where a look at the disk has led.
enum Entered {
    Found(Document),
    Role { role: Role<Landed>, why: Forward, identity: Option<Identity> },
}

impl Call {
    fn new(inner: Arc<Inner>, key: Key, terms: Terms) -> Self {
        let began = inner.monotonic();
        let deadline = began.saturating_add(terms.timeout.unwrap_or(inner.settings.timeout));
        let (why, refused, wait, holder) = (None, None, Duration::ZERO, None);
        Self { inner, key, terms, began, deadline, why, refused, wait, holder, has_joined: false }
    }

    async fn offline(self) -> Result<Answer, Error> {
        let (inner, key) = (Arc::clone(&self.inner), self.key.clone());
        let looked = spawn_blocking(move || inner.look(&key)).await.map_err(|_| self.interrupted())?;
        match looked.map_err(Error::Read)? {
            Looked::Fresh(document, _) => Ok(self.inner.hit_on_disk(document)),
            Looked::Stale(document, _) => {
                let mut answer = self.inner.hit_on_disk(document);
                answer.outcome.detail = Some("stale or invalidated, as the terms allow".into());
                Ok(answer)
            }
            Looked::Absent => {
                self.inner.counters.add(Counter::Misses, 1);
                Err(Error::Absent { key: self.key })
            }
        }
    }

    async fn run(mut self, fetch: Fetch) -> Result<Answer, Error> {
        for round in 0..ROUNDS_MAX {
            if round > 0
                && self.is_acceptable_from_memory()
                && let Some((document, _)) = self.inner.in_memory(&self.key)
            {
                return Ok(self.found(document, Level::Memory));
            }
            let ticket = match self.enter().await? {
                Entered::Found(document) if self.why.is_none() => return Ok(self.inner.hit_on_disk(document)),
                Entered::Found(document) => return Ok(self.found(document, Level::Disk)),
                Entered::Role { role, why, identity } => {
                    if self.why.is_none() {
                        self.inner.counters.add(Counter::Misses, 1);
                        (self.why, self.refused) = (Some(why), identity.filter(|_| self.terms.refresh));
                    }
                    match role {
                        Role::Lead(lead, ticket) => {
                            let landed = tokio::spawn(self.plan().fly(fetch, lead)).await;
                            drop(ticket);
                            return self.own(landed.unwrap_or(Landed::Dropped));
                        }
                        Role::Join(ticket) => Ok(ticket),
                        Role::Behind(ticket) => Err(ticket),
                    }
                }
            };
            let joins = ticket.is_ok();
            let (Ok(ticket) | Err(ticket)) = ticket;
            let ended = self.wait_for(ticket).await?;
            self.has_joined = true;
            match ended {
                Ended::Landed(Landed::Alone) if joins => {
                    let landed = tokio::spawn(self.plan().fly_alone(fetch, None, None, None)).await;
                    return self.own(landed.unwrap_or(Landed::Dropped));
                }
                Ended::Landed(Landed::Document(arrival)) if joins && self.may_take(&arrival).await? => {
                    self.holder = self.holder.or(arrival.waited.holder.as_ref().and_then(|holder| holder.pid));
                    return Ok(self.arrived(&arrival, true));
                }
                Ended::Landed(Landed::Failed { failure, .. }) if joins => {
                    return Err(Error::Failed { key: self.key, failure, collapsed: true });
                }
                // in the store, or not for this caller, or abandoned
                Ended::Landed(_) | Ended::Abandoned => {}
            }
        }
        Err(Error::Restless { key: self.key })
    }

    /// Looks at the disk, and if that does not help, takes a role: one piece of blocking work.
    async fn enter(&self) -> Result<Entered, Error> {
        let (inner, key, tags) = (Arc::clone(&self.inner), self.key.clone(), self.terms.tags.clone());
        let (is_refresh, refused, is_first) = (self.terms.refresh, self.refused, self.why.is_none());
        let entered = spawn_blocking(move || {
            let looked = inner.look(&key);
            let (why, identity) = match looked {
                Ok(Looked::Fresh(document, identity)) if !is_refresh || (!is_first && refused != Some(identity)) => {
                    return Entered::Found(document);
                }
                Ok(looked) => (looked.why(), looked.identity()),
                Err(error) => {
                    tracing::warn!(%key, error = &error as &dyn std::error::Error, "the disk is not readable: fetching");
                    (Forward::Bypass, None)
                }
            };
            let why = if is_refresh { Forward::Request } else { why };
            let now = || inner.generation();
            let may_join = |since: Option<Token>| match since {
                Some(since) => is_current(&inner, since, &key, &tags),
                // a root without generations: nothing can be told of what others invalidate
                None => true,
            };
            Entered::Role { role: inner.group.enter(&key, now, may_join), why, identity }
        });
        entered.await.map_err(|_| self.interrupted())
    }

    /// A caller that wants a new answer takes none that it refused at first.
    fn is_acceptable_from_memory(&self) -> bool {
        !self.terms.refresh
    }

    fn plan(&self) -> Plan {
        let (inner, key, tags) = (Arc::clone(&self.inner), self.key.clone(), self.terms.tags.clone());
        let ttl = self.terms.ttl.unwrap_or(inner.settings.ttl);
        let wait = self.patience().saturating_sub(self.wait);
        Plan { inner, key, tags, ttl, wait, deadline: self.deadline, refused: self.refused }
    }

    fn patience(&self) -> Duration {
        self.terms.wait.unwrap_or(self.inner.settings.lock_wait)
    }

    /// Waits for a flight of this process, for as long as the terms allow.
    async fn wait_for(&mut self, ticket: Ticket<Landed>) -> Result<Ended<Landed>, Error> {
        let began = self.inner.monotonic();
        let left = self.patience().saturating_sub(self.wait).min(self.deadline.saturating_sub(began));
        let ended = tokio::time::timeout(left, ticket.ended()).await;
        self.wait = self.wait.saturating_add(self.inner.monotonic().saturating_sub(began));
        self.holder = Some(std::process::id());
        ended.map_err(|_| self.timed_out())
    }

    fn timed_out(&self) -> Error {
        let mut holder = Holder::unknown();
        holder.pid = Some(std::process::id());
        let (key, holder) = (self.key.clone(), Box::new(holder));
        let origin =
            if self.terms.wait.is_some() || self.terms.timeout.is_some() { Origin::Caller } else { Origin::Default };
        let all = self.deadline.saturating_sub(self.began);
        Error::Wait(Arc::new(match Bound::from_duration(self.patience().min(all)) {
            Bound::None => begin::Error::Busy { key, origin, holder },
            bound => begin::Error::TimedOut { key, waited: self.wait, bound, origin, holder },
        }))
    }

    /// Whether an answer that was joined is good enough. It was when this caller joined, as far as the tags were known; for
    /// others, only what is current even now is surely so.
    async fn may_take(&self, arrival: &Arc<Arrival>) -> Result<bool, Error> {
        let Some(token) = arrival.token else { return Ok(true) };
        if arrival.document.metadata.tags().iter().all(|tag| self.terms.tags.contains(tag)) {
            return Ok(true);
        }
        let (inner, key, arrival) = (Arc::clone(&self.inner), self.key.clone(), Arc::clone(arrival));
        spawn_blocking(move || is_current(&inner, token, &key, arrival.document.metadata.tags()))
            .await
            .map_err(|_| self.interrupted())
    }

    /// How this caller's own flight came out.
    fn own(mut self, landed: Landed) -> Result<Answer, Error> {
        match landed {
            Landed::Document(arrival) => {
                self.add(&arrival.waited);
                Ok(self.arrived(&arrival, !arrival.is_own))
            }
            Landed::Found { document, waited } => {
                self.add(&waited);
                self.has_joined |= waited.flights > 0;
                Ok(self.found(document, Level::Disk))
            }
            Landed::Failed { failure, waited } => {
                Err(Error::Failed { key: self.key, failure, collapsed: waited.flights > 0 })
            }
            Landed::Unended(error) => Err(Error::Wait(error)),
            Landed::NoThread(source) => Err(Error::NoThread { key: self.key, source }),
            Landed::Panicked => Err(Error::Panicked { key: self.key }),
            Landed::Alone | Landed::Dropped => Err(self.interrupted()),
        }
    }

    fn add(&mut self, waited: &larder_upstream::Waited) {
        self.wait = self.wait.saturating_add(waited.duration);
        self.holder = waited.holder.as_ref().and_then(|holder| holder.pid).or(self.holder);
    }

    fn outcome(&self) -> Outcome {
        let mut outcome = Outcome::forwarded(self.why.unwrap_or(Forward::UriMiss));
        outcome.wait = self.wait;
        outcome.holder = self.holder;
        outcome
    }

    /// A document from the store, which was not there when this caller looked first.
    fn found(&self, document: Document, level: Level) -> Answer {
        let mut outcome = if self.has_joined { self.outcome() } else { Outcome::hit(level) };
        outcome.level = level;
        outcome.collapsed = self.has_joined;
        outcome.stored = self.has_joined.then_some(true);
        self.inner.serve(document, outcome)
    }

    fn arrived(&self, arrival: &Arrival, collapsed: bool) -> Answer {
        let mut outcome = self.outcome();
        if arrival.is_bypass {
            outcome.verdict = crate::Verdict::Forward(Forward::Bypass);
        }
        outcome.collapsed = collapsed;
        outcome.stored = Some(arrival.is_stored);
        outcome.detail.clone_from(&arrival.detail);
        self.inner.serve(arrival.document.clone(), outcome)
    }

    fn interrupted(&self) -> Error {
        Error::Interrupted { key: self.key.clone() }
    }
}

fn is_current(inner: &Inner, token: Token, key: &Key, tags: &[Tag]) -> bool {
    matches!(inner.store.standing(token, key, tags), Ok(Standing::Current))
}
