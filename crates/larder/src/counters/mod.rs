//! What all processes of a root have done, counted exactly.
//!
//! Each process counts in its own memory and appends what came together since the last time as one record to the journal
//! `counters` in the root's folder `ledger`; the totals are the sum of the records. When the journal has grown, whoever
//! appends replaces it, in one atomic step under its lock, by one record with the sum: killed at any instruction, every
//! delta counts once. What a killed process had not appended yet is lost.
//!
//! The bytes of a record are JSON: `{"counters":1,"hits_disk":3}`; what is zero is left out, and those that
//! only a newer version knows are carried along. A record of a newer format is kept as it is, and not counted.

mod class;
mod flusher;
mod latency;
mod record;
mod tally;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use larder_lock::Wait;
use larder_storage::journal::{self, Durability, Event, Journal};
use larder_storage::{Annex, Store, annex, root};

pub(crate) use self::class::Class;
pub use self::class::ClassTotals;
pub use self::flusher::Flusher;
pub use self::latency::{Histogram, Latency};
pub use self::record::Totals;
use self::record::{Read, encode};
pub use self::tally::Counter;
use self::tally::Tally;

/// The annex that counters share with other ledgers.
const ANNEX: &str = "ledger";
/// The journal's name.
const JOURNAL: &str = "counters";
/// Longer than this, in bytes, and a flush that has the time folds the journal.
const FOLD_BYTES: u64 = 256 * 1024;
/// Longer than this, and also a flush that has not.
const FOLD_AT_ONCE_BYTES: u64 = 4 * 1024 * 1024;
/// The longest the journal may become: folding fails only when the disk does, and then nothing grows for ever.
const JOURNAL_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Records of newer formats that a fold carries along; with more, the journal is left as it is.
const FOREIGN_MAX: usize = 1_024;
/// How often a read of the totals begins again where the last one stopped at its own bound.
const POLLS_MAX: u32 = 64;

/// Counts for one process, and appends to what all have counted.
///
/// Clones count together. What was not flushed when the last one is dropped is flushed then, as far as that can be done
/// at once.
///
/// ```
/// use std::sync::Arc;
/// use larder::counters::{Counter, Counters, Flushed, Fold, Totals};
/// use larder_storage::{Key, Put, Store, Wait};
///
/// # let scratch = larder_testkit::Scratch::new("counters-doc");
/// let store = Arc::new(Store::open(scratch.utf8_path())?);
/// store.put(&"guides/react".parse()?, b"# React", &Put::new())?;
///
/// let counters = Counters::new(Arc::clone(&store));
/// counters.add(Counter::HitsDisk, 1);
/// counters.add(Counter::BytesServed, 7);
/// // a command that answered from the cache has no time to tidy up
/// assert_eq!(counters.flush(Fold::WhenPressing, &Wait::none())?, Flushed::Appended);
///
/// let totals = Totals::read(&store)?;
/// assert_eq!((totals.hits_disk, totals.bytes_served, totals.misses), (1, 7, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Counters {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Arc<Store>,
    tally: Tally,
    ledger: Mutex<Option<Ledger>>,
}

/// The journal, in the root that was open when it was last needed.
#[derive(Debug)]
struct Ledger {
    annex: Annex,
    journal: Journal,
}

/// Whether a flush replaces a journal that has grown by its sum: a read of the whole, and two flushes of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    /// Beyond 256 KiB: for whoever has a second.
    WhenLong,
    /// Beyond 4 MiB only: for a command that is to be over in a millisecond.
    WhenPressing,
}

/// What a flush did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flushed {
    /// There was nothing to be appended.
    Nothing,
    /// It is counted.
    Appended,
    /// There is no root, so that nothing is kept; what was counted so far is forgotten. Looking makes no root.
    NoRoot,
}

/// Why nothing was counted. What was to be is kept for the next flush.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The root may only be read: nothing is counted there.
    #[error("{path} may only be read, so that nothing done there is counted: open it for writing to count")]
    ReadOnly {
        /// The root.
        path: camino::Utf8PathBuf,
        /// What forbids it.
        #[source]
        source: root::Error,
    },
    /// The root cannot be opened.
    #[error(transparent)]
    Root(#[from] root::Error),
    /// The ledger's folder cannot be opened or made.
    #[error(transparent)]
    Annex(#[from] annex::Error),
    /// The journal refused the record.
    #[error(transparent)]
    Append(#[from] journal::append::Error),
    /// The journal cannot be read.
    #[error(transparent)]
    Follow(#[from] journal::follow::Error),
    /// The name of the journal is refused.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// There is more to read than any journal of this version holds.
    #[error("the counters of {path} do not come to an end: somebody writes faster than they are read; try again")]
    Endless {
        /// The journal's file.
        path: camino::Utf8PathBuf,
    },
}

impl Counters {
    /// For this store. Nothing is read or made.
    pub fn new(store: Arc<Store>) -> Self {
        Self { shared: Arc::new(Shared { store, tally: Tally::new(), ledger: Mutex::new(None) }) }
    }

    /// Counts. Costs some nanoseconds; threads do not disturb each other.
    pub fn add(&self, counter: Counter, by: u64) {
        self.shared.tally.add(counter, by);
    }

    /// Counts for a class of documents as well, where that is done.
    pub fn add_for(&self, class: &str, counter: Counter, by: u64) {
        self.add(counter, by);
        self.class(class).count(counter, by);
    }

    /// A class, for counting it again and again.
    pub(crate) fn class(&self, name: &str) -> Class {
        self.shared.tally.classes.of(name)
    }

    /// Counts how long something took.
    pub fn measure(&self, latency: Latency, length: Duration) {
        self.shared.tally.measure(latency, length);
    }

    /// What this process has counted and not flushed.
    pub fn pending(&self) -> Totals {
        self.shared.tally.peek()
    }

    /// Appends what came together since the last flush, as one record, unsynced: it survives the end of this process,
    /// and loss of power within the time the system takes to write by itself.
    ///
    /// Blocks on the disk, and for up to `wait` on another process that is appending at this moment.
    ///
    /// # Errors
    /// Nothing was appended. It is kept, and counts with the next flush that succeeds.
    pub fn flush(&self, fold: Fold, wait: &Wait) -> Result<Flushed, Error> {
        self.shared.flush(fold, wait)
    }
}

impl Shared {
    /// Brings `metrics.yaml` up to date.
    fn write_view(&self) {
        if let Err(error) = crate::views::metrics(&self.store) {
            tracing::debug!(%error, "metrics.yaml is not up to date");
        }
    }

    fn flush(&self, fold: Fold, wait: &Wait) -> Result<Flushed, Error> {
        let mut slot = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        self.tally.add(Counter::Corrupt, self.store.newly_quarantined());
        let delta = self.tally.take();
        if delta.is_zero() {
            return Ok(Flushed::Nothing);
        }
        let flushed = self.append(&mut slot, &delta, fold, wait);
        if flushed.is_err() {
            self.tally.give_back(&delta);
        }
        flushed
    }

    fn append(
        &self,
        slot: &mut MutexGuard<'_, Option<Ledger>>,
        delta: &Totals,
        fold: Fold,
        wait: &Wait,
    ) -> Result<Flushed, Error> {
        if !self.store.is_present()? {
            **slot = None;
            return Ok(Flushed::NoRoot);
        }
        if slot.as_ref().is_some_and(|ledger| !ledger.annex.is_current()) {
            **slot = None;
        }
        let ledger = match &mut **slot {
            Some(ledger) => ledger,
            empty => empty.insert(Ledger::open(&self.store)?),
        };
        let record = encode(delta);
        let appended = match ledger.journal.append(&[&record], Durability::Unsynced, wait) {
            Err(journal::append::Error::Full { .. }) => {
                ledger.fold(wait)?;
                ledger.journal.append(&[&record], Durability::Unsynced, wait)?
            }
            appended => appended?,
        };
        let limit = match fold {
            Fold::WhenLong => FOLD_BYTES,
            Fold::WhenPressing => FOLD_AT_ONCE_BYTES,
        };
        // it is counted already: what fails now is tried again by the next flush of anybody
        if appended.end > limit
            && let Err(error) = ledger.fold(&Wait::none())
        {
            tracing::debug!(%error, "the journal of counters was not folded");
        }
        Ok(Flushed::Appended)
    }
}

impl Ledger {
    fn open(store: &Store) -> Result<Self, Error> {
        let annex = store.annex(ANNEX).map_err(|error| match error {
            annex::Error::Root(source @ root::Error::ReadOnly { .. }) => {
                Error::ReadOnly { path: store.path().to_owned(), source }
            }
            error => error.into(),
        })?;
        let journal = journal_in(&annex)?;
        Ok(Self { annex, journal })
    }

    /// Replaces all records by their sum, when nobody else is at it.
    fn fold(&self, wait: &Wait) -> Result<(), Error> {
        let exclusive = self.journal.exclusive(wait).map_err(journal::append::Error::from)?;
        if exclusive.length() <= FOLD_BYTES {
            return Ok(());
        }
        let mut sum = Sum::default();
        let polled = exclusive.catch_up(&mut self.journal.follow(), |event| sum.take(&event))?;
        if polled.more || sum.foreign.len() > FOREIGN_MAX {
            return Ok(());
        }
        let records = std::iter::once(encode(&sum.totals)).chain(sum.foreign);
        match exclusive.compact(records) {
            Ok(compacted) => tracing::debug!(?compacted, "the journal of counters was folded"),
            Err(error) => tracing::warn!(%error, "the journal of counters could not be folded"),
        }
        Ok(())
    }
}

fn journal_in(annex: &Annex) -> Result<Journal, Error> {
    Ok(Journal::new(annex.home(), JOURNAL, journal::Options::default().length_max(JOURNAL_BYTES_MAX))?)
}

/// Up to where a journal was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) lineage: u128,
    pub(crate) sequence: u64,
}

/// What the records read so far come to.
#[derive(Debug, Default)]
struct Sum {
    totals: Totals,
    foreign: Vec<Vec<u8>>,
}

impl Sum {
    fn take(&mut self, event: &Event<'_>) {
        match event {
            Event::Reset(_) | Event::Gone => *self = Self::default(),
            Event::Record { bytes, .. } => match record::decode(bytes) {
                Read::Delta(delta) => self.totals.add(&delta),
                // one more than is carried along tells that there are too many
                Read::Foreign if self.foreign.len() <= FOREIGN_MAX => self.foreign.push(bytes.to_vec()),
                Read::Foreign => {}
            },
            Event::Lost { records } => tracing::warn!(records, "records of counters are damaged, and not counted"),
        }
    }
}

impl Totals {
    /// What all processes have counted and flushed. An absent root has counted nothing; nothing is made.
    ///
    /// # Errors
    /// The root or its ledger cannot be read.
    pub fn read(store: &Store) -> Result<Self, Error> {
        Ok(Self::read_with_position(store)?.map(|(totals, _)| totals).unwrap_or_default())
    }

    /// The same, and up to which record of which journal that is; `None` when nothing was ever counted.
    pub(crate) fn read_with_position(store: &Store) -> Result<Option<(Self, Position)>, Error> {
        let Some(annex) = store.annex_if_present(ANNEX)? else { return Ok(None) };
        let mut follower = journal_in(&annex)?.follow();
        let mut sum = Sum::default();
        for _ in 0..POLLS_MAX {
            if !follower.poll(|event| sum.take(&event))?.more {
                let position =
                    follower.origin().map(|origin| Position { lineage: origin.lineage, sequence: follower.sequence() });
                return Ok(position.map(|position| (sum.totals, position)));
            }
        }
        Err(Error::Endless { path: annex.path_of(JOURNAL) })
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Err(error) = self.flush(Fold::WhenPressing, &Wait::none()) {
            tracing::debug!(%error, "the last counts of this process are lost");
        }
    }
}
