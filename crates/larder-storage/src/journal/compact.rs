//! Replacing a journal by the records that still matter.

use std::io;
use std::sync::Arc;

use larder_lock::Guard;

use super::fresh::{Fill, Fresh};
use super::reach::Tail;
use super::{Origin, RECORD_LENGTH_MAX, Shared, reach};

/// What a compaction did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// The new file.
    pub origin: Origin,
    /// How many records it holds.
    pub records: u64,
    /// The old file's bytes.
    pub length_before: u64,
    /// The new file's bytes.
    pub length: u64,
}

/// A journal was not compacted, or not durably.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The journal's end could not be reached.
    #[error(transparent)]
    Reach(#[from] reach::Error),
    /// A record is too long.
    #[error(
        "a record of {length} bytes was to be kept in journal `{journal}`, the limit is {RECORD_LENGTH_MAX}; the journal \
         is as it was"
    )]
    RecordTooLong {
        /// The journal's name.
        journal: String,
        /// The record's length in bytes.
        length: usize,
    },
    /// What is to be kept is longer than a journal may be.
    #[error("journal `{journal}` would still have {length} bytes after compaction, the limit is {limit}; keep less")]
    Full {
        /// The journal's name.
        journal: String,
        /// What its length would be.
        length: u64,
        /// What it may be.
        limit: u64,
    },
    /// The lock was lost before the rename: the journal is as it was.
    #[error("the lock of journal `{journal}` was lost before the compaction took effect; try again")]
    LockLost {
        /// The journal's name.
        journal: String,
        /// How it was lost.
        #[source]
        source: larder_lock::check::Error,
    },
    /// The new file could not be written or renamed: the journal is as it was.
    #[error("could not compact journal `{journal}`; it is as it was")]
    Write {
        /// The journal's name.
        journal: String,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The journal is compacted; power loss may bring the old one back, whole.
    #[error("journal `{journal}` is compacted, but that is not known to be durable; check the disk")]
    NotDurable {
        /// The journal's name.
        journal: String,
        /// What was done.
        compacted: Compacted,
        /// The error of the sync.
        #[source]
        source: Arc<io::Error>,
    },
}

pub(super) fn compact<R: AsRef<[u8]>>(
    shared: &Shared,
    tail: &mut Option<Tail>,
    guard: &Guard,
    records: impl IntoIterator<Item = R>,
) -> Result<Compacted, Error> {
    let journal = || shared.names.journal.clone();
    let write = |source| Error::Write { journal: journal(), source };
    let Some(old) = tail.as_ref() else { return Err(reach::Error::Restless { journal: journal() }.into()) };
    let (disk, limit, length_before) = (&*shared.home.disk, shared.options.length_max, old.reader.offset());
    let mut fresh = Fresh::begin(shared, old.next_header()).map_err(write)?;
    let records = match fresh.fill(disk, records, limit) {
        Ok(records) => records,
        Err(fill) => {
            fresh.discard(shared);
            return Err(match fill {
                Fill::Disk(source) => write(source),
                Fill::Full(length) => Error::Full { journal: journal(), length, limit },
                Fill::TooLong(length) => Error::RecordTooLong { journal: journal(), length },
            });
        }
    };
    let length = fresh.length();
    let mut lost = None;
    let published = fresh.publish(shared, |disk| {
        if let Err(source) = guard.check() {
            lost = Some(source);
            return Err(io::ErrorKind::Interrupted.into());
        }
        old.close(disk);
        Ok(())
    });
    if let Some(source) = lost {
        return Err(Error::LockLost { journal: journal(), source });
    }
    let published = published.map_err(write)?;
    let (origin, log) = (published.origin, Arc::clone(&published.log));
    *tail = Some(published);
    let compacted = Compacted { origin, records, length_before, length };
    log.sync(disk, &shared.home.folder).map_err(|source| Error::NotDurable {
        journal: journal(),
        compacted,
        source,
    })?;
    Ok(compacted)
}
