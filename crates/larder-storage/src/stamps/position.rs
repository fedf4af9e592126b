//! Where in the record of invalidations somebody has looked.

use std::sync::atomic::{AtomicU64, Ordering};

use super::file::View;
use super::format::FileName;

/// A moment in one stamp file: how long its records were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    lineage: u64,
    sequence: u64,
    pub(super) length: u64,
}

impl Position {
    pub(super) fn of(view: &View) -> Self {
        let header = &view.file.header;
        Self { lineage: header.lineage, sequence: header.sequence, length: view.length }
    }

    /// Whether it is of the same file, and no later.
    pub(crate) fn is_in(&self, other: &Self) -> bool {
        self.is_same_file(other) && self.length <= other.length
    }

    pub(crate) fn is_same_file(&self, other: &Self) -> bool {
        // a copy of a root has the same numbers, but nothing is appended to it before it has begun a lineage of its own
        (self.lineage, self.sequence) == (other.lineage, other.sequence)
    }
}

/// A position that is moved on when nothing has happened since.
#[derive(Debug)]
pub(crate) struct SharedPosition {
    start: Position,
    length: AtomicU64,
}

impl SharedPosition {
    pub(crate) fn new(start: Position) -> Self {
        Self { start, length: AtomicU64::new(start.length) }
    }

    // Nothing else is published by these: whoever reads an older length looks at more records than it needs to.
    pub(super) fn load(&self) -> Position {
        Position { length: self.length.load(Ordering::Relaxed), ..self.start }
    }

    pub(super) fn advance(&self, length: u64) {
        self.length.fetch_max(length, Ordering::Relaxed);
    }
}

/// What was announced of one key.
#[derive(Debug)]
pub(crate) struct Sight {
    /// As of when.
    pub(crate) position: Position,
    /// The temporary files that are there until what was announced is done.
    pub(crate) files: Vec<FileName>,
}
