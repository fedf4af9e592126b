//! The flight of one document, in a task of its own: elected among all processes, fetched, stored, handed on.
//!
//! Nothing here depends on the caller that began it: its going away cancels nothing that somebody else may wait for.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use larder_lock::Wait;
use larder_staleness::{Early, Life, Policy};
use larder_storage::{Key, Metadata, Put, Tag, Token, put};
use larder_upstream::tasks::Lead;
use larder_upstream::{About, Class, Failure, Flight, Turn, Waited, begin};
use larder_watch::fingerprint::{self, Dependency, Paths};
use tokio::task::spawn_blocking;

use crate::counters::{Counter, Latency};
use crate::document::Document;
use crate::exchange::{Context, Fetched};
use crate::inner::{Identity, Inner, chance};
use crate::turn::Unbegun;

/// How long a document must be fresh for those who wait in other processes to find it so in the store: nearer to its end
/// it is handed to them as well.
const HAND_ON_BELOW_MS: u64 = 1_000;
/// How long everybody fetches for itself what may not be stored.
const ALONE_FOR: Duration = Duration::from_secs(10);
/// How long storing waits for another writer of the key, when there is so much time.
const STORE_WAIT: Duration = Duration::from_secs(10);

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
    Failed { failure: Arc<Failure>, waited: Waited, remembered: bool },
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
    /// The files that the document will depend on.
    pub(crate) depends: Paths,
    pub(crate) policy: Policy,
    pub(crate) class: Option<String>,
    /// The copy that is to be refreshed.
    pub(crate) base: Option<Document>,
    /// How long others are waited for.
    pub(crate) wait: Duration,
    /// When everything must be over, in monotonic time.
    pub(crate) deadline: Duration,
    /// What was there and is not good enough.
    pub(crate) refused: Option<Identity>,
    /// Whether a failure that is remembered is an answer.
    pub(crate) takes_remembered: bool,
    /// Whether nobody waits for it: then nothing is fetched that could not be stored.
    pub(crate) is_behind: bool,
}

impl Plan {
    /// Makes the flight. What it returns is its own caller's; those who joined are told through `lead`.
    pub(crate) async fn fly(self, fetch: Fetch, lead: Lead<Landed>) -> Landed {
        let settings = &self.inner.settings;
        if !(settings.disk && settings.locking) {
            let inner = Arc::clone(&self.inner);
            let Ok(token) = spawn_blocking(move || inner.generation()).await else { return Landed::Dropped };
            return if lead.commit(token) {
                self.fly_alone(fetch, Some(lead), token, None).await
            } else {
                Landed::Dropped
            };
        }
        match self.begin_current(lead.cancellation()).await {
            Ok(Ok(Turn::Lead(flight))) => self.lead(fetch, lead, flight).await,
            Ok(Ok(Turn::Found { found, waited })) => land(lead, Landed::Found { document: found, waited }),
            Ok(Ok(Turn::Carried { document, waited })) => {
                let otherwise = Life::new(self.inner.wall(), &self.policy, Duration::ZERO);
                let (document, token) = Document::of_carried(document, otherwise);
                let detail = Some("handed on by the process that fetched it".into());
                let (token, is_stored, is_own, is_bypass) = (Some(token), false, false, false);
                let arrival = Arrival { document, token, is_stored, is_own, is_bypass, detail, waited };
                land(lead, Landed::Document(Arc::new(arrival)))
            }
            Ok(Ok(Turn::Failed { failure, waited, remembered })) => {
                land(lead, Landed::Failed { failure: Arc::new(failure), waited, remembered })
            }
            Ok(Ok(_) | Err(_)) if self.is_behind => Landed::Dropped,
            Ok(Ok(_)) => {
                lead.land(Landed::Alone);
                self.fly_alone(fetch, None, None, None).await
            }
            Ok(Err(error)) if error.is_contention() => {
                // others may be more patient: they enter again, and one of them leads
                drop(lead);
                Landed::Unended(Arc::new(error))
            }
            Ok(Err(error)) => {
                let key = &self.key;
                tracing::warn!(%key, error = &error as &dyn std::error::Error, "fetched without the other processes");
                // also a root that cannot be written tells what is invalidated while it is being fetched
                let inner = Arc::clone(&self.inner);
                let Ok(token) = spawn_blocking(move || inner.generation()).await else { return Landed::Dropped };
                if lead.commit(token) {
                    let detail = format!("not stored: {error}");
                    self.fly_alone(fetch, Some(lead), token, Some(detail.into())).await
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
    pub(crate) async fn fly_alone(
        self,
        fetch: Fetch,
        lead: Option<Lead<Landed>>,
        token: Option<Token>,
        detail: Option<Detail>,
    ) -> Landed {
        let made = self.call(fetch).await;
        let Self { inner, key, tags, deadline, .. } = self;
        let landed = match made {
            Ok(Made { fetched, body, about, unknown }) => {
                let metadata = metadata(&about, &tags, &fetched).unwrap_or_default();
                let fetched = if unknown.is_some() { fetched.do_not_store() } else { fetched };
                let detail = unknown.map_or(detail, |error| Some(format!("not stored: {error}").into()));
                // without locks each process stores what it has fetched for itself
                let kept = match token.filter(|_| inner.settings.disk && !inner.settings.locking && fetched.store) {
                    Some(token) => store_alone(&inner, &key, &body, &metadata, token, deadline).await,
                    None => Err(detail.unwrap_or("may not be shared".into())),
                };
                let is_stored = kept.is_ok();
                inner.counters.add(if is_stored { Counter::Stored } else { Counter::NotStored }, 1);
                let document = Document::new(body, metadata, about);
                let (is_own, is_bypass) = (true, !is_stored);
                let detail = kept.unwrap_or_else(Some);
                let waited = Waited::default();
                Landed::Document(Arc::new(Arrival { document, token, is_stored, is_own, is_bypass, detail, waited }))
            }
            Err(Uncalled::Failed(failure) | Uncalled::Impatient(failure)) => {
                Landed::Failed { failure: Arc::new(failure), waited: Waited::default(), remembered: false }
            }
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
        let (token, waited) = (flight.token(), flight.waited().clone());
        if !lead.commit(Some(token)) {
            give_up(flight).await;
            return Landed::Dropped;
        }
        let mut plan = self;
        if plan.base.is_some() {
            // what was invalidated hard before the fetch began is no base of a conditional one
            let (inner, key) = (Arc::clone(&plan.inner), plan.key.clone());
            let found = spawn_blocking(move || inner.look(&key).ok().flatten()).await;
            plan.base = found.ok().flatten().map(|found| found.document);
        }
        let made = plan.call(fetch).await;
        let Self { inner, key, tags, policy, deadline, .. } = plan;
        match made {
            Ok(made) => {
                // whoever comes from here on looks at the store when this is over
                lead.close();
                let publication = Publication { inner, key, tags, deadline, made, waited };
                let published = spawn_blocking(move || publication.publish(flight)).await;
                let Ok((own, others)) = published else { return Landed::Dropped };
                lead.land(others);
                own
            }
            Err(uncalled @ (Uncalled::Failed(_) | Uncalled::Impatient(_))) => {
                let is_impatient = matches!(uncalled, Uncalled::Impatient(_));
                let (Uncalled::Failed(failure) | Uncalled::Impatient(failure)) = uncalled else {
                    return Landed::Dropped;
                };
                let shared = failure.clone();
                let memory = failure.memory(flight.failures(), &inner.settings.backoff, policy.negative);
                let memory = memory.filter(|_| !is_impatient);
                let told = spawn_blocking(move || flight.fail(&shared, memory)).await;
                if told.is_err() {
                    return Landed::Dropped;
                }
                land(lead, Landed::Failed { failure: Arc::new(failure), waited, remembered: false })
            }
            Err(uncalled) => {
                // abandoned: exactly one of those who wait, in this process or another, is elected
                give_up(flight).await;
                drop(lead);
                if matches!(uncalled, Uncalled::Panicked) { Landed::Panicked } else { Landed::Dropped }
            }
        }
    }
}

fn land(lead: Lead<Landed>, landed: Landed) -> Landed {
    lead.land(landed.clone());
    landed
}

/// Abandons a flight, which touches the disk.
async fn give_up(flight: Flight) {
    // when the runtime ends, the flight is dropped with the work
    let _ = spawn_blocking(move || drop(flight)).await;
}

/// Why there is nothing from upstream.
enum Uncalled {
    Failed(Failure),
    /// It was given less time than this cache gives an upstream, which says nothing of the upstream.
    Impatient(Failure),
    Panicked,
    Dropped,
}

/// What a fetch has brought, with its times.
struct Made {
    fetched: Fetched,
    body: Bytes,
    about: About,
    /// Why nobody could tell what it depends on.
    unknown: Option<fingerprint::Error>,
}

impl Plan {
    /// Asks upstream, in a task of its own: a panic ends it alone.
    async fn call(&self, fetch: Fetch) -> Result<Made, Uncalled> {
        let (inner, key) = (&self.inner, &self.key);
        let (depends, unknown) = match self.dependencies().await {
            Ok(Ok(depends)) => (depends, None),
            Ok(Err(error)) => (Vec::new(), Some(error)),
            Err(_) => return Err(Uncalled::Dropped),
        };
        let of_files = |failure: Failure| Failure { depends: depends.clone(), ..failure };
        let began = inner.monotonic();
        let left = self.deadline.saturating_sub(began);
        let class = inner.class_named(key, self.class.as_deref());
        inner.counters.add_for(class, Counter::Fetches, 1);
        let context = Context::new(key.clone(), left, self.base.as_ref());
        let mut task = Aborting(tokio::spawn(async move { fetch(context).await }));
        let outcome = match tokio::time::timeout(left, &mut task.0).await {
            Ok(Ok(Ok(fetched))) => match self.made(fetched, inner.monotonic().saturating_sub(began)) {
                Ok(mut made) => {
                    inner.counters.measure(Latency::Fetch, inner.monotonic().saturating_sub(began));
                    (made.about.depends, made.unknown) = (depends.clone(), unknown);
                    return Ok(made);
                }
                Err(failure) => Uncalled::Failed(of_files(failure)),
            },
            Ok(Ok(Err(failure))) => Uncalled::Failed(of_files(failure)),
            Ok(Err(error)) if error.is_panic() => Uncalled::Panicked,
            Ok(Err(_)) => Uncalled::Dropped,
            Err(_) => {
                let message = format!("no answer for `{key}` within {left:.1?}: allow more time, or ask again later");
                let failure = Failure::new(Class::Unavailable, message);
                // some of the time may have gone by with waiting for others
                let is_patient = left >= inner.settings.timeout / 2;
                if is_patient { Uncalled::Failed(of_files(failure)) } else { Uncalled::Impatient(failure) }
            }
        };
        inner.counters.measure(Latency::Fetch, inner.monotonic().saturating_sub(began));
        inner.counters.add_for(class, Counter::FetchFailures, 1);
        Err(outcome)
    }

    /// What the document will depend on, as it is before the fetch begins.
    async fn dependencies(&self) -> Result<Result<Vec<Dependency>, fingerprint::Error>, tokio::task::JoinError> {
        if self.depends.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        let (inner, depends, deadline) = (Arc::clone(&self.inner), self.depends.clone(), self.deadline);
        spawn_blocking(move || inner.dependencies(&depends, deadline)).await
    }

    /// The document of a fetch, and its times.
    fn made(&self, fetched: Fetched, took: Duration) -> Result<Made, Failure> {
        let before = self.base.as_ref().map(|base| About::in_metadata(&base.metadata).unwrap_or_default());
        let body = match (&fetched.body, &self.base) {
            (Some(body), _) => body.clone(),
            (None, Some(base)) => base.body.clone(),
            (None, None) => {
                let message =
                    format!("the fetch of `{}` says that nothing has changed, but had nothing to compare", self.key);
                return Err(Failure::new(Class::Refused, message));
            }
        };
        let is_renewed = fetched.body.is_none();
        let has_changed = !is_renewed && self.base.as_ref().is_some_and(|base| base.body != body);
        let history = before.as_ref().map_or_else(Default::default, |about| about.history.with_check(has_changed));
        let now = self.inner.wall();
        let mut policy = fetched.policy(&self.policy, now);
        policy.fresh = history.fresh(&policy);
        let life = Life::drawn(now, &policy, took, chance());
        // the headers may take the early refresh away, and nothing else does
        let immutable = policy.early == Early::Never && self.policy.early != Early::Never;
        // a 304 says only what has changed of the headers
        let (old_etag, old_modified) =
            before.filter(|_| is_renewed).map_or((None, None), |old| (old.etag, old.last_modified));
        let etag = fetched.etag.clone().or(old_etag);
        let last_modified = fetched.last_modified.clone().or(old_modified);
        Ok(Made {
            about: About {
                life,
                etag,
                last_modified,
                immutable,
                class: self.class.clone(),
                history,
                depends: Vec::new(),
            },
            unknown: None,
            fetched,
            body,
        })
    }
}

/// A task that ends with whoever waits for it.
struct Aborting(tokio::task::JoinHandle<Result<Fetched, Failure>>);

impl Drop for Aborting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn metadata(about: &About, tags: &[Tag], fetched: &Fetched) -> Result<Metadata, larder_storage::MetadataError> {
    about.metadata(&tags.iter().chain(&fetched.tags).cloned().collect::<Vec<_>>())
}

/// What was fetched, on its way to the store.
struct Publication {
    inner: Arc<Inner>,
    key: Key,
    tags: Vec<Tag>,
    deadline: Duration,
    made: Made,
    waited: Waited,
}

impl Publication {
    /// Stores it if it may be, and ends the flight; for its own caller, and for those who joined.
    fn publish(self, flight: Flight) -> (Landed, Landed) {
        let Self { inner, key, tags, deadline, made: Made { fetched, body, mut about, unknown }, waited } = self;
        inner.settle(&mut about.depends, deadline);
        let (token, life) = (flight.token(), about.life);
        let made = metadata(&about, &tags, &fetched).map_err(|error| error.to_string());
        let made = unknown.map_or(made, |error| Err(error.to_string()));
        let arrival = |metadata: Metadata, is_stored, detail| {
            inner.counters.add(if is_stored { Counter::Stored } else { Counter::NotStored }, 1);
            let document = Document::new(body.clone(), metadata, about.clone());
            if is_stored {
                inner.note(&key, (token, life.fetched_ms), &document);
            }
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
            let wait = Wait::up_to(deadline.saturating_sub(inner.monotonic()).min(STORE_WAIT));
            let put = Put::new().fetched_in(token).metadata(metadata.clone()).wait(wait);
            let put = put.durability(inner.settings.durability);
            stored(&inner, &key, inner.store.put(&key, &body, &put))
        } else {
            Err("not to be stored".into())
        };
        let landed = match detail {
            Ok(detail) => {
                // who waits is served before room is made
                if life.fresh_until_ms.saturating_sub(life.fetched_ms) < HAND_ON_BELOW_MS {
                    flight.carry(&body, &metadata);
                } else {
                    flight.land();
                }
                inner.room.stored();
                arrival(metadata, true, detail)
            }
            Err(detail) => {
                let alone_for = (!fetched.store).then_some(ALONE_FOR);
                flight.carry_for(&body, &metadata, alone_for);
                arrival(metadata, false, Some(detail))
            }
        };
        (landed.clone(), landed)
    }
}

type Detail = Cow<'static, str>;

/// Stores what was fetched without a flight.
async fn store_alone(
    inner: &Arc<Inner>,
    key: &Key,
    body: &Bytes,
    metadata: &Metadata,
    token: Token,
    deadline: Duration,
) -> Result<Option<Detail>, Detail> {
    let wait = Wait::up_to(deadline.saturating_sub(inner.monotonic()).min(STORE_WAIT));
    let put = Put::new().fetched_in(token).metadata(metadata.clone()).wait(wait).durability(inner.settings.durability);
    let (inner, key, body) = (Arc::clone(inner), key.clone(), body.clone());
    let store = move || {
        let stored = stored(&inner, &key, inner.store.put(&key, &body, &put));
        if stored.is_ok() {
            inner.room.stored();
        }
        stored
    };
    let stored = spawn_blocking(store).await;
    stored.unwrap_or_else(|_| Err("not stored: the runtime ends".into()))
}

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
