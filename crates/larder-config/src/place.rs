//! Where something stands in a file, so that whoever is told of it can go there.

use std::fmt;

use camino::Utf8PathBuf;

/// A line and a column of a file, both counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The file, as it was named when it was read.
    pub file: Utf8PathBuf,
    /// The line; 1 also where only the file is known.
    pub line: u64,
    /// The column, in characters; 1 also where only the line is known.
    pub column: u64,
}

impl Place {
    pub(crate) fn new(file: impl Into<Utf8PathBuf>, line: u64, column: u64) -> Self {
        Self { file: file.into(), line: line.max(1), column: column.max(1) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}
