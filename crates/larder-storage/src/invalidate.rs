//! Invalidations: what no longer counts, and how much of it stays as a fallback.

use crate::entry::Tag;
use crate::failure::Failure;
use crate::key::{Key, Prefix};
use crate::{root, stamps};

/// One thing to invalidate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Invalidation {
    /// What.
    pub scope: Scope,
    /// How.
    pub severity: Severity,
}

/// What an invalidation covers. It costs the same whatever it covers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// One key, and no other: `id/1` leaves `id/1/x` and `id/10` alone.
    Key(Key),
    /// All keys below a prefix: `id/1/` covers `id/1/x`, not `id/1` and not `id/10`.
    Prefix(Prefix),
    /// All entries stored with a tag.
    Tag(Tag),
    /// Everything.
    All,
}

/// What stays of what is invalidated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Severity {
    /// The body stays, as a fallback in an outage and as the base of a conditional request.
    Soft,
    /// Nothing: it is absent, as if never stored.
    Hard,
}

impl Scope {
    /// Invalidates it softly.
    pub fn soft(self) -> Invalidation {
        Invalidation { scope: self, severity: Severity::Soft }
    }

    /// Invalidates it hard.
    pub fn hard(self) -> Invalidation {
        Invalidation { scope: self, severity: Severity::Hard }
    }
}

/// Why an invalidation was not recorded durably. It may have taken effect all the same.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The root cannot be opened or written.
    #[error(transparent)]
    Root(#[from] root::Error),
    /// The record of invalidations cannot be written.
    #[error(transparent)]
    Stamps(#[from] stamps::Error),
    /// A system call failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}
