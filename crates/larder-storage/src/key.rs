//! Keys: what documents are called, and which names are refused.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 1_024;

/// What a document is called: `/`-separated segments of UTF-8, such as `context7/react/hooks`.
///
/// Any spelling is accepted, whatever the file system thinks of it: `CON`, `a:b`, `Ünïcode`, `x%2fy`, a segment of 900
/// bytes, larder's own file names. Two different keys never share a document, also where the file system folds case or
/// normalises Unicode.
///
/// Refused, each with its reason: the empty key, more than 1,024 bytes, an empty segment (`a//b`, a leading or trailing
/// `/`), `.` and `..` as segments, NUL.
///
/// ```
/// use larder_storage::Key;
/// let key: Key = "context7/react/hooks".parse()?;
/// assert_eq!(key.segments().count(), 3);
/// assert!("a/../b".parse::<Key>().is_err());
/// # Ok::<(), larder_storage::key::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(Arc<str>);

/// Why a key or prefix is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing at all.
    #[error("a key cannot be empty: name at least one segment, such as docs/readme")]
    Empty,
    /// Longer than [`KEY_BYTES_MAX`].
    #[error("a key has at most {KEY_BYTES_MAX} bytes, this one has {bytes}: shorten it, or use a digest of it")]
    TooLong {
        /// How many bytes it has.
        bytes: usize,
    },
    /// `a//b`, or a `/` at either end.
    #[error("key {key:?} has an empty segment: remove the doubled, leading or trailing slash")]
    EmptySegment {
        /// The refused key.
        key: String,
    },
    /// `.` or `..` between slashes.
    #[error("key {key:?} has the segment {segment:?}, which names a place and not a document: leave it out")]
    RelativeSegment {
        /// The refused key.
        key: String,
        /// Which of the two.
        segment: String,
    },
    /// A NUL character.
    #[error("key {key:?} contains a NUL character: remove it")]
    Nul {
        /// The refused key.
        key: String,
    },
    /// A prefix without its closing slash.
    #[error(
        "prefix {prefix:?} does not end in a slash: write {prefix:?} with a slash after it, or the empty prefix for everything"
    )]
    OpenPrefix {
        /// The refused prefix.
        prefix: String,
    },
}

impl Key {
    /// Checks `text` and makes it a key.
    ///
    /// # Errors
    /// [`Error`] with the rule it breaks.
    pub fn new(text: impl Into<Arc<str>>) -> Result<Self, Error> {
        let text = text.into();
        check(&text)?;
        Ok(Self(text))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its segments, in order; at least one.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The prefixes it is below, shortest first: of `a/b/c`, `a/` and `a/b/`.
    pub fn ancestors(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('/').map(|(at, _)| self.0.get(..=at).unwrap_or_default())
    }
}

fn check(text: &str) -> Result<(), Error> {
    if text.is_empty() {
        return Err(Error::Empty);
    }
    if text.len() > KEY_BYTES_MAX {
        return Err(Error::TooLong { bytes: text.len() });
    }
    if text.contains('\0') {
        return Err(Error::Nul { key: text.to_owned() });
    }
    for segment in text.split('/') {
        match segment {
            "" => return Err(Error::EmptySegment { key: text.to_owned() }),
            "." | ".." => return Err(Error::RelativeSegment { key: text.to_owned(), segment: segment.to_owned() }),
            _ => {}
        }
    }
    Ok(())
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Key {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        Self::new(text)
    }
}

impl TryFrom<String> for Key {
    type Error = Error;
    fn try_from(text: String) -> Result<Self, Error> {
        Self::new(text)
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.0.as_ref().to_owned()
    }
}

/// All keys below a folder of keys: `docs/` has `docs/a` and `docs/b/c`, not `docs` itself and not `docs2/a`.
///
/// The empty prefix has every key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix(String);

impl Prefix {
    /// Checks `text`, which is empty or ends in `/`, and makes it a prefix.
    ///
    /// # Errors
    /// [`Error`] with the rule it breaks; the rules are those of keys.
    pub fn new(text: impl Into<String>) -> Result<Self, Error> {
        let text = text.into();
        if !text.is_empty() {
            let Some(folder) = text.strip_suffix('/') else {
                return Err(Error::OpenPrefix { prefix: text });
            };
            check(folder)?;
        }
        Ok(Self(text))
    }

    /// The prefix that every key has.
    pub const fn everything() -> Self {
        Self(String::new())
    }

    /// The prefix as text: empty, or with its closing slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its segments, in order; none for the empty prefix.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.strip_suffix('/').into_iter().flat_map(|folder| folder.split('/'))
    }

    /// Whether `key` is below this prefix.
    pub fn contains(&self, key: &Key) -> bool {
        key.as_str().starts_with(&self.0)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Prefix {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        Self::new(text)
    }
}

impl TryFrom<String> for Prefix {
    type Error = Error;
    fn try_from(text: String) -> Result<Self, Error> {
        Self::new(text)
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> Self {
        prefix.0
    }
}
