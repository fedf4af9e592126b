//! Appending: what it gives back and how it fails.

use std::io;
use std::sync::Arc;

use super::layout::{Body, Oversize};
use super::log::Log;
use super::{BATCH_LENGTH_MAX, BATCH_RECORDS_MAX, Origin, RECORD_LENGTH_MAX, Shared, reach};

/// Where a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The file it is in.
    pub origin: Origin,
    /// The number of its first record; the others count on.
    pub first_sequence: u64,
    /// How many records it has.
    pub records: u64,
    /// Where its frame begins in the file, in bytes.
    pub offset: u64,
    /// Where its frame ends.
    pub end: u64,
}

/// Records were not appended, or not durably.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// One record is too long.
    #[error(
        "record {index} for journal `{journal}` has {length} bytes, the limit is {RECORD_LENGTH_MAX}; store it elsewhere \
         and append its name"
    )]
    RecordTooLong {
        /// The journal's name.
        journal: String,
        /// Which of the records.
        index: usize,
        /// Its length in bytes.
        length: usize,
    },
    /// All records together are too long, or too many.
    #[error(
        "a batch of {records} records, {length} bytes, for journal `{journal}` is beyond the limits of \
         {BATCH_RECORDS_MAX} records and {BATCH_LENGTH_MAX} bytes; append it in parts"
    )]
    BatchTooLong {
        /// The journal's name.
        journal: String,
        /// How many records.
        records: usize,
        /// Their bytes together.
        length: usize,
    },
    /// The file has no room for them.
    #[error("journal `{journal}` would grow to {length} bytes, the limit is {limit}; compact it")]
    Full {
        /// The journal's name.
        journal: String,
        /// What its length would be.
        length: u64,
        /// What it may be.
        limit: u64,
    },
    /// The journal's end could not be reached.
    #[error(transparent)]
    Reach(#[from] reach::Error),
    /// The lock was lost before the write: nothing was written.
    #[error("the lock of journal `{journal}` was lost before the write; try again")]
    LockLost {
        /// The journal's name.
        journal: String,
        /// How it was lost.
        #[source]
        source: larder_lock::check::Error,
    },
    /// The write failed. What it left is no whole batch; it is cut off now or by the next writer.
    #[error("could not write to journal `{journal}`; nothing was appended")]
    Write {
        /// The journal's name.
        journal: String,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The sync failed. The records are there for followers; power loss may take them. The file is opened anew before
    /// it is used again.
    #[error("records were appended to journal `{journal}`, but they are not known to be durable; check the disk")]
    NotDurable {
        /// The journal's name.
        journal: String,
        /// Where the records are; `None` when there were none.
        appended: Option<Appended>,
        /// The error of the sync, which other threads may have shared.
        #[source]
        source: Arc<io::Error>,
    },
}

pub(super) fn body_of<R: AsRef<[u8]>>(shared: &Shared, records: &[R]) -> Result<Option<Body>, Error> {
    if records.is_empty() {
        return Ok(None);
    }
    let journal = || shared.names.journal.clone();
    Body::of(records).map(Some).map_err(|oversize| match oversize {
        Oversize::Record(index, length) => Error::RecordTooLong { journal: journal(), index, length },
        Oversize::Batch(length) => Error::BatchTooLong { journal: journal(), records: records.len(), length },
        Oversize::Count(records_count) => {
            let length = records.iter().map(|record| record.as_ref().len()).sum();
            Error::BatchTooLong { journal: journal(), records: records_count, length }
        }
    })
}

pub(super) fn sync(shared: &Shared, log: &Log, appended: &Appended) -> Result<(), Error> {
    log.sync(&*shared.home.disk, &shared.home.folder).map_err(|source| Error::NotDurable {
        journal: shared.names.journal.clone(),
        appended: (appended.records > 0).then_some(*appended),
        source,
    })
}
