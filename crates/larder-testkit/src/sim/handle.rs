//! Open files of the simulated disk, and their locks.

use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use larder_system::{Access, Handle, Kind, Listed, LockMode};

use super::Shared;
use super::world::{Body, ROOT, World, error};
use crate::errno::{EBADF, EFBIG, EINVAL, ENOENT, EXDEV};

/// How many names one listing call gives: few, so that callers meet the second batch.
const BATCH: usize = 64;

/// An open file or folder.
pub(super) struct Opened {
    pub(super) shared: Arc<Shared>,
    pub(super) node: u64,
    pub(super) id: u64,
    pub(super) access: Access,
    pub(super) path: PathBuf,
    pub(super) place: Mutex<Place>,
}

/// Where an open file stands.
#[derive(Default)]
pub(super) struct Place {
    pub(super) position: usize,
    /// The names of a folder as they were at the first call, in reverse, to be taken from the end.
    listing: Option<Vec<Listed>>,
}

impl Opened {
    /// The open file behind a handle of this very disk.
    pub(super) fn of<'a>(handle: &'a Handle, shared: &Arc<Shared>) -> io::Result<&'a Self> {
        let opened = handle.other::<Self>().ok_or_else(|| error(EBADF))?;
        if Arc::ptr_eq(&opened.shared, shared) { Ok(opened) } else { Err(error(EBADF)) }
    }

    pub(super) fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn need_writable(&self) -> io::Result<()> {
        match self.access {
            Access::ReadWrite | Access::Append => Ok(()),
            Access::Read | Access::Peek | Access::Folder => Err(error(EBADF)),
        }
    }

    pub(super) fn list(&self, names: &mut Vec<Listed>) -> io::Result<bool> {
        let mut place = self.place();
        let rest = match &mut place.listing {
            Some(rest) => rest,
            none => none.insert(listed(&self.shared.world(), self.node)?),
        };
        let left = rest.len().saturating_sub(BATCH);
        let batch = rest.split_off(left);
        let found = !batch.is_empty();
        names.extend(batch.into_iter().rev());
        Ok(found)
    }

    /// Takes the lock when nobody else's stands against it.
    pub(super) fn try_lock(&self, world: &mut World, mode: LockMode) -> io::Result<bool> {
        let node = world.node_mut(self.node)?;
        match (mode, node.exclusive == Some(self.id), node.shared.contains(&self.id)) {
            (LockMode::Shared, false, true) | (LockMode::Exclusive, true, false) => return Ok(true),
            (_, false, false) => {}
            // The system would let go of the old lock before it waits for the new one: a caller's mistake.
            _ => return Err(error(EINVAL)),
        }
        let is_free = node.exclusive.is_none() && (mode == LockMode::Shared || node.shared.is_empty());
        match mode {
            LockMode::Shared if is_free => _ = node.shared.insert(self.id),
            LockMode::Exclusive if is_free => node.exclusive = Some(self.id),
            _ => {}
        }
        Ok(is_free)
    }

    pub(super) fn unlock(&self, world: &mut World) {
        if let Some(node) = world.nodes.get_mut(&self.node) {
            node.shared.remove(&self.id);
            if node.exclusive == Some(self.id) {
                node.exclusive = None;
            }
        }
        self.shared.unlocked.notify_all();
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let shared = Arc::clone(&self.shared);
        let mut world = shared.world();
        self.unlock(&mut world);
        if let Some(node) = world.nodes.get_mut(&self.node) {
            node.opens = node.opens.saturating_sub(1);
        }
    }
}

/// The names in a folder, last first.
fn listed(world: &World, folder: u64) -> io::Result<Vec<Listed>> {
    world.need_named(folder)?;
    let entries = world.node(folder)?.folder()?.now.iter().rev();
    let kind = |number| world.nodes.get(number).map_or(Kind::Unknown, |node| kind_of(&node.body));
    Ok(entries.map(|(name, number)| Listed { name: name.clone(), kind: kind(number) }).collect())
}

pub(super) fn kind_of(body: &Body) -> Kind {
    match body {
        Body::File(_) => Kind::File,
        Body::Folder(_) => Kind::Folder,
    }
}

/// A single name, as the trait asks; the system's answers to others.
pub(super) fn name_of(path: &Path) -> io::Result<&std::ffi::OsStr> {
    let mut components = path.components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(name)), None) if name == path.as_os_str() => Ok(name),
        (None, _) => Err(error(ENOENT)),
        _ => Err(error(EXDEV)),
    }
}

/// The folder of an absolute path, and the name in it; `None` for the root itself.
pub(super) fn resolve_root(world: &World, path: &Path) -> io::Result<Option<(u64, std::ffi::OsString)>> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            Component::ParentDir => return Err(error(EINVAL)),
        }
    }
    let Some(last) = names.pop() else { return Ok(None) };
    let mut folder = ROOT;
    for name in names {
        folder = world.find(folder, name)?.ok_or_else(|| error(ENOENT))?;
    }
    Ok(Some((folder, last.to_owned())))
}

/// The folder that `path` below `at` ends in, and the name in it; `None` for `.`, which is `at` itself.
pub(super) fn resolve_below<'a>(
    world: &World,
    at: u64,
    path: &'a Path,
) -> io::Result<Option<(u64, &'a std::ffi::OsStr)>> {
    let mut folder = at;
    let mut last = None;
    if path.as_os_str().is_empty() {
        return Err(error(ENOENT));
    }
    for component in path.components() {
        if let Some(name) = last.take() {
            folder = world.find(folder, name)?.ok_or_else(|| error(ENOENT))?;
        }
        match component {
            Component::Normal(name) => last = Some(name),
            Component::CurDir => {}
            _ => return Err(error(EXDEV)),
        }
    }
    Ok(last.map(|name| (folder, name)))
}

/// Whether a file or folder may be opened so.
pub(super) fn check_access(world: &World, node: u64, access: Access) -> io::Result<()> {
    let node = world.node(node)?;
    match access {
        Access::Folder => node.folder().map(|_| ()),
        Access::ReadWrite | Access::Append => node.file().map(|_| ()),
        Access::Read | Access::Peek => Ok(()),
    }
}

/// The position `offset` of a file of a test's size.
pub(super) fn small(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| error(EFBIG))
}
