//! Walking the entries: folder by folder, one listing in memory at a time.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use larder_system::{Disk, Handle, Kind};

use crate::folder;
use crate::location::SUFFIX;

/// Deeper than any folder that larder makes: where the walk stops.
const DEPTH_MAX: usize = 32;

/// Something found below the entries.
#[derive(Debug)]
pub(super) enum Found {
    /// A name that entries have.
    Entry(PathBuf),
    /// A folder, after everything in it.
    Folder(PathBuf),
    /// A name that larder gives nothing.
    Stranger(PathBuf),
}

/// A walk through a folder of entries, in order of names.
#[derive(Debug)]
pub(super) struct Walk {
    /// Folders under way, each with the names still to visit, in reverse.
    stack: Vec<(PathBuf, Vec<(std::ffi::OsString, Kind)>)>,
    passes_over: bool,
    /// By how much the order in each folder is turned.
    turn: usize,
}

impl Walk {
    /// Begins at `start` below `entries`; a folder that is not there is walked at once.
    pub(super) fn below(disk: &dyn Disk, entries: &Handle, start: &Path) -> io::Result<Self> {
        Self::turned(disk, entries, start, 0)
    }

    /// The same, each folder from another name on: walks that end early then see other entries each time.
    pub(super) fn turned(disk: &dyn Disk, entries: &Handle, start: &Path, turn: usize) -> io::Result<Self> {
        let mut walk = Self { stack: Vec::new(), passes_over: false, turn };
        walk.enter(disk, entries, start.to_owned())?;
        Ok(walk)
    }

    /// Passes over folders that cannot be listed, as those of another user, with a warning.
    pub(super) const fn passing_over(mut self) -> Self {
        self.passes_over = true;
        self
    }

    fn enter(&mut self, disk: &dyn Disk, entries: &Handle, path: PathBuf) -> io::Result<()> {
        let opened = if path.as_os_str().is_empty() { Path::new(".") } else { &path };
        let names = match folder::names(disk, entries, opened) {
            Ok(names) => names,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(());
            }
            Err(error) if self.passes_over => {
                tracing::warn!(folder = %path.display(), %error, "entries in a folder that cannot be listed are not counted");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let mut names: Vec<_> = names.into_iter().map(|listed| (listed.name, listed.kind)).collect();
        names.sort_by(|one, other| other.0.cmp(&one.0));
        let turn = self.turn.checked_rem(names.len()).unwrap_or(0);
        names.rotate_left(turn);
        self.stack.push((path, names));
        Ok(())
    }

    /// The next thing found; `None` at the end.
    pub(super) fn next(&mut self, disk: &dyn Disk, entries: &Handle) -> io::Result<Option<Found>> {
        while let Some((folder, names)) = self.stack.last_mut() {
            let Some((name, kind)) = names.pop() else {
                let folder = self.stack.pop().map(|(folder, _)| folder);
                match folder {
                    Some(folder) if !folder.as_os_str().is_empty() => return Ok(Some(Found::Folder(folder))),
                    _ => continue,
                }
            };
            let path = folder.join(&name);
            let kind = if kind == Kind::Unknown { kind_of(disk, entries, folder, &name) } else { kind };
            if is_entry_name(&name) {
                return Ok(Some(Found::Entry(path)));
            }
            let depth = path.components().count() - 1;
            if super::view::is_library(&name, kind, depth) {
                continue;
            }
            if kind != Kind::Folder || self.stack.len() >= DEPTH_MAX {
                return Ok(Some(Found::Stranger(path)));
            }
            self.enter(disk, entries, path)?;
        }
        Ok(None)
    }
}

fn is_entry_name(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.ends_with(SUFFIX))
}

/// What a listing that says nothing left open.
fn kind_of(disk: &dyn Disk, entries: &Handle, folder: &Path, name: &OsStr) -> Kind {
    let opened = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let Ok(handle) = disk.open(entries, opened, larder_system::Open::FOLDER) else { return Kind::Unknown };
    let kind = disk.metadata_at(&handle, Path::new(name)).map_or(Kind::Unknown, |metadata| metadata.kind);
    disk.close(handle);
    kind
}
