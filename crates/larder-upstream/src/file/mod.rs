//! The file of a flight: who leads it, and how it ended. `docs/format-flights.md` has the bytes.

mod header;
mod line;
mod outcome;
mod seen;

use std::io;

use camino::Utf8PathBuf;
use larder_storage::{Annex, annex};

pub(crate) use header::{Header, Id};
pub(crate) use outcome::{Outcome, Remembered};
pub(crate) use seen::{Seen, What};

/// Why the file of a flight cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The root or its folder of flights cannot be used.
    #[error(transparent)]
    Annex(#[from] annex::Error),
    /// A system call failed.
    #[error("cannot {action} {path}")]
    Io {
        /// What was being done: a verb, such as `read`.
        action: &'static str,
        /// To which file.
        path: Utf8PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

impl Error {
    fn new(action: &'static str, annex: &Annex, name: &str, source: io::Error) -> Self {
        Self::Io { action, path: annex.path_of(name), source }
    }
}

/// The version of the format that this code reads and writes.
pub(crate) const VERSION: u32 = 1;
