//! The system's disk on Unix, through rustix and fs4.

use std::ffi::OsStr;
use std::io;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use fs4::{FileExt, TryLockError};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, Stat};

use crate::disk::Repr;
use crate::{Access, Create, Disk, FileSystem, Handle, Kind, Listed, LockMode, Metadata, Open, Replace};

const FILE_MODE: Mode = Mode::from_raw_mode(0o600);
const FOLDER_MODE: Mode = Mode::from_raw_mode(0o700);
/// Of a second.
const NANOSECONDS: i128 = 1_000_000_000;
/// Reading that is no use of the file.
#[cfg(target_os = "linux")]
const QUIET: OFlags = OFlags::NOATIME;
#[cfg(not(target_os = "linux"))]
const QUIET: OFlags = OFlags::empty();
const ALWAYS: OFlags = OFlags::CLOEXEC.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// The operating system's disk.
///
/// # Platform
/// On Linux a path is resolved by `openat2` with `RESOLVE_NO_SYMLINKS`; on other Unix systems, and on
/// kernels without it, folder by folder with `O_NOFOLLOW`, which makes as many system calls as the path has components.
#[derive(Debug, Default)]
pub struct SystemDisk {
    walk: AtomicBool,
}

impl SystemDisk {
    /// The operating system's disk.
    pub const fn new() -> Self {
        Self { walk: AtomicBool::new(cfg!(not(target_os = "linux"))) }
    }

    /// A disk that resolves paths as on a kernel without `openat2`.
    #[cfg(test)]
    pub(crate) const fn walking() -> Self {
        Self { walk: AtomicBool::new(true) }
    }

    /// Opens `path` component by component, so that none is followed as a link.
    fn open_by_walking(at: BorrowedFd<'_>, path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let mut folder: Option<OwnedFd> = None;
        let mut components = path.components().peekable();
        while let Some(component) = components.next() {
            let name = match component {
                std::path::Component::Normal(name) => name,
                std::path::Component::CurDir => OsStr::new("."),
                _ => return Err(rustix::io::Errno::XDEV.into()),
            };
            let here = folder.as_ref().map_or(at, |folder| folder.as_fd());
            if components.peek().is_none() {
                return open_here(here, name, flags, mode);
            }
            folder = Some(open_here(here, name, ALWAYS | OFlags::DIRECTORY | OFlags::RDONLY, Mode::empty())?);
        }
        Err(rustix::io::Errno::NOENT.into())
    }

    #[cfg(target_os = "linux")]
    fn open_below(&self, at: BorrowedFd<'_>, path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        use rustix::fs::ResolveFlags;
        use rustix::io::Errno;
        if !self.walk.load(Ordering::Relaxed) {
            // `below` has seen to what RESOLVE_BENEATH would: it costs 50 ns, for a walk back up that no path here needs
            let resolve = ResolveFlags::NO_SYMLINKS;
            // NO_SYMLINKS covers the last component, too; with NOFOLLOW beside it, a link asked for as a folder is ENOTDIR.
            match rustix::fs::openat2(at, path, flags.difference(OFlags::NOFOLLOW), mode, resolve) {
                // ENOSYS: older than Linux 5.6; EPERM: a sandbox that knows no openat2, told from a refusal by asking again
                Err(Errno::NOSYS | Errno::PERM) => {
                    let file = Self::open_by_walking(at, path, flags, mode)?;
                    self.walk.store(true, Ordering::Relaxed);
                    return Ok(file);
                }
                other => return Ok(other?),
            }
        }
        Self::open_by_walking(at, path, flags, mode)
    }

    #[cfg(not(target_os = "linux"))]
    fn open_below(&self, at: BorrowedFd<'_>, path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        Self::open_by_walking(at, path, flags, mode)
    }
}

/// Opens one name. Asked for a folder, the system says `ENOTDIR` of a link that it does not follow; callers get the
/// `ELOOP` that `openat2` has for every link, so that they can tell a planted link from a file.
fn open_here(at: BorrowedFd<'_>, name: &OsStr, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    use rustix::io::Errno;
    rustix::fs::openat(at, name, flags, mode).map_err(|error| {
        let is_link = error == Errno::NOTDIR
            && rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink);
        if is_link { Errno::LOOP.into() } else { error.into() }
    })
}

/// A path that cannot lead anywhere but below its folder, once no link is followed: relative, and without `..`.
fn below(path: &Path) -> io::Result<&Path> {
    let bytes = path.as_os_str().as_bytes();
    // two dots in a row are rare, and most often part of a name
    let dots = bytes.windows(2).any(|pair| pair == b"..");
    let leads_up = dots && bytes.split(|byte| *byte == b'/').any(|part| part == b"..");
    if leads_up || bytes.starts_with(b"/") { Err(rustix::io::Errno::XDEV.into()) } else { Ok(path) }
}

/// The file behind a handle; a handle of another disk is a caller's mistake, answered like a closed descriptor.
fn file_of(handle: &Handle) -> io::Result<&std::fs::File> {
    match &handle.0 {
        Repr::File(file) => Ok(file),
        Repr::Other(_) => Err(rustix::io::Errno::BADF.into()),
    }
}

/// A name in a folder. A path with a separator would be resolved by the system through whatever links it meets; `..`
/// would lead out.
fn name_of(path: &Path) -> io::Result<&Path> {
    match path.as_os_str().as_bytes() {
        b"." | b".." => Err(rustix::io::Errno::XDEV.into()),
        name if name.contains(&b'/') => Err(rustix::io::Errno::XDEV.into()),
        _ => Ok(path),
    }
}

fn handle_of(fd: OwnedFd) -> Handle {
    Handle::from_file(fd.into())
}

fn kind_of(kind: FileType) -> Kind {
    match kind {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Folder,
        FileType::Symlink => Kind::Link,
        FileType::Unknown => Kind::Unknown,
        _ => Kind::Special,
    }
}

// The integer types of `stat` differ between platforms; each conversion is lossless on every one of them.
#[cfg_attr(
    target_os = "linux",
    expect(
        clippy::unnecessary_cast,
        clippy::cast_lossless,
        clippy::useless_conversion,
        reason = "types differ by platform"
    )
)]
fn metadata_of(stat: &Stat) -> Metadata {
    Metadata {
        kind: kind_of(FileType::from_raw_mode(stat.st_mode)),
        device: stat.st_dev as u64,
        inode: stat.st_ino as u64,
        length: u64::try_from(stat.st_size).unwrap_or(0),
        allocated: u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512),
        links: stat.st_nlink as u64,
        mode: u32::from(stat.st_mode) & 0o7777,
        owner: stat.st_uid,
        modified_ns: i128::from(stat.st_mtime) * NANOSECONDS + stat.st_mtime_nsec as i128,
        changed_ns: i128::from(stat.st_ctime) * NANOSECONDS + stat.st_ctime_nsec as i128,
    }
}

fn flags_of(how: Open) -> OFlags {
    let access = match how.access {
        Access::Read => OFlags::RDONLY,
        Access::Peek => OFlags::RDONLY | QUIET,
        Access::ReadWrite => OFlags::RDWR,
        Access::Append => OFlags::RDWR | OFlags::APPEND,
        Access::Folder => OFlags::RDONLY | OFlags::DIRECTORY,
    };
    let create = match how.create {
        Create::Never => OFlags::empty(),
        Create::IfAbsent => OFlags::CREATE,
        Create::New => OFlags::CREATE | OFlags::EXCL,
    };
    ALWAYS | access | create
}

impl Disk for SystemDisk {
    fn open_root(&self, path: &Path) -> io::Result<Handle> {
        let flags = OFlags::CLOEXEC | OFlags::DIRECTORY | OFlags::RDONLY;
        Ok(handle_of(rustix::fs::open(path, flags, Mode::empty())?))
    }

    fn make_root(&self, path: &Path) -> io::Result<()> {
        Ok(rustix::fs::mkdir(path, FOLDER_MODE)?)
    }

    fn root_metadata(&self, path: &Path) -> io::Result<Metadata> {
        Ok(metadata_of(&rustix::fs::stat(path)?))
    }

    fn open(&self, at: &Handle, path: &Path, how: Open) -> io::Result<Handle> {
        // openat2 refuses a mode on a call that cannot create
        let mode = if how.create == Create::Never { Mode::empty() } else { FILE_MODE };
        let opened = self.open_below(file_of(at)?.as_fd(), below(path)?, flags_of(how), mode);
        match opened {
            // another user's file: the look will count as a use
            Err(error) if how.access == Access::Peek && error.kind() == io::ErrorKind::PermissionDenied => {
                self.open(at, path, Open { access: Access::Read, ..how })
            }
            opened => opened.map(handle_of),
        }
    }

    fn read(&self, file: &Handle, buffer: &mut Vec<u8>) -> io::Result<usize> {
        if buffer.capacity() == buffer.len() {
            return Ok(0);
        }
        Ok(rustix::io::read(file_of(file)?, rustix::buffer::spare_capacity(buffer))?)
    }

    fn read_at(&self, file: &Handle, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(rustix::io::pread(file_of(file)?, buffer, offset)?)
    }

    fn write(&self, file: &Handle, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(rustix::io::writev(file_of(file)?, parts)?)
    }

    fn write_at(&self, file: &Handle, bytes: &[u8], offset: u64) -> io::Result<usize> {
        Ok(rustix::io::pwrite(file_of(file)?, bytes, offset)?)
    }

    fn position(&self, file: &Handle) -> io::Result<u64> {
        Ok(rustix::fs::tell(file_of(file)?)?)
    }

    fn seek_end(&self, file: &Handle) -> io::Result<u64> {
        Ok(rustix::fs::seek(file_of(file)?, rustix::fs::SeekFrom::End(0))?)
    }

    fn set_length(&self, file: &Handle, length: u64) -> io::Result<()> {
        Ok(rustix::fs::ftruncate(file_of(file)?, length)?)
    }

    #[cfg(target_os = "linux")]
    fn allocate(&self, file: &Handle, length: u64) -> io::Result<()> {
        Ok(rustix::fs::fallocate(file_of(file)?, rustix::fs::FallocateFlags::empty(), 0, length)?)
    }

    #[cfg(not(target_os = "linux"))]
    fn allocate(&self, file: &Handle, length: u64) -> io::Result<()> {
        FileExt::allocate(file_of(file)?, length)
    }

    fn set_mode(&self, file: &Handle, mode: u32) -> io::Result<()> {
        Ok(rustix::fs::fchmod(file_of(file)?, Mode::from_bits_truncate(mode as rustix::fs::RawMode))?)
    }

    fn set_mode_at(&self, at: &Handle, name: &Path, mode: u32) -> io::Result<()> {
        let mode = Mode::from_bits_truncate(mode as rustix::fs::RawMode);
        Ok(rustix::fs::chmodat(file_of(at)?, name_of(name)?, mode, AtFlags::empty())?)
    }

    #[cfg(not(target_vendor = "apple"))]
    fn sync(&self, file: &Handle) -> io::Result<()> {
        Ok(rustix::fs::fsync(file_of(file)?)?)
    }

    // On Apple systems fsync(2) stops at the drive's cache; std asks for F_FULLFSYNC.
    #[cfg(target_vendor = "apple")]
    fn sync(&self, file: &Handle) -> io::Result<()> {
        file_of(file)?.sync_all()
    }

    #[cfg(not(target_vendor = "apple"))]
    fn sync_data(&self, file: &Handle) -> io::Result<()> {
        Ok(rustix::fs::fdatasync(file_of(file)?)?)
    }

    #[cfg(target_vendor = "apple")]
    fn sync_data(&self, file: &Handle) -> io::Result<()> {
        file_of(file)?.sync_data()
    }

    fn metadata(&self, file: &Handle) -> io::Result<Metadata> {
        Ok(metadata_of(&rustix::fs::fstat(file_of(file)?)?))
    }

    #[cfg(target_os = "linux")]
    fn born_ns(&self, file: &Handle) -> io::Result<Option<i128>> {
        use rustix::fs::StatxFlags;
        let asked = StatxFlags::BTIME;
        let found = rustix::fs::statx(file_of(file)?, "", AtFlags::EMPTY_PATH, asked)?;
        let told = StatxFlags::from_bits_retain(found.stx_mask).contains(asked);
        let born = i128::from(found.stx_btime.tv_sec) * 1_000_000_000 + i128::from(found.stx_btime.tv_nsec);
        Ok(told.then_some(born))
    }

    fn metadata_at(&self, at: &Handle, path: &Path) -> io::Result<Metadata> {
        Ok(metadata_of(&rustix::fs::statat(file_of(at)?, name_of(path)?, AtFlags::SYMLINK_NOFOLLOW)?))
    }

    #[cfg(target_os = "linux")]
    fn glance_at(&self, at: &Handle, path: &Path) -> io::Result<Metadata> {
        use rustix::fs::StatxFlags;
        let asked =
            StatxFlags::BASIC_STATS.difference(StatxFlags::ATIME.union(StatxFlags::CTIME).union(StatxFlags::MTIME));
        let found = match rustix::fs::statx(file_of(at)?, name_of(path)?, AtFlags::SYMLINK_NOFOLLOW, asked) {
            // older than Linux 4.11, or a sandbox that knows no statx
            Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => return self.metadata_at(at, path),
            found => found?,
        };
        Ok(Metadata {
            kind: kind_of(FileType::from_raw_mode(found.stx_mode.into())),
            device: rustix::fs::makedev(found.stx_dev_major, found.stx_dev_minor),
            inode: found.stx_ino,
            length: found.stx_size,
            allocated: found.stx_blocks.saturating_mul(512),
            links: found.stx_nlink.into(),
            mode: u32::from(found.stx_mode) & 0o7777,
            owner: found.stx_uid,
            modified_ns: 0,
            changed_ns: 0,
        })
    }

    fn used_at(&self, at: &Handle, path: &Path) -> io::Result<(Metadata, i128)> {
        let stat = rustix::fs::statat(file_of(at)?, name_of(path)?, AtFlags::SYMLINK_NOFOLLOW)?;
        let used_ns = i128::from(stat.st_atime) * NANOSECONDS + i128::from(stat.st_atime_nsec);
        Ok((metadata_of(&stat), used_ns))
    }

    fn mark_used(&self, at: &Handle, path: &Path, used_ns: i128) -> io::Result<()> {
        use rustix::fs::{Timespec, Timestamps, UTIME_OMIT};
        let out_of_range = |_| rustix::io::Errno::INVAL;
        let last_access = Timespec {
            tv_sec: used_ns.div_euclid(NANOSECONDS).try_into().map_err(out_of_range)?,
            tv_nsec: used_ns.rem_euclid(NANOSECONDS).try_into().map_err(out_of_range)?,
        };
        let times = Timestamps { last_access, last_modification: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT } };
        Ok(rustix::fs::utimensat(file_of(at)?, name_of(path)?, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    fn rename(&self, from_at: &Handle, from: &Path, to_at: &Handle, to: &Path, replace: Replace) -> io::Result<()> {
        let (from_at, from) = (file_of(from_at)?, name_of(from)?);
        let (to_at, to) = (file_of(to_at)?, name_of(to)?);
        match replace {
            Replace::Yes => Ok(rustix::fs::renameat(from_at, from, to_at, to)?),
            Replace::No => Ok(rustix::fs::renameat_with(from_at, from, to_at, to, RenameFlags::NOREPLACE)?),
        }
    }

    fn link(&self, from_at: &Handle, from: &Path, to_at: &Handle, to: &Path) -> io::Result<()> {
        Ok(rustix::fs::linkat(file_of(from_at)?, name_of(from)?, file_of(to_at)?, name_of(to)?, AtFlags::empty())?)
    }

    fn remove_file(&self, at: &Handle, path: &Path) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(file_of(at)?, name_of(path)?, AtFlags::empty())?)
    }

    fn remove_folder(&self, at: &Handle, path: &Path) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(file_of(at)?, name_of(path)?, AtFlags::REMOVEDIR)?)
    }

    fn make_folder(&self, at: &Handle, path: &Path) -> io::Result<()> {
        Ok(rustix::fs::mkdirat(file_of(at)?, name_of(path)?, FOLDER_MODE)?)
    }

    #[cfg(target_os = "linux")]
    fn list(&self, folder: &Handle, names: &mut Vec<Listed>) -> io::Result<bool> {
        let mut buffer: Vec<u8> = Vec::with_capacity(32 * 1024);
        let mut batch = rustix::fs::RawDir::new(file_of(folder)?, buffer.spare_capacity_mut());
        let Some(mut entry) = batch.next() else { return Ok(false) };
        loop {
            let found = entry?;
            let name = found.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(Listed { name: OsStr::from_bytes(name).to_owned(), kind: kind_of(found.file_type()) });
            }
            if batch.is_buffer_empty() {
                return Ok(true);
            }
            match batch.next() {
                Some(next) => entry = next,
                None => return Ok(false),
            }
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn list(&self, folder: &Handle, names: &mut Vec<Listed>) -> io::Result<bool> {
        for entry in rustix::fs::Dir::read_from(file_of(folder)?)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(Listed { name: OsStr::from_bytes(name).to_owned(), kind: kind_of(entry.file_type()) });
            }
        }
        Ok(false)
    }

    fn try_lock(&self, file: &Handle, mode: LockMode) -> io::Result<bool> {
        let file = file_of(file)?;
        let tried = match mode {
            LockMode::Shared => FileExt::try_lock_shared(file),
            LockMode::Exclusive => FileExt::try_lock(file),
        };
        match tried {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn lock(&self, file: &Handle, mode: LockMode) -> io::Result<()> {
        let file = file_of(file)?;
        match mode {
            LockMode::Shared => FileExt::lock_shared(file),
            LockMode::Exclusive => FileExt::lock(file),
        }
    }

    fn unlock(&self, file: &Handle) -> io::Result<()> {
        FileExt::unlock(file_of(file)?)
    }

    #[expect(clippy::cast_sign_loss, reason = "f_type is a bit pattern")]
    fn file_system(&self, folder: &Handle) -> io::Result<FileSystem> {
        let folder = file_of(folder)?;
        #[cfg(target_os = "linux")]
        let magic = Some(rustix::fs::fstatfs(folder)?.f_type as u64 & 0xffff_ffff);
        #[cfg(not(target_os = "linux"))]
        let magic = None;
        let room = rustix::fs::fstatvfs(folder)?;
        Ok(FileSystem {
            magic,
            available_bytes: room.f_bavail.saturating_mul(room.f_frsize),
            available_files: (room.f_files > 0).then_some(room.f_favail),
            read_only: room.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY),
        })
    }
}
