//! Stamps: the record of invalidations, in constant time and space, waiting for nobody.
//!
//! An invalidation appends one record to the current stamp file and syncs it. Where the record ends is its generation
//! number: `O_APPEND` gives every record an end of its own, so no lock is needed and no frozen process is in the way. A
//! full file is sealed by one more record and folded into the next file, which anybody may make, because everybody would
//! make the same: the previous table plus all records before the seal. `link(2)` lets one of them win.
//!
//! The table has two rows of slots (a count-min sketch); an entry is invalid only if both rows say so. A false answer
//! costs a fetch, never a wrong document.

mod announce;
mod file;
mod fold;
mod format;
mod position;

use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use camino::Utf8PathBuf;
use larder_system::{Clock, Disk, Handle, Open, retry, write_all};

use self::file::{Fitness, OpenFault, StampFile, View};
use self::format::{HeaderFault, RECORD_BYTES, RECORDS_AT, Record};
use crate::entry::Tag;
use crate::failure::{Context, Failure};
use crate::folder;
use crate::generation::{Standing, Token};
use crate::invalidate::{Invalidation, Scope, Severity};
use crate::key::Key;
use crate::quarantine::Quarantine;
use crate::temporary::Temporaries;

pub(crate) use self::format::{FileName, RECORDS_MAX, digest};
pub(crate) use self::position::{Position, SharedPosition, Sight};

/// How often an operation may find that the file it worked on is no longer the current one.
const ATTEMPTS_MAX: u32 = 64;
/// The most records appended by one call.
const BATCH_MAX: usize = 1_024;
/// What a stamp file's name ends in.
const SUFFIX: &str = ".stamps";

/// Why the record of invalidations cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call failed.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// It is of a version that only newer programs know.
    #[error(
        "the record of invalidations at {path} has version {version}, this program knows up to {}: use a newer larder, or another root",
        format::VERSION
    )]
    Newer {
        /// The file.
        path: Utf8PathBuf,
        /// Its version.
        version: u32,
    },
    /// The file changed under every attempt.
    #[error("the record of invalidations in {path} changed under {ATTEMPTS_MAX} attempts: try again")]
    Unsettled {
        /// The folder.
        path: Utf8PathBuf,
    },
}

/// The record of invalidations of one root.
#[derive(Debug)]
pub(crate) struct Stamps {
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    folder: Handle,
    path: Utf8PathBuf,
    view: RwLock<Option<View>>,
    /// One appender of this process at a time between its write and the look at where it ended.
    turn: Mutex<()>,
    /// One fold of this process at a time; others could, to no use.
    folding: Mutex<()>,
    /// The last file that this process made itself, and so knows to be of this boot and no copy: lineage, sequence, inode.
    made: Mutex<Option<(u64, u64, u64)>>,
}

/// Where appended records begin and end, and whether nothing unknown is before them.
struct Written {
    start: u64,
    end: u64,
    next: bool,
}

fn name_of(sequence: u64) -> String {
    format!("{sequence:016}{SUFFIX}")
}

fn sequence_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    (digits.len() == 16).then(|| digits.parse().ok()).flatten()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stamps {
    pub(crate) fn new(disk: Arc<dyn Disk>, clock: Arc<dyn Clock>, folder: Handle, path: Utf8PathBuf) -> Self {
        Self {
            disk,
            clock,
            folder,
            path,
            view: RwLock::new(None),
            turn: Mutex::new(()),
            folding: Mutex::new(()),
            made: Mutex::new(None),
        }
    }

    /// The generation now.
    pub(crate) fn token(&self) -> Result<Token, Error> {
        self.with_view(|view| Ok(Token { lineage: view.file.header.lineage, number: view.token_number() }))?
            .map_or_else(|| Ok(Token { lineage: 0, number: 0 }), Ok)
    }

    /// The generation as last seen, if that is known without asking: for what is looked at again before it counts.
    pub(crate) fn last_seen(&self) -> Option<Token> {
        let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
        let view = view.as_ref().filter(|view| !view.is_sealed())?;
        Some(Token { lineage: view.file.header.lineage, number: view.token_number() })
    }

    /// What has happened since `token` to `key` with `tags`.
    pub(crate) fn standing(&self, token: Token, key: &Key, tags: &[Tag]) -> Result<Standing, Error> {
        // without a record, anything may have been invalidated
        Ok(self.with_view(|view| view.standing(token, names_of(key, tags)))?.unwrap_or(Standing::Gone))
    }

    /// Appends the records of `invalidations`, durably; returns the last one's generation.
    pub(crate) fn append(
        &self,
        invalidations: &[Invalidation],
        temporaries: &Temporaries,
        quarantine: &Quarantine,
    ) -> Result<Token, Error> {
        let records: Vec<Record> = invalidations.iter().map(record_of).collect();
        let mut last = self.token()?;
        for batch in records.chunks(BATCH_MAX) {
            last = self.append_batch(batch, temporaries, quarantine)?;
        }
        Ok(last)
    }

    fn append_batch(
        &self,
        batch: &[Record],
        temporaries: &Temporaries,
        quarantine: &Quarantine,
    ) -> Result<Token, Error> {
        for _ in 0..ATTEMPTS_MAX {
            let file = self.appendable(temporaries, quarantine)?;
            // folded and removed by somebody since it was looked at
            let Some(appender) = self.appender(&file)? else {
                self.forget();
                continue;
            };
            let Written { start, end, .. } = self.write(&file, appender, batch)?;
            let synced = self.disk.sync_data(appender);
            synced.inspect_err(|_| self.forget()).context("sync", self.path_of(&file))?;
            file.synced.fetch_max(end, Ordering::Relaxed);
            self.keep_name(&file)?;
            let counted = match self.seal_of(&file, end)? {
                // folded from everything before the seal
                Some(seal) => end <= seal,
                None => self.is_named(&file)?,
            };
            if counted {
                if end / RECORD_BYTES as u64 >= RECORDS_MAX {
                    self.fold_if_idle(&file, temporaries, quarantine);
                }
                return Ok(Token { lineage: file.header.lineage, number: file.header.base.saturating_add(end) });
            }
            tracing::debug!(start, end, sequence = file.header.sequence, "appended behind a seal, once more");
            self.forget();
        }
        Err(Error::Unsettled { path: self.path.clone() })
    }

    /// Where the file is sealed, if it is before or at `end`, or was seen to be later.
    fn seal_of(&self, file: &Arc<StampFile>, end: u64) -> Result<Option<u64>, Error> {
        let followed = self.with_view(|view| Ok(Arc::ptr_eq(&view.file, file) && view.length >= end))?;
        if followed != Some(true) && file.sealed_at.get().is_none() {
            // another thread has opened the record anew: this file's own tail has the answer
            let length = self.length(file)?;
            View::of(Arc::clone(file)).follow(length).context("read", self.path_of(file))?;
        }
        Ok(file.sealed_at.get().copied())
    }

    /// Whether a file still has its name. It loses it when it has a successor, which its seal tells, or to a stranger.
    fn is_named(&self, file: &StampFile) -> Result<bool, Error> {
        let ours = self.disk.metadata(&file.handle).context("look at", self.path_of(file))?;
        match self.disk.metadata_at(&self.folder, Path::new(&name_of(file.header.sequence))) {
            Ok(named) => Ok(named.is_same_file(&ours)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Failure::new("look at", self.path_of(file), error).into()),
        }
    }

    /// Makes sure that the history which tokens tell of by now is still there after a power cut: without it, what was
    /// stored with them would count as invalidated.
    pub(crate) fn keep(&self) -> Result<(), Error> {
        let Some((file, end)) = self.with_view(|view| Ok((Arc::clone(&view.file), view.counted_end())))? else {
            return Ok(());
        };
        // records of others, who may have been killed before they synced them
        if end > file.kept.load(Ordering::Relaxed).max(file.synced.load(Ordering::Relaxed)) {
            let synced = self.disk.sync_data(&file.handle);
            synced.inspect_err(|_| self.forget()).context("sync", self.path_of(&file))?;
            file.kept.fetch_max(end, Ordering::Relaxed);
        }
        self.keep_name(&file)
    }

    /// Whoever made the file may not have synced its name.
    fn keep_name(&self, file: &StampFile) -> Result<(), Error> {
        if !file.named.load(Ordering::Acquire) {
            folder::sync(&*self.disk, &self.folder).context("sync", &self.path)?;
            file.named.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Appends.
    fn write(&self, file: &StampFile, appender: &Handle, batch: &[Record]) -> Result<Written, Error> {
        let synced = file.synced.load(Ordering::Relaxed);
        let mut bytes = Vec::with_capacity(batch.len() * RECORD_BYTES);
        for record in batch {
            bytes.extend_from_slice(&file.header.encode_record(record, synced));
        }
        let _turn = locked(&self.turn);
        write_all(&*self.disk, appender, &[&bytes]).context("append to", self.path_of(file))?;
        let position = self.disk.position(appender).context("find the end of", self.path_of(file))?;
        if position < RECORDS_AT.saturating_add(bytes.len() as u64) {
            // cut under this process: what was appended is where nobody looks for records
            return Err(Error::Unsettled { path: self.path_of(file) });
        }
        let end = position.saturating_sub(RECORDS_AT);
        let start = end.saturating_sub(bytes.len() as u64);
        // one's own records need not be read back
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        let view = view.as_mut().filter(|view| std::ptr::eq(&raw const *view.file, file));
        let next = view.is_some_and(|view| view.take_own(start, &bytes));
        Ok(Written { start, end, next })
    }

    /// The current file, fit for appending: a new one is begun where it is not.
    fn appendable(&self, temporaries: &Temporaries, quarantine: &Quarantine) -> Result<Arc<StampFile>, Error> {
        for _ in 0..ATTEMPTS_MAX {
            let current = self.with_view(|view| Ok(Arc::clone(&view.file)))?;
            match current {
                Some(file) if file.fit == Fitness::Fit && file.sealed_at.get().is_none() => return Ok(file),
                current => self.fold(current.as_ref(), temporaries, quarantine)?,
            }
        }
        Err(Error::Unsettled { path: self.path.clone() })
    }

    /// Begins the record where there is none.
    pub(crate) fn begin(&self, temporaries: &Temporaries, quarantine: &Quarantine) -> Result<(), Error> {
        match self.with_view(|view| Ok(Arc::clone(&view.file)))? {
            None => self.fold(None, temporaries, quarantine),
            // whoever sealed it did not come to its successor: until somebody does, every read looks for one
            Some(file) if file.sealed_at.get().is_some() => {
                self.fold_if_idle(&file, temporaries, quarantine);
                Ok(())
            }
            Some(_) => Ok(()),
        }
    }

    /// Runs `ask` on a view that is as long as the current file was at some moment during this call; `None` without a
    /// file.
    fn with_view<T>(&self, ask: impl FnOnce(&View) -> io::Result<T>) -> Result<Option<T>, Error> {
        {
            let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(view) = &*view
                && !view.is_sealed()
                && self.length(&view.file)? == view.length
            {
                return ask(view).map(Some).map_err(|error| self.unread(&view.file, error));
            }
        }
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..ATTEMPTS_MAX {
            let Some(known) = &mut *view else {
                match self.open_newest()? {
                    Some(file) => *view = Some(View::of(Arc::new(file))),
                    None => return Ok(None),
                }
                continue;
            };
            let followed = self.length(&known.file).and_then(|length| {
                known.follow(length).context("read", self.path.join(name_of(known.file.header.sequence)))?;
                Ok(())
            });
            if let Err(error) = followed {
                // what was read of it may be less than what is there
                *view = None;
                return Err(error);
            }
            if known.is_sealed()
                && let Some(file) = self.open_newest()?
                && file.header.sequence > known.file.header.sequence
            {
                *view = Some(View::of(Arc::new(file)));
                continue;
            }
            return ask(known)
                .map(Some)
                .context("read", self.path.join(name_of(known.file.header.sequence)))
                .map_err(Error::from);
        }
        Err(Error::Unsettled { path: self.path.clone() })
    }

    fn unread(&self, file: &StampFile, error: io::Error) -> Error {
        Failure::new("read", self.path_of(file), error).into()
    }

    /// How many bytes of records the file has.
    fn length(&self, file: &StampFile) -> Result<u64, Error> {
        let end = self.disk.seek_end(&file.handle).context("find the end of", &self.path)?;
        Ok(end.saturating_sub(RECORDS_AT))
    }

    /// Where the files lie.
    pub(crate) fn folder(&self) -> &Handle {
        &self.folder
    }

    /// Whether a file is being looked at.
    pub(crate) fn is_looked_at(&self) -> bool {
        self.view.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Whether the file that is looked at still has its name: a stranger may have removed it, and somebody else begun
    /// another. One that was folded away is told by its seal.
    pub(crate) fn has_its_name(&self) -> bool {
        let unsealed = || self.with_view(|view| Ok((!view.is_sealed()).then(|| Arc::clone(&view.file))));
        let file = match unsealed() {
            Ok(Some(Some(file))) => file,
            // sealed: its successor is looked for at every question anyway
            Ok(Some(None)) => return true,
            Ok(None) | Err(_) => return false,
        };
        if self.is_named(&file).unwrap_or(false) {
            return true;
        }
        // folded away between the two looks, or really gone
        match unsealed() {
            Ok(Some(now)) => now.is_none_or(|now| !Arc::ptr_eq(&now, &file)),
            Ok(None) | Err(_) => false,
        }
    }

    /// Looks again at which file is the current one, the next time anything is asked.
    fn forget(&self) {
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The newest stamp file's number and name.
    fn newest(&self) -> Result<Option<(u64, String)>, Error> {
        let names = folder::names(&*self.disk, &self.folder, Path::new(".")).context("list", &self.path)?;
        let sequences = names.into_iter().filter_map(|listed| {
            let name = listed.name.into_string().ok()?;
            sequence_of(&name).map(|sequence| (sequence, name))
        });
        Ok(sequences.max())
    }

    fn open_newest(&self) -> Result<Option<StampFile>, Error> {
        for _ in 0..ATTEMPTS_MAX {
            let Some((_, name)) = self.newest()? else { return Ok(None) };
            match self.open(&name) {
                // a name that was free again for a late maker is free only once there is a later file
                Ok(file) if self.newest()?.is_some_and(|(sequence, _)| sequence == file.header.sequence) => {
                    return Ok(Some(file));
                }
                Ok(_) => {}
                // folded away between the listing and the opening
                Err(OpenFault::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
                Err(OpenFault::Io(error)) => return Err(Failure::new("open", self.path.join(name), error).into()),
                Err(OpenFault::Header(HeaderFault::Newer(version))) => {
                    return Err(Error::Newer { path: self.path.join(name), version });
                }
                Err(OpenFault::Header(HeaderFault::Damaged)) => {
                    tracing::warn!(name, "the record of invalidations is damaged: every entry counts as invalidated");
                    return Ok(None);
                }
            }
        }
        Err(Error::Unsettled { path: self.path.clone() })
    }

    fn open(&self, name: &str) -> Result<StampFile, OpenFault> {
        let handle = retry(|| self.disk.open(&self.folder, Path::new(name), Open::READ)).map_err(OpenFault::Io)?;
        let file = StampFile::open(Arc::clone(&self.disk), handle, self.boot())?;
        let ours = *locked(&self.made) == Some((file.header.lineage, file.header.sequence, file.inode));
        Ok(if ours { file.made_here() } else { file })
    }

    /// The handle to append with; `None` when the file has lost its name.
    fn appender<'a>(&self, file: &'a StampFile) -> Result<Option<&'a Handle>, Error> {
        if let Some(appender) = file.appender.get() {
            return Ok(Some(appender));
        }
        let path = self.path_of(file);
        let name = name_of(file.header.sequence);
        let appender = match retry(|| self.disk.open(&self.folder, Path::new(&name), Open::APPEND)) {
            Ok(appender) => appender,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::new("open", path, error).into()),
        };
        // the name may stand for another file by now, in a root that was replaced
        let (one, other) = (self.disk.metadata(&appender), self.disk.metadata(&file.handle));
        if !one.context("look at", &path)?.is_same_file(&other.context("look at", &path)?) {
            return Ok(None);
        }
        Ok(Some(file.appender.get_or_init(|| appender)))
    }

    fn boot(&self) -> u128 {
        self.clock.boot().map_or(0, larder_system::Boot::number)
    }

    fn path_of(&self, file: &StampFile) -> Utf8PathBuf {
        self.path.join(name_of(file.header.sequence))
    }
}

/// All that an entry goes by.
fn names_of<'a>(key: &'a Key, tags: &'a [Tag]) -> impl Iterator<Item = u128> + 'a {
    std::iter::once_with(|| digest::key(key))
        .chain(key.ancestors().map(digest::prefix))
        .chain(tags.iter().map(digest::tag))
}

fn record_of(invalidation: &Invalidation) -> Record {
    let hard = invalidation.severity == Severity::Hard;
    match &invalidation.scope {
        Scope::Key(key) => Record::Name { digest: digest::key(key), hard },
        Scope::Prefix(prefix) if prefix.as_str().is_empty() => Record::All { hard },
        Scope::Prefix(prefix) => Record::Name { digest: digest::prefix(prefix.as_str()), hard },
        Scope::Tag(tag) => Record::Name { digest: digest::tag(tag), hard },
        Scope::All => Record::All { hard },
    }
}
