//! The disk seam: one method for one system call.

use std::any::Any;
use std::fmt;
use std::io;
use std::io::IoSlice;
use std::path::Path;

/// An open file or folder.
///
/// Dropping it closes it; [`Disk::close`] does the same where a test can see it.
pub struct Handle(pub(crate) Repr);

pub(crate) enum Repr {
    File(std::fs::File),
    Other(Box<dyn Any + Send + Sync>),
}

impl Handle {
    /// A handle over a file that is already open.
    pub fn from_file(file: std::fs::File) -> Self {
        Self(Repr::File(file))
    }

    /// A handle of a [`Disk`] that is not the system's; its drop is the close.
    pub fn from_other<T: Any + Send + Sync>(other: T) -> Self {
        Self(Repr::Other(Box::new(other)))
    }

    /// What [`Handle::from_other`] was given, when it was a `T`.
    pub fn other<T: Any>(&self) -> Option<&T> {
        match &self.0 {
            Repr::File(_) => None,
            Repr::Other(other) => other.downcast_ref(),
        }
    }

    /// The open file, when this is a handle of the system's disk.
    pub fn file(&self) -> Option<&std::fs::File> {
        match &self.0 {
            Repr::File(file) => Some(file),
            Repr::Other(_) => None,
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::File(file) => f.debug_tuple("Handle").field(file).finish(),
            Repr::Other(_) => f.write_str("Handle(..)"),
        }
    }
}

/// What the opened file may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Reading.
    Read,
    /// Reading, without that being a use (see [`Disk::used_at`]) where the system lets the file's owner say so
    /// (`O_NOATIME`): for whoever looks at files in order to judge them.
    Peek,
    /// Reading and writing at chosen offsets. Lock files are opened so: some network file systems refuse an exclusive
    /// `flock` on a descriptor that cannot write.
    ReadWrite,
    /// Reading anywhere, writing only at the end (`O_APPEND`).
    Append,
    /// A folder: to open below it, to list it, to sync it.
    Folder,
}

/// What happens when the file is not there, or is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Create {
    /// An absent file is an error (`ENOENT`).
    Never,
    /// An absent file is made, mode 0600.
    IfAbsent,
    /// A present file, of whatever kind, is an error (`EEXIST`); otherwise it is made, mode 0600.
    New,
}

/// How to open a file.
///
/// Always added: close on exec, never through a symbolic link (in any component), never blocking on a FIFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Open {
    /// What for.
    pub access: Access,
    /// Whether it may or must be made.
    pub create: Create,
}

impl Open {
    /// An existing file, for reading.
    pub const READ: Self = Self { access: Access::Read, create: Create::Never };
    /// An existing file, to be judged, not used.
    pub const PEEK: Self = Self { access: Access::Peek, create: Create::Never };
    /// An existing folder.
    pub const FOLDER: Self = Self { access: Access::Folder, create: Create::Never };
    /// A file that this call makes.
    pub const CREATE_NEW: Self = Self { access: Access::ReadWrite, create: Create::New };
    /// A file that may be there already, for reading and writing.
    pub const CREATE_OR_OPEN: Self = Self { access: Access::ReadWrite, create: Create::IfAbsent };
    /// An existing file, for reading and writing.
    pub const READ_WRITE: Self = Self { access: Access::ReadWrite, create: Create::Never };
    /// An existing file, for reading and appending.
    pub const APPEND: Self = Self { access: Access::Append, create: Create::Never };
}

/// Whether a rename may take the place of an existing file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Replace {
    /// It may, atomically.
    Yes,
    /// An existing name is an error (`EEXIST`) and nothing changes. Some file systems answer `EINVAL`, some kernels
    /// `ENOSYS`: they cannot tell.
    No,
}

/// Shared with other shared holders, or alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LockMode {
    /// Any number of shared holders, no exclusive one.
    Shared,
    /// One holder.
    Exclusive,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link, never followed.
    Link,
    /// A FIFO, socket or device.
    Special,
    /// A listing that does not say; ask for the metadata.
    Unknown,
}

/// What the system knows of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: Kind,
    /// The device it is on. Not stable across boots.
    pub device: u64,
    /// Its number on that device. May be reused once the file is gone.
    pub inode: u64,
    /// Its length in bytes.
    pub length: u64,
    /// The space it takes on disk, in bytes.
    pub allocated: u64,
    /// How many names it has; 0 for an open file whose last name is gone.
    pub links: u64,
    /// Its permission bits (`0o7777`); 0 on platforms without them.
    pub mode: u32,
    /// Its owner; 0 on platforms without.
    pub owner: u32,
    /// When its content last changed, in nanoseconds since 1970, by the wall clock.
    pub modified_ns: i128,
    /// When it or its metadata last changed, likewise.
    pub changed_ns: i128,
}

impl Metadata {
    /// Whether two looks saw the same file: same device, same inode.
    pub fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// One name in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The name, without its folder. It may be anything the file system allows, UTF-8 or not.
    pub name: std::ffi::OsString,
    /// What it stands for, as far as the listing says.
    pub kind: Kind,
}

/// What kind of file system a folder is on, and the room it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// The `f_type` of `statfs(2)` on Linux; `None` elsewhere.
    pub magic: Option<u64>,
    /// Bytes that an unprivileged process may still write.
    pub available_bytes: u64,
    /// Files that an unprivileged process may still make; `None` where the file system does not count them.
    pub available_files: Option<u64>,
    /// Whether it is mounted read-only.
    pub read_only: bool,
}

/// The disk: one method for one system call, nothing retried, nothing hidden.
///
/// Only [`Disk::open`] takes a path of several components, without `..`, and none of them may be a symbolic link; all
/// other methods take one name in an open folder, and answer `EXDEV` to anything longer, because the system would follow
/// links in it. Errors are those of the system, with their raw number, so that callers can tell `ENOSPC` from `EDQUOT`.
///
/// Implementors are the system ([`SystemDisk`](crate::SystemDisk)) and test disks that wrap or replace it. Methods are
/// called from many threads at once.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Opens the folder at `path`, which may be reached through symbolic links: it is the caller's own choice of place.
    fn open_root(&self, path: &Path) -> io::Result<Handle>;

    /// Makes the folder `path`, mode 0700. Its parent must exist.
    fn make_root(&self, path: &Path) -> io::Result<()>;

    /// What `path` stands for now, links followed: compare with [`Disk::metadata`] of the root's handle to learn
    /// whether the root is still the folder of that name.
    fn root_metadata(&self, path: &Path) -> io::Result<Metadata>;

    /// Opens `path` below `at`.
    fn open(&self, at: &Handle, path: &Path, how: Open) -> io::Result<Handle>;

    /// One `read(2)` at the file's own position into the spare capacity of `buffer`, which grows by what was read.
    /// 0 means end of file, or that there was no spare capacity.
    fn read(&self, file: &Handle, buffer: &mut Vec<u8>) -> io::Result<usize>;

    /// One `pread(2)`.
    fn read_at(&self, file: &Handle, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// One `writev(2)` at the file's own position, or at its end when opened to append. May write less than asked.
    fn write(&self, file: &Handle, parts: &[IoSlice<'_>]) -> io::Result<usize>;

    /// One `pwrite(2)`. May write less than asked.
    fn write_at(&self, file: &Handle, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// The file's own position; for a file opened to append, where this handle's last write ended.
    fn position(&self, file: &Handle) -> io::Result<u64>;

    /// Moves the file's own position to the end and tells where that is: the length, for less than half of what
    /// [`Disk::metadata`] costs.
    fn seek_end(&self, file: &Handle) -> io::Result<u64>;

    /// Sets the length: cuts off what is beyond, or adds a hole that reads as zeros.
    fn set_length(&self, file: &Handle, length: u64) -> io::Result<()>;

    /// Reserves real blocks for `length` bytes and makes the file at least that long.
    /// `EOPNOTSUPP` where the file system cannot.
    fn allocate(&self, file: &Handle, length: u64) -> io::Result<()>;

    /// Sets the permission bits.
    fn set_mode(&self, file: &Handle, mode: u32) -> io::Result<()>;

    /// Sets the permission bits of `name`, which must not be a link: for a folder just made, which a strict umask may
    /// have left too closed to be opened.
    fn set_mode_at(&self, at: &Handle, name: &Path, mode: u32) -> io::Result<()>;

    /// Content and all metadata to stable storage: `fsync(2)`; also for folders. After an error nothing is known of
    /// what reached the disk, and a second call on the same handle may lie.
    fn sync(&self, file: &Handle) -> io::Result<()>;

    /// Content, and the metadata needed to read it, to stable storage: `fdatasync(2)`. The same after errors.
    fn sync_data(&self, file: &Handle) -> io::Result<()>;

    /// What the open file is.
    fn metadata(&self, file: &Handle) -> io::Result<Metadata>;

    /// When the open file was made, in nanoseconds since 1970: with its inode number, what tells it from a later file that
    /// was given the same number. `None` where the file system does not record it.
    fn born_ns(&self, file: &Handle) -> io::Result<Option<i128>> {
        let _ = file;
        Ok(None)
    }

    /// What `name` in `at` is; a symbolic link is not followed.
    fn metadata_at(&self, at: &Handle, name: &Path) -> io::Result<Metadata>;

    /// The same without the times of change, which are 0: for whoever looks again and again which file has the name, and how
    /// long it is. On Linux, a look at a file's times makes its next write change them in the file system's journal (kernels
    /// with multigrain timestamps, 6.13 and later), so that a flush takes a tenth longer; this look does not.
    fn glance_at(&self, at: &Handle, name: &Path) -> io::Result<Metadata> {
        self.metadata_at(at, name).map(|metadata| Metadata { modified_ns: 0, changed_ns: 0, ..metadata })
    }

    /// The same as [`metadata_at`](Self::metadata_at), and when the file was last used, in nanoseconds since 1970 by the wall clock (`st_atime`). Systems record a
    /// first use after a change and one a day (`relatime`), or none; what is recorded by [`Disk::mark_used`] is told by all.
    /// Where nothing is known, the time of the last change.
    fn used_at(&self, at: &Handle, name: &Path) -> io::Result<(Metadata, i128)> {
        self.metadata_at(at, name).map(|metadata| (metadata, metadata.modified_ns))
    }

    /// Records that the file was used at that time; nothing else about it changes. A link is not followed.
    fn mark_used(&self, at: &Handle, name: &Path, used_ns: i128) -> io::Result<()> {
        let _ = (at, name, used_ns);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Moves a name, atomically.
    fn rename(&self, from_at: &Handle, from: &Path, to_at: &Handle, to: &Path, replace: Replace) -> io::Result<()>;

    /// Gives an existing file a second name; an existing `to` is an error (`EEXIST`).
    fn link(&self, from_at: &Handle, from: &Path, to_at: &Handle, to: &Path) -> io::Result<()>;

    /// Removes the name of something that is not a folder.
    fn remove_file(&self, at: &Handle, name: &Path) -> io::Result<()>;

    /// Removes an empty folder.
    fn remove_folder(&self, at: &Handle, name: &Path) -> io::Result<()>;

    /// Makes a folder, mode 0700.
    fn make_folder(&self, at: &Handle, name: &Path) -> io::Result<()>;

    /// One batch of names, appended to `names` without `.` and `..`; false when there are no more. The position is the
    /// folder handle's own: open a new one to list again.
    fn list(&self, folder: &Handle, names: &mut Vec<Listed>) -> io::Result<bool>;

    /// Takes the lock if it can be had at once; false when somebody else has it. Never converts a lock already held.
    fn try_lock(&self, file: &Handle, mode: LockMode) -> io::Result<bool>;

    /// Waits for the lock without bound; for helper threads only.
    fn lock(&self, file: &Handle, mode: LockMode) -> io::Result<()>;

    /// Lets the lock go.
    fn unlock(&self, file: &Handle) -> io::Result<()>;

    /// What the folder's file system is, and what room it has.
    fn file_system(&self, folder: &Handle) -> io::Result<FileSystem>;

    /// Closes the handle, and with it lets go of its lock.
    fn close(&self, file: Handle) {
        drop(file);
    }
}
