//! The flights of a store.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use larder_lock::{Wait, acquire};
use larder_storage::{Annex, GetError, Key, Store, Tag, annex};

use crate::file::Id;
use crate::met::Begun;
use crate::terms::Terms;
use crate::turn::Turn;
use crate::{begin, decide, errand, sweep, under_way, worth};

/// The folder of a root that flights have their files in.
pub(crate) const FOLDER: &str = "flights";
/// How often the folder may turn out to have been replaced while it is opened.
const ATTEMPTS_MAX: u32 = 8;

/// The fetches that are under way for the documents of a store, in all processes that use its root. Clones share.
///
/// # Cancel safety
/// All calls block. The [cancellation](larder_lock::Cancellation) in the terms' wait ends a [`begin`](Self::begin) that
/// waits for others, and touches nobody else's flight.
#[derive(Clone)]
pub struct Flights {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<Store>,
    annex: Mutex<Option<Annex>>,
}

impl Flights {
    /// Those of `store`. Touches nothing on the disk.
    pub fn new(store: Arc<Store>) -> Self {
        Self { shared: Arc::new(Shared { store, annex: Mutex::new(None) }) }
    }

    /// The store.
    pub fn store(&self) -> &Arc<Store> {
        &self.shared.store
    }

    /// Joins the flight for `key` that is under way, or leads the next one. Blocks, for no longer than the terms' wait.
    ///
    /// `look` says whether the store has an acceptable answer by now. It is asked after this caller has won the lead,
    /// before it is given it, and after each flight of others that has landed. The caller is expected to have looked
    /// before it calls.
    ///
    /// A thread that leads a flight and begins the same key again waits for itself, up to its bound.
    ///
    /// A flight is joined only when nothing that covers the key, or one of the terms' tags, was invalidated since it
    /// began; another one's end is waited for, and its answer left to those who came earlier.
    ///
    /// # Errors
    /// [`begin::Error`]. After those that are not about the wait, the caller may fetch without a flight, for itself.
    pub fn begin<T>(
        &self,
        key: &Key,
        terms: &Terms,
        look: impl FnMut() -> Result<Option<T>, GetError>,
    ) -> Result<Turn<T>, begin::Error> {
        begin::run(self, key, terms, None, look)
    }

    /// The same up to the moment at which it would wait for somebody's flight: that is handed out instead, for a thread
    /// that may wait. What else it may have to wait for is over in an instant, or concerns a leader that is dead.
    ///
    /// # Errors
    /// [`begin::Error`].
    pub fn begin_at_once<T>(
        &self,
        key: &Key,
        terms: &Terms,
        look: impl FnMut() -> Result<Option<T>, GetError>,
    ) -> Result<Begun<T>, begin::Error> {
        begin::at_once(self, key, terms, None, look)
    }

    /// What is in flight now, in no particular order, and what failures are remembered. Makes nothing.
    ///
    /// # Errors
    /// The folder of flights cannot be read.
    pub fn under_way(&self) -> Result<Vec<under_way::UnderWay>, under_way::Error> {
        under_way::list(self)
    }

    /// What there is of one key: a flight under way, a failure that is remembered, or that its answers may not be stored; as
    /// far as it concerns a caller who asks now and names these tags. It costs a few system calls, and makes nothing.
    ///
    /// # Errors
    /// The file cannot be read, or the lock not be looked at.
    pub fn at(&self, key: &Key, tags: &[Tag]) -> Result<Option<under_way::UnderWay>, under_way::Error> {
        under_way::at(self, key, tags)
    }

    /// What is to be done about a question for `key`, whose stored copy is `copy`: [`larder_staleness::decide`], with the
    /// failure that all processes remember.
    ///
    /// At a moment that is still to come, `at` decides as it will then if nothing happens in between. Where what is
    /// remembered cannot be read, nothing is.
    pub fn decide(
        &self,
        key: &Key,
        tags: &[Tag],
        copy: Option<&larder_staleness::Copy>,
        wish: &larder_staleness::Wish,
        at: std::time::SystemTime,
    ) -> decide::Decided {
        decide::run(self, key, tags, copy, wish, at)
    }

    /// The right to start a process that refreshes `key`, if nobody has it. Does not wait.
    ///
    /// # Errors
    /// The root cannot be written, or the lock not be used.
    pub fn errand(&self, key: &Key) -> Result<Option<errand::Errand>, errand::Error> {
        errand::take(self, key)
    }

    /// Waits until whoever refreshes `key` behind its callers' backs has come to an end; false when the wait ended first.
    ///
    /// # Errors
    /// The root cannot be written, the lock not be used, or the wait was cancelled.
    pub fn wait_for_errand(&self, key: &Key, wait: &Wait) -> Result<bool, errand::Error> {
        errand::wait(self, key, wait)
    }

    /// Removes the files that dead leaders left behind, and those of failures whose memory has ended; looks at no more
    /// than `files_max` files.
    ///
    /// Safe at any time. Nobody needs it for anything but the space: what is left behind is in nobody's way.
    ///
    /// # Errors
    /// The folder of flights cannot be read or written.
    pub fn sweep(&self, files_max: usize) -> Result<sweep::Swept, sweep::Error> {
        sweep::run(self, files_max)
    }

    /// What a stored document is worth when room is needed: nothing when it is kept no longer, as much as it can be while its
    /// upstream is failing, because it may be the last good copy. For [`larder_storage::Eviction`].
    pub fn worth(&self, summary: &larder_storage::Summary) -> larder_storage::Worth {
        worth::of(self, summary)
    }

    /// The folder, made if it is missing, in the root that is there now.
    pub(crate) fn annex(&self) -> Result<Annex, annex::Error> {
        let mut known = self.slot().clone();
        for _ in 0..ATTEMPTS_MAX {
            if let Some(annex) = known
                && annex.is_current()
            {
                return Ok(annex);
            }
            let made = self.store().annex(FOLDER)?;
            if !made.is_current() {
                // the store looks at its root now and then; a token makes it look now
                let _ = self.store().token();
            }
            *self.slot() = Some(made.clone());
            known = Some(made);
        }
        Err(larder_storage::root::Error::Replaced { path: self.store().path().to_owned() }.into())
    }

    /// The folder, if it is there, and whether its locks can be used: not those of a store that only reads.
    pub(crate) fn annex_if_present(&self) -> Result<Option<(Annex, bool)>, annex::Error> {
        let Some(for_reading) = self.store().annex_if_present(FOLDER)? else { return Ok(None) };
        match self.annex() {
            Ok(annex) => Ok(Some((annex, true))),
            Err(annex::Error::Root(_)) => Ok(Some((for_reading, false))),
            Err(error) => Err(error),
        }
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Annex>> {
        self.shared.annex.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Flights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").field("root", &self.store().path()).finish_non_exhaustive()
    }
}

/// The file of the flight for `key`.
pub(crate) fn file_name(key: &Key) -> String {
    blake3::hash(key.as_str().as_bytes()).to_hex().chars().take(32).collect()
}

/// The lock that is held by whoever replaces or removes the file `name` of a dead flight.
pub(crate) fn election_lock(name: &str) -> String {
    format!("//flights/elect/{name}")
}

/// Whether the flight's leader holds its lock now.
pub(crate) fn is_alive(annex: &Annex, id: &Id) -> Result<bool, acquire::Error> {
    is_held(annex, &id.lock())
}

/// Whether anybody holds this lock now.
pub(crate) fn is_held(annex: &Annex, lock: &str) -> Result<bool, acquire::Error> {
    match annex.locks().wait_until_free(lock, &Wait::none().without_holder()) {
        Ok(()) => Ok(false),
        Err(error) if error.is_contention() => Ok(true),
        Err(error) => Err(error),
    }
}

/// The wall clock, in milliseconds since 1970.
pub(crate) fn wall_ms(clock: &dyn larder_system::Clock) -> u64 {
    let since = clock.wall().duration_since(std::time::SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// An error in the form that the standard library's interfaces carry.
pub(crate) fn other(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::other(error)
}
