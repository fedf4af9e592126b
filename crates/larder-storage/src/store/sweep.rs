//! Sweeping: leftovers of the dead go, those of the living stay. Who is alive, a held lock says.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use larder_lock::{Mode, Wait};
use larder_system::{Handle, Open, retry};

use super::Store;
use super::get::Read;
use super::list::header_at;
use super::place::room_of;
use super::verify::Damage;
use super::walk::{Found, Walk};
use crate::failure::Context;
use crate::generation::Standing;
use crate::location::Location;
use crate::put::Error;
use crate::root::{ENTRIES, Root, Writing};

/// The most lock files looked at in one sweep.
const LOCKS_MAX: usize = 1_000_000;

/// What a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Swept {
    /// Temporary files of dead writers.
    pub temporaries: u64,
    /// Temporary files of live writers, left alone.
    pub in_use: u64,
    /// Entries that an invalidation had made absent.
    pub entries: u64,
    /// Empty folders of entries.
    pub folders: u64,
    /// Lock files that nobody held.
    pub locks: u64,
}

impl Store {
    /// Removes what nobody needs: temporary files of dead writers (which each process that writes looks for once, too), entries that hard invalidations made absent, empty
    /// folders, lock files that nobody holds. Nothing that a live process works on is touched.
    ///
    /// # Errors
    /// The root cannot be opened or listed. What cannot be removed is left for the next sweep.
    pub fn sweep(&self) -> Result<Swept, Error> {
        let mut swept = Swept::default();
        let Some(_) = self.reading()? else { return Ok(swept) };
        let root = self.prepared_now()?;
        let writing = root.writing()?;
        let leftovers = writing.temporaries.sweep(usize::MAX)?;
        (swept.temporaries, swept.in_use) = (leftovers.removed, leftovers.in_use);
        sweep_entries(&root, writing, &mut swept)?;
        match writing.locks.sweep(LOCKS_MAX) {
            Ok(counts) => swept.locks = counts.removed as u64,
            Err(error) => tracing::warn!(%error, "cannot sweep the lock files"),
        }
        Ok(swept)
    }

    /// Moves a file that a full check found damaged out of the way.
    pub(super) fn set_aside_found(&self, root: &Arc<Root>, damage: &Damage) -> bool {
        let Ok(writing) = root.writing() else { return false };
        let Some((parent, name)) = open_parent(root, &damage.path) else { return false };
        // a name that is not UTF-8 is nobody's, and needs no lock to keep writers away
        let guard = damage.path.to_str().map(|name| {
            let way = if is_entry_name(&damage.path) { name.to_owned() } else { format!("//way/{name}") };
            writing.locks.acquire(&way, Mode::Exclusive, &Wait::none())
        });
        // somebody is writing it at this moment: it will be whole, or found again
        let is_busy = matches!(guard, Some(Err(_)));
        let occupied = if is_entry_name(&damage.path) { room_of(root, &parent, &name) } else { None };
        let taken = !is_busy
            && self.is_still_damaged(root, &damage.path)
            && writing.quarantine.take(&parent, &name, damage.reason);
        if taken {
            root.count(writing, occupied, None);
        }
        root.disk().close(parent);
        taken
    }

    fn is_still_damaged(&self, root: &Root, path: &Path) -> bool {
        let Ok(Some(entries)) = root.entries() else { return false };
        match self.read_below(root.disk(), entries, path, None) {
            // a folder at a name that entries do not have has taken a stranger's place meanwhile
            Ok(Read::Damaged(_)) => {
                is_entry_name(path) || retry(|| root.disk().open(entries, path, Open::FOLDER)).is_err()
            }
            Ok(Read::Whole(decoded, _)) => Location::of(&decoded.header.key).path() != path,
            // a name that entries do not have: whatever it is, it is still there
            Ok(Read::Absent) => !is_entry_name(path),
            _ => false,
        }
    }
}

/// Whether a name ends as those of entries do.
fn is_entry_name(path: &Path) -> bool {
    path.to_string_lossy().ends_with(crate::location::SUFFIX)
}

/// The folder of a found file, opened, and its name.
pub(super) fn open_parent(root: &Root, path: &Path) -> Option<(Handle, PathBuf)> {
    let entries = root.entries().ok().flatten()?;
    let name = PathBuf::from(path.file_name()?);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let parent = retry(|| root.disk().open(entries, folder, Open::FOLDER)).ok()?;
    Some((parent, name))
}

/// Removes a folder that has nothing in it; a writer that needs it again makes it again.
pub(super) fn remove_if_empty(root: &Root, path: &Path) -> bool {
    let Some((parent, name)) = open_parent(root, path) else { return false };
    let remove = || -> io::Result<()> { retry(|| root.disk().remove_folder(&parent, &name)) };
    let is_library = path.components().count() == 1;
    let removed =
        remove().is_ok() || (is_library && super::view::remove_lonely(root, &parent, &name) && remove().is_ok());
    root.disk().close(parent);
    removed
}

/// Removes the entry at `path` if an invalidation has made it absent, under its key's lock.
fn remove_if_gone(root: &Arc<Root>, writing: &Writing, path: &Path) -> Result<bool, super::GetError> {
    let gone = |root: &Root| -> Result<Option<crate::Key>, super::GetError> {
        let Some(header) = header_at(root, path)? else { return Ok(None) };
        let Some(stamps) = root.stamps()? else { return Ok(None) };
        let standing = stamps.standing(header.token, &header.key, header.metadata.tags())?;
        Ok((standing == Standing::Gone && Location::of(&header.key).path() == path).then_some(header.key))
    };
    let Some(key) = gone(root)? else { return Ok(false) };
    let name = Location::of(&key);
    let Ok(guard) = writing.locks.acquire(name.lock_name(), Mode::Exclusive, &Wait::none()) else {
        return Ok(false);
    };
    if gone(root)?.as_ref() != Some(&key) {
        return Ok(false);
    }
    let Some((parent, name)) = open_parent(root, path) else { return Ok(false) };
    let occupied = room_of(root, &parent, &name);
    let removed = retry(|| root.disk().remove_file(&parent, &name)).is_ok();
    root.disk().close(parent);
    if removed {
        let _ = guard.retire();
        root.count(writing, occupied, None);
    }
    Ok(removed)
}

fn sweep_entries(root: &Arc<Root>, writing: &Writing, swept: &mut Swept) -> Result<(), Error> {
    let Some(entries) = root.entries()? else { return Ok(()) };
    let listing = || root.path.join(ENTRIES);
    let mut walk = Walk::below(root.disk(), entries, Path::new("")).context("list", listing())?;
    while let Some(found) = walk.next(root.disk(), entries).context("list", listing())? {
        match found {
            Found::Stranger(_) => {}
            Found::Folder(path) => swept.folders += u64::from(remove_if_empty(root, &path)),
            Found::Entry(path) => {
                let removed = remove_if_gone(root, writing, &path).map_err(|error| match error {
                    super::GetError::Root(error) => Error::Root(error),
                    super::GetError::Stamps(error) => Error::Stamps(error),
                    super::GetError::Failed(error) => Error::Failed(error),
                })?;
                swept.entries += u64::from(removed);
            }
        }
    }
    Ok(())
}
