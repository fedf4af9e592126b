//! An append-only journal that many processes write and follow at once.
//!
//! A [`Journal`] is one file, `<name>.journal`, of opaque records. Any process appends under the journal's lock, any
//! process follows without it. A batch of records is one write, whole or absent after any crash, and with
//! [`Durability::Synced`] one sync, shared with the other threads of the process that append meanwhile. A
//! [`Follower`] reads only what is new; when there is nothing, that is one `pread`. When a journal has grown full of
//! records that no longer matter, [`Exclusive::compact`] replaces it by those that do, in one rename; followers are
//! told by [`Event::Reset`] and begin again.
//!
//! # What is promised
//! - A batch whose synced append returned survives `kill -9` at any instruction and power loss.
//! - A batch that was appended unsynced, or whose append failed or never returned, is whole or absent after power loss;
//!   those that survive keep their order. `kill -9` takes nothing that was appended.
//! - A flipped bit in a record costs that record; in a batch's head or table, that batch; in the header, nothing, and in
//!   both its copies, the file is set aside and the caller told. Losses are counted ([`Event::Lost`]).
//! - No record is given to a follower twice, unless an [`Event::Reset`] came between.
//! - Sequence numbers grow, also through compactions, and no record of one lineage shares its number with another that
//!   was acknowledged as synced.
//!
//! # Limitations
//! - In the *last* batch of a file a damaged record cannot be told from one that never reached the disk: the batch is
//!   then absent as a whole, and the next writer cuts it off.
//! - What is appended unsynced is seen by followers at once, and may be gone after power loss: whoever stores a
//!   conclusion elsewhere syncs first ([`Exclusive::sync`]).
//! - A holder that freezes inside an append delays other appenders until their wait ends; followers are not delayed.
//!   With the lease backend a holder that wakes up late, between its last look at the lease and its write, may damage
//!   or cut off what others have appended since; checksums keep anything false from being read.
//! - A wait bounds the wait for the lock. A system call that the disk does not answer takes as long as the disk takes.
//! - Records end at 1 MiB, batches at 64 MiB, the file at [`Options::length_max`].
//!
//! The bytes and the argument are in `docs/format-journal.md`.
//!
//! ```
//! use std::sync::Arc;
//! use larder_storage::journal::{Durability, Event, Home, Journal, Options};
//! use larder_lock::{Locks, Wait};
//! use larder_system::{Clock, Disk, SystemClock, SystemDisk};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let path = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/doc-journal");
//! # let _ = std::fs::remove_dir_all(&path);
//! let disk: Arc<dyn Disk> = Arc::new(SystemDisk::new());
//! let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
//! disk.make_root(&path)?;
//! let folder = Arc::new(disk.open_root(&path)?);
//! let locks = Locks::in_folder(disk.clone(), clock.clone(), folder.clone(), larder_lock::Options::default());
//! let journal = Journal::new(Home { disk, clock, folder, locks }, "queue", Options::default())?;
//!
//! let mut follower = journal.follow();
//! journal.append(&["add react", "add serde"], Durability::Synced, &Wait::none())?;
//! let mut seen = Vec::new();
//! follower.poll(|event| {
//!     if let Event::Record { bytes, .. } = event {
//!         seen.push(bytes.to_vec());
//!     }
//! })?;
//! assert_eq!(seen, [b"add react", b"add serde"]);
//! # Ok(())
//! # }
//! ```

pub mod append;
pub mod compact;
mod exclusive;
pub mod follow;
mod fresh;
mod layout;
mod log;
pub mod reach;
mod reader;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use larder_lock::{Locks, Mode, Wait};
use larder_system::{Clock, Disk, Handle};

pub use append::Appended;
pub use compact::Compacted;
pub use exclusive::{Ahead, Exclusive};
pub use follow::{Event, Follower, Polled};
pub use layout::{BATCH_LENGTH_MAX, BATCH_RECORDS_MAX, Origin, RECORD_LENGTH_MAX};

use reach::Tail;

/// What survives which failure once an append has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Durability {
    /// Survives `kill -9` and power loss.
    Synced,
    /// Survives `kill -9`; power loss may take it until somebody's synced append follows.
    Unsynced,
}

/// Where a journal lives, and by what it reaches the system.
#[derive(Clone)]
pub struct Home {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The folder of the journal's file, opened by `disk`.
    pub folder: Arc<Handle>,
    /// The locks, the same folder of locks for everyone who shares the journal.
    pub locks: Locks,
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Home").field("disk", &self.disk).field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// Settings of a [`Journal`].
///
/// ```
/// let options = larder_storage::journal::Options::default().length_max(64 * 1024 * 1024);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "options do nothing until a journal is made with them"]
pub struct Options {
    length_max: u64,
    reserve: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { length_max: 1024 * 1024 * 1024, reserve: true }
    }
}

impl Options {
    /// The longest the file may become, in bytes; an append beyond that is refused. 1 GiB unless said otherwise.
    pub const fn length_max(mut self, length: u64) -> Self {
        self.length_max = length;
        self
    }

    /// Whether synced appends write zeros ahead, 64 to 256 KiB at a time, so that most of them change no metadata and
    /// sync in about two thirds of the time. On unless said otherwise.
    pub const fn reserve(mut self, reserve: bool) -> Self {
        self.reserve = reserve;
        self
    }
}

/// The name makes no journal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Names are file names.
    #[error("`{name}` is no journal's name; use 1 to {NAME_LENGTH_MAX} of a-z, 0-9, `-` and `_`")]
    Name {
        /// What was given.
        name: String,
    },
}

const NAME_LENGTH_MAX: usize = 64;

#[derive(Debug)]
struct Names {
    journal: String,
    file: String,
    fresh: String,
}

#[derive(Debug)]
struct Shared {
    home: Home,
    names: Names,
    options: Options,
    tail: Mutex<Option<Tail>>,
}

/// An append-only journal of opaque records; clones are the same journal.
///
/// Making one touches no disk. Appending to a journal that is not there makes it; following one that is not there finds
/// nothing, until it is.
#[derive(Clone, Debug)]
pub struct Journal {
    shared: Arc<Shared>,
}

impl Journal {
    /// The journal `name` in `home`. One per process and name: the threads that share it share its syncs.
    pub fn new(home: Home, name: &str, options: Options) -> Result<Self, Error> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
        if name.is_empty() || name.len() > NAME_LENGTH_MAX || !name.bytes().all(is_plain) {
            return Err(Error::Name { name: name.chars().take(NAME_LENGTH_MAX).collect() });
        }
        let file = format!("{name}.journal");
        let names = Names { journal: name.to_owned(), fresh: format!("{file}.new"), file };
        Ok(Self { shared: Arc::new(Shared { home, names, options, tail: Mutex::new(None) }) })
    }

    /// Appends the records as one batch: one write, and with [`Durability::Synced`] at most one sync.
    ///
    /// The lock is let go before the sync, so that a sync delays no other process; threads of this process that have
    /// appended meanwhile share the next one.
    ///
    /// # Errors
    /// [`append::Error::NotDurable`] means that the records are in the journal and followers see them, and that power
    /// loss may take them. After every other error they are absent.
    pub fn append<R: AsRef<[u8]>>(
        &self,
        records: &[R],
        durability: Durability,
        wait: &Wait,
    ) -> Result<Appended, append::Error> {
        self.append_within(u64::MAX, records, durability, wait)
    }

    /// The same, as long as the file is no longer than `length_max` bytes then; [`Options::length_max`] holds all the same.
    /// For those who are to leave room for others.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn append_within<R: AsRef<[u8]>>(
        &self,
        length_max: u64,
        records: &[R],
        durability: Durability,
        wait: &Wait,
    ) -> Result<Appended, append::Error> {
        let body = append::body_of(&self.shared, records)?;
        let mut exclusive = self.exclusive(wait)?;
        let (appended, log) = exclusive.write(body, durability, length_max)?;
        drop(exclusive);
        if durability == Durability::Synced {
            append::sync(&self.shared, &log, &appended)?;
        }
        Ok(appended)
    }

    /// Takes the journal's lock and goes to its end, for steps that must not be divided: read, decide, append; or read,
    /// compact.
    ///
    /// Its file is made if it is not there, its torn tail cut off.
    pub fn exclusive(&self, wait: &Wait) -> Result<Exclusive<'_>, reach::Error> {
        let shared = &*self.shared;
        let guard =
            shared.home.locks.acquire(&shared.names.file, Mode::Exclusive, wait).map_err(|source| {
                reach::Error::Lock { journal: shared.names.journal.clone(), source: Box::new(source) }
            })?;
        let locked = shared.home.clock.monotonic();
        // A thread that panicked with the tail in hand left it where its last whole step was; its position is checked
        // against the file like any other.
        let mut tail = shared.tail.lock().unwrap_or_else(PoisonError::into_inner);
        reach::reach(shared, &mut tail)?;
        Ok(Exclusive::new(shared, tail, guard, locked))
    }

    /// A follower at the journal's start.
    pub fn follow(&self) -> Follower {
        Follower::new(Arc::clone(&self.shared))
    }
}
