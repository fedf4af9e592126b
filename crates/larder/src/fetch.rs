//! Asking through the cache: memory, disk, the flight under way in this process or another one, and at last upstream.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use camino::Utf8PathBuf;
use larder_staleness::UnknownClass;
use larder_storage::{GetError, Key};
use larder_upstream::{Failure, begin};

use crate::cache::Cache;
use crate::call::Call;
use crate::document::Answer;
use crate::exchange::{Context, Fetched};
use crate::flight::Fetch;
use crate::terms::Terms;

/// How much longer than the terms allow a caller waits for word of what has ended, before it suspects the disk.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

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
        /// Whether it was over before this caller came, and is remembered.
        remembered: bool,
    },
    /// The terms name a class that there is not.
    #[error("`{key}` cannot be asked for so")]
    Class {
        /// What was asked for.
        key: Key,
        /// The name, and those that there are.
        #[source]
        source: UnknownClass,
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

impl Error {
    /// Whether a stale copy may be given out instead: the upstream, or the way to it, is the matter, and neither what was
    /// asked for nor who asks.
    pub(crate) fn allows_stale(&self) -> bool {
        match self {
            Self::Failed { failure, .. } => failure.class.allows_stale(),
            Self::Absent { .. } | Self::Class { .. } => false,
            Self::Panicked { .. }
            | Self::Wait(_)
            | Self::NoThread { .. }
            | Self::Read(_)
            | Self::Restless { .. }
            | Self::Stalled { .. }
            | Self::Interrupted { .. } => true,
        }
    }
}

impl Cache {
    /// The document under `key`: a fresh copy; a stale one within its windows (see [`Policy`](crate::Policy)); or the one
    /// that `fetch` brings, which is stored.
    ///
    /// Of all tasks, threads and processes that ask at the same time, one fetches. The others get its answer, also when
    /// that is a failure. An upstream that fails is then left alone for a while by all processes ([`Backoff`]): those who
    /// ask meanwhile get the stale copy if there is one that may be given out, else the failure.
    ///
    /// A get that begins after an invalidation of the key, a prefix of it, or one of its tags never gets an answer whose
    /// fetch began before, but for a copy that was invalidated softly, within its stale-if-error window, when the upstream
    /// fails. Every old answer says so ([`Outcome::stale`](crate::Outcome::stale)). A caller whose fetch was overtaken by an
    /// invalidation gets its document all the same; it is not stored, and the outcome says so. The same holds where the
    /// root cannot be written.
    ///
    /// [`Backoff`]: crate::Backoff
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
        match self.inner().hit_in_memory(key, None) {
            Some((answer, false)) => Ok(answer),
            Some((answer, true)) => {
                self.refresh_behind(key, &answer, Terms::new(), fetch);
                Ok(answer)
            }
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
        // a copy in memory that needs no look at files was made from none
        if !terms.refresh
            && terms.depends.is_empty()
            && let Some((answer, is_early)) = self.inner().hit_in_memory(key, terms.max_age)
        {
            if is_early && !terms.offline {
                self.refresh_behind(key, &answer, terms.clone(), fetch);
            }
            return Ok(answer);
        }
        Box::pin(self.ask(key, terms.clone(), fetch)).await
    }

    fn refresh_behind<F, Fut>(&self, key: &Key, answer: &Answer, terms: Terms, fetch: F)
    where
        F: FnOnce(Context) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Fetched, Failure>> + Send + 'static,
    {
        // without its class there would be no policy to store it by: then the next who has to ask is told
        if let Ok(policy) = self.inner().policy(key, &terms) {
            let fetch: Fetch = Box::new(move |context| Box::pin(fetch(context)));
            let seen = larder_upstream::About::in_metadata(&answer.metadata).map(|about| about.life.fetched_ms);
            Call::new(Arc::clone(self.inner()), key.clone(), terms, policy).refresh_behind(None, seen, fetch);
        }
    }

    async fn ask<F, Fut>(&self, key: &Key, terms: Terms, fetch: F) -> Result<Answer, Error>
    where
        F: FnOnce(Context) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Fetched, Failure>> + Send + 'static,
    {
        let policy = match self.inner().policy(key, &terms) {
            Ok(policy) => policy,
            Err(source) => return Err(Error::Class { key: key.clone(), source }),
        };
        let fetch: Fetch = Box::new(move |context| Box::pin(fetch(context)));
        let mut call = Call::new(Arc::clone(self.inner()), key.clone(), terms, policy);
        let after = call.time().saturating_add(GRACE);
        let answer = match tokio::time::timeout(after, call.run(fetch)).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::Stalled { key: key.clone(), after, root: self.store().path().to_owned() }),
        };
        answer.or_else(|error| call.fall_back(error))
    }
}
