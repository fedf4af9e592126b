//! Disks that are not what they say.

use std::io;
use std::io::IoSlice;
use std::path::Path;

use larder_system::{Disk, FileSystem, Handle, Listed, LockMode, Metadata, Open, Replace, SystemDisk};

macro_rules! passing_on {
    ($disk:ident { $($special:item)* }) => {
        impl Disk for $disk {
            $($special)*
            fn open_root(&self, path: &Path) -> io::Result<Handle> { self.0.open_root(path) }
            fn make_root(&self, path: &Path) -> io::Result<()> { self.0.make_root(path) }
            fn root_metadata(&self, path: &Path) -> io::Result<Metadata> { self.0.root_metadata(path) }
            fn open(&self, at: &Handle, path: &Path, how: Open) -> io::Result<Handle> { self.0.open(at, path, how) }
            fn read(&self, file: &Handle, buffer: &mut Vec<u8>) -> io::Result<usize> { self.0.read(file, buffer) }
            fn read_at(&self, file: &Handle, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
                self.0.read_at(file, buffer, offset)
            }
            fn write(&self, file: &Handle, parts: &[IoSlice<'_>]) -> io::Result<usize> { self.0.write(file, parts) }
            fn write_at(&self, file: &Handle, bytes: &[u8], offset: u64) -> io::Result<usize> {
                self.0.write_at(file, bytes, offset)
            }
            fn position(&self, file: &Handle) -> io::Result<u64> { self.0.position(file) }
            fn set_length(&self, file: &Handle, length: u64) -> io::Result<()> { self.0.set_length(file, length) }
            fn allocate(&self, file: &Handle, length: u64) -> io::Result<()> { self.0.allocate(file, length) }
            fn set_mode(&self, file: &Handle, mode: u32) -> io::Result<()> { self.0.set_mode(file, mode) }
            fn set_mode_at(&self, at: &Handle, name: &Path, mode: u32) -> io::Result<()> {
                self.0.set_mode_at(at, name, mode)
            }
            fn seek_end(&self, file: &Handle) -> io::Result<u64> {
                self.0.seek_end(file)
            }
            fn sync(&self, file: &Handle) -> io::Result<()> { self.0.sync(file) }
            fn sync_data(&self, file: &Handle) -> io::Result<()> { self.0.sync_data(file) }
            fn metadata(&self, file: &Handle) -> io::Result<Metadata> { self.0.metadata(file) }
            fn metadata_at(&self, at: &Handle, name: &Path) -> io::Result<Metadata> { self.0.metadata_at(at, name) }
            fn rename(&self, at: &Handle, from: &Path, to_at: &Handle, to: &Path, how: Replace) -> io::Result<()> {
                self.0.rename(at, from, to_at, to, how)
            }
            fn link(&self, at: &Handle, from: &Path, to_at: &Handle, to: &Path) -> io::Result<()> {
                self.0.link(at, from, to_at, to)
            }
            fn remove_file(&self, at: &Handle, name: &Path) -> io::Result<()> { self.0.remove_file(at, name) }
            fn remove_folder(&self, at: &Handle, name: &Path) -> io::Result<()> { self.0.remove_folder(at, name) }
            fn make_folder(&self, at: &Handle, name: &Path) -> io::Result<()> { self.0.make_folder(at, name) }
            fn list(&self, folder: &Handle, names: &mut Vec<Listed>) -> io::Result<bool> { self.0.list(folder, names) }
            fn lock(&self, file: &Handle, mode: LockMode) -> io::Result<()> { self.0.lock(file, mode) }
            fn unlock(&self, file: &Handle) -> io::Result<()> { self.0.unlock(file) }
        }
    };
}

/// Grants every lock to everybody.
#[derive(Debug)]
pub(crate) struct LyingDisk(pub(crate) SystemDisk);

passing_on!(LyingDisk {
    fn try_lock(&self, _file: &Handle, _mode: LockMode) -> io::Result<bool> {
        Ok(true)
    }
    fn file_system(&self, folder: &Handle) -> io::Result<FileSystem> {
        self.0.file_system(folder)
    }
});

/// Says that it is NFS.
#[derive(Debug)]
pub(crate) struct NetworkDisk(pub(crate) SystemDisk);

passing_on!(NetworkDisk {
    fn try_lock(&self, file: &Handle, mode: LockMode) -> io::Result<bool> {
        self.0.try_lock(file, mode)
    }
    fn file_system(&self, folder: &Handle) -> io::Result<FileSystem> {
        Ok(FileSystem { magic: Some(0x6969), ..self.0.file_system(folder)? })
    }
});
