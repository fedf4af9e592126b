//! Why there is no fingerprint.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use camino::Utf8PathBuf;

/// Why there is no fingerprint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A dependency's path is not text.
    #[error("a dependency needs a path that is UTF-8, {path:?} is not: name the folder that it is in")]
    NotText {
        /// The path.
        path: PathBuf,
    },
    /// A dependency's path is empty.
    #[error("a dependency needs a path, and the empty one is none: use `.` for the working folder")]
    Empty,
    /// A relative path, and nobody knows to what.
    #[error("the dependency {path} is relative to a working folder that cannot be told: name it from the root on")]
    NoFolder {
        /// The path.
        path: Utf8PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// More dependencies than a document may have.
    #[error("a document has at most {max} dependencies, these are {count}: name the folders that they are in")]
    TooMany {
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// Their paths are too long to be stored beside the document.
    #[error("the dependencies take {bytes} bytes beside the document, of at most {max}: name fewer, or shorter paths")]
    TooLong {
        /// How many bytes they take.
        bytes: usize,
        /// How many they may take.
        max: usize,
    },
    /// The cache's own folder, which each answer changes.
    #[error("the dependency {path} lies in the cache's own folder {folder}, which each answer changes: leave it out")]
    OwnFolder {
        /// The dependency.
        path: Utf8PathBuf,
        /// The folder.
        folder: PathBuf,
    },
    /// Something cannot be read.
    #[error("cannot read {} below the dependency {dependency}: make it readable, or name what else it depends on", path.display())]
    Unreadable {
        /// What.
        path: PathBuf,
        /// The dependency that it belongs to.
        dependency: Utf8PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// There are too many names.
    #[error("there are more than {max} files below the dependencies, the last of which is {dependency}: name less")]
    TooManyFiles {
        /// The dependency at which it was noticed.
        dependency: Utf8PathBuf,
        /// How many there may be.
        max: u64,
    },
    /// There are too many bytes.
    #[error(
        "there are more than {max} bytes in the files below the dependencies, the last of which is {dependency}: name less"
    )]
    TooManyBytes {
        /// The dependency at which it was noticed.
        dependency: Utf8PathBuf,
        /// How many there may be.
        max: u64,
    },
    /// Folders are too deep in folders.
    #[error("{} is more than {max} folders below the dependency {dependency}: name less", path.display())]
    TooDeep {
        /// What.
        path: PathBuf,
        /// The dependency that it belongs to.
        dependency: Utf8PathBuf,
        /// How deep it may be.
        max: usize,
    },
    /// It takes too long.
    #[error("the dependency {dependency} was not read within {after:.1?}: allow more time, or name less")]
    TooSlow {
        /// The dependency at which it was noticed.
        dependency: Utf8PathBuf,
        /// How long it may take.
        after: Duration,
    },
}
