//! What has changed.

use std::fmt;
use std::path::{Path, PathBuf};

use super::error::Error;

/// A dependency that is no longer what it was.
#[derive(Debug)]
#[non_exhaustive]
pub struct Change {
    /// The file that tells it, the first by its path where several do: the one that was written since, else the folder whose
    /// list of names was. Where no time tells it, the dependency itself.
    pub path: PathBuf,
    /// How that is known.
    pub why: Why,
}

/// How it is known that a dependency is no longer what it was.
#[derive(Debug)]
#[non_exhaustive]
pub enum Why {
    /// Its digest is another one.
    Changed,
    /// It cannot be told what it is.
    Unknown(Error),
    /// The document is kept without a fingerprint of it.
    NeverTaken,
}

impl Change {
    pub(super) fn new(path: &Path, why: Why) -> Self {
        Self { path: path.to_owned(), why }
    }
}

/// In words, on one line: the path first.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.why {
            Why::Changed => write!(f, "{path} has changed"),
            Why::Unknown(Error::Unreadable { source, .. }) => write!(f, "{path} cannot be read: {source}"),
            Why::Unknown(error) => write!(f, "{path} cannot be compared: {error}"),
            Why::NeverTaken => write!(f, "{path} is a dependency that was not known when it was stored"),
        }
    }
}
