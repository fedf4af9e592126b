//! The queue: adding, looking, and what people do with tasks.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};
use larder_lock::{Locks, Wait};
use larder_storage::journal::{Appended, Durability, Home, Journal, append};
use larder_system::{Clock, Disk, SystemClock, SystemDisk, retry};

use crate::error::Error;
use crate::fold::Fold;
use crate::hold::Now;
use crate::options::Options;
use crate::record::{Record, Spec, Which};
use crate::snapshot::{Counts, Snapshot};
use crate::task::Task;
use crate::{compact, worker};

/// The journal's name.
pub(crate) const JOURNAL: &str = "queue";
/// Where a queue of its own folder has its locks.
const LOCKS: &str = "locks";
/// Descriptors of lock files kept open: of the journal's lock, which each step takes.
const KEPT_DESCRIPTORS: usize = 8;
/// Whoever adds looks whether the journal should be compacted each time that its length passes a power of two from here
/// on, in bytes: without reading it, nobody knows how much of it still matters.
const LOOK_FROM: u64 = 1024 * 1024;
/// How many tasks one batch has at most; more are several batches, each durable before the next.
const BATCH_MAX: usize = 100_000;
/// How many bytes one batch has, about.
const BATCH_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Which tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Those with these keys.
    Keys(Vec<String>),
    /// The dead letters.
    Dead,
    /// All.
    All,
}

/// What became of tasks that were added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Added {
    /// How many were written. Those whose key is there already are merged with it.
    pub tasks: u64,
}

/// Where the queue is.
#[derive(Debug)]
enum Place {
    /// In a folder that its owner has opened.
    Home(Opened),
    /// In a folder of its own, which is made by the first who writes.
    Own(Own),
}

#[derive(Debug)]
struct Own {
    path: Utf8PathBuf,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    opened: OnceLock<Opened>,
}

/// A queue of tasks, shared by all processes that open the same folder; clones are the same queue.
///
/// Methods may be called from many threads. None of them is async: each may block on the disk, and within its wait on
/// another process that writes at this moment.
#[derive(Clone, Debug)]
pub struct Queue {
    pub(crate) shared: Arc<Shared>,
}

/// What clones share.
#[derive(Debug)]
pub(crate) struct Shared {
    place: Place,
    pub(crate) options: Options,
}

/// A queue whose folder is there.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) journal: Journal,
    pub(crate) locks: Locks,
    pub(crate) clock: Arc<dyn Clock>,
    fold: Mutex<Fold>,
    /// How long the journal may be when something is added, in bytes: what is left is for those who do it.
    added_max: u64,
    /// The same for what is claimed: what is left is for what comes of it.
    pub(crate) claimed_max: u64,
}

impl Opened {
    fn new(home: Home, options: &Options) -> Result<Self, Error> {
        let (locks, clock) = (home.locks.clone(), Arc::clone(&home.clock));
        let journal = Journal::new(home, JOURNAL, options.journal())?;
        let fold = Mutex::new(Fold::new(journal.follow()));
        let (added_max, claimed_max) = (options.length_max / 2, options.length_max / 4 * 3);
        Ok(Self { journal, locks, clock, fold, added_max, claimed_max })
    }

    pub(crate) fn now(&self) -> Now {
        Now::of(&*self.clock)
    }

    /// The tasks as last read.
    pub(crate) fn fold(&self) -> MutexGuard<'_, Fold> {
        // a thread that panicked in here has left it behind: what it had read may be in parts
        self.fold.lock().unwrap_or_else(|poisoned| {
            let mut fold = PoisonError::into_inner(poisoned);
            *fold = Fold::new(self.journal.follow());
            self.fold.clear_poison();
            fold
        })
    }

    /// Appends, with nothing read before. A journal that is full, or has come to a length at which it pays to look, is
    /// compacted.
    fn append(&self, records: Vec<Record>, durability: Durability, wait: &Wait) -> Result<(), Error> {
        let lines: Vec<_> = records.iter().map(Record::encode).collect();
        let append = || self.journal.append_within(self.added_max, &lines, durability, wait);
        let appended = match append() {
            Err(append::Error::Full { .. }) => {
                self.compact(wait, compact::is_worth_it)?;
                append()?
            }
            appended => appended?,
        };
        // where this process follows the queue, it need not read back what it has just written
        if let Ok(mut fold) = self.fold.try_lock() {
            fold.append(&appended, records, &self.now());
        }
        if crosses(&appended)
            && let Err(error) = self.compact(&Wait::none(), compact::is_due)
        {
            // it is added already; the next who comes to a power of two tries again
            tracing::debug!(%error, "a queue was not compacted");
        }
        Ok(())
    }

    /// Shortens the journal, if `is_wanted` says so of its length and its tasks.
    pub(crate) fn compact(&self, wait: &Wait, is_wanted: impl FnOnce(u64, &Fold) -> bool) -> Result<(), Error> {
        let (exclusive, now) = (self.journal.exclusive(wait)?, self.now());
        let mut fold = self.fold();
        fold.catch_up(&exclusive, &now)?;
        if is_wanted(exclusive.length(), &fold) { compact::run(self, exclusive, &mut fold) } else { Ok(()) }
    }
}

/// Whether the journal's length has passed a power of two.
const fn crosses(appended: &Appended) -> bool {
    appended.end >= LOOK_FROM && appended.end.ilog2() > appended.offset.ilog2()
}

impl Queue {
    /// The queue in the folder at `path`, on the system's disk, with the default [`Options`]. Nothing is made before the
    /// first write.
    pub fn open(path: impl AsRef<Utf8Path>) -> Self {
        Self::open_with(path, Options::new(), Arc::new(SystemDisk::new()), Arc::new(SystemClock::new()))
    }

    /// The same with other options, on another disk, by another clock.
    pub fn open_with(path: impl AsRef<Utf8Path>, options: Options, disk: Arc<dyn Disk>, clock: Arc<dyn Clock>) -> Self {
        // a relative path would mean another folder once the process changes its own
        let path = camino::absolute_utf8(path.as_ref()).unwrap_or_else(|_| path.as_ref().to_owned());
        let place = Place::Own(Own { path, disk, clock, opened: OnceLock::new() });
        Self { shared: Arc::new(Shared { place, options }) }
    }

    /// The queue in a folder that the caller has opened, as the journal `queue`, with the caller's locks.
    ///
    /// # Errors
    /// [`Error::Journal`], which no caller has seen.
    pub fn in_home(home: Home, options: Options) -> Result<Self, Error> {
        let place = Place::Home(Opened::new(home, &options)?);
        Ok(Self { shared: Arc::new(Shared { place, options }) })
    }

    /// Adds tasks: one write and one sync, whatever the queue's length. When it returns, they survive `kill -9` and loss
    /// of power.
    ///
    /// # Errors
    /// [`Error::Append`] with [`append::Error::NotDurable`] means that they are there, and perhaps not for good. After
    /// every other error those of a batch of 100,000 or 16 MiB are there or not, all or none; earlier batches are.
    pub fn add(&self, tasks: &[Task], wait: &Wait) -> Result<Added, Error> {
        self.add_as(tasks, Durability::Synced, wait)
    }

    /// The same, with a choice of what they survive: unsynced, loss of power may take them.
    ///
    /// # Errors
    /// As [`Queue::add`].
    pub fn add_as(&self, tasks: &[Task], durability: Durability, wait: &Wait) -> Result<Added, Error> {
        let mut added = Added::default();
        if tasks.is_empty() {
            return Ok(added);
        }
        let opened = self.shared.writing()?;
        let now_ms = opened.now().wall_ms;
        let (mut records, mut bytes) = (Vec::new(), 0);
        for task in tasks {
            let spec = Spec::of(task, now_ms);
            let weight = spec.weight();
            if records.len() >= BATCH_MAX || bytes + weight > BATCH_BYTES_MAX {
                added.tasks += records.len() as u64;
                opened.append(std::mem::take(&mut records), durability, wait)?;
                bytes = 0;
            }
            bytes += weight;
            records.push(Record::add(spec));
        }
        added.tasks += records.len() as u64;
        opened.append(records, durability, wait)?;
        Ok(added)
    }

    /// Lets tasks be tried at once, as if they had never failed: dead letters, and those that are left alone after a
    /// failure. Returns how many.
    ///
    /// # Errors
    /// Nothing was changed.
    pub fn retry(&self, selection: &Selection, wait: &Wait) -> Result<u64, Error> {
        let wants = |fold: &Fold, key: &str| {
            fold.state.entries.get(key).is_some_and(|entry| entry.attempts > 0 || entry.losses > 0)
        };
        self.change(selection, wait, |fold, keys| {
            let keys = keys.into_iter().filter(|key| wants(fold, key));
            keys.map(|key| Record { retry: Some(key), ..Record::new() }).collect()
        })
    }

    /// Takes tasks out of the queue, also those that somebody does, who then has a claim no more. Returns how many.
    ///
    /// # Errors
    /// Nothing was changed.
    pub fn remove(&self, selection: &Selection, wait: &Wait) -> Result<u64, Error> {
        let which = match selection {
            Selection::All => Which::All,
            Selection::Dead => Which::Dead,
            Selection::Keys(_) => {
                return self.change(selection, wait, |_, keys| {
                    keys.into_iter().map(|key| Record { remove: Some(key), ..Record::new() }).collect()
                });
            }
        };
        let mut count = 0;
        self.change(selection, wait, |_, keys| {
            count = keys.len() as u64;
            if keys.is_empty() { Vec::new() } else { vec![Record { clear: Some(which), ..Record::new() }] }
        })?;
        Ok(count)
    }

    /// All tasks of this moment. It costs a look at what is new, and a copy of everything.
    ///
    /// # Errors
    /// The queue cannot be read. One that is not there is empty.
    pub fn snapshot(&self) -> Result<Snapshot, Error> {
        self.look(|fold, now| Snapshot::of(&fold.state, fold.lost, now))
    }

    /// How many tasks there are.
    ///
    /// # Errors
    /// As [`Queue::snapshot`].
    pub fn counts(&self) -> Result<Counts, Error> {
        self.look(|fold, _| Counts::of(&fold.state))
    }

    /// The task with this key, as it is now; `None` when there is none.
    ///
    /// # Errors
    /// As [`Queue::snapshot`].
    pub fn find(&self, key: &str) -> Result<Option<crate::View>, Error> {
        self.look(|fold, now| fold.state.entries.get(key).map(|entry| crate::View::of(entry, now)))
    }

    /// A worker of this queue, which lives until it is dropped. Its name is for people.
    ///
    /// # Errors
    /// The queue's folder cannot be made, or the lock that shows that the worker lives not be taken.
    pub fn worker(&self, name: &str) -> Result<crate::Worker, Error> {
        worker::begin(self, name)
    }

    fn look<T: Default>(&self, look: impl FnOnce(&Fold, &Now) -> T) -> Result<T, Error> {
        let Some(opened) = self.shared.reading()? else { return Ok(T::default()) };
        let mut fold = opened.fold();
        let now = fold.poll(&*opened.clock)?;
        Ok(look(&fold, &now))
    }

    fn change(
        &self,
        selection: &Selection,
        wait: &Wait,
        records: impl FnOnce(&Fold, Vec<Arc<str>>) -> Vec<Record>,
    ) -> Result<u64, Error> {
        if self.shared.reading()?.is_none() {
            return Ok(0);
        }
        let opened = self.shared.writing()?;
        let (exclusive, now) = (opened.journal.exclusive(wait)?, opened.now());
        let mut fold = opened.fold();
        fold.catch_up(&exclusive, &now)?;
        let entries = &fold.state.entries;
        let keys: Vec<Arc<str>> = match selection {
            Selection::All => entries.keys().cloned().collect(),
            Selection::Dead => {
                let is_dead = |key: &&Arc<str>| entries.get(*key).is_some_and(crate::state::Entry::is_dead);
                entries.keys().filter(is_dead).cloned().collect()
            }
            Selection::Keys(keys) => keys
                .iter()
                .filter_map(|key| entries.get_key_value(key.as_str()).map(|(key, _)| Arc::clone(key)))
                .collect(),
        };
        let records = records(&fold, keys);
        let count = records.len() as u64;
        worker::finish(opened, exclusive, fold, records, Durability::Synced, &now)?;
        Ok(count)
    }
}

impl Shared {
    /// The queue for looking; `None` where there is none. Makes nothing.
    pub(crate) fn reading(&self) -> Result<Option<&Opened>, Error> {
        match &self.place {
            Place::Home(opened) => Ok(Some(opened)),
            Place::Own(own) => match own.opened.get() {
                Some(opened) => Ok(Some(opened)),
                None if own.is_there()? => own.open(&self.options).map(Some),
                None => Ok(None),
            },
        }
    }

    /// The queue for writing, its folder made if it is missing.
    pub(crate) fn writing(&self) -> Result<&Opened, Error> {
        match &self.place {
            Place::Home(opened) => Ok(opened),
            Place::Own(own) => {
                if let Some(opened) = own.opened.get() {
                    return Ok(opened);
                }
                make_folders(&*own.disk, &own.path)?;
                own.open(&self.options)
            }
        }
    }
}

impl Own {
    fn failed(&self, action: &'static str) -> impl FnOnce(io::Error) -> Error {
        let path = self.path.clone();
        move |source| Error::Folder { action, path, source }
    }

    /// Whether anybody has written here.
    fn is_there(&self) -> Result<bool, Error> {
        let folder = match retry(|| self.disk.open_root(self.path.as_std_path())) {
            Ok(folder) => folder,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(self.failed("open")(error)),
        };
        let found = retry(|| self.disk.metadata_at(&folder, Path::new(LOCKS)));
        self.disk.close(folder);
        match found {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.failed("look into")(error)),
        }
    }

    fn open(&self, options: &Options) -> Result<&Opened, Error> {
        let folder = retry(|| self.disk.open_root(self.path.as_std_path())).map_err(self.failed("open"))?;
        let (disk, clock, at) = (Arc::clone(&self.disk), Arc::clone(&self.clock), self.path.join(LOCKS));
        let how = larder_lock::Options::new().record_holder(false).kept_descriptors(KEPT_DESCRIPTORS);
        let locks = Locks::open_with(Arc::clone(&disk), Arc::clone(&clock), &at, how);
        let locks = locks.map_err(|source| Error::Locks { path: at, source: Box::new(source) })?;
        let opened = Opened::new(Home { disk, clock, folder: Arc::new(folder), locks }, options)?;
        Ok(self.opened.get_or_init(|| opened))
    }
}

/// Makes the folder, and those above it that are missing.
fn make_folders(disk: &dyn Disk, path: &Utf8Path) -> Result<(), Error> {
    let is_missing = |folder: &&Utf8Path| {
        disk.root_metadata(folder.as_std_path()).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    let folders = path.ancestors().filter(|folder| !folder.as_str().is_empty());
    let missing: Vec<_> = folders.take_while(is_missing).collect();
    for folder in missing.into_iter().rev() {
        let fail = |source| Error::Folder { action: "make", path: folder.to_owned(), source };
        match retry(|| disk.make_root(folder.as_std_path())) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(source) => return Err(fail(source)),
        }
        // its name must survive loss of power, as what will be in it
        let parent = folder.parent().filter(|parent| !parent.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
        let parent = retry(|| disk.open_root(parent.as_std_path())).map_err(fail)?;
        let synced = disk.sync(&parent).map_err(fail);
        disk.close(parent);
        synced?;
    }
    Ok(())
}
