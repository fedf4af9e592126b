//! Folders of Unix, whose names are looked up in the open folder itself: that is quicker, and nobody can swap a folder above.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};
use rustix::io::{Errno, retry_on_intr};

use super::super::stamp::{Kind, Stamp};

const SECOND_NS: i128 = 1_000_000_000;

/// An open folder, or the place that absolute paths begin at.
pub(in crate::fingerprint) struct Folder(Option<OwnedFd>);

impl Folder {
    pub(in crate::fingerprint) const fn top() -> Self {
        Self(None)
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_ref().map_or(CWD, AsFd::as_fd)
    }

    pub(in crate::fingerprint) fn stamp(&self, name: &OsStr) -> io::Result<Stamp> {
        match retry_on_intr(|| statat(self.fd(), name, AtFlags::SYMLINK_NOFOLLOW)) {
            Ok(stat) => Ok(stamp(&stat)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(Stamp::ABSENT),
            Err(error) => Err(error.into()),
        }
    }

    pub(in crate::fingerprint) fn folder(&self, name: &OsStr) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self(Some(retry_on_intr(|| openat(self.fd(), name, flags, Mode::empty()))?)))
    }

    /// The names in it, in no order; `None` when there are more than `max`.
    pub(in crate::fingerprint) fn names(&self, max: usize) -> io::Result<Option<Vec<OsString>>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(self.fd())? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            if names.len() == max {
                return Ok(None);
            }
            names.push(OsString::from_vec(name.to_owned()));
        }
        Ok(Some(names))
    }

    /// The text of a link.
    pub(in crate::fingerprint) fn target(&self, name: &OsStr) -> io::Result<Vec<u8>> {
        Ok(readlinkat(self.fd(), name, Vec::new())?.into_bytes())
    }

    /// A file, opened without waiting: what was a file a moment ago may be a pipe by now.
    pub(in crate::fingerprint) fn file(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = retry_on_intr(|| openat(self.fd(), name, flags, Mode::empty()))?;
        if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::RegularFile {
            return Err(io::Error::other("it was replaced while it was being read"));
        }
        Ok(file.into())
    }
}

fn stamp(stat: &Stat) -> Stamp {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Folder,
        FileType::Symlink => Kind::Link,
        FileType::Fifo => Kind::Pipe,
        FileType::Socket => Kind::Socket,
        FileType::CharacterDevice => Kind::CharacterDevice,
        FileType::BlockDevice => Kind::BlockDevice,
        FileType::Unknown => Kind::Other,
    };
    let bit = |mode: Mode, bit: u8| if Mode::from_raw_mode(stat.st_mode).contains(mode) { bit } else { 0 };
    Stamp {
        kind,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        executable: bit(Mode::XUSR, 4) | bit(Mode::XGRP, 2) | bit(Mode::XOTH, 1),
        device: i128::from(stat.st_dev),
        inode: i128::from(stat.st_ino),
        modified_ns: i128::from(stat.st_mtime) * SECOND_NS + i128::from(stat.st_mtime_nsec),
        changed_ns: i128::from(stat.st_ctime) * SECOND_NS + i128::from(stat.st_ctime_nsec),
    }
}

/// A folder, whatever it is called.
pub(in crate::fingerprint) struct Same(Option<(i128, i128)>);

impl Same {
    pub(in crate::fingerprint) fn of(path: &Path) -> Self {
        let metadata = std::fs::metadata(path).ok();
        Self(metadata.map(|metadata| (i128::from(metadata.dev()), i128::from(metadata.ino()))))
    }

    /// Whether it is the one with this stamp.
    pub(in crate::fingerprint) fn is(&self, stamp: &Stamp, _path: &Path) -> bool {
        self.0 == Some((stamp.device, stamp.inode))
    }
}

/// A name as it is hashed.
pub(in crate::fingerprint) fn bytes(name: &OsStr) -> &[u8] {
    name.as_bytes()
}
