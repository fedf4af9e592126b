//! One failed step: what was being done, to which file, why it failed, and what helps.

use std::fmt;
use std::io;

use camino::{Utf8Path, Utf8PathBuf};

/// A system call that failed, with everything a person needs to mend it.
///
/// The system's own error is the [`source`](std::error::Error::source).
#[derive(Debug)]
pub struct Failure {
    action: &'static str,
    path: Utf8PathBuf,
    source: io::Error,
}

impl Failure {
    pub(crate) fn new(action: &'static str, path: impl AsRef<Utf8Path>, source: io::Error) -> Self {
        Self { action, path: path.as_ref().to_owned(), source }
    }

    /// What was being done: a verb, such as `write`.
    pub fn action(&self) -> &'static str {
        self.action
    }

    /// To which file or folder.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// What the system said.
    pub fn system(&self) -> &io::Error {
        &self.source
    }

    /// What to do about it, where that can be told.
    pub fn remedy(&self) -> Option<&'static str> {
        use io::ErrorKind as Kind;
        Some(match self.source.kind() {
            Kind::StorageFull => "free space on its file system",
            Kind::QuotaExceeded => "free space within the disk quota, or have it raised",
            Kind::PermissionDenied => "make it accessible to this user, or choose another root",
            Kind::ReadOnlyFilesystem => "choose a root on a file system that can be written",
            Kind::NotADirectory => "a file stands where a folder must be: move it, or choose another root",
            Kind::NotFound => "it was removed meanwhile: try again",
            Kind::FileTooLarge => "raise the limit on file sizes (ulimit -f)",
            _ => match self.source.raw_os_error() {
                Some(23 | 24) if cfg!(unix) => "too many files are open: raise the limit (ulimit -n)",
                Some(40) if cfg!(target_os = "linux") => {
                    "a symbolic link stands where a file or folder must be: remove it"
                }
                Some(18) if cfg!(unix) => "part of the root is on another file system: a root must be on one",
                Some(5) if cfg!(unix) => "the disk reports an error: check it before trusting it again",
                _ => return None,
            },
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}", self.action, self.path)?;
        match self.remedy() {
            Some(remedy) => write!(f, " ({remedy})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Adds action and path to a system error.
pub(crate) trait Context<T> {
    fn context(self, action: &'static str, path: impl AsRef<Utf8Path>) -> Result<T, Failure>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, action: &'static str, path: impl AsRef<Utf8Path>) -> Result<T, Failure> {
        self.map_err(|source| Failure::new(action, path, source))
    }
}
