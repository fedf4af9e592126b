//! A disk made of the standard library alone, for platforms that are not Unix.
#![expect(clippy::disallowed_methods, reason = "this is the disk seam")]

use std::fs::{File, OpenOptions, ReadDir};
use std::io;
use std::io::{IoSlice, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use fs4::{FileExt, TryLockError};

use crate::{Access, Create, Disk, FileSystem, Handle, Kind, Listed, LockMode, Metadata, Open, Replace};

/// How many names one listing call gives.
const BATCH: usize = 1_024;
/// How much one read takes at most.
const READ_MAX: usize = 1024 * 1024;

/// The operating system's disk, where it is not Unix.
///
/// # Platform
/// It keeps the paths of folders, not the folders, and so promises less than the disk of Unix systems:
///
/// - Symbolic links below the root are refused as they are found. One that is put in the place of a folder between the
///   look and the use of it is followed: keep others from writing to the root.
/// - An open folder that is renamed or removed is gone; on Windows an open root can be neither.
/// - A sync of a folder does nothing where the platform cannot open folders, as on Windows: after a power cut a name may be
///   missing that was acknowledged. NTFS journals names in order, so what is there is whole.
/// - [`Replace::No`] is an error of kind `Unsupported`: the standard library cannot ask for it.
/// - On Windows an inode is the file's time of creation (to 100 ns) and a device is 0. A file made under the name of
///   one that was removed in the last 15 seconds may get that one's time, and passes for the same. Links count 1,
///   whatever there is; modes are 0, and setting one decides only whether the file is read-only.
/// - Reading and writing at an offset are several system calls, and exclude each other on the same handle.
/// - A file system mounted read-only is not told from others until a write is refused.
/// - FIFOs, sockets and devices are not opened.
#[derive(Debug, Default)]
pub struct PortableDisk(());

/// An open file, or the path of a folder.
struct Opened {
    path: PathBuf,
    file: Option<File>,
    /// Held while the file's position is away from its own place.
    cursor: Mutex<Cursor>,
}

#[derive(Default)]
struct Cursor {
    listing: Option<ReadDir>,
}

impl PortableDisk {
    /// The operating system's disk.
    pub const fn new() -> Self {
        Self(())
    }
}

impl Opened {
    fn handle(path: PathBuf, file: Option<File>) -> Handle {
        Handle::from_other(Self { path, file, cursor: Mutex::default() })
    }

    fn of(handle: &Handle) -> io::Result<&Self> {
        handle.other().ok_or_else(number::bad_handle)
    }

    fn file(&self) -> io::Result<&File> {
        self.file.as_ref().ok_or_else(number::is_folder)
    }

    fn cursor(&self) -> MutexGuard<'_, Cursor> {
        self.cursor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something at `offset`, and goes back to the file's own position.
    fn at<T>(&self, offset: u64, work: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        let mut file = self.file()?;
        let _cursor = self.cursor();
        let own = file.stream_position()?;
        file.seek(SeekFrom::Start(offset))?;
        let done = work(file);
        file.seek(SeekFrom::Start(own))?;
        done
    }

    /// The path of `name` in this folder.
    fn child(&self, name: &Path) -> io::Result<PathBuf> {
        let mut components = name.components();
        match (components.next(), components.next()) {
            (Some(Component::Normal(only)), None) if only == name.as_os_str() => Ok(self.path.join(only)),
            (None, _) => Err(io::ErrorKind::NotFound.into()),
            _ => Err(number::leads_out()),
        }
    }
}

/// The path of `below` in `folder`, each folder on the way looked at, none of them a link.
fn resolve(folder: &Path, below: &Path) -> io::Result<PathBuf> {
    if below.as_os_str().is_empty() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let mut path = folder.to_owned();
    let mut components = below.components().peekable();
    while let Some(component) = components.next() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            _ => return Err(number::leads_out()),
        }
        if components.peek().is_some() {
            let kind = std::fs::symlink_metadata(&path)?.file_type();
            if kind.is_symlink() {
                return Err(number::is_link());
            }
            if !kind.is_dir() {
                return Err(number::is_file());
            }
        }
    }
    Ok(path)
}

fn kind_of(kind: std::fs::FileType) -> Kind {
    if kind.is_file() {
        Kind::File
    } else if kind.is_dir() {
        Kind::Folder
    } else if kind.is_symlink() {
        Kind::Link
    } else {
        Kind::Special
    }
}

/// Since 1970; 0 where the platform does not tell.
fn nanoseconds(time: Option<std::time::SystemTime>) -> i128 {
    let Some(time) = time else { return 0 };
    match time.duration_since(std::time::SystemTime::UNIX_EPOCH) {
        Ok(after) => i128::try_from(after.as_nanos()).unwrap_or(i128::MAX),
        Err(before) => -i128::try_from(before.duration().as_nanos()).unwrap_or(i128::MAX),
    }
}

fn metadata_of(found: &std::fs::Metadata) -> Metadata {
    let modified_ns = nanoseconds(found.modified().ok());
    let metadata = Metadata {
        kind: kind_of(found.file_type()),
        device: 0,
        inode: 0,
        length: found.len(),
        allocated: found.len(),
        links: 1,
        mode: 0,
        owner: 0,
        modified_ns,
        changed_ns: modified_ns,
    };
    with_platform(metadata, found)
}

#[cfg(unix)]
fn with_platform(metadata: Metadata, found: &std::fs::Metadata) -> Metadata {
    use std::os::unix::fs::MetadataExt;
    Metadata {
        device: found.dev(),
        inode: found.ino(),
        allocated: found.blocks().saturating_mul(512),
        links: found.nlink(),
        mode: found.mode() & 0o7777,
        owner: found.uid(),
        changed_ns: i128::from(found.ctime()) * 1_000_000_000 + i128::from(found.ctime_nsec()),
        ..metadata
    }
}

#[cfg(windows)]
fn with_platform(metadata: Metadata, found: &std::fs::Metadata) -> Metadata {
    use std::os::windows::fs::MetadataExt;
    Metadata { inode: found.creation_time(), ..metadata }
}

#[cfg(not(any(unix, windows)))]
fn with_platform(metadata: Metadata, found: &std::fs::Metadata) -> Metadata {
    let created = nanoseconds(found.created().ok());
    Metadata { inode: u64::try_from(created).unwrap_or(0), ..metadata }
}

/// Error numbers that the standard library does not name.
mod number {
    use std::io;

    #[cfg(unix)]
    mod raw {
        use rustix::io::Errno;
        pub(super) const BAD_HANDLE: i32 = Errno::BADF.raw_os_error();
        pub(super) const EXISTS: i32 = Errno::EXIST.raw_os_error();
        pub(super) const IS_FILE: i32 = Errno::NOTDIR.raw_os_error();
        pub(super) const IS_FOLDER: i32 = Errno::ISDIR.raw_os_error();
        pub(super) const IS_LINK: i32 = Errno::LOOP.raw_os_error();
        pub(super) const LEADS_OUT: i32 = Errno::XDEV.raw_os_error();
        pub(super) const UNSUPPORTED: i32 = Errno::NOSYS.raw_os_error();
    }

    /// `ERROR_INVALID_HANDLE` and the like.
    #[cfg(not(unix))]
    mod raw {
        pub(super) const BAD_HANDLE: i32 = 6;
        pub(super) const EXISTS: i32 = 183;
        pub(super) const IS_FILE: i32 = 267;
        pub(super) const IS_FOLDER: i32 = 336;
        pub(super) const IS_LINK: i32 = 1921;
        pub(super) const LEADS_OUT: i32 = 17;
        pub(super) const UNSUPPORTED: i32 = 120;
    }

    pub(super) fn bad_handle() -> io::Error {
        io::Error::from_raw_os_error(raw::BAD_HANDLE)
    }
    pub(super) fn exists() -> io::Error {
        io::Error::from_raw_os_error(raw::EXISTS)
    }
    pub(super) fn is_file() -> io::Error {
        io::Error::from_raw_os_error(raw::IS_FILE)
    }
    pub(super) fn is_folder() -> io::Error {
        io::Error::from_raw_os_error(raw::IS_FOLDER)
    }
    pub(super) fn is_link() -> io::Error {
        io::Error::from_raw_os_error(raw::IS_LINK)
    }
    pub(super) fn leads_out() -> io::Error {
        io::Error::from_raw_os_error(raw::LEADS_OUT)
    }
    pub(super) fn unsupported() -> io::Error {
        io::Error::from_raw_os_error(raw::UNSUPPORTED)
    }
}

fn options_of(how: Open) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true);
    match how.access {
        Access::Read | Access::Peek | Access::Folder => {}
        Access::ReadWrite => _ = options.write(true),
        Access::Append => _ = options.append(true),
    }
    match how.create {
        Create::Never => {}
        Create::IfAbsent => _ = options.create(true),
        Create::New => _ = options.create_new(true),
    }
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn make(path: &Path) -> io::Result<()> {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "only Unix has a mode to set"))]
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(unix)]
fn permissions(_now: &std::fs::Permissions, mode: u32) -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(mode & 0o7777)
}

#[cfg(not(unix))]
fn permissions(now: &std::fs::Permissions, mode: u32) -> std::fs::Permissions {
    let mut permissions = now.clone();
    permissions.set_readonly(mode & 0o200 == 0);
    permissions
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(path: &Path) -> io::Result<()> {
    std::fs::symlink_metadata(path).map(|_| ())
}

impl Disk for PortableDisk {
    fn open_root(&self, path: &Path) -> io::Result<Handle> {
        let path = path.canonicalize()?;
        if path.is_dir() { Ok(Opened::handle(path, None)) } else { Err(number::is_file()) }
    }

    fn make_root(&self, path: &Path) -> io::Result<()> {
        make(path)
    }

    fn root_metadata(&self, path: &Path) -> io::Result<Metadata> {
        Ok(metadata_of(&std::fs::metadata(path)?))
    }

    fn open(&self, at: &Handle, path: &Path, how: Open) -> io::Result<Handle> {
        let path = resolve(&Opened::of(at)?.path, path)?;
        let found = match std::fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && how.create != Create::Never => None,
            found => Some(kind_of(found?.file_type())),
        };
        match (found, how.create, how.access) {
            (Some(_), Create::New, _) => Err(number::exists()),
            (Some(Kind::Link), ..) => Err(number::is_link()),
            (Some(Kind::Folder), Create::Never, Access::Folder | Access::Read | Access::Peek) => {
                Ok(Opened::handle(path, None))
            }
            (Some(Kind::Folder), ..) => Err(number::is_folder()),
            (_, _, Access::Folder) => Err(number::is_file()),
            (Some(Kind::File) | None, ..) => {
                let file = options_of(how).open(&path)?;
                Ok(Opened::handle(path, Some(file)))
            }
            (Some(Kind::Special | Kind::Unknown), ..) => Err(number::unsupported()),
        }
    }

    fn read(&self, file: &Handle, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let room = (buffer.capacity() - buffer.len()).min(READ_MAX);
        if room == 0 {
            return Ok(0);
        }
        let opened = Opened::of(file)?;
        let mut part = vec![0; room];
        let _cursor = opened.cursor();
        let read = opened.file()?.read(&mut part)?;
        buffer.extend_from_slice(part.get(..read).unwrap_or_default());
        Ok(read)
    }

    fn read_at(&self, file: &Handle, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        Opened::of(file)?.at(offset, |mut file| file.read(buffer))
    }

    fn write(&self, file: &Handle, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let opened = Opened::of(file)?;
        let _cursor = opened.cursor();
        opened.file()?.write_vectored(parts)
    }

    fn write_at(&self, file: &Handle, bytes: &[u8], offset: u64) -> io::Result<usize> {
        Opened::of(file)?.at(offset, |mut file| file.write(bytes))
    }

    fn position(&self, file: &Handle) -> io::Result<u64> {
        let opened = Opened::of(file)?;
        let _cursor = opened.cursor();
        opened.file()?.stream_position()
    }

    fn seek_end(&self, file: &Handle) -> io::Result<u64> {
        let opened = Opened::of(file)?;
        let _cursor = opened.cursor();
        opened.file()?.seek(SeekFrom::End(0))
    }

    fn set_length(&self, file: &Handle, length: u64) -> io::Result<()> {
        Opened::of(file)?.file()?.set_len(length)
    }

    fn allocate(&self, file: &Handle, length: u64) -> io::Result<()> {
        let file = Opened::of(file)?.file()?;
        FileExt::allocate(file, length)?;
        if file.metadata()?.len() < length { file.set_len(length) } else { Ok(()) }
    }

    fn set_mode(&self, file: &Handle, mode: u32) -> io::Result<()> {
        let opened = Opened::of(file)?;
        match &opened.file {
            Some(file) => file.set_permissions(permissions(&file.metadata()?.permissions(), mode)),
            None => std::fs::set_permissions(&opened.path, permissions(&opened.path.metadata()?.permissions(), mode)),
        }
    }

    fn set_mode_at(&self, at: &Handle, name: &Path, mode: u32) -> io::Result<()> {
        let path = Opened::of(at)?.child(name)?;
        let found = std::fs::symlink_metadata(&path)?;
        if found.is_symlink() {
            return Err(number::is_link());
        }
        std::fs::set_permissions(&path, permissions(&found.permissions(), mode))
    }

    fn sync(&self, file: &Handle) -> io::Result<()> {
        let opened = Opened::of(file)?;
        opened.file.as_ref().map_or_else(|| sync_folder(&opened.path), File::sync_all)
    }

    fn sync_data(&self, file: &Handle) -> io::Result<()> {
        let opened = Opened::of(file)?;
        opened.file.as_ref().map_or_else(|| sync_folder(&opened.path), File::sync_data)
    }

    fn metadata(&self, file: &Handle) -> io::Result<Metadata> {
        let opened = Opened::of(file)?;
        let found = opened.file.as_ref().map_or_else(|| std::fs::symlink_metadata(&opened.path), File::metadata)?;
        Ok(metadata_of(&found))
    }

    fn metadata_at(&self, at: &Handle, name: &Path) -> io::Result<Metadata> {
        Ok(metadata_of(&std::fs::symlink_metadata(Opened::of(at)?.child(name)?)?))
    }

    fn used_at(&self, at: &Handle, name: &Path) -> io::Result<(Metadata, i128)> {
        let found = std::fs::symlink_metadata(Opened::of(at)?.child(name)?)?;
        let metadata = metadata_of(&found);
        let used_ns = found.accessed().map_or(metadata.modified_ns, |used| nanoseconds(Some(used)));
        Ok((metadata, used_ns))
    }

    fn mark_used(&self, at: &Handle, name: &Path, used_ns: i128) -> io::Result<()> {
        let path = Opened::of(at)?.child(name)?;
        if !std::fs::symlink_metadata(&path)?.is_file() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let used = u64::try_from(used_ns)
            .ok()
            .and_then(|used| std::time::SystemTime::UNIX_EPOCH.checked_add(std::time::Duration::from_nanos(used)));
        let used = used.ok_or(io::ErrorKind::InvalidInput)?;
        let file = File::options().write(true).open(path)?;
        file.set_times(std::fs::FileTimes::new().set_accessed(used))
    }

    fn rename(&self, from_at: &Handle, from: &Path, to_at: &Handle, to: &Path, replace: Replace) -> io::Result<()> {
        let (from, to) = (Opened::of(from_at)?.child(from)?, Opened::of(to_at)?.child(to)?);
        match replace {
            Replace::Yes => std::fs::rename(from, to),
            Replace::No => Err(number::unsupported()),
        }
    }

    fn link(&self, from_at: &Handle, from: &Path, to_at: &Handle, to: &Path) -> io::Result<()> {
        std::fs::hard_link(Opened::of(from_at)?.child(from)?, Opened::of(to_at)?.child(to)?)
    }

    fn remove_file(&self, at: &Handle, name: &Path) -> io::Result<()> {
        std::fs::remove_file(Opened::of(at)?.child(name)?)
    }

    fn remove_folder(&self, at: &Handle, name: &Path) -> io::Result<()> {
        std::fs::remove_dir(Opened::of(at)?.child(name)?)
    }

    fn make_folder(&self, at: &Handle, name: &Path) -> io::Result<()> {
        make(&Opened::of(at)?.child(name)?)
    }

    fn list(&self, folder: &Handle, names: &mut Vec<Listed>) -> io::Result<bool> {
        let opened = Opened::of(folder)?;
        let mut cursor = opened.cursor();
        let listing = match &mut cursor.listing {
            Some(listing) => listing,
            none => none.insert(std::fs::read_dir(&opened.path)?),
        };
        for _ in 0..BATCH {
            let Some(entry) = listing.next() else { return Ok(false) };
            let entry = entry?;
            names.push(Listed { name: entry.file_name(), kind: entry.file_type().map_or(Kind::Unknown, kind_of) });
        }
        Ok(true)
    }

    fn try_lock(&self, file: &Handle, mode: LockMode) -> io::Result<bool> {
        let file = Opened::of(file)?.file()?;
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
        let file = Opened::of(file)?.file()?;
        match mode {
            LockMode::Shared => FileExt::lock_shared(file),
            LockMode::Exclusive => FileExt::lock(file),
        }
    }

    fn unlock(&self, file: &Handle) -> io::Result<()> {
        FileExt::unlock(Opened::of(file)?.file()?)
    }

    fn file_system(&self, folder: &Handle) -> io::Result<FileSystem> {
        let opened = Opened::of(folder)?;
        let available_bytes = fs4::available_space(&opened.path)?;
        Ok(FileSystem { magic: None, available_bytes, available_files: None, read_only: false })
    }
}
