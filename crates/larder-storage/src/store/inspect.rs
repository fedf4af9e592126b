//! Looking at a root without touching it: what whoever examines one tells of it.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use camino::Utf8PathBuf;
use larder_lock::{Backend, Wait, holders};
use larder_system::{Disk, Handle, Kind, retry};

use super::walk::{Found, Walk};
use super::{GetError, Store};
use crate::failure::Context;
use crate::quarantine;
use crate::room::{Ledger, Occupied};
use crate::root::{self, ENTRIES, FORMAT, LOCKS, QUARANTINE, Root, STAMPS, TEMPORARY};
use crate::temporary::{session_lock, session_of};
use crate::{Failure, folder};

/// Temporary files, by whether whoever made them lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leftovers {
    /// Files of dead writers, which the next writer or [`Store::sweep`] removes.
    pub dead: u64,
    /// Bytes allocated to those.
    pub dead_bytes: u64,
    /// Files of live writers.
    pub in_use: u64,
}

/// What was set aside in `quarantine/`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetAside {
    /// How many files.
    pub files: u64,
    /// Bytes allocated to them.
    pub bytes: u64,
    /// When the first of them was set aside, by the wall clock.
    pub oldest: Option<SystemTime>,
}

/// What all processes together have stored, as they last agreed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counted {
    /// The room that entries take.
    pub occupied: Occupied,
    /// What was left when the last eviction ended above the bounds, because nothing more could go.
    pub stuck: Option<Occupied>,
}

/// A file or folder of the root whose mode lets others in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loose {
    /// Where it is.
    pub path: Utf8PathBuf,
    /// Its permission bits.
    pub mode: u32,
}

impl Store {
    /// The kind of locks that the root records; `None` when there is no root.
    ///
    /// # Errors
    /// The root cannot be opened, or is of a format that this version may read and not write.
    pub fn check_format(&self) -> Result<Option<Backend>, root::Error> {
        let Some(root) = self.reading()? else { return Ok(None) };
        root.format.check(&root.path, "write", root.format.write_from)?;
        Ok(Some(root.format.backend()))
    }

    /// The temporary files that are there. Nothing is removed.
    ///
    /// # Errors
    /// The root cannot be opened, or their folder cannot be listed.
    pub fn leftovers(&self) -> Result<Leftovers, GetError> {
        let mut leftovers = Leftovers::default();
        let Some(root) = self.reading()? else { return Ok(leftovers) };
        let Some((locks, _)) = root.existing_locks()? else { return Ok(leftovers) };
        let Some((tmp, names)) = listed(&root, TEMPORARY)? else { return Ok(leftovers) };
        for name in names {
            let Some(session) = session_of(&name) else { continue };
            // asked for each file: whoever lived when the folder was listed may have removed it and gone since
            let is_dead = locks.wait_until_free(&session_lock(session), &Wait::none().without_holder()).is_ok();
            let Ok(found) = root.disk().metadata_at(&tmp, Path::new(&name)) else { continue };
            if is_dead {
                leftovers.dead += 1;
                leftovers.dead_bytes += found.allocated;
            } else {
                leftovers.in_use += 1;
            }
        }
        root.disk().close(tmp);
        Ok(leftovers)
    }

    /// What was set aside, and not removed since.
    ///
    /// # Errors
    /// The root cannot be opened, or its quarantine cannot be listed.
    pub fn set_aside_files(&self) -> Result<SetAside, GetError> {
        let Some(root) = self.reading()? else { return Ok(SetAside::default()) };
        let Some((folder, names)) = listed(&root, QUARANTINE)? else { return Ok(SetAside::default()) };
        root.disk().close(folder);
        let (files, bytes) = quarantine::usage(root.disk(), &root.handle);
        let oldest = names.iter().filter_map(|name| quarantine::taken_at_ms(name)).min();
        let at = |ms| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms));
        Ok(SetAside { files, bytes, oldest: oldest.and_then(at) })
    }

    /// What is stored as all processes have counted it, without looking at any entry, and without a lock; `None` when nobody
    /// has counted in this boot or for an hour.
    ///
    /// # Errors
    /// The root cannot be opened.
    pub fn counted(&self) -> Result<Option<Counted>, GetError> {
        let Some(root) = self.reading()? else { return Ok(None) };
        // a file that cannot be read is counted anew by the next eviction
        let seen = Ledger::look(root.disk(), &*root.around.clock, &root.handle).unwrap_or(None);
        let some = |stuck: Occupied| (stuck != Occupied::default()).then_some(stuck);
        Ok(seen.map(|(occupied, stuck)| Counted { occupied, stuck: some(stuck) }))
    }

    /// Who holds which of the root's own locks: those of keys, of writers and of journals. See
    /// [`Locks::holders`](larder_lock::Locks::holders).
    ///
    /// # Errors
    /// The root cannot be opened.
    pub fn lock_holders(&self) -> Result<Vec<holders::Held>, GetError> {
        let Some(root) = self.reading()? else { return Ok(Vec::new()) };
        let Some((locks, _)) = root.existing_locks()? else { return Ok(Vec::new()) };
        locks.holders().map_err(|error| match error {
            holders::Error::List { source, .. } => Failure::new("list", root.path.join(LOCKS), source).into(),
            other => Failure::new("list", root.path.join(LOCKS), std::io::Error::other(other)).into(),
        })
    }

    /// Files and folders of the root that are not their owner's alone, among those that every root has, those in the folders
    /// `annexes`, and some entries: no more than `looks_max` are looked at. Empty on platforms without modes.
    ///
    /// # Errors
    /// The root cannot be opened.
    pub fn open_to_others(&self, annexes: &[&str], looks_max: usize) -> Result<Vec<Loose>, GetError> {
        let Some(root) = self.reading()? else { return Ok(Vec::new()) };
        let mut paths: Vec<PathBuf> = [FORMAT, ENTRIES, LOCKS, TEMPORARY, QUARANTINE].map(PathBuf::from).into();
        for name in [STAMPS].iter().chain(annexes) {
            paths.push(PathBuf::from(name));
            let Some((folder, names)) = listed(&root, name)? else { continue };
            root.disk().close(folder);
            paths.extend(names.iter().map(|file| Path::new(name).join(file)).take(looks_max));
        }
        if let Some(entries) = root.entries()? {
            let mut walk = Walk::below(root.disk(), entries, Path::new("")).context("list", root.path.join(ENTRIES))?;
            while paths.len() < looks_max
                && let Some(found) = walk.next(root.disk(), entries).context("list", root.path.join(ENTRIES))?
            {
                if let Found::Entry(path) | Found::Folder(path) = found {
                    paths.push(Path::new(ENTRIES).join(path));
                }
            }
        }
        let looks = paths.iter().take(looks_max);
        Ok(looks
            .filter_map(|path| loose_mode(&root, path).map(|mode| Loose { path: absolute(&root, path), mode }))
            .collect())
    }
}

/// The mode of what is at `path` in the root, if it lets others in.
fn loose_mode(root: &Root, path: &Path) -> Option<u32> {
    let disk: &dyn Disk = root.disk();
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let parent = retry(|| disk.open(&root.handle, parent, larder_system::Open::FOLDER)).ok()?;
    let found = path.file_name().and_then(|name| disk.metadata_at(&parent, Path::new(name)).ok());
    disk.close(parent);
    // a link has no mode of its own, and nothing is opened through it
    found.filter(|found| found.kind != Kind::Link && found.mode & 0o077 != 0).map(|found| found.mode)
}

fn absolute(root: &Root, path: &Path) -> Utf8PathBuf {
    root.path.join(path.to_string_lossy().as_ref())
}

/// A folder of the root and the names in it, as far as they are text; `None` when it is not there.
fn listed(root: &Root, name: &str) -> Result<Option<(Handle, Vec<String>)>, Failure> {
    let path = || root.path.join(name);
    let folder = match retry(|| root.disk().open(&root.handle, Path::new(name), larder_system::Open::FOLDER)) {
        Ok(folder) => folder,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::new("open", path(), error)),
    };
    match folder::names(root.disk(), &folder, Path::new(".")).context("list", path()) {
        Ok(names) => {
            Ok(Some((folder, names.into_iter().filter_map(|listed| listed.name.into_string().ok()).collect())))
        }
        Err(error) => {
            root.disk().close(folder);
            Err(error)
        }
    }
}
