//! The limits: the same bytes moved by bare system calls, with no check, no lock and no record.

use std::cell::Cell;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{FlockOperation, Mode, OFlags};

const FILE_MODE: Mode = Mode::from_raw_mode(0o600);

/// Whether a write waits for stable storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flush {
    /// File before the rename, folder after it.
    Both,
    /// Nothing.
    None,
}

/// An open folder.
pub(crate) fn folder(path: &str) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::CLOEXEC | OFlags::DIRECTORY | OFlags::RDONLY, Mode::empty())?)
}

/// `openat`, `read`, `close`. The buffer must have room for one byte more than the file, so that one read is enough.
pub(crate) fn read(folder: BorrowedFd<'_>, path: &str, buffer: &mut Vec<u8>) -> io::Result<usize> {
    buffer.clear();
    let file = rustix::fs::openat(folder, path, OFlags::CLOEXEC | OFlags::RDONLY, Mode::empty())?;
    Ok(rustix::io::read(&file, rustix::buffer::spare_capacity(buffer))?)
}

/// `pread` of 8 bytes: the least that tells whether a stamp has changed.
pub(crate) fn glance(file: BorrowedFd<'_>) -> io::Result<()> {
    let mut bytes = [0; 8];
    match rustix::io::pread(file, &mut bytes, 0)? {
        8 => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Where a raw write begins and ends.
#[derive(Debug)]
pub(crate) struct Writer {
    temporary: OwnedFd,
    entries: OwnedFd,
}

impl Writer {
    /// Writes begin in the folder `temporary` and end in the folder `entries`.
    pub(crate) fn new(temporary: &str, entries: &str) -> io::Result<Self> {
        Ok(Self { temporary: folder(temporary)?, entries: folder(entries)? })
    }

    /// `openat`, `write`, perhaps `fsync`, `close`, `renameat`, perhaps `fsync` of the folder.
    pub(crate) fn put(&self, temporary: &str, name: &str, bytes: &[u8], flush: Flush) -> io::Result<()> {
        let flags = OFlags::CLOEXEC | OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let file = rustix::fs::openat(&self.temporary, temporary, flags, FILE_MODE)?;
        let written = rustix::io::write(&file, bytes)?;
        if written != bytes.len() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        if flush == Flush::Both {
            rustix::fs::fsync(&file)?;
        }
        drop(file);
        rustix::fs::renameat(&self.temporary, temporary, &self.entries, name)?;
        if flush == Flush::Both {
            rustix::fs::fsync(&self.entries)?;
        }
        Ok(())
    }
}

/// A file whose blocks are there, written from its beginning on, each write flushed.
#[derive(Debug)]
pub(crate) struct Preallocated {
    file: OwnedFd,
    end: Cell<u64>,
}

/// Enough for all that one row writes.
const PREALLOCATED: usize = 1 << 20;

impl Preallocated {
    pub(crate) fn open(path: &str) -> io::Result<Self> {
        let flags = OFlags::CLOEXEC | OFlags::RDWR | OFlags::CREATE;
        let file = rustix::fs::open(path, flags, FILE_MODE)?;
        rustix::io::pwrite(&file, &vec![0; PREALLOCATED], 0)?;
        rustix::fs::fsync(&file)?;
        Ok(Self { file, end: Cell::new(0) })
    }

    /// `pwrite`, `fdatasync`.
    pub(crate) fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let end = self.end.get();
        rustix::io::pwrite(&self.file, bytes, end)?;
        rustix::fs::fdatasync(&self.file)?;
        self.end.set((end + bytes.len() as u64) % (PREALLOCATED as u64 - 4096));
        Ok(())
    }
}

/// A lock file that stays open.
#[derive(Debug)]
pub(crate) struct LockFile(OwnedFd);

impl LockFile {
    pub(crate) fn open(path: &str) -> io::Result<Self> {
        let flags = OFlags::CLOEXEC | OFlags::RDWR | OFlags::CREATE;
        Ok(Self(rustix::fs::open(path, flags, FILE_MODE)?))
    }

    /// `flock`, `fstat`, perhaps one `pwrite` of `record`, `flock` to unlock.
    pub(crate) fn cycle(&self, record: Option<&[u8]>) -> io::Result<()> {
        rustix::fs::flock(&self.0, FlockOperation::NonBlockingLockExclusive)?;
        rustix::fs::fstat(&self.0)?;
        if let Some(record) = record {
            rustix::io::pwrite(&self.0, record, 0)?;
        }
        self.unlock()
    }

    /// Waits in the system, however long it takes.
    pub(crate) fn lock(&self) -> io::Result<()> {
        Ok(rustix::fs::flock(&self.0, FlockOperation::LockExclusive)?)
    }

    pub(crate) fn unlock(&self) -> io::Result<()> {
        Ok(rustix::fs::flock(&self.0, FlockOperation::Unlock)?)
    }
}

/// Waits until all that was written to the file system of `folder` is on its disk.
#[cfg(target_os = "linux")]
pub(crate) fn settle(folder: &OwnedFd) -> io::Result<()> {
    Ok(rustix::fs::syncfs(folder)?)
}

/// Asks for all that was written to be on its disk.
#[cfg(not(target_os = "linux"))]
pub(crate) fn settle(_folder: &OwnedFd) -> io::Result<()> {
    rustix::fs::sync();
    Ok(())
}
