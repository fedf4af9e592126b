//! A disk on which publishing means writing over what is there.

use std::io::{self, IoSlice};
use std::path::Path;
use std::time::Duration;

use larder_system::{
    Access, Clock as _, Create, Disk, FileSystem, Handle, Listed, LockMode, Metadata, Open, Replace, SystemClock,
    SystemDisk, read_to_limit, write_all,
};

/// How long the writing takes a breath in its middle, as it would on a slow disk.
const BREATH: Duration = Duration::from_millis(2);
const FILE_BYTES_MAX: usize = 1024 * 1024;

/// The system's disk, except that an entry is not renamed but written in place.
#[derive(Debug)]
pub(super) struct InPlace {
    disk: SystemDisk,
    clock: SystemClock,
}

impl InPlace {
    pub(super) fn new() -> Self {
        Self { disk: SystemDisk::new(), clock: SystemClock::new() }
    }

    fn write_over(&self, from_at: &Handle, from: &Path, to_at: &Handle, to: &Path) -> io::Result<()> {
        let mut bytes = Vec::new();
        let new = self.disk.open(from_at, from, Open::READ)?;
        read_to_limit(&self.disk, &new, &mut bytes, FILE_BYTES_MAX)?;
        let old = self.disk.open(to_at, to, Open { access: Access::ReadWrite, create: Create::IfAbsent })?;
        self.disk.set_length(&old, 0)?;
        let (first, second) = bytes.split_at(bytes.len() - bytes.len() / 3);
        write_all(&self.disk, &old, &[first])?;
        self.clock.sleep(BREATH);
        write_all(&self.disk, &old, &[second])?;
        self.disk.remove_file(from_at, from)
    }
}

impl Disk for InPlace {
    fn rename(&self, from_at: &Handle, from: &Path, to_at: &Handle, to: &Path, replace: Replace) -> io::Result<()> {
        let is_entry = to.extension().is_some_and(|extension| extension == "entry");
        if !is_entry {
            return self.disk.rename(from_at, from, to_at, to, replace);
        }
        if replace == Replace::No && self.disk.metadata_at(to_at, to).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.write_over(from_at, from, to_at, to)
    }

    fn open_root(&self, path: &Path) -> io::Result<Handle> {
        self.disk.open_root(path)
    }

    fn make_root(&self, path: &Path) -> io::Result<()> {
        self.disk.make_root(path)
    }

    fn root_metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.disk.root_metadata(path)
    }

    fn open(&self, at: &Handle, path: &Path, how: Open) -> io::Result<Handle> {
        self.disk.open(at, path, how)
    }

    fn read(&self, file: &Handle, buffer: &mut Vec<u8>) -> io::Result<usize> {
        self.disk.read(file, buffer)
    }

    fn read_at(&self, file: &Handle, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.read_at(file, buffer, offset)
    }

    fn write(&self, file: &Handle, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.disk.write(file, parts)
    }

    fn write_at(&self, file: &Handle, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.disk.write_at(file, bytes, offset)
    }

    fn position(&self, file: &Handle) -> io::Result<u64> {
        self.disk.position(file)
    }

    fn seek_end(&self, file: &Handle) -> io::Result<u64> {
        self.disk.seek_end(file)
    }

    fn set_length(&self, file: &Handle, length: u64) -> io::Result<()> {
        self.disk.set_length(file, length)
    }

    fn allocate(&self, file: &Handle, length: u64) -> io::Result<()> {
        self.disk.allocate(file, length)
    }

    fn set_mode(&self, file: &Handle, mode: u32) -> io::Result<()> {
        self.disk.set_mode(file, mode)
    }

    fn set_mode_at(&self, at: &Handle, name: &Path, mode: u32) -> io::Result<()> {
        self.disk.set_mode_at(at, name, mode)
    }

    fn sync(&self, file: &Handle) -> io::Result<()> {
        self.disk.sync(file)
    }

    fn sync_data(&self, file: &Handle) -> io::Result<()> {
        self.disk.sync_data(file)
    }

    fn metadata(&self, file: &Handle) -> io::Result<Metadata> {
        self.disk.metadata(file)
    }

    fn born_ns(&self, file: &Handle) -> io::Result<Option<i128>> {
        self.disk.born_ns(file)
    }

    fn metadata_at(&self, at: &Handle, name: &Path) -> io::Result<Metadata> {
        self.disk.metadata_at(at, name)
    }

    fn link(&self, from_at: &Handle, from: &Path, to_at: &Handle, to: &Path) -> io::Result<()> {
        self.disk.link(from_at, from, to_at, to)
    }

    fn remove_file(&self, at: &Handle, name: &Path) -> io::Result<()> {
        self.disk.remove_file(at, name)
    }

    fn remove_folder(&self, at: &Handle, name: &Path) -> io::Result<()> {
        self.disk.remove_folder(at, name)
    }

    fn make_folder(&self, at: &Handle, name: &Path) -> io::Result<()> {
        self.disk.make_folder(at, name)
    }

    fn list(&self, folder: &Handle, names: &mut Vec<Listed>) -> io::Result<bool> {
        self.disk.list(folder, names)
    }

    fn try_lock(&self, file: &Handle, mode: LockMode) -> io::Result<bool> {
        self.disk.try_lock(file, mode)
    }

    fn lock(&self, file: &Handle, mode: LockMode) -> io::Result<()> {
        self.disk.lock(file, mode)
    }

    fn unlock(&self, file: &Handle) -> io::Result<()> {
        self.disk.unlock(file)
    }

    fn file_system(&self, folder: &Handle) -> io::Result<FileSystem> {
        self.disk.file_system(folder)
    }
}
