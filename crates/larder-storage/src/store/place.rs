//! The place of an entry: its folder, what stands at its name, and what may be done with that.

use std::io;
use std::path::Path;

use larder_system::{Disk, Handle, Kind, Metadata, Open, retry};

use super::ATTEMPTS_MAX;
use super::get::{HEADER_READ_BYTES, is_link};
use crate::failure::Failure;
use crate::folder;
use crate::header::{self, Fault};
use crate::location::Location;
use crate::put::Error;
use crate::root::{ENTRIES, Kept, Root, Writing};

/// Whether the file this process published last under the name is still there: then this version may replace it without
/// looking. Its one name goes only when another file takes it, or when it is removed.
pub(super) fn is_still_ours(root: &Root, previous: Option<&Kept>) -> bool {
    let now = previous.map(|kept| (root.disk().metadata(&kept.file), kept.length));
    cfg!(unix) && matches!(now, Some((Ok(now), length)) if now.links == 1 && now.length == length)
}

/// The folder of an entry, made if it is missing; strangers in the way are set aside.
pub(super) fn open_parent(root: &Root, writing: &Writing, location: &Location, durable: bool) -> Result<Handle, Error> {
    let path = root.path.join(ENTRIES).join(location.folder());
    let Some(entries) = root.entries()? else {
        return Err(Failure::new("open", path, io::ErrorKind::NotFound.into()).into());
    };
    for _ in 0..ATTEMPTS_MAX {
        let opened = if durable { open_settled(root, entries, location) } else { open_any(root, entries, location) };
        match opened {
            Ok(parent) => return Ok(parent),
            // pruned between two steps: make it again
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::NotADirectory || is_link(&error) => {
                if !clear_way(root.disk(), entries, location, writing) {
                    return Err(Failure::new("open", path, error).into());
                }
            }
            Err(error) => return Err(Failure::new("open", path, error).into()),
        }
    }
    Err(Failure::new("open", path, io::ErrorKind::NotFound.into()).into())
}

fn open_any(root: &Root, entries: &Handle, location: &Location) -> io::Result<Handle> {
    folder::open_or_make(root.disk(), entries, Path::new(location.folder()), false)
}

/// The same, its name and those above it on stable storage. Whoever made the folder may not have waited for that.
fn open_settled(root: &Root, entries: &Handle, location: &Location) -> io::Result<Handle> {
    let path = Path::new(location.folder());
    if path.as_os_str().is_empty() {
        return open_any(root, entries, location);
    }
    if let Ok(parent) = retry(|| root.disk().open(entries, path, Open::FOLDER)) {
        if root.is_settled(path, &parent) {
            return Ok(parent);
        }
        root.disk().close(parent);
    }
    let settled = folder::open_or_make(root.disk(), entries, path, true)?;
    // one handle to work with, one to remember
    let parent = retry(|| root.disk().open(&settled, Path::new("."), Open::FOLDER));
    root.settle(path, settled);
    parent
}

/// What stands at the entry's name now.
pub(super) fn named(root: &Root, location: &Location) -> Result<Option<Metadata>, Error> {
    let Some(entries) = root.entries()? else { return Ok(None) };
    let Ok(parent) = retry(|| root.disk().open(entries, folder_path(location), Open::FOLDER)) else {
        return Ok(None);
    };
    let named = named_in(root, &parent, location);
    root.disk().close(parent);
    named
}

pub(super) fn named_in(root: &Root, parent: &Handle, location: &Location) -> Result<Option<Metadata>, Error> {
    match retry(|| root.disk().metadata_at(parent, location.file())) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::new("look at", entry_path(root, location), error).into()),
    }
}

/// Whether the present file is of a format that only newer versions know.
pub(super) fn is_newer(root: &Root, parent: &Handle, location: &Location) -> Result<bool, Error> {
    let file = match retry(|| root.disk().open(parent, location.file(), Open::READ)) {
        Ok(file) => file,
        // absent, or nothing that larder ever wrote
        Err(error) if error.kind() == io::ErrorKind::NotFound || is_link(&error) => return Ok(false),
        Err(error) if error.raw_os_error() == Some(6) => return Ok(false),
        Err(error) => return Err(Failure::new("open", entry_path(root, location), error).into()),
    };
    let mut bytes = Vec::with_capacity(HEADER_READ_BYTES);
    let read = retry(|| root.disk().read(&file, &mut bytes));
    root.disk().close(file);
    match read {
        Ok(_) => Ok(matches!(header::decode(&bytes, None), Err(Fault::Newer(_)))),
        Err(error) if matches!(error.kind(), io::ErrorKind::IsADirectory | io::ErrorKind::WouldBlock) => Ok(false),
        Err(error) => Err(Failure::new("read", entry_path(root, location), error).into()),
    }
}

/// Sets aside what is no folder on the way to an entry; returns whether anything was.
fn clear_way(disk: &dyn Disk, entries: &Handle, location: &Location, writing: &Writing) -> bool {
    let mut here: Option<Handle> = None;
    let mut cleared = false;
    for component in Path::new(location.folder()).components() {
        let name = Path::new(component.as_os_str());
        let at = here.as_ref().unwrap_or(entries);
        match disk.metadata_at(at, name) {
            Ok(metadata) if metadata.kind != Kind::Folder => {
                cleared = writing.quarantine.take(at, name, "something else in a folder's place");
                break;
            }
            Ok(_) => {}
            Err(_) => break,
        }
        let Ok(next) = disk.open(at, name, Open::FOLDER) else { break };
        here = Some(next);
    }
    cleared
}

pub(super) fn folder_path(location: &Location) -> &Path {
    if location.folder().is_empty() { Path::new(".") } else { Path::new(location.folder()) }
}

pub(super) fn entry_path(root: &Root, location: &Location) -> camino::Utf8PathBuf {
    let relative = location.path().to_str().unwrap_or_default();
    root.path.join(ENTRIES).join(relative)
}
