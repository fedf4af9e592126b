//! How a cache is opened.

use std::sync::Arc;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use larder_storage::{Durability, Options, root};
use larder_upstream::tasks::{Group, Threads};
use larder_upstream::{DEFAULT_TTL, Flights};

use crate::cache::Cache;
use crate::coarse::Coarse;
use crate::counters::Counters;
use crate::inner::{Inner, Settings};
use crate::memory::Memory;

/// Room for copies in memory, unless told otherwise.
const MEMORY_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How long a caller waits for the fetch of another one.
const LOCK_WAIT: Duration = Duration::from_secs(600);
/// How long waiting and fetching may take together.
const TIMEOUT: Duration = Duration::from_secs(900);
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
            ttl: DEFAULT_TTL,
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

    /// For how long a document is fresh when neither the call nor the fetch says so; 30 days unless told otherwise.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.settings.ttl = ttl;
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
        let inner = Inner {
            flusher,
            counters,
            memory: Memory::with_room(memory_bytes_max),
            clock: Coarse::new(Arc::clone(store.clock())),
            flights: Flights::new(Arc::clone(&store)),
            group: Group::new(),
            threads: Threads::at_most(WAITING_THREADS_MAX),
            elsewhere: Arc::default(),
            store,
            settings,
        };
        Ok(Cache::new(Arc::new(inner)))
    }
}
