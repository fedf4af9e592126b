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

use larder_staleness::{Backoff, Classes, Early, Policy, UnknownClass, ms_of};
use larder_storage::{Durability, Entry, GetError, Key, Mark, Standing, Store, Token};
use larder_upstream::tasks::{Group, Threads};
use larder_upstream::{About, Flights};

use crate::coarse::Coarse;
use crate::counters::{Counter, Counters, Flusher};
use crate::document::{Answer, Document};
use crate::flight::Landed;
use crate::memory::{Copy, Memory};
use crate::outcome::{Level, Outcome};
use crate::room::Room;
use crate::terms::Terms;

/// What a cache does where a call does not say otherwise.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(crate) struct Settings {
    pub(crate) classes: Classes,
    pub(crate) soft_timeout: Duration,
    pub(crate) backoff: Backoff,
    /// Whether anything is refreshed behind a caller's back.
    pub(crate) may_refresh: bool,
    pub(crate) is_offline: bool,
    /// Whether a fetch is shared with other processes.
    pub(crate) locking: bool,
    /// Whether anything is stored, or read from the store.
    pub(crate) disk: bool,
    /// Whether the index is kept up to date.
    pub(crate) views: bool,
    pub(crate) lock_wait: Duration,
    pub(crate) timeout: Duration,
    pub(crate) durability: Durability,
    pub(crate) is_read_only: bool,
}

#[derive(Debug)]
pub(crate) struct Inner {
    /// Before the flusher: what it counts at the end is flushed.
    pub(crate) room: Room,
    /// Before the counters, so that its last flush finds them.
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
    /// The documents whose files a watch is to know of.
    #[cfg(feature = "watch")]
    pub(crate) known: crate::watch::Known,
}

/// What tells one copy on the disk from another.
pub(crate) type Identity = (Token, u64);

/// What the disk has.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) document: Document,
    pub(crate) identity: Identity,
    /// Whether something that covers it was invalidated since its fetch began.
    pub(crate) is_invalidated: bool,
    /// Whether it is known to be made from files that have changed since.
    pub(crate) is_outdated: bool,
    /// Where it was found.
    pub(crate) level: Level,
}

/// A copy in memory that counts, and the moment for which that holds.
pub(crate) struct Remembered {
    pub(crate) document: Document,
    copy: Arc<Copy>,
    pub(crate) now: SystemTime,
    /// Whether it is time to refresh it.
    pub(crate) is_early: bool,
}

impl Inner {
    /// How long a document may be used: as the call says, else its class.
    pub(crate) fn policy(&self, key: &Key, terms: &Terms) -> Result<Policy, UnknownClass> {
        let mut policy = *self.settings.classes.choose(terms.class.as_deref(), key.as_str())?.policy;
        if let Some(ttl) = terms.ttl {
            // what is said for one call is meant so
            (policy.fresh, policy.jitter, policy.adaptive) = (ttl, Duration::ZERO, false);
        }
        if let Some(window) = terms.stale_while_revalidate {
            policy.stale_while_revalidate = window;
        }
        if let Some(window) = terms.stale_if_error {
            policy.stale_if_error = window;
        }
        Ok(policy)
    }

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

    /// A copy in memory that is fresh and still what the disk has: one cheap system call. Not one that depends on files, which
    /// only blocking work may look at.
    pub(crate) fn in_memory(&self, key: &Key) -> Option<Remembered> {
        let memory = self.memory.as_ref()?;
        let copy = memory.get(key).filter(|copy| copy.document.depends.is_none())?;
        self.remembered(memory, key, copy)
    }

    fn remembered(&self, memory: &Memory, key: &Key, copy: Arc<Copy>) -> Option<Remembered> {
        let tags = copy.document.metadata.tags();
        let now = self.clock.while_fresh(&copy.document.life);
        if now.is_none() || !self.store.is_unchanged(&copy.mark, key, copy.token, tags) {
            memory.forget(key, &copy);
            return None;
        }
        let now = now?;
        let is_early = copy.early != Early::Never && copy.early.is_due(&copy.document.life, ms_of(now), chance);
        Some(Remembered { document: copy.document.clone(), copy, now, is_early })
    }

    /// The same as an answer, counted; and whether it is time to refresh it.
    pub(crate) fn hit_in_memory(&self, key: &Key, max_age: Option<Duration>) -> Option<(Answer, bool)> {
        let Remembered { document, copy, now, is_early } = self.in_memory(key)?;
        if max_age.is_some_and(|most| document.life.age_exact(now).is_none_or(|age| age > most)) {
            return None;
        }
        self.room.used(key, now);
        self.counters.add(Counter::HitsMemory, 1);
        copy.class.count(Counter::HitsMemory, 1);
        self.counters.add(Counter::BytesServed, document.body.len() as u64);
        Some((
            document.answer(now, Outcome::hit(Level::Memory)),
            is_early && self.settings.may_refresh && !self.settings.is_offline,
        ))
    }

    /// Looks at the disk, which blocks; keeps in memory what is fresh.
    pub(crate) fn look(&self, key: &Key) -> Result<Option<Found>, GetError> {
        if !self.settings.disk {
            return Ok(None);
        }
        if let Some(found) = self.memory.as_ref().and_then(|memory| self.look_in_memory(memory, key)) {
            return Ok(Some(found));
        }
        let mark = self.memory.as_ref().and_then(|_| self.store.mark(key).ok().flatten());
        let Some(entry) = self.store.get_with_invalidated(key)? else { return Ok(None) };
        Ok(Some(self.judge(key, entry, mark)))
    }

    /// A copy in memory that depends on files, as the disk has it.
    fn look_in_memory(&self, memory: &Memory, key: &Key) -> Option<Found> {
        let copy = memory.get(key).filter(|copy| copy.document.depends.is_some())?;
        let Remembered { document, copy, now, .. } = self.remembered(memory, key, copy)?;
        let identity = (copy.token, document.life.fetched_ms);
        self.room.used(key, now);
        self.note(key, identity, &document);
        Some(Found { document, identity, is_invalidated: false, is_outdated: false, level: Level::Memory })
    }

    fn judge(&self, key: &Key, entry: Entry, mark: Option<Mark>) -> Found {
        let (standing, token) = (entry.standing(), entry.token());
        let (document, now) = (Document::of_entry(entry), self.wall());
        self.room.used(key, now);
        let found = Found {
            identity: (token, document.life.fetched_ms),
            is_invalidated: standing != Standing::Current,
            is_outdated: false,
            level: Level::Disk,
            document,
        };
        self.note(key, found.identity, &found.document);
        if let (Some(memory), Some(mark), true) = (&self.memory, mark, found.is_fresh(now)) {
            let early = if found.document.immutable {
                Early::Never
            } else {
                self.settings.classes.of_key(key.as_str()).policy.early
            };
            let class = self.counters.class(self.class_of(key, &found.document));
            memory.keep(key, Copy { document: found.document.clone(), token, mark, early, class });
        }
        found
    }

    /// What a document is counted as: the class that was named when it was stored, else that of its key.
    fn class_of(&self, key: &Key, document: &Document) -> &str {
        let named = About::in_metadata(&document.metadata).and_then(|about| about.class);
        self.class_named(key, named.as_deref())
    }

    /// The same, as far as it is known before there is one.
    pub(crate) fn class_named(&self, key: &Key, named: Option<&str>) -> &str {
        let classes = &self.settings.classes;
        let chosen = classes.choose(named, key.as_str()).unwrap_or_else(|_| classes.of_key(key.as_str()));
        chosen.name
    }

    /// A document that was found as an answer, counted.
    pub(crate) fn hit(&self, key: &Key, found: Found) -> Answer {
        self.hit_as(key, found.document, Outcome::hit(found.level))
    }

    /// The same, with more to say of it.
    pub(crate) fn hit_as(&self, key: &Key, document: Document, outcome: Outcome) -> Answer {
        let class = self.class_of(key, &document);
        let hits = if outcome.level == Level::Memory { Counter::HitsMemory } else { Counter::HitsDisk };
        self.counters.add_for(class, hits, 1);
        self.counters.add_for(class, Counter::Stale, u64::from(outcome.stale));
        self.counters.add(Counter::BytesServed, document.body.len() as u64);
        document.answer(self.wall(), outcome)
    }

    /// A document that upstream was asked for, or would have been, as an answer, counted.
    pub(crate) fn serve(&self, key: &Key, document: Document, outcome: Outcome) -> Answer {
        self.counters.add(Counter::Collapsed, u64::from(outcome.collapsed));
        if outcome.stale {
            self.counters.add_for(self.class_of(key, &document), Counter::Stale, 1);
        }
        self.counters.add(Counter::BytesServed, document.body.len() as u64);
        document.answer(self.wall(), outcome)
    }
}

impl Found {
    /// Whether it is an answer for everybody.
    pub(crate) fn is_fresh(&self, now: SystemTime) -> bool {
        !self.is_invalidated && !self.is_outdated && self.document.life.is_fresh(now)
    }

    /// What decides about it.
    pub(crate) const fn copy(&self) -> larder_staleness::Copy {
        let Self { is_invalidated, is_outdated, .. } = *self;
        larder_staleness::Copy { life: self.document.life, is_invalidated, is_outdated }
    }
}

/// A number of 0 to 1 for what chance decides.
pub(crate) fn chance() -> f64 {
    let bits = larder_system::unique().map_or(u32::MAX, |number| u32::try_from(number >> 32).unwrap_or(u32::MAX));
    f64::from(bits) / f64::from(u32::MAX)
}
