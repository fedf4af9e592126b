//! How a cache is opened.

use std::sync::Arc;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use larder_staleness::{Backoff, Classes};
use larder_storage::{Bounds, Durability, Options, root};
use larder_upstream::Flights;
use larder_upstream::tasks::{Group, Threads};

use crate::cache::Cache;
use crate::coarse::Coarse;
use crate::counters::Counters;
use crate::inner::{Inner, Settings};
use crate::memory::Memory;
use crate::room::Room;

/// Room for copies in memory, unless told otherwise.
const MEMORY_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How long a caller waits for the fetch of another one.
const LOCK_WAIT: Duration = Duration::from_secs(600);
/// How long waiting and fetching may take together.
const TIMEOUT: Duration = Duration::from_secs(900);
/// How long a caller with a usable stale copy waits for a new one.
const SOFT_TIMEOUT: Duration = Duration::from_secs(2);
/// How many threads wait for other processes: one for each document that another process is fetching.
const WAITING_THREADS_MAX: usize = 64;

/// Why a cache cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The root cannot be opened.
    #[error(transparent)]
    Root(#[from] root::Error),
    /// The runtime was shut down meanwhile.
    #[error("the runtime ended before {path} was open: open it in a runtime that lives on")]
    Interrupted {
        /// The root.
        path: Utf8PathBuf,
        /// What the runtime says.
        #[source]
        source: tokio::task::JoinError,
    },
}

/// How a cache is to be opened; see [`Cache::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until the cache is opened"]
pub struct Builder {
    root: Utf8PathBuf,
    memory_bytes_max: u64,
    store_options: Options,
    settings: Settings,
}

impl Builder {
    pub(crate) fn new(root: &Utf8Path) -> Self {
        let settings = Settings {
            classes: Classes::default(),
            soft_timeout: SOFT_TIMEOUT,
            backoff: Backoff::default(),
            may_refresh: true,
            is_offline: false,
            locking: true,
            disk: true,
            views: false,
            lock_wait: LOCK_WAIT,
            timeout: TIMEOUT,
            durability: Durability::Full,
            is_read_only: false,
        };
        Self { root: root.to_owned(), memory_bytes_max: MEMORY_BYTES_MAX, store_options: Options::new(), settings }
    }

    /// Room for copies in memory, in bytes; 64 MiB unless told otherwise, 0 for none.
    pub fn memory_bytes_max(mut self, bytes: u64) -> Self {
        self.memory_bytes_max = bytes;
        self
    }

    /// What all documents may take together on disk; 100 MiB and 10,000 documents unless told otherwise. What is stored
    /// beyond that brings about that others are removed, those used longest ago first, and last those whose upstream is
    /// failing: on a thread of its own, and where that is not fast enough, by whoever stores more.
    pub fn bounds(mut self, bounds: Bounds) -> Self {
        self.store_options = self.store_options.bounds(bounds);
        self
    }

    /// For how long a document is fresh when neither the call nor the fetch says so; 30 days unless told otherwise.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        let mut policy = *self.settings.classes.default_policy();
        policy.fresh = ttl;
        self.settings.classes.define(Classes::DEFAULT, policy);
        self
    }

    /// The classes of documents: how long each may be used, and which is whose. It replaces what [`ttl`](Self::ttl) said.
    pub fn classes(mut self, classes: Classes) -> Self {
        self.settings.classes = classes;
        self
    }

    /// How long a caller waits at most when there is a stale copy that may be given out; 2 s unless told otherwise.
    pub fn soft_timeout(mut self, at_most: Duration) -> Self {
        self.settings.soft_timeout = at_most;
        self
    }

    /// How long a failing upstream is left alone by all processes; [`Backoff::NONE`] for not at all.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.settings.backoff = backoff;
        self
    }

    /// Whether documents are refreshed behind the back of those who got a copy; yes unless told otherwise. Without, a copy
    /// within its stale-while-revalidate window is given out, and refreshed by the first who asks after that window.
    pub fn background_refresh(mut self, yes: bool) -> Self {
        self.settings.may_refresh = yes;
        self
    }

    /// Never fetches, whatever the terms of a call say: any copy that is still kept is an answer.
    pub fn offline(mut self) -> Self {
        self.settings.is_offline = true;
        self
    }

    /// Whether all processes share one fetch; yes unless told otherwise. Without, each process fetches for itself, and stores
    /// what it brings.
    pub fn locking(mut self, yes: bool) -> Self {
        self.settings.locking = yes;
        self
    }

    /// Whether anything is stored or read from the store; yes unless told otherwise. Without, every call fetches, and only
    /// those of this process that ask at the same time share that.
    pub fn disk(mut self, yes: bool) -> Self {
        self.settings.disk = yes;
        self
    }

    /// Whether `index.yaml` and the `meta.yaml` of each library are [kept up to date](crate::views), in the background: once a
    /// minute while documents are stored, and at the end; no unless told otherwise.
    pub fn views(mut self, yes: bool) -> Self {
        self.settings.views = yes;
        self
    }

    /// As this configuration says: limits, classes and switches. Its sources are for whoever runs commands.
    #[cfg(feature = "config")]
    pub fn config(mut self, config: &larder_config::Config) -> Self {
        let (limits, switches) = (config.limits(), config.switches());
        self.memory_bytes_max = limits.memory_bytes_max;
        let bounds = Bounds { bytes: limits.bytes_max, entries: limits.entries_max };
        self.store_options = self.store_options.body_bytes_max(limits.body_bytes_max).bounds(bounds);
        let settings = &mut self.settings;
        settings.classes = config.classes().clone();
        settings.lock_wait = limits.lock_timeout.unwrap_or(Duration::MAX);
        (settings.timeout, settings.soft_timeout) = (limits.timeout, limits.soft_timeout);
        settings.backoff = limits.backoff;
        settings.may_refresh = switches.refresh && config.refresh().enabled;
        settings.is_offline = !switches.network;
        (settings.locking, settings.disk) = (switches.locking, switches.disk);
        settings.views = config.views().auto;
        self
    }

    /// How long a caller waits for the fetch of another one; 600 s unless told otherwise, zero for not at all.
    pub fn lock_wait(mut self, at_most: Duration) -> Self {
        self.settings.lock_wait = at_most;
        self
    }

    /// How long waiting and fetching may take together; 900 s unless told otherwise.
    pub fn timeout(mut self, in_all: Duration) -> Self {
        self.settings.timeout = in_all;
        self
    }

    /// How durable what is stored must be when a call returns; [`Durability::Full`] unless told otherwise.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.settings.durability = durability;
        self
    }

    /// Only reads. What is fetched is given to those who asked for it in this process, and not stored; nothing is counted.
    pub fn read_only(mut self) -> Self {
        self.settings.is_read_only = true;
        self
    }

    /// How the store below is opened: its disk and clock, its kind of locks, the largest document.
    pub fn store_options(mut self, options: Options) -> Self {
        self.store_options = options;
        self
    }

    /// Opens the cache, off the runtime's own threads. Nothing is made on the disk before the first write.
    ///
    /// # Errors
    /// See [`Error`].
    ///
    /// # Panics
    /// It is awaited outside of a tokio runtime.
    pub async fn open(self) -> Result<Cache, Error> {
        let path = self.root.clone();
        match tokio::task::spawn_blocking(|| self.build()).await {
            Ok(built) => built,
            Err(source) => Err(Error::Interrupted { path, source }),
        }
    }

    /// The same on this thread, with or without a runtime: some system calls, and a thread that counts.
    ///
    /// # Errors
    /// [`Error::Root`].
    pub fn build(self) -> Result<Cache, Error> {
        let Self { root, memory_bytes_max, store_options, settings } = self;
        let options = if settings.is_read_only { store_options.read_only() } else { store_options };
        let store = Arc::new(options.open(&root)?);
        let counters = Counters::new(Arc::clone(&store));
        let flusher = if settings.is_read_only { None } else { counters.keep_flushing().ok() };
        let flights = Flights::new(Arc::clone(&store));
        let inner = Inner {
            room: Room::new(&flights, &counters, settings.is_read_only, settings.views),
            flusher,
            counters,
            memory: Memory::with_room(memory_bytes_max),
            clock: Coarse::new(Arc::clone(store.clock())),
            flights,
            group: Group::new(),
            threads: Threads::at_most(WAITING_THREADS_MAX),
            elsewhere: Arc::default(),
            #[cfg(feature = "watch")]
            known: crate::watch::Known::default(),
            store,
            settings,
        };
        Ok(Cache::new(Arc::new(inner)))
    }
}
