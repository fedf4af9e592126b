//! Why secrets could not be read from, or written to, their file.

use std::io;

use camino::Utf8PathBuf;

use super::quoted;
use crate::{Name, secret};

/// Why the file store cannot be used. Nothing of a secret is repeated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The path does not name a file.
    #[error("`{path}` names no file: give the path of the file itself")]
    NoFileName {
        /// The path.
        path: Utf8PathBuf,
    },
    /// Others than its owner have access to the file, or may replace it.
    #[error(
        "others may use {what} {path} (its mode is {mode:04o}): run `{command}`, and replace the secrets if others had access"
    )]
    Loose {
        /// A file or a folder.
        what: &'static str,
        /// Which.
        path: Utf8PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What to run.
        command: String,
    },
    /// It is another user's.
    #[error(
        "{what} {path} belongs to user {owner}, and this is user {user}: use a file of your own, or run as its owner"
    )]
    Foreign {
        /// A file or a folder.
        what: &'static str,
        /// Which.
        path: Utf8PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who asks.
        user: u32,
    },
    /// A link, a folder or something else is in the file's place.
    #[error(
        "{path} is {what}, not a file: secrets are neither read nor written through it; move it away, or name the file itself"
    )]
    NotAFile {
        /// Which.
        path: Utf8PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// A later version wrote it. It is left as it is.
    #[error("{path} has version {version}, and this program knows version {known}: use the program that wrote it", known = super::content::VERSION)]
    Newer {
        /// The file.
        path: Utf8PathBuf,
        /// Its version.
        version: u64,
    },
    /// It makes no sense. It is left as it is.
    #[error("{path} is damaged, {what}{}: mend it, or move it away and store its secrets again", place(*line, *column))]
    Malformed {
        /// The file.
        path: Utf8PathBuf,
        /// What is wrong with it.
        what: &'static str,
        /// Where, counted from 1; 0 when it is about the whole.
        line: usize,
        /// Where in the line, counted from 1.
        column: usize,
    },
    /// What is stored under this name cannot be a secret.
    #[error("what {path} has under `{name}` is no secret: set `{name}` again")]
    Value {
        /// The file.
        path: Utf8PathBuf,
        /// Under which name.
        name: Name,
        /// What is wrong with it.
        #[source]
        source: secret::Error,
    },
    /// It is, or would become, too large.
    #[error("{path} would have {bytes} bytes, more than {max}: remove what is no longer used", max = super::FILE_BYTES_MAX)]
    TooLarge {
        /// The file.
        path: Utf8PathBuf,
        /// How large it is.
        bytes: u64,
    },
    /// The locks beside the file cannot be used.
    #[error("cannot use the locks beside {path}")]
    Locks {
        /// The file.
        path: Utf8PathBuf,
        /// Why not.
        #[source]
        source: larder_lock::open::Error,
    },
    /// Somebody else is changing it, or the lock cannot be had.
    #[error("cannot change {path} now")]
    Lock {
        /// The file.
        path: Utf8PathBuf,
        /// Why not.
        #[source]
        source: larder_lock::acquire::Error,
    },
    /// The lock was lost before the change was made. Nothing has changed.
    #[error("{path} was not changed, because its lock was lost: try again")]
    LockLost {
        /// The file.
        path: Utf8PathBuf,
        /// How it was lost.
        #[source]
        source: larder_lock::check::Error,
    },
    /// A system call failed. Nothing has changed.
    #[error("could not {action} {path}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: Utf8PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The change is made and all see it, but a loss of power may undo it.
    #[error("{path} is changed, but a loss of power may undo that: the system could not say that it is on the disk")]
    NotDurable {
        /// The file.
        path: Utf8PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// Whether going on without the file would hide a danger: others have access to it, it is another user's, something
    /// stands in its place, or a later version of the program keeps its secrets there.
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Loose { .. } | Self::Foreign { .. } | Self::NotAFile { .. } | Self::Newer { .. })
    }

    pub(super) fn loose(what: &'static str, path: Utf8PathBuf, mode: u32, right: &str) -> Self {
        let command = format!("chmod {right} {}", quoted(path.as_str()));
        Self::Loose { what, path, mode, command }
    }
}

fn place(line: usize, column: usize) -> String {
    if line == 0 { String::new() } else { format!(" (line {line}, column {column})") }
}
