//! The place of an entry: its folder, what stands at its name, and what may be done with that.

use std::io;
use std::path::Path;
use std::time::Duration;

use larder_lock::{Mode, Wait};
use larder_system::{Disk, Handle, Kind, Metadata, Open, retry};

use super::ATTEMPTS_MAX;
use super::get::{HEADER_READ_BYTES, is_link, is_no_device};
use crate::failure::Failure;
use crate::folder;
use crate::header::{self, Fault};
use crate::location::Location;
use crate::put::Error;
use crate::room::Occupied;
use crate::root::{ENTRIES, Kept, Root, Writing};

/// How long to wait for somebody who sets aside the same stranger.
const CLEAR_WAIT: Duration = Duration::from_secs(5);

/// What stands at an entry's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occupant {
    /// Nothing.
    None,
    /// Something that this version may replace.
    Replaceable,
    /// An entry of a format that only newer versions know.
    Newer,
}

/// Whether the file this process published last is still there, under the same name: then it may be replaced without
/// reading it. An open file keeps its number, so that no other file can have it.
pub(super) fn is_still_ours(root: &Root, parent: &Handle, location: &Location, previous: Option<&Kept>) -> bool {
    let Some(kept) = previous.filter(|_| cfg!(unix)) else { return false };
    let (Ok(ours), Ok(now)) = (root.disk().metadata(&kept.file), root.disk().metadata_at(parent, location.file()))
    else {
        return false;
    };
    now.is_same_file(&ours) && now.length == kept.length
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

/// What stands at the entry's name now.
pub(super) fn occupant(root: &Root, parent: &Handle, location: &Location) -> Result<Occupant, Error> {
    let file = match retry(|| root.disk().open(parent, location.file(), Open::READ)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Occupant::None),
        // nothing that larder ever wrote: a link, a socket
        Err(error) if is_link(&error) || is_no_device(&error) => return Ok(Occupant::Replaceable),
        Err(error) => return Err(Failure::new("open", entry_path(root, location), error).into()),
    };
    let mut bytes = Vec::with_capacity(HEADER_READ_BYTES);
    let read = retry(|| root.disk().read(&file, &mut bytes));
    root.disk().close(file);
    match read {
        Ok(_) if matches!(header::decode(&bytes, None), Err(Fault::Newer(_))) => Ok(Occupant::Newer),
        Ok(_) => Ok(Occupant::Replaceable),
        Err(error) if matches!(error.kind(), io::ErrorKind::IsADirectory | io::ErrorKind::WouldBlock) => {
            Ok(Occupant::Replaceable)
        }
        Err(error) => Err(Failure::new("read", entry_path(root, location), error).into()),
    }
}

/// Sets aside what is no folder on the way to an entry; returns whether anything was.
///
/// Under a lock of the folder's own: only its holders free the name, and only they make room for the folder that comes
/// next, so what is judged is what is moved.
fn clear_way(disk: &dyn Disk, entries: &Handle, location: &Location, writing: &Writing) -> bool {
    let mut here: Option<Handle> = None;
    let mut way = String::from("//way");
    let mut cleared = false;
    for component in Path::new(location.folder()).components() {
        let name = Path::new(component.as_os_str());
        way.push('/');
        way.push_str(&name.to_string_lossy());
        let at = here.as_ref().unwrap_or(entries);
        let is_stranger = || disk.metadata_at(at, name).is_ok_and(|metadata| metadata.kind != Kind::Folder);
        if is_stranger() {
            let Ok(_guard) = writing.locks.acquire(&way, Mode::Exclusive, &Wait::up_to(CLEAR_WAIT)) else { break };
            // somebody else may have done it, and made the folder
            cleared = !is_stranger() || writing.quarantine.take(at, name, "something else in a folder's place");
            break;
        }
        let Ok(next) = disk.open(at, name, Open::FOLDER) else { break };
        here = Some(next);
    }
    cleared
}

/// The room that the file of that name takes; `None` when there is none.
pub(super) fn room_of(root: &Root, parent: &Handle, name: &Path) -> Option<Occupied> {
    let found = root.disk().metadata_at(parent, name).ok()?;
    (found.kind == Kind::File).then(|| Occupied::by(found.length))
}

pub(super) fn folder_path(location: &Location) -> &Path {
    if location.folder().is_empty() { Path::new(".") } else { Path::new(location.folder()) }
}

pub(super) fn entry_path(root: &Root, location: &Location) -> camino::Utf8PathBuf {
    let relative = location.path().to_str().unwrap_or_default();
    root.path.join(ENTRIES).join(relative)
}
