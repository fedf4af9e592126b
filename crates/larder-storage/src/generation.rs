//! Generations: how reads tell an answer fetched before an invalidation from one fetched after it.

use std::fmt;
use std::str::FromStr;

/// A moment in the history of a root's invalidations.
///
/// Take one with [`Store::token`](crate::Store::token) *before* a fetch begins and hand it in with the document: if the
/// key, one of its prefixes or tags, or everything is invalidated in between, the document is not stored, and if it was
/// on its way already, no reader takes it for current.
///
/// Numbers grow with every invalidation and never repeat within a lineage, also not after power loss; a root that was
/// restored from a copy, or lost its record of invalidations, begins a new lineage.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token {
    pub(crate) lineage: u64,
    pub(crate) number: u64,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({self})")
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.lineage, self.number)
    }
}

/// The text is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no generation; it has the form that a token prints as: 16 hexadecimal digits, `-`, a number")]
#[non_exhaustive]
pub struct TokenError {
    /// What was given.
    pub text: String,
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let parts = text.split_once('-').filter(|(lineage, _)| lineage.len() == 16);
        let token = parts.and_then(|(lineage, number)| {
            Some(Self { lineage: u64::from_str_radix(lineage, 16).ok()?, number: number.parse().ok()? })
        });
        token.ok_or_else(|| TokenError { text: text.chars().take(64).collect() })
    }
}

/// What the invalidations since an entry's token say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Nothing that covers it was invalidated.
    Current,
    /// It was invalidated softly: no answer any more, but a fallback, and a base for a conditional request.
    Invalidated,
    /// It was invalidated hard, or its history is unknown: absent.
    Gone,
}
