//! The calls of the simulated disk, with the answers that Linux gives.

use std::io;
use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use larder_system::{Access, Create, Disk, FileSystem, Handle, Listed, LockMode, Metadata, Open, Replace};

use super::SimDisk;
use super::handle::{Opened, Place, check_access, kind_of, name_of, resolve_below, resolve_root, small};
use super::world::{Body, Change, Edit, FileBody, FolderBody, ROOT, World, error};
use crate::errno::{EEXIST, EINVAL, EISDIR, ENOENT, ENOSPC, ENOTDIR, ENOTEMPTY, EPERM};

impl SimDisk {
    fn opened<'a>(&self, handle: &'a Handle) -> io::Result<&'a Opened> {
        Opened::of(handle, &self.shared)
    }

    fn handle(&self, world: &mut World, node: u64, access: Access, path: PathBuf) -> io::Result<Handle> {
        world.node_mut(node)?.opens += 1;
        let (shared, id) = (Arc::clone(&self.shared), self.shared.next_handle());
        Ok(Handle::from_other(Opened { shared, node, id, access, path, place: Mutex::new(Place::default()) }))
    }

    /// Writes `parts` one after another at `offset`, as far as there is room; one change, so one tear.
    fn put(&self, world: &mut World, file: &Opened, parts: &[IoSlice<'_>], offset: usize) -> io::Result<usize> {
        let length = world.node(file.node)?.file()?.now.len();
        let mut bytes = parts.iter().flat_map(|part| part.iter().copied()).collect::<Vec<u8>>();
        let growth = (offset + bytes.len()).saturating_sub(length) as u64;
        let missing = growth.saturating_sub(world.free());
        bytes.truncate(bytes.len().saturating_sub(small(missing)?));
        if bytes.is_empty() {
            return if missing > 0 { Err(error(ENOSPC)) } else { Ok(0) };
        }
        let written = bytes.len();
        self.shared.before(world, || format!("write {written} bytes at {offset} of {}", file.path.display()));
        world.change(file.node, Change::Write { offset, bytes: bytes.into() })?;
        Ok(written)
    }

    fn resize(&self, file: &Opened, length: u64, verb: &str) -> io::Result<()> {
        let length = small(length)?;
        let mut world = self.shared.world();
        let now = world.node(file.node)?.file()?.now.len();
        if length.saturating_sub(now) as u64 > world.free() {
            return Err(error(ENOSPC));
        }
        self.shared.before(&world, || format!("{verb} {} to {length} bytes", file.path.display()));
        world.change(file.node, Change::Length(length))
    }

    fn make(&self, world: &mut World, folder: u64, name: &std::ffi::OsStr, at: &Path) -> io::Result<()> {
        if world.find(folder, name)?.is_some() {
            return Err(error(EEXIST));
        }
        world.need_named(folder)?;
        world.need_room()?;
        let says = format!("make folder {}", at.join(name).display());
        self.shared.before(world, || says.clone());
        let node = world.add_node(Body::Folder(FolderBody::default()), 0o700);
        world.edit(says, vec![Edit { folder, name: name.to_owned(), node: Some(node) }]);
        Ok(())
    }

    fn remove(&self, at: &Handle, name: &Path, is_folder: bool) -> io::Result<()> {
        let at = self.opened(at)?;
        let found = name_of(name)?;
        let mut world = self.shared.world();
        let number = world.find(at.node, found)?.ok_or_else(|| error(ENOENT))?;
        match (&world.node(number)?.body, is_folder) {
            (Body::File(_), true) => return Err(error(ENOTDIR)),
            (Body::Folder(_), false) => return Err(error(EISDIR)),
            (Body::Folder(folder), true) if !folder.now.is_empty() => return Err(error(ENOTEMPTY)),
            _ => {}
        }
        let says = format!("remove {}", at.path.join(name).display());
        self.shared.before(&world, || says.clone());
        world.edit(says, vec![Edit { folder: at.node, name: found.to_owned(), node: None }]);
        Ok(())
    }

    fn sync_any(&self, file: &Handle) -> io::Result<()> {
        let file = self.opened(file)?;
        let mut world = self.shared.world();
        self.shared.before(&world, || format!("sync {}", file.path.display()));
        world.sync(file.node)
    }
}

/// A rename's source: the file or folder, and the folder it is in.
struct Source {
    number: u64,
    folder: u64,
}

/// Whether a rename to where `to` is would be refused, and how, in the order in which Linux looks.
fn check_replace(world: &World, from: &Source, to: Option<u64>, to_folder: u64, replace: Replace) -> io::Result<()> {
    if to.is_some() && replace == Replace::No {
        return Err(error(EEXIST));
    }
    let is_folder = world.node(from.number)?.folder().is_ok();
    if is_folder && is_below(world, to_folder, from.number) {
        return Err(error(EINVAL));
    }
    let Some(to) = to else { return world.need_named(to_folder) };
    if is_below(world, from.folder, to) {
        return Err(error(ENOTEMPTY));
    }
    match (is_folder, &world.node(to)?.body) {
        _ if to == from.number => Ok(()),
        (true, Body::File(_)) => Err(error(ENOTDIR)),
        (false, Body::Folder(_)) => Err(error(EISDIR)),
        (true, Body::Folder(entries)) if !entries.now.is_empty() => Err(error(ENOTEMPTY)),
        _ => Ok(()),
    }
}

/// Whether `number` is `folder` or lies below it.
fn is_below(world: &World, number: u64, folder: u64) -> bool {
    let mut open = vec![folder];
    while let Some(next) = open.pop() {
        if next == number {
            return true;
        }
        if let Some(entries) = world.nodes.get(&next).and_then(|node| node.folder().ok()) {
            open.extend(entries.now.values());
        }
    }
    false
}

fn metadata_of(world: &World, number: u64) -> io::Result<Metadata> {
    let node = world.node(number)?;
    let length = node.file().map_or(0, |file| file.now.len() as u64);
    Ok(Metadata {
        kind: kind_of(&node.body),
        device: 1,
        inode: number,
        length,
        allocated: length.next_multiple_of(4096),
        links: node.links,
        mode: node.mode,
        owner: 0,
        modified_ns: node.modified_ns,
        changed_ns: node.changed_ns,
    })
}

impl Disk for SimDisk {
    fn open_root(&self, path: &Path) -> io::Result<Handle> {
        let mut world = self.shared.world();
        let number = match resolve_root(&world, path)? {
            None => ROOT,
            Some((folder, name)) => world.find(folder, &name)?.ok_or_else(|| error(ENOENT))?,
        };
        check_access(&world, number, Access::Folder)?;
        self.handle(&mut world, number, Access::Folder, path.to_owned())
    }

    fn make_root(&self, path: &Path) -> io::Result<()> {
        let mut world = self.shared.world();
        let (folder, name) = resolve_root(&world, path)?.ok_or_else(|| error(EEXIST))?;
        self.make(&mut world, folder, &name, path.parent().unwrap_or(Path::new("/")))
    }

    fn root_metadata(&self, path: &Path) -> io::Result<Metadata> {
        let world = self.shared.world();
        match resolve_root(&world, path)? {
            None => metadata_of(&world, ROOT),
            Some((folder, name)) => metadata_of(&world, world.find(folder, &name)?.ok_or_else(|| error(ENOENT))?),
        }
    }

    fn open(&self, at: &Handle, path: &Path, how: Open) -> io::Result<Handle> {
        let at = self.opened(at)?;
        let mut world = self.shared.world();
        world.node(at.node)?.folder()?;
        let whole = at.path.join(path);
        let Some((folder, name)) = resolve_below(&world, at.node, path)? else {
            match how.create {
                Create::Never => check_access(&world, at.node, how.access)?,
                Create::IfAbsent => return Err(error(EISDIR)),
                Create::New => return Err(error(EEXIST)),
            }
            return self.handle(&mut world, at.node, how.access, whole);
        };
        if how.access == Access::Folder && how.create != Create::Never {
            return Err(error(EINVAL));
        }
        let number = match (world.find(folder, name)?, how.create) {
            (Some(_), Create::New) => return Err(error(EEXIST)),
            (Some(number), Create::IfAbsent) if world.node(number)?.folder().is_ok() => return Err(error(EISDIR)),
            (Some(number), _) => number,
            (None, Create::Never) => return Err(error(ENOENT)),
            (None, _) => {
                world.need_named(folder)?;
                world.need_room()?;
                let says = format!("create {}", whole.display());
                self.shared.before(&world, || says.clone());
                let number = world.add_node(Body::File(FileBody::default()), 0o600);
                world.edit(says, vec![Edit { folder, name: name.to_owned(), node: Some(number) }]);
                number
            }
        };
        check_access(&world, number, how.access)?;
        self.handle(&mut world, number, how.access, whole)
    }

    fn read(&self, file: &Handle, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let file = self.opened(file)?;
        if buffer.capacity() == buffer.len() {
            return Ok(0);
        }
        let mut place = file.place();
        let world = self.shared.world();
        let content = &world.node(file.node)?.file()?.now;
        let rest = content.get(place.position..).unwrap_or_default();
        let taken = rest.len().min(buffer.capacity() - buffer.len());
        buffer.extend_from_slice(&rest[..taken]);
        place.position += taken;
        Ok(taken)
    }

    fn read_at(&self, file: &Handle, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let file = self.opened(file)?;
        let world = self.shared.world();
        let content = &world.node(file.node)?.file()?.now;
        let rest = content.get(small(offset)?..).unwrap_or_default();
        let taken = rest.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&rest[..taken]);
        Ok(taken)
    }

    fn write(&self, file: &Handle, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let file = self.opened(file)?;
        file.need_writable()?;
        let mut place = file.place();
        let mut world = self.shared.world();
        let offset = match file.access {
            Access::Append => world.node(file.node)?.file()?.now.len(),
            _ => place.position,
        };
        let written = self.put(&mut world, file, parts, offset)?;
        if written > 0 {
            place.position = offset + written;
        }
        Ok(written)
    }

    fn write_at(&self, file: &Handle, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let file = self.opened(file)?;
        file.need_writable()?;
        let mut world = self.shared.world();
        let offset = match file.access {
            // As on Linux: a file opened to append is appended to, whatever the offset says.
            Access::Append => world.node(file.node)?.file()?.now.len(),
            _ => small(offset)?,
        };
        self.put(&mut world, file, &[IoSlice::new(bytes)], offset)
    }

    fn position(&self, file: &Handle) -> io::Result<u64> {
        Ok(self.opened(file)?.place().position as u64)
    }

    fn seek_end(&self, file: &Handle) -> io::Result<u64> {
        let file = self.opened(file)?;
        let mut place = file.place();
        place.position = self.shared.world().node(file.node)?.file()?.now.len();
        Ok(place.position as u64)
    }

    fn set_length(&self, file: &Handle, length: u64) -> io::Result<()> {
        let file = self.opened(file)?;
        file.need_writable().map_err(|_| error(EINVAL))?;
        self.resize(file, length, "set the length of")
    }

    fn allocate(&self, file: &Handle, length: u64) -> io::Result<()> {
        let file = self.opened(file)?;
        file.need_writable()?;
        let now = self.shared.world().node(file.node)?.file()?.now.len() as u64;
        if length <= now { Ok(()) } else { self.resize(file, length, "allocate") }
    }

    fn set_mode(&self, file: &Handle, mode: u32) -> io::Result<()> {
        let file = self.opened(file)?;
        self.shared.world().set_mode(file.node, mode)
    }

    fn set_mode_at(&self, at: &Handle, name: &Path, mode: u32) -> io::Result<()> {
        let (at, name) = (self.opened(at)?, name_of(name)?);
        let mut world = self.shared.world();
        let number = world.find(at.node, name)?.ok_or_else(|| error(ENOENT))?;
        world.set_mode(number, mode)
    }

    fn sync(&self, file: &Handle) -> io::Result<()> {
        self.sync_any(file)
    }

    fn sync_data(&self, file: &Handle) -> io::Result<()> {
        self.sync_any(file)
    }

    fn metadata(&self, file: &Handle) -> io::Result<Metadata> {
        metadata_of(&self.shared.world(), self.opened(file)?.node)
    }

    fn metadata_at(&self, at: &Handle, name: &Path) -> io::Result<Metadata> {
        let (at, name) = (self.opened(at)?, name_of(name)?);
        let world = self.shared.world();
        metadata_of(&world, world.find(at.node, name)?.ok_or_else(|| error(ENOENT))?)
    }

    fn used_at(&self, at: &Handle, name: &Path) -> io::Result<(Metadata, i128)> {
        let (at, name) = (self.opened(at)?, name_of(name)?);
        let world = self.shared.world();
        let number = world.find(at.node, name)?.ok_or_else(|| error(ENOENT))?;
        Ok((metadata_of(&world, number)?, world.node(number)?.used_ns))
    }

    fn mark_used(&self, at: &Handle, name: &Path, used_ns: i128) -> io::Result<()> {
        let (at, name) = (self.opened(at)?, name_of(name)?);
        let mut world = self.shared.world();
        let number = world.find(at.node, name)?.ok_or_else(|| error(ENOENT))?;
        world.node_mut(number)?.used_ns = used_ns;
        Ok(())
    }

    fn rename(&self, from_at: &Handle, from: &Path, to_at: &Handle, to: &Path, replace: Replace) -> io::Result<()> {
        let (from_at, to_at) = (self.opened(from_at)?, self.opened(to_at)?);
        let (from_name, to_name) = (name_of(from)?, name_of(to)?);
        let mut world = self.shared.world();
        let number = world.find(from_at.node, from_name)?.ok_or_else(|| error(ENOENT))?;
        let there = world.find(to_at.node, to_name)?;
        check_replace(&world, &Source { number, folder: from_at.node }, there, to_at.node, replace)?;
        // Two names of one file: the system leaves both and answers success.
        if there == Some(number) {
            return Ok(());
        }
        let says = format!("rename {} to {}", from_at.path.join(from).display(), to_at.path.join(to).display());
        self.shared.before(&world, || says.clone());
        let arrives = Edit { folder: to_at.node, name: to_name.to_owned(), node: Some(number) };
        let leaves = Edit { folder: from_at.node, name: from_name.to_owned(), node: None };
        world.edit(says, vec![arrives, leaves]);
        Ok(())
    }

    fn link(&self, from_at: &Handle, from: &Path, to_at: &Handle, to: &Path) -> io::Result<()> {
        let (from_at, to_at) = (self.opened(from_at)?, self.opened(to_at)?);
        let (from_name, to_name) = (name_of(from)?, name_of(to)?);
        let mut world = self.shared.world();
        let number = world.find(from_at.node, from_name)?.ok_or_else(|| error(ENOENT))?;
        if world.find(to_at.node, to_name)?.is_some() {
            return Err(error(EEXIST));
        }
        world.need_named(to_at.node)?;
        if world.node(number)?.folder().is_ok() {
            return Err(error(EPERM));
        }
        world.need_room()?;
        let says = format!("link {} to {}", from_at.path.join(from).display(), to_at.path.join(to).display());
        self.shared.before(&world, || says.clone());
        world.edit(says, vec![Edit { folder: to_at.node, name: to_name.to_owned(), node: Some(number) }]);
        Ok(())
    }

    fn remove_file(&self, at: &Handle, name: &Path) -> io::Result<()> {
        self.remove(at, name, false)
    }

    fn remove_folder(&self, at: &Handle, name: &Path) -> io::Result<()> {
        self.remove(at, name, true)
    }

    fn make_folder(&self, at: &Handle, name: &Path) -> io::Result<()> {
        let (at, name) = (self.opened(at)?, name_of(name)?);
        self.make(&mut self.shared.world(), at.node, name, &at.path)
    }

    fn list(&self, folder: &Handle, names: &mut Vec<Listed>) -> io::Result<bool> {
        self.opened(folder)?.list(names)
    }

    fn try_lock(&self, file: &Handle, mode: LockMode) -> io::Result<bool> {
        self.opened(file)?.try_lock(&mut self.shared.world(), mode)
    }

    fn lock(&self, file: &Handle, mode: LockMode) -> io::Result<()> {
        let file = self.opened(file)?;
        let mut world = self.shared.world();
        while !file.try_lock(&mut world, mode)? {
            world = self.shared.unlocked.wait(world).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    fn unlock(&self, file: &Handle) -> io::Result<()> {
        self.opened(file)?.unlock(&mut self.shared.world());
        Ok(())
    }

    fn file_system(&self, folder: &Handle) -> io::Result<FileSystem> {
        let folder = self.opened(folder)?;
        let world = self.shared.world();
        world.node(folder.node)?;
        // No magic number: it is no file system that anybody knows.
        Ok(FileSystem { magic: None, available_bytes: world.free(), available_files: None, read_only: false })
    }
}
