//! The store: documents under keys, in a folder shared by any number of processes.

mod announce;
mod evict;
mod get;
mod inspect;
mod list;
mod mark;
mod place;
mod publish;
mod sweep;
pub mod trial;
mod used;
mod verify;
mod view;
mod walk;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use camino::{Utf8Path, Utf8PathBuf};
use larder_lock::Backend;
use larder_system::{Clock, Disk, SystemClock, SystemDisk};

pub use self::evict::{Evicted, Eviction, Worth};
pub use self::get::Error as GetError;
pub use self::inspect::{Counted, Leftovers, Loose, SetAside};
pub use self::list::{Listing, Summary, Usage};
pub use self::mark::Mark;
pub(crate) use self::mark::Writers;
pub use self::sweep::Swept;
pub use self::used::USE_RECORDED_EVERY;
pub use self::verify::{Damage, Verified};
pub use self::view::{View, Views};
use crate::annex::{self, Annex};
use crate::entry::Tag;
use crate::generation::{Standing, Token};
use crate::invalidate::{self, Invalidation};
use crate::key::Key;
use crate::room::Bounds;
use crate::root::{self, Root, Surroundings};
use crate::stamps::Stamps;

/// How often a long-lived store looks whether its root is still the folder of that name.
const LOOK_EVERY_MS: u64 = 500;
/// How often an operation begins again because the root was replaced under it.
const ATTEMPTS_MAX: u32 = 8;
/// The largest document, unless told otherwise.
const BODY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How a store is opened.
#[derive(Clone, Debug)]
#[must_use = "options do nothing until a store is opened with them"]
pub struct Options {
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    backend: Backend,
    writable: bool,
    body_bytes_max: u64,
    bounds: Bounds,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            disk: Arc::new(SystemDisk::new()),
            clock: Arc::new(SystemClock::new()),
            backend: Backend::Auto,
            writable: true,
            body_bytes_max: BODY_BYTES_MAX,
            bounds: Bounds::default(),
        }
    }
}

impl Options {
    /// The system's disk and clock, locks as the file system can do them, reading and writing, 64 MiB a document.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another disk: one that counts, fails or forgets, for tests.
    pub fn disk(mut self, disk: Arc<dyn Disk>) -> Self {
        self.disk = disk;
        self
    }

    /// Another clock: one that jumps, for tests.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The kind of locks. A root keeps the kind it was made with; asking for another is refused.
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backend = backend;
        self
    }

    /// Only reads: nothing is ever made, changed, set aside or locked.
    pub fn read_only(mut self) -> Self {
        self.writable = false;
        self
    }

    /// The largest document that is stored or read, in bytes: the bound on a read's memory.
    pub fn body_bytes_max(mut self, bytes: u64) -> Self {
        self.body_bytes_max = bytes;
        self
    }

    /// What entries may take together before [`Store::pressure`] tells, and what [`Store::evict`] works towards. Nothing is
    /// evicted unless that is called.
    pub fn bounds(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// Opens the store at `path`. Nothing is made before the first write; reading a root that is not there answers
    /// absent.
    ///
    /// # Errors
    /// The path is not a folder, or its root is of a newer format, or of another kind of locks than asked for.
    pub fn open(self, path: impl AsRef<Utf8Path>) -> Result<Store, root::Error> {
        let Self { disk, clock, backend, writable, body_bytes_max, bounds } = self;
        // a relative path would mean another folder once the process changes its own
        let path = camino::absolute_utf8(path.as_ref()).unwrap_or_else(|_| path.as_ref().to_owned());
        let store = Store {
            around: Surroundings { disk, clock, backend, writable, bounds },
            path,
            root: RwLock::new(None),
            looked: AtomicU64::new(0),
            body_bytes_max,
        };
        store.reading()?;
        Ok(store)
    }
}

/// Documents under keys, in a folder that any number of processes share.
///
/// Methods may be called from many threads at once. None of them is async; each may block on the disk, and a put on
/// another writer of the same key, within its wait.
#[derive(Debug)]
pub struct Store {
    around: Surroundings,
    path: Utf8PathBuf,
    root: RwLock<Option<Arc<Root>>>,
    /// When the root was last looked at, in monotonic milliseconds.
    looked: AtomicU64,
    body_bytes_max: u64,
}

impl Store {
    /// Opens the store at `path` for reading and writing, with the default [`Options`].
    ///
    /// # Errors
    /// As [`Options::open`].
    pub fn open(path: impl AsRef<Utf8Path>) -> Result<Self, root::Error> {
        Options::new().open(path)
    }

    /// The root's path, absolute.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// The generation now: to be taken before a fetch begins, and handed in with what it brings
    /// ([`Put::fetched_in`](crate::Put::fetched_in)). Makes the root if there is none.
    ///
    /// # Errors
    /// The root cannot be made or read.
    pub fn token(&self) -> Result<Token, invalidate::Error> {
        let root = self.prepared_now()?;
        match root.stamps()? {
            Some(stamps) => Ok(stamps.token()?),
            None => Err(root::Error::Replaced { path: self.path.clone() }.into()),
        }
    }

    /// The generation now, for those who only read: `None` when there is no root, or none with a record of invalidations.
    /// Makes nothing.
    ///
    /// # Errors
    /// The root or its record of invalidations cannot be read.
    pub fn token_if_present(&self) -> Result<Option<Token>, invalidate::Error> {
        let Some(root) = self.reading()? else { return Ok(None) };
        Ok(root.stamps()?.map(Stamps::token).transpose()?)
    }

    /// What the invalidations since `token` say of `key` with `tags`: whether what was fetched in that generation may
    /// still be given out. One cheap system call when nothing was invalidated.
    ///
    /// # Errors
    /// The root or its record of invalidations cannot be read.
    pub fn standing(&self, token: Token, key: &Key, tags: &[Tag]) -> Result<Standing, invalidate::Error> {
        let Some(root) = self.reading()? else { return Ok(Standing::Gone) };
        match root.stamps()? {
            Some(stamps) => Ok(stamps.standing(token, key, tags)?),
            None => Ok(Standing::Gone),
        }
    }

    /// A folder of the root for other crates' small files; made, with the root, if it is missing. See [`Annex`].
    ///
    /// # Errors
    /// The name is none, or the root or the folder cannot be made.
    pub fn annex(&self, name: &'static str) -> Result<Annex, annex::Error> {
        if let Ok(Some(root)) = self.reading()
            && let Ok(Some(annex)) = Annex::ready(&root, name)
        {
            return Ok(annex);
        }
        for _ in 0..ATTEMPTS_MAX {
            let root = self.prepared()?;
            match Annex::make(&root, name) {
                Ok(annex) => return Ok(annex),
                Err(error) if root.is_intact() => return Err(error),
                Err(_) => self.reopen(&root),
            }
        }
        Err(root::Error::Replaced { path: self.path.clone() }.into())
    }

    /// The same for reading: `None` when it, or the root, is not there. Nothing is made.
    ///
    /// # Errors
    /// As [`Store::annex`].
    pub fn annex_if_present(&self, name: &'static str) -> Result<Option<Annex>, annex::Error> {
        match self.reading()? {
            Some(root) => Annex::find(&root, name),
            None => Ok(None),
        }
    }

    /// Whether there is a root now. Nothing is made, and nothing of it is read that is known already.
    ///
    /// # Errors
    /// As [`Options::open`].
    pub fn is_present(&self) -> Result<bool, root::Error> {
        Ok(self.reading()?.is_some())
    }

    /// The clock that the store goes by.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.around.clock
    }

    /// The largest document that is stored or read, in bytes.
    pub const fn body_bytes_max(&self) -> u64 {
        self.body_bytes_max
    }

    /// Invalidates everything that `invalidations` cover, durably; returns the generation from which on it holds. Up to
    /// 1,024 of them are one step, more are several.
    ///
    /// When it returns, no get that begins afterwards, in any process, takes an answer for current whose fetch began
    /// before. It costs the same whatever is covered, and waits for no reader, writer or lock.
    ///
    /// # Errors
    /// The record could not be written or synced. It may have taken effect all the same, but perhaps not for good.
    pub fn invalidate(&self, invalidations: &[Invalidation]) -> Result<Token, invalidate::Error> {
        for _ in 0..ATTEMPTS_MAX {
            let root = self.prepared_now()?;
            let writing = root.writing()?;
            let Some(stamps) = root.stamps()? else { continue };
            let token = stamps.append(invalidations, &writing.temporaries, &writing.quarantine);
            if root.is_intact() {
                return Ok(token?);
            }
            self.reopen(&root);
        }
        Err(root::Error::Replaced { path: self.path.clone() }.into())
    }

    /// How many damaged or foreign files this store has set aside since it was opened.
    pub fn quarantined(&self) -> u64 {
        let root = self.root.read().unwrap_or_else(PoisonError::into_inner);
        root.as_ref().and_then(|root| root.writing_if_ready()).map_or(0, |writing| writing.quarantine.taken())
    }

    /// The same since this was called last, by whomever: for whoever counts them.
    pub fn newly_quarantined(&self) -> u64 {
        let root = self.root.read().unwrap_or_else(PoisonError::into_inner);
        root.as_ref().and_then(|root| root.writing_if_ready()).map_or(0, |writing| writing.quarantine.newly_taken())
    }

    /// The root that is open, looked at again when the last look is old; `None` when there is none any more.
    fn known(&self) -> Option<Arc<Root>> {
        let now = u64::try_from(self.around.clock.monotonic_coarse().as_millis()).unwrap_or(u64::MAX);
        let due = now.abs_diff(self.looked.load(Ordering::Relaxed)) >= LOOK_EVERY_MS;
        let root = self.root.read().unwrap_or_else(PoisonError::into_inner).clone()?;
        if due {
            if !root.is_intact() {
                self.reopen(&root);
                return None;
            }
            self.looked.store(now, Ordering::Relaxed);
        }
        Some(root)
    }

    /// The root for reading; `None` when there is none.
    fn reading(&self) -> Result<Option<Arc<Root>>, root::Error> {
        if let Some(root) = self.known() {
            return Ok(Some(root));
        }
        let opened = Root::open(&self.around, &self.path)?.map(Arc::new);
        if let Some(root) = &opened {
            *self.root.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(root));
        }
        Ok(opened)
    }

    /// The root for writing, with everything that writers need: for those who look once more before they publish.
    fn prepared(&self) -> Result<Arc<Root>, root::Error> {
        for _ in 0..ATTEMPTS_MAX {
            let root = self.known().map_or_else(|| self.open_or_create(), Ok)?;
            match root.writing() {
                Ok(_) => return Ok(root),
                // a vanished root fails in many ways: what counts is whether it is still there
                Err(error) if root.is_intact() => return Err(error),
                Err(_) => self.reopen(&root),
            }
        }
        Err(root::Error::Replaced { path: self.path.clone() })
    }

    /// The same, looked at now.
    fn prepared_now(&self) -> Result<Arc<Root>, root::Error> {
        for _ in 0..ATTEMPTS_MAX {
            let root = self.prepared()?;
            if root.is_intact() {
                return Ok(root);
            }
            self.reopen(&root);
        }
        Err(root::Error::Replaced { path: self.path.clone() })
    }

    fn open_or_create(&self) -> Result<Arc<Root>, root::Error> {
        let mut slot = self.root.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(root) = &*slot {
            return Ok(Arc::clone(root));
        }
        let root = Arc::new(Root::open_or_create(&self.around, &self.path)?);
        *slot = Some(Arc::clone(&root));
        Ok(root)
    }

    /// Forgets a root whose path stands for something else now.
    fn reopen(&self, gone: &Arc<Root>) {
        let mut slot = self.root.write().unwrap_or_else(PoisonError::into_inner);
        if slot.as_ref().is_some_and(|root| Arc::ptr_eq(root, gone)) {
            tracing::info!(path = %self.path, "the root was removed or replaced: opening it again");
            *slot = None;
        }
    }

    fn wall_ms(&self) -> u64 {
        let since = self.around.clock.wall().duration_since(std::time::SystemTime::UNIX_EPOCH);
        since.map_or(0, |age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX))
    }
}
