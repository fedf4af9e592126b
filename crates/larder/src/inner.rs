//! What all clones of a cache share, and its two levels: memory, then disk.
//!
//! # Where the disk is read
//!
//! A read of the disk runs in one `spawn_blocking`, as a whole. On two cores that others used too, 4 KiB from the page cache,
//! the extremes of the medians of five runs of `examples/hits.rs`:
//!
//! | | 1 worker | 2 workers |
//! |---|---|---|
//! | inline | 2.5 to 3.1 µs | 5.1 to 5.5 µs |
//! | `block_in_place` | 2.5 to 2.9 µs | 4.7 to 5.4 µs |
//! | `spawn_blocking` that does nothing | 4.2 to 16.8 µs | 9.3 to 25.9 µs |
//! | `spawn_blocking` with the read, as a hit | 8.8 to 18.8 µs | 19.3 to 38.3 µs |
//!
//! The hand-over costs several times the read, and is paid all the same. Inline, a disk that does not answer holds up every
//! task of the worker. In `block_in_place` it holds up what else the same task is waiting for, each stalled read costs the
//! runtime a new worker, and on a current-thread runtime it panics. Hits that must be cheaper are what memory is for.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, SystemTime};

use larder_storage::{Durability, Entry, GetError, Key, Mark, Standing, Store, Token};
use larder_upstream::Flights;
use larder_upstream::tasks::{Group, Threads};

use crate::coarse::Coarse;
use crate::counters::{Counter, Counters, Flusher};
use crate::document::{Answer, Document};
use crate::flight::Landed;
use crate::memory::{Copy, Memory};
use crate::outcome::{Forward, Level, Outcome};

/// What a cache does where a call does not say otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) ttl: Duration,
    pub(crate) lock_wait: Duration,
    pub(crate) timeout: Duration,
    pub(crate) durability: Durability,
    pub(crate) is_read_only: bool,
}

#[derive(Debug)]
pub(crate) struct Inner {
    /// First, so that its last flush finds the counters.
    #[expect(dead_code, reason = "it works as long as it lives")]
    pub(crate) flusher: Option<Flusher>,
    pub(crate) counters: Counters,
    pub(crate) store: Arc<Store>,
    pub(crate) flights: Flights,
    pub(crate) group: Group<Landed>,
    pub(crate) threads: Threads,
    /// How many flights wait for another process's.
    pub(crate) elsewhere: Arc<AtomicUsize>,
    pub(crate) memory: Option<Memory>,
    pub(crate) clock: Coarse,
    pub(crate) settings: Settings,
}

/// What tells one copy on the disk from another.
pub(crate) type Identity = (Token, u64);

/// What the disk has.
pub(crate) enum Looked {
    /// A fresh document that counts.
    Fresh(Document, Identity),
    /// A document that does not, for its age or for an invalidation.
    Stale(Document, Identity),
    Absent,
}

impl Inner {
    pub(crate) fn wall(&self) -> SystemTime {
        self.store.clock().wall()
    }

    pub(crate) fn monotonic(&self) -> Duration {
        self.store.clock().monotonic()
    }

    /// The generation of this moment, also of a root that can only be read; `None` where there is none. Blocks as long as
    /// a cheap system call does.
    pub(crate) fn generation(&self) -> Option<Token> {
        self.store.token().ok().or_else(|| self.store.token_if_present().ok().flatten())
    }

    /// A copy in memory that is fresh and still what the disk has: one cheap system call.
    pub(crate) fn in_memory(&self, key: &Key) -> Option<(Document, SystemTime)> {
        let memory = self.memory.as_ref()?;
        let copy = memory.get(key)?;
        let tags = copy.document.metadata.tags();
        let now = self.clock.while_fresh(&copy.document.life);
        if now.is_none() || !self.store.is_unchanged(&copy.mark, key, copy.token, tags) {
            memory.forget(key, &copy);
            return None;
        }
        Some((copy.document.clone(), now?))
    }

    /// The same as an answer, counted.
    pub(crate) fn hit_in_memory(&self, key: &Key) -> Option<Answer> {
        let (document, now) = self.in_memory(key)?;
        self.counters.add(Counter::HitsMemory, 1);
        self.counters.add(Counter::BytesServed, document.body.len() as u64);
        Some(document.answer(now, Outcome::hit(Level::Memory)))
    }

    /// Looks at the disk, which blocks; keeps in memory what is fresh.
    pub(crate) fn look(&self, key: &Key) -> Result<Looked, GetError> {
        let mark = self.memory.as_ref().and_then(|_| self.store.mark(key).ok().flatten());
        let Some(entry) = self.store.get_with_invalidated(key)? else { return Ok(Looked::Absent) };
        Ok(self.judge(key, entry, mark))
    }

    fn judge(&self, key: &Key, entry: Entry, mark: Option<Mark>) -> Looked {
        let (standing, token) = (entry.standing(), entry.token());
        let document = Document::of_entry(entry);
        let identity = (token, document.life.fetched_ms);
        if standing != Standing::Current || !document.life.is_fresh(self.wall()) {
            return Looked::Stale(document, identity);
        }
        if let (Some(memory), Some(mark)) = (&self.memory, mark) {
            memory.keep(key, Copy { document: document.clone(), token, mark });
        }
        Looked::Fresh(document, identity)
    }

    /// A document from the disk as an answer, counted.
    pub(crate) fn hit_on_disk(&self, document: Document) -> Answer {
        self.counters.add(Counter::HitsDisk, 1);
        self.counters.add(Counter::BytesServed, document.body.len() as u64);
        document.answer(self.wall(), Outcome::hit(Level::Disk))
    }

    /// A document that upstream was asked for, or would have been, as an answer, counted.
    pub(crate) fn serve(&self, document: Document, outcome: Outcome) -> Answer {
        self.counters.add(Counter::Collapsed, u64::from(outcome.collapsed));
        self.counters.add(Counter::BytesServed, document.body.len() as u64);
        document.answer(self.wall(), outcome)
    }
}

impl Looked {
    /// Why upstream has to be asked.
    pub(crate) const fn why(&self) -> Forward {
        match self {
            Self::Fresh(..) => Forward::Request,
            Self::Stale(..) => Forward::Stale,
            Self::Absent => Forward::UriMiss,
        }
    }

    pub(crate) const fn identity(&self) -> Option<Identity> {
        match self {
            Self::Fresh(_, identity) | Self::Stale(_, identity) => Some(*identity),
            Self::Absent => None,
        }
    }
}
