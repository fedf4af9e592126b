//! Folders of a root for the small shared files of other crates: flights, ledgers, counters.
//!
//! An [`Annex`] gives them what entries have (files that appear whole under their name, leftovers that a sweep tells from
//! work in progress, the root's locks) and nothing else. What the files say, and when they go, is their owner's to know.

use std::io;
use std::path::Path;
use std::sync::Arc;

use camino::Utf8PathBuf;
use larder_lock::Locks;
use larder_system::{Clock, Disk, Handle, Open, Replace, retry};

use crate::failure::{Context, Failure};
use crate::folder;
use crate::journal::Home;
use crate::root::{self, ENTRIES, LOCKS, QUARANTINE, Root, STAMPS, TEMPORARY};

/// What storage itself keeps in a root.
const RESERVED: [&str; 5] = [ENTRIES, LOCKS, STAMPS, TEMPORARY, QUARANTINE];

/// Why there is no annex, or a file in it could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The root cannot be opened or written.
    #[error(transparent)]
    Root(#[from] root::Error),
    /// A system call failed.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The name is storage's own, or no plain word.
    #[error("`{name}` is no annex's name; use lower-case letters, and none of the root's own folders")]
    Name {
        /// What was given.
        name: &'static str,
    },
}

/// A folder of a root, for files that are not entries.
///
/// It belongs to the root that was open when it was asked for: whoever keeps one asks [`Annex::is_current`] before what
/// it does must be seen by others, and takes a new one when it is not.
#[derive(Clone, Debug)]
pub struct Annex {
    root: Arc<Root>,
    folder: Arc<Handle>,
    name: &'static str,
    locks: Locks,
    lock_folder: Arc<Handle>,
}

impl Annex {
    pub(crate) fn make(root: &Arc<Root>, name: &'static str) -> Result<Self, Error> {
        check(name)?;
        let (locks, lock_folder) = root.writing()?.locks();
        let folder = folder::open_or_make(root.disk(), &root.handle, Path::new(name), false)
            .context("make", root.path.join(name))?;
        Ok(Self { root: Arc::clone(root), folder: Arc::new(folder), name, locks, lock_folder })
    }

    /// When it is there already, with the locks: without all that writers of entries need, for those who come for a
    /// millisecond.
    pub(crate) fn ready(root: &Arc<Root>, name: &'static str) -> Result<Option<Self>, Error> {
        check(name)?;
        let Some((locks, lock_folder)) = root.locks_if_present()? else { return Ok(None) };
        match retry(|| root.disk().open(&root.handle, Path::new(name), Open::FOLDER)) {
            Ok(folder) => Ok(Some(Self { root: Arc::clone(root), folder: Arc::new(folder), name, locks, lock_folder })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::new("open", root.path.join(name), error).into()),
        }
    }

    pub(crate) fn find(root: &Arc<Root>, name: &'static str) -> Result<Option<Self>, Error> {
        check(name)?;
        let folder = match retry(|| root.disk().open(&root.handle, Path::new(name), Open::FOLDER)) {
            Ok(folder) => Arc::new(folder),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::new("open", root.path.join(name), error).into()),
        };
        // a root has them before it has any annex
        let Some((locks, lock_folder)) = root.existing_locks()? else { return Ok(None) };
        Ok(Some(Self { root: Arc::clone(root), folder, name, locks, lock_folder }))
    }

    /// The disk it is on.
    pub fn disk(&self) -> &dyn Disk {
        self.root.disk()
    }

    /// The clock its root goes by.
    pub fn clock(&self) -> &dyn Clock {
        &*self.root.around.clock
    }

    /// The folder, open.
    pub fn folder(&self) -> &Handle {
        &self.folder
    }

    /// The root's locks. No key's lock has a name that begins with `//`; such names are for annexes, each beginning with
    /// `//` and the annex's name.
    pub fn locks(&self) -> &Locks {
        &self.locks
    }

    /// Where a [journal](crate::journal) in this folder lives.
    pub fn home(&self) -> Home {
        Home {
            disk: Arc::clone(&self.root.around.disk),
            clock: Arc::clone(&self.root.around.clock),
            folder: Arc::clone(&self.folder),
            locks: self.locks.clone(),
        }
    }

    /// The path of a file in it, for messages.
    pub fn path_of(&self, file: &str) -> Utf8PathBuf {
        self.root.path.join(self.name).join(file)
    }

    /// Whether the root's path still stands for the root that this folder is in, and the names in it for this folder and
    /// that of the locks: a lock in a folder that nobody finds any more excludes nobody.
    pub fn is_current(&self) -> bool {
        let stands = |name: &str, open: &Handle| {
            let (named, ours) =
                (self.disk().metadata_at(&self.root.handle, Path::new(name)), self.disk().metadata(open));
            matches!((named, ours), (Ok(named), Ok(ours)) if named.is_same_file(&ours))
        };
        self.root.is_current() && stands(self.name, &self.folder) && stands(LOCKS, &self.lock_folder)
    }

    /// Makes the file `name` with this content, whole from the moment it is seen, and hands it back open for reading and
    /// writing. With [`Replace::No`], `None` when the name is taken. Nothing is synced.
    ///
    /// # Errors
    /// A system call failed; nothing is left behind.
    pub fn publish(&self, name: &str, content: &[&[u8]], replace: Replace) -> Result<Option<Handle>, Error> {
        let mut temporary = self.root.writing()?.temporaries.create()?;
        temporary.write(content)?;
        let (from, _) = temporary.folder();
        let to = Path::new(name);
        let moved = match replace {
            Replace::Yes => retry(|| self.disk().rename(from, temporary.name(), &self.folder, to, Replace::Yes)),
            // a link, and not a rename that some file systems cannot do without replacing
            Replace::No => retry(|| self.disk().link(from, temporary.name(), &self.folder, to)),
        };
        match (moved, replace) {
            (Ok(()), Replace::Yes) => Ok(temporary.disarm()),
            (Ok(()), Replace::No) => {
                let file = temporary.take_handle();
                drop(temporary);
                Ok(file)
            }
            (Err(error), Replace::No) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
            (Err(error), _) => Err(Failure::new("publish", self.path_of(name), error).into()),
        }
    }

    /// Opens the file `name`; `None` when it is not there.
    ///
    /// # Errors
    /// A system call failed.
    pub fn open(&self, name: &str, how: Open) -> Result<Option<Handle>, Error> {
        match retry(|| self.disk().open(&self.folder, Path::new(name), how)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::new("open", self.path_of(name), error).into()),
        }
    }

    /// Removes the file `name`; false when it was not there.
    ///
    /// # Errors
    /// A system call failed.
    pub fn remove(&self, name: &str) -> Result<bool, Error> {
        match retry(|| self.disk().remove_file(&self.folder, Path::new(name))) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Failure::new("remove", self.path_of(name), error).into()),
        }
    }

    /// The names of its files, as far as they are text.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn names(&self) -> Result<Vec<String>, Error> {
        let listed = folder::names(self.disk(), &self.folder, Path::new(".")).context("list", self.path_of(""))?;
        Ok(listed.into_iter().filter_map(|listed| listed.name.into_string().ok()).collect())
    }
}

fn check(name: &'static str) -> Result<(), Error> {
    let is_word = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase());
    if is_word && !RESERVED.contains(&name) { Ok(()) } else { Err(Error::Name { name }) }
}
