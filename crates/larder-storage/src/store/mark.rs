//! Marks: how a copy in memory knows that the disk still holds the same, for one cheap system call.
//!
//! Whoever is about to replace or remove an entry appends an announcement to the record of invalidations: the key, and the
//! temporary file that is there until it is done. The rename that publishes the file takes that very name away, so
//! nothing is left to be said afterwards, and a writer killed or frozen at any step has either published or not: there is
//! no third state that a reader could take for one of them.
//!
//! - A copy is kept only if, before the disk was read, every announced writer of its key was done.
//! - A copy counts as long as no announcement of its key, and no invalidation that covers it, was appended since.
//!
//! What was announced in an earlier file of the record is found by looking at the temporary files that are there when a
//! later one is first looked at.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use larder_system::{Handle, Open, read_to_limit, retry};

use super::Store;
use super::get::HEADER_READ_BYTES;
use crate::entry::Tag;
use crate::failure::{Context, Failure};
use crate::generation::Token;
use crate::key::Key;
use crate::root::{Root, TEMPORARY};
use crate::stamps::{FileName, Position, SharedPosition, Sight, digest};
use crate::{folder, header, invalidate, temporary};

/// More temporary files than this, and nothing is kept in memory until a sweep has removed them.
const FILES_MAX: usize = 4_096;
/// How long it takes to look again when it could not be told who is at work.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// A moment, taken before an entry is read: whether a copy of what was read then still is what the disk has.
#[derive(Debug)]
pub struct Mark {
    /// A root that was replaced, or emptied under the store, is another one.
    root: u64,
    position: SharedPosition,
}

/// What a root knows of writers that may not be done yet.
#[derive(Debug, Default)]
pub(crate) struct Writers {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The file of the record that the rest is about.
    of: Option<Position>,
    /// Who was at work when that file was first looked at.
    inherited: Vec<(u128, FileName)>,
    /// When nobody could tell last.
    asked: Option<Duration>,
    /// Up to where all announced writers of a key are known to be done.
    settled: HashMap<u128, Position>,
}

impl Store {
    /// Marks this moment for a copy in memory of what the next read of `key` finds. To be called *before* that read.
    ///
    /// `None` says that a copy must not be kept: a writer of this key is at work, or was killed and has not been swept
    /// yet, or there is no root. What is read is good all the same.
    ///
    /// One or two cheap system calls; a listing of the temporary files when the record of invalidations has a new file.
    ///
    /// # Errors
    /// The root or its record of invalidations cannot be read.
    ///
    /// ```
    /// # let scratch = larder_testkit::Scratch::new("mark-doc");
    /// # let (store, other) = (larder_storage::Store::open(scratch.utf8_path())?, larder_storage::Store::open(scratch.utf8_path())?);
    /// # let key = "guides/react".parse()?;
    /// # use larder_storage::Put;
    /// store.put(&key, b"old", &Put::new())?;
    /// let mark = store.mark(&key)?.expect("no writer is at work");
    /// let copy = store.get(&key)?.expect("it was put");
    /// assert!(store.is_unchanged(&mark, &key, copy.token(), copy.metadata().tags()));
    /// other.put(&key, b"new", &Put::new())?; // in this process or any other
    /// assert!(!store.is_unchanged(&mark, &key, copy.token(), copy.metadata().tags()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn mark(&self, key: &Key) -> Result<Option<Mark>, invalidate::Error> {
        let Some(root) = self.reading()? else { return Ok(None) };
        let Some(stamps) = root.stamps()? else { return Ok(None) };
        let digest = digest::key(key);
        let settled = root.writers.settled(digest);
        let Some(sight) = stamps.sight(digest, settled.as_ref())? else { return Ok(None) };
        if root.is_being_written(digest, &sight)? {
            return Ok(None);
        }
        Ok(Some(Mark { root: root.number, position: SharedPosition::new(sight.position) }))
    }

    /// Whether a read of `key` now would find what the read after `mark` found: the entry fetched in `token`, with `tags`.
    /// False when it cannot be told.
    ///
    /// One `lseek` as long as nothing is put, removed or invalidated; one `pread` more for whatever is. A root that was
    /// removed or replaced is noticed within half a second.
    pub fn is_unchanged(&self, mark: &Mark, key: &Key, token: Token, tags: &[Tag]) -> bool {
        let Ok(Some(root)) = self.reading() else { return false };
        root.number == mark.root
            && matches!(root.stamps(), Ok(Some(stamps)) if stamps.is_unchanged(&mark.position, key, token, tags))
    }
}

impl Writers {
    fn settled(&self, digest: u128) -> Option<Position> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).settled.get(&digest).copied()
    }
}

impl Root {
    /// Whether a writer of this name was announced that is not done. Remembers those that are.
    fn is_being_written(&self, digest: u128, sight: &Sight) -> Result<bool, Failure> {
        let mut known = self.writers.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.of.is_none_or(|of| !of.is_same_file(&sight.position)) {
            let now = self.around.clock.monotonic_coarse();
            if known.asked.is_some_and(|asked| now.saturating_sub(asked) < ASK_AGAIN) {
                return Ok(true);
            }
            let Some(inherited) = self.writers_at_work()? else {
                known.asked = Some(now);
                return Ok(true);
            };
            *known = Known { of: Some(sight.position), inherited, settled: HashMap::new(), asked: None };
        }
        let mut files = sight.files.clone();
        files.extend(known.inherited.iter().filter(|(of, _)| *of == digest).map(|(_, file)| *file));
        if files.is_empty() {
            return Ok(false);
        }
        let Some(folder) = self.temporary_folder()? else { return Ok(false) };
        for file in files {
            let name = temporary::name_of(file);
            match retry(|| self.disk().metadata_at(&folder, Path::new(&name))) {
                Ok(_) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Failure::new("look at", self.path.join(TEMPORARY).join(name), error)),
            }
        }
        known.inherited.retain(|(of, _)| *of != digest);
        known.settled.insert(digest, sight.position);
        Ok(false)
    }

    /// The keys of all temporary files that are written far enough to have been announced; `None` when it cannot be told:
    /// there are too many, or a newer larder's.
    fn writers_at_work(&self) -> Result<Option<Vec<(u128, FileName)>>, Failure> {
        let Some(folder) = self.temporary_folder()? else { return Ok(Some(Vec::new())) };
        let listed = folder::names(self.disk(), &folder, Path::new(".")).context("list", self.path.join(TEMPORARY))?;
        if listed.len() > FILES_MAX {
            return Ok(None);
        }
        let mut writers = Vec::new();
        for name in listed.iter().filter_map(|listed| listed.name.to_str()) {
            let Some(file) = temporary::number_of(name) else { continue };
            match self.key_in(&folder, name)? {
                Ok(key) => writers.push((digest::key(&key), file)),
                // whatever key that is
                Err(header::Fault::Newer(_)) => return Ok(None),
                Err(header::Fault::Damaged(_)) => {}
            }
        }
        Ok(Some(writers))
    }

    /// The key of a temporary file. There is none to be read when it is gone, or not written that far, or no entry.
    fn key_in(&self, folder: &Handle, name: &str) -> Result<Result<Key, header::Fault>, Failure> {
        let path = || self.path.join(TEMPORARY).join(name);
        let file = match retry(|| self.disk().open(folder, Path::new(name), Open::READ)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Err(header::Fault::Damaged("gone"))),
            Err(error) => return Err(Failure::new("open", path(), error)),
        };
        let mut bytes = Vec::new();
        let read = read_to_limit(self.disk(), &file, &mut bytes, HEADER_READ_BYTES);
        self.disk().close(file);
        read.context("read", path())?;
        Ok(header::decode(&bytes, None).map(|decoded| decoded.header.key))
    }

    fn temporary_folder(&self) -> Result<Option<Handle>, Failure> {
        match retry(|| self.disk().open(&self.handle, Path::new(TEMPORARY), Open::FOLDER)) {
            Ok(folder) => Ok(Some(folder)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::new("open", self.path.join(TEMPORARY), error)),
        }
    }
}
