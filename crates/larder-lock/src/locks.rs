//! A folder of named locks.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use larder_system::{Clock, Disk, Handle};

use crate::kept::Kept;
use crate::line::Key;
use crate::name::Name;
use crate::options::{Backend, Options};
use crate::{Guard, Holder, Mode, Wait, acquire, free, holder, holders, lease, open, sweep};

/// A folder of named locks. Clones are the same folder.
///
/// Any number of processes, and any number of `Locks` in one process, may use one folder. Waiters of one process queue in
/// the order in which they came, and stand for it one at a time in the competition with other processes.
///
/// A lock is not reentrant: a thread that asks again for what it holds waits for itself, up to its bound. It is never
/// converted between shared and exclusive.
///
/// # Cancel safety
/// All calls block. A [`Cancellation`](crate::Cancellation) ends a wait; an acquisition that ends without the lock has
/// changed nothing.
#[derive(Clone)]
pub struct Locks {
    shared: Arc<Shared>,
}

static UNKNOWN: AtomicU64 = AtomicU64::new(0);

/// What all clones and guards share.
pub(crate) struct Shared {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) folder: Arc<Handle>,
    pub(crate) place: Option<Utf8PathBuf>,
    pub(crate) options: Options,
    pub(crate) kept: Kept,
    pub(crate) seen: lease::Seen,
    pub(crate) template: OnceLock<Option<holder::Template>>,
    device: u64,
    inode: u64,
}

impl Locks {
    /// Locks in a folder that the caller has opened through `disk`. One `fstat`; nothing is read, made or probed.
    ///
    /// [`Backend::Auto`] stands for [`Backend::Advisory`] here: the caller has decided by other means, for instance with
    /// [`probe`](crate::probe()), what all processes use in this folder. Two that differ do not exclude each other.
    pub fn in_folder(disk: Arc<dyn Disk>, clock: Arc<dyn Clock>, folder: Arc<Handle>, options: Options) -> Self {
        Self::made(disk, clock, folder, options, None)
    }

    /// Locks in the folder at `path`, on the system's disk.
    ///
    /// The folder is made (0700) if it is absent; its parent must exist. The backend is what the folder's record says;
    /// without a record the file system is probed, within [`Options::probe_bound`], and the finding recorded.
    #[cfg(unix)]
    pub fn open(path: &Utf8Path, options: Options) -> Result<Self, open::Error> {
        let disk = Arc::new(larder_system::SystemDisk::new());
        Self::open_with(disk, Arc::new(larder_system::SystemClock::new()), path, options)
    }

    /// [`open`](Self::open) on another disk, by another clock.
    pub fn open_with(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        path: &Utf8Path,
        options: Options,
    ) -> Result<Self, open::Error> {
        let (folder, backend) = open::folder(&disk, path, &options)?;
        Ok(Self::made(disk, clock, folder, options.backend(backend), Some(path.to_owned())))
    }

    fn made(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        folder: Arc<Handle>,
        mut options: Options,
        place: Option<Utf8PathBuf>,
    ) -> Self {
        options.backend = options.backend.clamped();
        // Without a look at the folder nothing tells whether two `Locks` are for the same one; then each queues for itself.
        let (device, inode) = identity(&disk, &folder);
        let kept = Kept::new(options.kept_descriptors);
        let (seen, template) = (lease::Seen::default(), OnceLock::new());
        Self { shared: Arc::new(Shared { disk, clock, folder, place, options, kept, seen, template, device, inode }) }
    }

    /// Takes the lock `name`, any text of at most 1,024 bytes, within the terms of `wait`.
    ///
    /// The wait ends with the lock, at its bound, or by its cancellation. A lock file that disappears under the caller's
    /// hands is noticed and made again, a bounded number of times.
    ///
    /// # Platform
    /// Advisory locks are those of `flock(2)`; on Windows, of `LockFileEx`. Where the file system has none, the error
    /// says so at once: see [`acquire::Error::Unsupported`].
    ///
    /// ```
    /// # let scratch = camino::Utf8PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/doc-lock-acquire"));
    /// use std::time::Duration;
    /// use larder_lock::{Locks, Mode, Options, Wait};
    ///
    /// let locks = Locks::open(&scratch, Options::new())?;
    /// let guard = locks.acquire("react/hooks", Mode::Exclusive, &Wait::up_to(Duration::from_secs(5)))?;
    /// // ... prepare what is to be published ...
    /// guard.check()?;
    /// // ... publish ...
    /// drop(guard);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn acquire(&self, name: &str, mode: Mode, wait: &Wait) -> Result<Guard, acquire::Error> {
        acquire::run(&self.shared, name, mode, wait)
    }

    /// Waits, within the terms of `wait`, until nobody holds the lock `name` exclusively; does not take it and makes no
    /// file. A lock that nobody has ever taken, or whose file was retired, is free.
    ///
    /// For what ends when its holder lets go or dies: a piece of work, a process. All who wait are released at once.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire): the wait ended and the lock is still held, or it could not be looked at.
    ///
    /// ```
    /// # let scratch = camino::Utf8PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/doc-lock-free"));
    /// use larder_lock::{Locks, Mode, Options, Wait};
    ///
    /// let locks = Locks::open(&scratch, Options::new())?;
    /// let work = locks.acquire("work", Mode::Exclusive, &Wait::none())?;
    /// assert!(locks.wait_until_free("work", &Wait::none()).is_err());
    /// drop(work);
    /// locks.wait_until_free("work", &Wait::none())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_until_free(&self, name: &str, wait: &Wait) -> Result<(), acquire::Error> {
        free::run(&self.shared, name, wait)
    }

    /// Who holds what in this folder, at the moment of each look.
    ///
    /// # Platform
    /// On Linux the kernel's table names holders without touching the locks. A lock that no row of it covers (held from
    /// another container or machine, or not at all), and every lock elsewhere, is tried for an instant: an acquisition
    /// without a wait may be refused in that instant.
    pub fn holders(&self) -> Result<Vec<holders::Held>, holders::Error> {
        holders::list(&self.shared)
    }

    /// Removes the files of locks that nobody holds, and what dead processes left behind, looking at no more than
    /// `files_max` names.
    ///
    /// Safe at any time: a file goes only while this process holds its lock and the name still means that file; whoever
    /// was about to lock it notices and makes a new one.
    pub fn sweep(&self, files_max: usize) -> Result<sweep::Swept, sweep::Error> {
        sweep::run(&self.shared, files_max)
    }

    /// The backend in use; never [`Backend::Auto`].
    pub fn backend(&self) -> Backend {
        self.shared.lease_length().map_or(Backend::Advisory, |length| Backend::Lease { length })
    }
}

/// What tells folders apart inside this process. The numbers of a disk that is not the system's mean something on that
/// disk only, so its own place in memory stands for the device; it stays there for as long as a lock of it lives.
fn identity(disk: &Arc<dyn Disk>, folder: &Handle) -> (u64, u64) {
    match disk.metadata(folder) {
        Ok(found) if folder.file().is_some() => (found.device, found.inode),
        Ok(found) => (Arc::as_ptr(disk).cast::<()>().addr() as u64, found.inode),
        Err(_) => (u64::MAX, UNKNOWN.fetch_add(1, Ordering::Relaxed)),
    }
}

impl fmt::Debug for Locks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(f)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Locks").field("place", &self.place).field("options", &self.options).finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn key(&self, name: &Name) -> Key {
        self.key_of(name.hash())
    }

    pub(crate) const fn key_of(&self, hash: u128) -> Key {
        Key { device: self.device, inode: self.inode, hash }
    }

    pub(crate) const fn lease_length(&self) -> Option<Duration> {
        match self.options.backend {
            Backend::Lease { length } => Some(length),
            Backend::Auto | Backend::Advisory => None,
        }
    }

    pub(crate) fn holder_of(&self, name: &Name, effort: holder::Effort) -> Holder {
        if self.lease_length().is_some() {
            lease::holder_of(self, name)
        } else {
            holder::of_file(self.disk.as_ref(), &self.folder, &name.lock_file(), effort)
        }
    }

    /// The folder as messages name it.
    pub(crate) fn place(&self) -> String {
        self.place.as_ref().map_or_else(|| "the lock folder".to_owned(), |place| format!("lock folder {place}"))
    }

    /// A file in the folder as messages name it.
    pub(crate) fn path_of(&self, file: &std::path::Path) -> std::path::PathBuf {
        self.place.as_ref().map_or_else(|| file.to_owned(), |place| place.as_std_path().join(file))
    }
}
