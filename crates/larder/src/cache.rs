//! The cache: everything but asking upstream, which [`fetch`](crate::fetch) does.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use camino::Utf8Path;
use larder_lock::Wait;
use larder_staleness::{Life, UnknownClass};
use larder_storage::{
    Evicted, GetError, Invalidation, Key, MetadataError, Prefix, Published, Put, Store, Summary, Token, invalidate, put,
};
use larder_upstream::{About, Flights};
use larder_watch::fingerprint::{self, Paths};
use tokio::task::{JoinError, spawn_blocking};

use crate::builder::Builder;
use crate::counters::{self, Counter, Flushed, Fold, Totals};
use crate::document::Answer;
use crate::inner::Inner;
use crate::terms::Terms;

/// How long a flush waits for another process's.
const FLUSH_WAIT: std::time::Duration = std::time::Duration::from_secs(5);

/// A read-through cache of documents, shared with every process that opens the same root. Clones share everything.
///
/// Each `async` method needs a tokio runtime, current-thread or multi-thread. What it does on the disk runs on the
/// runtime's blocking threads, never on its workers, but for the one cheap system call of a memory hit.
///
/// When the last clone is dropped, what was counted since the last second is flushed, which takes some microseconds, and
/// on a disk that does not answer half a second.
#[derive(Clone, Debug)]
pub struct Cache {
    inner: Arc<Inner>,
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The disk cannot be read.
    #[error(transparent)]
    Read(#[from] GetError),
    /// It was not stored or removed, or not as told.
    #[error(transparent)]
    Put(#[from] put::Error),
    /// It was not invalidated, or not for good.
    #[error(transparent)]
    Invalidate(#[from] invalidate::Error),
    /// The terms name a class that there is not.
    #[error(transparent)]
    Class(#[from] UnknownClass),
    /// It has more tags than an entry can have.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// What was counted could not be kept or read.
    #[error(transparent)]
    Counters(#[from] counters::Error),
    /// What it depends on cannot be told.
    #[error(transparent)]
    Depends(#[from] fingerprint::Error),
    /// The runtime was shut down meanwhile: whether it was done is not known.
    #[error("the runtime ended in the midst of it: do it again in one that lives on")]
    Interrupted(#[from] JoinError),
}

/// What a cache has done, and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// What all processes have counted, this one up to now.
    pub totals: Totals,
    /// Whether this process's share is in them: not where the root may only be read.
    pub is_counted: bool,
    /// What this process's copies in memory take, in bytes.
    pub memory_bytes: u64,
    /// How many there are.
    pub memory_entries: usize,
    /// How many documents this process is fetching, or waiting for, at this moment.
    pub flights: usize,
    /// How many of them wait for the fetch of another process.
    pub elsewhere: usize,
    /// How many callers in this process wait for one of the flights, those that began them included.
    pub waiting: usize,
}

impl Cache {
    /// A cache in the folder `root`, with 64 MiB of memory, documents fresh for 30 days, full durability.
    pub fn builder(root: impl AsRef<Utf8Path>) -> Builder {
        Builder::new(root.as_ref())
    }

    pub(crate) const fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    pub(crate) const fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// The store below, for what only it can do. Its methods block.
    pub fn store(&self) -> &Arc<Store> {
        &self.inner.store
    }

    /// The flights of all processes, for looking at them. Its methods block.
    pub fn flights(&self) -> &Flights {
        &self.inner.flights
    }

    /// The fresh document under `key`, if there is one. Nothing is fetched or waited for.
    ///
    /// # Errors
    /// The disk cannot be read. What is damaged is absent.
    ///
    /// # Panics
    /// It is awaited outside of a tokio runtime.
    ///
    /// # Cancel safety
    /// It may be dropped at any time.
    pub async fn get(&self, key: &Key) -> Result<Option<Answer>, Error> {
        if let Some((answer, _)) = self.inner.hit_in_memory(key, None) {
            return Ok(Some(answer));
        }
        let (inner, asked, key) = (Arc::clone(&self.inner), key.clone(), key.clone());
        let look = move || {
            let deadline = inner.monotonic().saturating_add(inner.settings.timeout);
            let found = inner.look(&key)?.filter(|found| found.is_fresh(inner.wall()));
            Ok::<_, Error>(
                found.filter(|found| inner.change_of(&found.document, &Paths::default(), deadline).is_none()),
            )
        };
        let looked = spawn_blocking(look).await??;
        if let Some(found) = looked {
            return Ok(Some(self.inner.hit(&asked, found)));
        }
        let class = self.inner.class_named(&asked, None);
        self.inner.counters.add_for(class, Counter::Misses, 1);
        Ok(None)
    }

    /// Stores a document that the caller has. It counts as fetched now, and from the generation in which it is stored.
    ///
    /// Of the terms, the tags, the class, the time it is fresh, the windows for stale use and the files that it depends on
    /// count. Those are looked at now: what has changed while the document was being made goes unnoticed, unless it is made
    /// in a fetch.
    ///
    /// # Errors
    /// It is not stored, or, with [`put::Error::NotDurable`], stored and perhaps not for good.
    ///
    /// # Panics
    /// It is awaited outside of a tokio runtime.
    ///
    /// # Cancel safety
    /// Dropped after it has begun, it goes on.
    pub async fn put(&self, key: &Key, body: impl Into<Bytes>, terms: &Terms) -> Result<Published, Error> {
        let policy = self.inner.policy(key, terms)?;
        let life = Life::drawn(self.inner.wall(), &policy, std::time::Duration::ZERO, crate::inner::chance());
        let about = About { class: terms.class.clone(), ..About::new(life) };
        let (inner, key, body, terms) = (Arc::clone(&self.inner), key.clone(), body.into(), terms.clone());
        let store = move || {
            let depends = inner.dependencies(&terms.depends, std::time::Duration::MAX)?;
            let metadata = About { depends, ..about }.metadata(&terms.tags)?;
            let wish = Put::new().metadata(metadata).durability(inner.settings.durability);
            let published = inner.store.put(&key, &body, &wish);
            if matches!(published, Ok(_) | Err(put::Error::NotDurable { .. })) {
                inner.room.stored();
            }
            Ok::<_, Error>(published)
        };
        let published = spawn_blocking(store).await??;
        let is_stored = matches!(published, Ok(_) | Err(put::Error::NotDurable { .. }));
        self.inner.counters.add(if is_stored { Counter::Stored } else { Counter::NotStored }, 1);
        Ok(published?)
    }

    /// Invalidates everything that `invalidations` cover, in all processes, durably; returns the generation from which on
    /// it holds. It waits for nobody, and costs the same whatever is covered.
    ///
    /// No get that begins after this has returned gives an answer whose fetch began before.
    ///
    /// # Errors
    /// It was not recorded, or perhaps not for good; it may have taken effect all the same.
    ///
    /// # Panics
    /// It is awaited outside of a tokio runtime.
    ///
    /// # Cancel safety
    /// Dropped after it has begun, it goes on.
    pub async fn invalidate(&self, invalidations: &[Invalidation]) -> Result<Token, Error> {
        let (inner, these) = (Arc::clone(&self.inner), invalidations.to_vec());
        let token = spawn_blocking(move || inner.store.invalidate(&these)).await??;
        self.inner.counters.add(Counter::Invalidations, invalidations.len() as u64);
        Ok(token)
    }

    /// Removes the document under `key`; false when there is none. A fetch that is under way may store it again: to rule
    /// that out, invalidate the key.
    ///
    /// # Errors
    /// It is not removed, or perhaps not for good.
    ///
    /// # Panics
    /// It is awaited outside of a tokio runtime.
    ///
    /// # Cancel safety
    /// Dropped after it has begun, it goes on.
    pub async fn remove(&self, key: &Key) -> Result<bool, Error> {
        let (inner, key) = (Arc::clone(&self.inner), key.clone());
        let remove = move || {
            let wait = Wait::up_to(inner.settings.lock_wait);
            inner.store.remove(&key, inner.settings.durability, &wait)
        };
        Ok(spawn_blocking(remove).await??)
    }

    /// Removes what is kept no longer, and what is beyond the [bounds](crate::Builder::bounds) if the background has not come
    /// to that yet. Nobody has to call it.
    ///
    /// # Errors
    /// The disk cannot be read or written.
    ///
    /// # Panics
    /// It is awaited outside of a tokio runtime.
    pub async fn evict(&self) -> Result<Evicted, Error> {
        let inner = Arc::clone(&self.inner);
        Ok(spawn_blocking(move || inner.room.tidy()).await??)
    }

    /// What is stored below `prefix`, at most so many entries, in no particular order. Reads a header of each.
    ///
    /// # Errors
    /// The disk cannot be read.
    ///
    /// # Panics
    /// It is awaited outside of a tokio runtime.
    pub async fn list(&self, prefix: &Prefix, entries_max: usize) -> Result<Vec<Summary>, Error> {
        let (inner, prefix) = (Arc::clone(&self.inner), prefix.clone());
        let list = move || inner.store.list(&prefix)?.take(entries_max).collect::<Result<Vec<_>, _>>();
        Ok(spawn_blocking(list).await??)
    }

    /// What was done by all processes, and what this one holds. Flushes this process's counters first.
    ///
    /// # Errors
    /// The counters cannot be read.
    ///
    /// # Panics
    /// It is awaited outside of a tokio runtime.
    pub async fn stats(&self) -> Result<Stats, Error> {
        let inner = Arc::clone(&self.inner);
        let read = move || {
            let flushed = inner.counters.flush(Fold::WhenLong, &Wait::up_to(FLUSH_WAIT));
            let is_counted = !inner.settings.is_read_only && flushed.is_ok();
            Totals::read(&inner.store).map(|totals| (totals, is_counted))
        };
        let (totals, is_counted) = spawn_blocking(read).await??;
        let memory = self.inner.memory.as_ref();
        Ok(Stats {
            totals,
            is_counted,
            memory_bytes: memory.map_or(0, crate::memory::Memory::bytes),
            memory_entries: memory.map_or(0, crate::memory::Memory::len),
            flights: self.inner.group.len(),
            elsewhere: self.inner.elsewhere.load(Ordering::Relaxed),
            waiting: self.inner.group.waiting(),
        })
    }

    /// Makes what this process has counted part of the totals now, instead of within a second.
    ///
    /// # Errors
    /// It is not counted yet; the next flush tries again. Where the root may only be read, never.
    ///
    /// # Panics
    /// It is awaited outside of a tokio runtime.
    pub async fn flush(&self) -> Result<Flushed, Error> {
        let inner = Arc::clone(&self.inner);
        let flush = move || inner.counters.flush(Fold::WhenLong, &Wait::up_to(FLUSH_WAIT));
        Ok(spawn_blocking(flush).await??)
    }
}
