//! A root: the folder that is the cache, opened.

mod create;
pub(crate) mod format;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};
use larder_lock::{Backend, Locks, Wait};
use larder_system::{Clock, Disk, Handle, Metadata, Open, retry};

use self::format::Format;
use crate::failure::{Context, Failure};
use crate::folder::{self, Syncs};
use crate::quarantine::Quarantine;
use crate::room::{self, Bounds, Occupied};
use crate::stamps::{self, Stamps};
use crate::store::Writers;
use crate::temporary::Temporaries;

pub(crate) const ENTRIES: &str = "entries";
pub(crate) const LOCKS: &str = "locks";
pub(crate) const STAMPS: &str = "stamps";
pub(crate) const TEMPORARY: &str = "tmp";
pub(crate) const QUARANTINE: &str = "quarantine";
pub(crate) const FORMAT: &str = "format.yaml";

/// Descriptors of lock files kept open, so that a put of a known key locks without opening.
const KEPT_DESCRIPTORS: usize = 32;
/// How many published files stay open, so that a put over one's own entry need not read it; and the largest of them: a
/// file that is open takes space on disk also when it has been replaced.
const KEPT_FILES: usize = 32;
const KEPT_BYTES_MAX: u64 = 128 * 1024;
/// How many folders are remembered as settled.
const SETTLED_MAX: usize = 32;

/// How many roots this process has opened.
static ROOTS: AtomicU64 = AtomicU64::new(0);

/// Why a root cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call failed.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The path names something that is not a folder.
    #[error("{path} is not a folder: move it away, or choose another root")]
    NotAFolder {
        /// The path.
        path: Utf8PathBuf,
    },
    /// A newer larder made it, and says that this one must not read it.
    #[error(
        "{path} has format {format}, which only larder versions that know format {needed} may {access}; this one knows {}: use a newer larder, or another root",
        format::VERSION
    )]
    Newer {
        /// The root.
        path: Utf8PathBuf,
        /// The format it has.
        format: u32,
        /// The format one must know.
        needed: u32,
        /// `read` or `write`.
        access: &'static str,
    },
    /// `format.yaml` says nothing that can be understood.
    #[error("{path} cannot be understood ({detail}): restore it, or remove it to have it made anew")]
    Malformed {
        /// The file.
        path: Utf8PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The root was made for another kind of lock. Mixed, they would not see each other.
    #[error("{path} uses {recorded} locks, {wanted} locks were asked for: drop that setting, or choose another root")]
    Backend {
        /// The root.
        path: Utf8PathBuf,
        /// What the root has.
        recorded: &'static str,
        /// What was asked for.
        wanted: &'static str,
    },
    /// The record of invalidations cannot be begun.
    #[error(transparent)]
    Stamps(Box<stamps::Error>),
    /// The store was opened for reading only.
    #[error("{path} was opened for reading only: open it for writing, or choose another root")]
    ReadOnly {
        /// The root.
        path: Utf8PathBuf,
    },
    /// The root was replaced under every attempt to use it.
    #[error("{path} was replaced again and again while it was written: try again when whatever replaces it is done")]
    Replaced {
        /// The root.
        path: Utf8PathBuf,
    },
}

impl From<stamps::Error> for Error {
    fn from(error: stamps::Error) -> Self {
        match error {
            stamps::Error::Failed(failure) => Self::Failed(failure),
            other => Self::Stamps(Box::new(other)),
        }
    }
}

/// What a root needs from outside.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) backend: Backend,
    pub(crate) writable: bool,
    pub(crate) bounds: Bounds,
}

/// An open root.
#[derive(Debug)]
pub(crate) struct Root {
    pub(crate) around: Surroundings,
    pub(crate) path: Utf8PathBuf,
    pub(crate) handle: Handle,
    /// What the path stood for when it was opened.
    pub(crate) identity: Metadata,
    pub(crate) format: Format,
    /// No other root that this process has opened has it.
    pub(crate) number: u64,
    /// Folders that readers use; absent from a root whose making was cut short.
    entries: OnceLock<Handle>,
    stamps: OnceLock<Stamps>,
    writing: OnceLock<Writing>,
    /// One thread at a time makes what writers need.
    preparing: Mutex<()>,
    pub(crate) syncs: Syncs,
    pub(crate) writers: Writers,
    /// How much room entries take.
    pub(crate) room: room::Ledger,
    /// Files published last, the oldest first.
    kept: Mutex<VecDeque<Kept>>,
    /// Folders of entries whose names, up to the root, are known to be on stable storage, the oldest first. They are
    /// kept open, so that no other folder can pass for one of them.
    settled: Mutex<VecDeque<(PathBuf, Handle)>>,
}

/// What only writers need.
#[derive(Debug)]
pub(crate) struct Writing {
    pub(crate) locks: Locks,
    lock_folder: Arc<Handle>,
    pub(crate) temporaries: Temporaries,
    pub(crate) quarantine: Quarantine,
}

impl Writing {
    /// The locks, and their folder.
    pub(crate) fn locks(&self) -> (Locks, Arc<Handle>) {
        (self.locks.clone(), Arc::clone(&self.lock_folder))
    }
}

/// A file that this process has published and not closed.
#[derive(Debug)]
pub(crate) struct Kept {
    path: PathBuf,
    pub(crate) file: Handle,
    pub(crate) length: u64,
}

impl Root {
    /// Opens the root at `path`; `None` when there is none yet.
    pub(crate) fn open(around: &Surroundings, path: &Utf8Path) -> Result<Option<Self>, Error> {
        let Some(handle) = open_folder(around, path)? else { return Ok(None) };
        let Some(format) = Format::read(&*around.disk, &handle, path)? else { return Ok(None) };
        format.check(path, "read", format.read_from)?;
        if let Some(wanted) = format::backend_name(around.backend)
            && wanted != format.locks
        {
            return Err(Error::Backend { path: path.to_owned(), recorded: format.locks, wanted });
        }
        Self::with_format(around, path, handle, format).map(Some)
    }

    fn with_format(around: &Surroundings, path: &Utf8Path, handle: Handle, format: Format) -> Result<Self, Error> {
        let identity = around.disk.metadata(&handle).context("look at", path)?;
        Ok(Self {
            around: around.clone(),
            path: path.to_owned(),
            handle,
            identity,
            format,
            number: ROOTS.fetch_add(1, Ordering::Relaxed),
            entries: OnceLock::new(),
            stamps: OnceLock::new(),
            writing: OnceLock::new(),
            preparing: Mutex::new(()),
            syncs: Syncs::default(),
            writers: Writers::default(),
            room: room::Ledger::new(around.bounds),
            kept: Mutex::new(VecDeque::new()),
            settled: Mutex::new(VecDeque::new()),
        })
    }

    /// By what the count of what is stored is reached.
    pub(crate) fn reach<'a>(&'a self, locks: &'a Locks) -> room::Reach<'a> {
        room::Reach { disk: self.disk(), clock: &*self.around.clock, root: &self.handle, locks }
    }

    /// Counts a file that came in the place of another, or of none, or went.
    pub(crate) fn count(&self, writing: &Writing, old: Option<Occupied>, new: Option<Occupied>) {
        if self.room.replace(old, new) {
            self.room.settle(&self.reach(&writing.locks), &Wait::none());
        }
    }

    pub(crate) fn disk(&self) -> &dyn Disk {
        &*self.around.disk
    }

    /// Whether the path still stands for this folder.
    pub(crate) fn is_current(&self) -> bool {
        self.disk().root_metadata(self.path.as_std_path()).is_ok_and(|now| now.is_same_file(&self.identity))
    }

    /// Whether the path still stands for this folder, and the names in it for the folders that are open: all may have been
    /// removed, moved or made anew by strangers. A dozen system calls, for now and then.
    pub(crate) fn is_intact(&self) -> bool {
        let stands = |name: &str, open: Option<&Handle>| {
            let Some(open) = open else { return true };
            let (now, ours) = (self.disk().metadata_at(&self.handle, Path::new(name)), self.disk().metadata(open));
            matches!((now, ours), (Ok(now), Ok(ours)) if now.is_same_file(&ours))
        };
        let writing = self.writing.get();
        let stamps = self.stamps.get();
        self.is_current()
            && stands(ENTRIES, self.entries.get())
            && stands(STAMPS, stamps.map(Stamps::folder))
            && stands(LOCKS, writing.map(|writing| &*writing.lock_folder))
            && stands(TEMPORARY, writing.map(|writing| &writing.temporaries.folder))
            && stands(QUARANTINE, writing.map(|writing| writing.quarantine.folder()))
            && stamps.is_none_or(|stamps| (writing.is_none() && !stamps.is_looked_at()) || stamps.has_its_name())
    }

    /// The folder of entries, if it is there.
    pub(crate) fn entries(&self) -> Result<Option<&Handle>, Failure> {
        if let Some(entries) = self.entries.get() {
            return Ok(Some(entries));
        }
        let Some(handle) = self.existing(ENTRIES)? else { return Ok(None) };
        Ok(Some(self.entries.get_or_init(|| handle)))
    }

    /// The record of invalidations, if its folder is there.
    pub(crate) fn stamps(&self) -> Result<Option<&Stamps>, Failure> {
        if let Some(stamps) = self.stamps.get() {
            return Ok(Some(stamps));
        }
        let Some(handle) = self.existing(STAMPS)? else { return Ok(None) };
        Ok(Some(self.stamps.get_or_init(|| self.stamps_in(handle))))
    }

    fn stamps_in(&self, folder: Handle) -> Stamps {
        let around = &self.around;
        let (disk, clock) = (Arc::clone(&around.disk), Arc::clone(&around.clock));
        Stamps::new(disk, clock, folder, self.path.join(STAMPS))
    }

    fn existing(&self, name: &str) -> Result<Option<Handle>, Failure> {
        match retry(|| self.disk().open(&self.handle, Path::new(name), Open::FOLDER)) {
            Ok(handle) => Ok(Some(handle)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::new("open", self.path.join(name), error)),
        }
    }

    /// What writers need, made if it is missing.
    pub(crate) fn writing(&self) -> Result<&Writing, Error> {
        if let Some(writing) = self.writing.get() {
            return Ok(writing);
        }
        if !self.around.writable {
            return Err(Error::ReadOnly { path: self.path.clone() });
        }
        self.format.check(&self.path, "write", self.format.write_from)?;
        let _preparing = self.preparing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(writing) = self.writing.get() {
            return Ok(writing);
        }
        let writing = self.prepare()?;
        Ok(self.writing.get_or_init(|| writing))
    }

    /// What writers need, if somebody has asked for it already.
    pub(crate) fn writing_if_ready(&self) -> Option<&Writing> {
        self.writing.get()
    }

    /// The locks and their folder alone, for writers of something else than entries; `None` where their folder is not there yet. Nothing
    /// is made or synced.
    pub(crate) fn locks_if_present(&self) -> Result<Option<(Locks, Arc<Handle>)>, Error> {
        if !self.around.writable {
            return Err(Error::ReadOnly { path: self.path.clone() });
        }
        self.format.check(&self.path, "write", self.format.write_from)?;
        Ok(self.existing_locks()?)
    }

    /// The locks and their folder, also for those who only read and take none; `None` when there are none.
    pub(crate) fn existing_locks(&self) -> Result<Option<(Locks, Arc<Handle>)>, Failure> {
        if let Some(writing) = self.writing.get() {
            return Ok(Some(writing.locks()));
        }
        let Some(folder) = self.existing(LOCKS)?.map(Arc::new) else { return Ok(None) };
        Ok(Some((self.locks_in(Arc::clone(&folder)), folder)))
    }

    fn locks_in(&self, folder: Arc<Handle>) -> Locks {
        let options = larder_lock::Options::new()
            .backend(self.format.backend())
            .record_holder(false)
            .kept_descriptors(KEPT_DESCRIPTORS);
        Locks::in_folder(Arc::clone(&self.around.disk), Arc::clone(&self.around.clock), folder, options)
    }

    fn prepare(&self) -> Result<Writing, Error> {
        let around = &self.around;
        let make = |name: &str| {
            folder::open_or_make(self.disk(), &self.handle, Path::new(name), false)
                .context("make", self.path.join(name))
        };
        let entries = make(ENTRIES)?;
        self.entries.get_or_init(|| entries);
        let stamps = make(STAMPS)?;
        self.stamps.get_or_init(|| self.stamps_in(stamps));
        let (disk, clock) = (Arc::clone(&around.disk), Arc::clone(&around.clock));
        let lock_folder = Arc::new(make(LOCKS)?);
        let locks = self.locks_in(Arc::clone(&lock_folder));
        let quarantine = Quarantine::new(Arc::clone(&disk), clock, make(QUARANTINE)?, self.path.join(QUARANTINE));
        let temporaries = Temporaries::new(disk, make(TEMPORARY)?, self.path.join(TEMPORARY), locks.clone());
        let writing = Writing { locks, lock_folder, temporaries, quarantine };
        // also when they were there: whoever made them, or format.yaml, may have been killed before this
        folder::sync(self.disk(), &self.handle).context("sync", &self.path)?;
        if let Some(stamps) = self.stamps()? {
            stamps.begin(&writing.temporaries, &writing.quarantine)?;
        }
        Ok(writing)
    }

    /// Whether the open `folder` at `path` is one whose names are known to be on stable storage.
    pub(crate) fn is_settled(&self, path: &Path, folder: &Handle) -> bool {
        let settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((_, known)) = settled.iter().find(|(known, _)| known == path) else { return false };
        match (self.disk().metadata(known), self.disk().metadata(folder)) {
            (Ok(known), Ok(now)) => known.is_same_file(&now),
            _ => false,
        }
    }

    /// Remembers a folder as settled, and keeps it open.
    pub(crate) fn settle(&self, path: &Path, folder: Handle) {
        let gone = {
            let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
            let replaced = settled.iter().position(|(known, _)| known == path).and_then(|at| settled.remove(at));
            settled.push_back((path.to_owned(), folder));
            let surplus = if settled.len() > SETTLED_MAX { settled.pop_front() } else { None };
            [replaced, surplus]
        };
        for (_, folder) in gone.into_iter().flatten() {
            self.disk().close(folder);
        }
    }

    /// The file that this process published last at `path`, if it kept it open.
    pub(crate) fn take_kept(&self, path: &Path) -> Option<Kept> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|kept| kept.path == path)?;
        kept.remove(at)
    }

    /// Keeps a published file of `length` bytes open, so that the next put of its key can tell that nobody has replaced
    /// it.
    pub(crate) fn keep(&self, path: &Path, file: Handle, length: u64) {
        let surplus = {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if length <= KEPT_BYTES_MAX {
                kept.push_back(Kept { path: path.to_owned(), file, length });
                if kept.len() > KEPT_FILES { kept.pop_front().map(|kept| kept.file) } else { None }
            } else {
                Some(file)
            }
        };
        if let Some(file) = surplus {
            self.disk().close(file);
        }
    }
}

/// Opens the folder at `path`; `None` when nothing is there.
fn open_folder(around: &Surroundings, path: &Utf8Path) -> Result<Option<Handle>, Error> {
    match retry(|| around.disk.open_root(path.as_std_path())) {
        Ok(handle) => Ok(Some(handle)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Err(Error::NotAFolder { path: path.to_owned() }),
        Err(error) => Err(Failure::new("open", path, error).into()),
    }
}
