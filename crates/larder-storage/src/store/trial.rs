//! Trying out what every write relies on, with files that are gone again when it is over.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use larder_lock::{Finding, Mode, Wait};
use larder_system::{Disk, Handle, Open, Replace, read_to_limit, retry, unique, write_all};

use super::{GetError, Store};
use crate::failure::{Context, Failure};
use crate::root::{LOCKS, Root, TEMPORARY};
use crate::stamps::FileName;
use crate::temporary::{name_of, session_lock};

/// What is written: enough that a full disk cannot hide it in a block that it has anyway.
const BYTES: usize = 64 * 1024;

/// Why the file system is not fit for a root.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The root cannot be opened.
    #[error(transparent)]
    Root(#[from] GetError),
    /// A step failed.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// Other bytes came back than were written.
    #[error("{path} did not give back what was written to it: do not trust this file system, choose another root")]
    Changed {
        /// The file.
        path: camino::Utf8PathBuf,
    },
}

impl Store {
    /// Writes a file of 64 KiB in the root's `tmp/`, syncs it, gives it a second name, renames it, reads it back and removes
    /// it. False when there is no root, or none that has been written to: nothing is made then.
    ///
    /// # Errors
    /// The step that failed. What could not be removed then is the leftover of a dead writer, which the next sweep removes.
    ///
    /// ```
    /// # let scratch = larder_testkit::Scratch::new("trial-doc");
    /// # let store = larder_storage::Store::open(scratch.utf8_path())?;
    /// assert!(!store.try_files()?, "there is no root to try");
    /// store.token()?;
    /// assert!(store.try_files()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_files(&self) -> Result<bool, Error> {
        let Some(root) = self.reading().map_err(GetError::from)? else { return Ok(false) };
        let disk = root.disk();
        let path = root.path.join(TEMPORARY);
        let Some(folder) = existing(&root, TEMPORARY).context("open", &path)? else { return Ok(false) };
        let tried = try_once(&root, &folder);
        disk.close(folder);
        tried.map(|()| true)
    }

    /// Whether the locks of the root's file system exclude each other now, whatever the root records; `None` as for
    /// [`try_files`](Self::try_files). Waits for at most `bound`.
    ///
    /// # Errors
    /// No file could be made there.
    pub fn try_locks(&self, bound: Duration) -> Result<Option<Finding>, Error> {
        let Some(root) = self.reading().map_err(GetError::from)? else { return Ok(None) };
        let path = root.path.join(LOCKS);
        let Some(folder) = existing(&root, LOCKS).context("open", &path)? else { return Ok(None) };
        let finding = larder_lock::probe(&root.around.disk, &Arc::new(folder), bound);
        Ok(Some(finding.context("try locks in", path)?))
    }
}

fn existing(root: &Root, name: &str) -> io::Result<Option<Handle>> {
    match retry(|| root.disk().open(&root.handle, Path::new(name), Open::FOLDER)) {
        Ok(folder) => Ok(Some(folder)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn try_once(root: &Root, folder: &Handle) -> Result<(), Error> {
    let place = root.path.join(TEMPORARY);
    let session = unique().context("draw a name for a file in", &place)?;
    // as every writer, so that nobody takes the files for those of the dead while this lives
    let Some((locks, _)) = root.existing_locks()? else { return Ok(()) };
    let name = session_lock(&format!("{session:016x}"));
    let alive = locks.acquire(&name, Mode::Exclusive, &Wait::none());
    let alive = alive.map_err(unlocked).context("lock a session in", &place)?;
    let names = [0, 1, 2].map(|number| name_of(FileName { session, number }));
    let mut tried = steps(root, folder, session, &names);
    for name in &names {
        let removed = retry(|| root.disk().remove_file(folder, Path::new(name)));
        if let Err(error) = removed
            && error.kind() != io::ErrorKind::NotFound
        {
            tried = tried.and(Err(Failure::new("remove", place.join(name), error).into()));
        }
    }
    // what cannot be removed goes with the next sweep
    let _ = alive.retire();
    tried
}

/// What the system said when the lock was refused, with all that the refusal tells.
fn unlocked(error: larder_lock::acquire::Error) -> io::Error {
    let kind = match &error {
        larder_lock::acquire::Error::Io { source, .. } => source.kind(),
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

fn steps(root: &Root, folder: &Handle, seed: u64, [first, linked, renamed]: &[String; 3]) -> Result<(), Error> {
    let disk: &dyn Disk = root.disk();
    let path = |name: &str| root.path.join(TEMPORARY).join(name);
    let content: Vec<u8> = (0..BYTES as u64 / 8).flat_map(|at| (seed ^ at).to_le_bytes()).collect();
    let file = retry(|| disk.open(folder, Path::new(first), Open::CREATE_NEW)).context("create", path(first))?;
    let written = write_all(disk, &file, &[&content])
        .context("write", path(first))
        .and_then(|()| disk.sync(&file).context("sync", path(first)));
    disk.close(file);
    written?;
    retry(|| disk.link(folder, Path::new(first), folder, Path::new(linked))).context("link", path(first))?;
    retry(|| disk.rename(folder, Path::new(first), folder, Path::new(renamed), Replace::Yes))
        .context("rename", path(first))?;
    crate::folder::sync(disk, folder).context("sync", path(""))?;
    let file = retry(|| disk.open(folder, Path::new(renamed), Open::READ)).context("open", path(renamed))?;
    let mut back = Vec::with_capacity(BYTES);
    let read = read_to_limit(disk, &file, &mut back, BYTES).context("read", path(renamed));
    disk.close(file);
    if read? && back == content { Ok(()) } else { Err(Error::Changed { path: path(renamed) }) }
}
