//! Each value, and where it comes from.

use std::fmt;

use camino::Utf8PathBuf;
use serde::Serialize;

/// One value of the configuration, as it is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Setting {
    /// Its name: the keys on the way to it, with dots between.
    pub name: String,
    /// What it is, as it could be written in the file.
    pub value: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "from", rename_all = "kebab-case")]
pub enum Origin {
    /// Nobody has said anything else.
    BuiltIn,
    /// A line of a file.
    File {
        /// The file, as it was named when it was read.
        file: Utf8PathBuf,
        /// The line, counted from 1.
        line: u64,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built in"),
            Self::File { file, line } => write!(f, "{file}:{line}"),
        }
    }
}
