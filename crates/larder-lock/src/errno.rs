//! Error numbers that have no name in the standard library.

use std::io;

#[cfg(target_os = "linux")]
const NO_LOCKS: &[i32] = &[9, 37]; // EBADF, ENOLCK
#[cfg(any(target_vendor = "apple", target_os = "freebsd", target_os = "openbsd", target_os = "netbsd"))]
const NO_LOCKS: &[i32] = &[9, 77, 45]; // EBADF, ENOLCK, ENOTSUP
#[cfg(windows)]
const NO_LOCKS: &[i32] = &[1, 50]; // ERROR_INVALID_FUNCTION, ERROR_NOT_SUPPORTED
#[cfg(not(any(
    target_os = "linux",
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "openbsd",
    target_os = "netbsd",
    windows
)))]
const NO_LOCKS: &[i32] = &[];

/// Whether what was asked for has lost its name meanwhile; network file systems say so in their own way.
pub(crate) fn says_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::StaleNetworkFileHandle)
}

/// Whether the answer of a lock call means that this file system has no locks (`ENOSYS`, `EOPNOTSUPP`, `ENOLCK`, or
/// NFS's `EBADF`), as opposed to somebody having one.
pub(crate) fn says_no_locks(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported || error.raw_os_error().is_some_and(|number| NO_LOCKS.contains(&number))
}
