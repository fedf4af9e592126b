//! System error numbers by their Unix names, each as this platform spells it.

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident = $unix:ident, $windows:literal;)*) => {
        $(
            $(#[$doc])*
            #[cfg(unix)]
            pub const $name: i32 = rustix::io::Errno::$unix.raw_os_error();
            $(#[$doc])*
            #[cfg(not(unix))]
            pub const $name: i32 = $windows;
        )*
    };
}

numbers! {
    /// Permission denied.
    EACCES = ACCESS, 5;
    /// Not an open descriptor, or one without the access asked for.
    EBADF = BADF, 6;
    /// Busy.
    EBUSY = BUSY, 170;
    /// Waiting here would be a deadlock.
    EDEADLK = DEADLK, 1131;
    /// Over the quota.
    EDQUOT = DQUOT, 1295;
    /// The name is taken.
    EEXIST = EXIST, 183;
    /// Larger than a file may be.
    EFBIG = FBIG, 223;
    /// Interrupted by a signal.
    EINTR = INTR, 10004;
    /// Not a valid argument.
    EINVAL = INVAL, 87;
    /// The device failed.
    EIO = IO, 1117;
    /// A folder, where a file was meant.
    EISDIR = ISDIR, 336;
    /// A symbolic link, where none is followed.
    ELOOP = LOOP, 1921;
    /// This process has too many files open.
    EMFILE = MFILE, 4;
    /// Too many names for one file.
    EMLINK = MLINK, 1142;
    /// The name is too long.
    ENAMETOOLONG = NAMETOOLONG, 206;
    /// The system has too many files open.
    ENFILE = NFILE, 4;
    /// No such name.
    ENOENT = NOENT, 2;
    /// No locks left, or none on this file system.
    ENOLCK = NOLCK, 33;
    /// Out of memory.
    ENOMEM = NOMEM, 8;
    /// The disk is full.
    ENOSPC = NOSPC, 112;
    /// No such call here.
    ENOSYS = NOSYS, 120;
    /// A file, where a folder was meant.
    ENOTDIR = NOTDIR, 267;
    /// The folder is not empty.
    ENOTEMPTY = NOTEMPTY, 145;
    /// Not supported by this file system.
    EOPNOTSUPP = OPNOTSUPP, 120;
    /// Not permitted.
    EPERM = PERM, 1314;
    /// The file system is read-only.
    EROFS = ROFS, 19;
    /// Another process has the file's text in use.
    ETXTBSY = TXTBSY, 32;
    /// The network file system lost track of the file.
    ESTALE = STALE, 59;
    /// The lock is held by somebody else.
    EWOULDBLOCK = WOULDBLOCK, 33;
    /// Across file systems, or out of the folder.
    EXDEV = XDEV, 17;
}
