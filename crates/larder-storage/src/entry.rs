//! Entries: a document, what was stored with it, and what invalidations say of it.

use std::fmt;
use std::ops::Range;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::generation::{Standing, Token};
use crate::header::Header;
use crate::key::Key;
use crate::put::Durability;

/// The most tags an entry can have.
pub const TAGS_MAX: usize = 64;
/// The longest tag, in bytes.
pub const TAG_BYTES_MAX: usize = 256;
/// The longest attributes, in bytes of JSON.
pub const ATTRIBUTES_BYTES_MAX: usize = 32 * 1024;

/// What is stored beside a document: tags to invalidate it by, and attributes whose meaning is the caller's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    tags: Vec<Tag>,
    attributes: Option<String>,
}

/// Why metadata is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// An empty tag, a longer one than [`TAG_BYTES_MAX`], or one with a NUL character.
    #[error("tag {tag:?} is refused: a tag has 1 to {TAG_BYTES_MAX} bytes and no NUL character")]
    Tag {
        /// The refused tag.
        tag: String,
    },
    /// More than [`TAGS_MAX`] tags.
    #[error("an entry has at most {TAGS_MAX} tags: use a prefix of the keys instead")]
    TooManyTags,
    /// Attributes longer than [`ATTRIBUTES_BYTES_MAX`].
    #[error(
        "attributes have at most {ATTRIBUTES_BYTES_MAX} bytes of JSON, these have {bytes}: store them as a document of their own"
    )]
    TooLong {
        /// How many bytes they have.
        bytes: usize,
    },
    /// Attributes that JSON cannot express.
    #[error("attributes cannot be written as JSON")]
    Attributes {
        /// What serde says.
        #[source]
        source: serde_json::Error,
    },
}

impl Metadata {
    /// No tags, no attributes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tag; one that is there already is not added again.
    ///
    /// # Errors
    /// [`MetadataError::Tag`] and [`MetadataError::TooManyTags`].
    pub fn with_tag(mut self, tag: impl Into<String>) -> Result<Self, MetadataError> {
        let tag = Tag::new(tag)?;
        if !self.tags.contains(&tag) {
            if self.tags.len() >= TAGS_MAX {
                return Err(MetadataError::TooManyTags);
            }
            self.tags.push(tag);
        }
        Ok(self)
    }

    /// Sets the attributes, replacing earlier ones.
    ///
    /// # Errors
    /// [`MetadataError::Attributes`] and [`MetadataError::TooLong`].
    pub fn with_attributes<T: Serialize + ?Sized>(mut self, attributes: &T) -> Result<Self, MetadataError> {
        let json = serde_json::to_string(attributes).map_err(|source| MetadataError::Attributes { source })?;
        if json.len() > ATTRIBUTES_BYTES_MAX {
            return Err(MetadataError::TooLong { bytes: json.len() });
        }
        self.attributes = Some(json);
        Ok(self)
    }

    /// The tags, in the order they were added.
    pub fn tags(&self) -> &[Tag] {
        &self.tags
    }

    /// The attributes as the type the caller stored; `None` when there are none.
    ///
    /// # Errors
    /// They are not of that type.
    pub fn attributes<T: DeserializeOwned>(&self) -> Result<Option<T>, serde_json::Error> {
        self.attributes.as_deref().map(serde_json::from_str).transpose()
    }

    /// The attributes as JSON text.
    pub fn attributes_json(&self) -> Option<&str> {
        self.attributes.as_deref()
    }

    pub(crate) fn from_parts(
        tags: impl Iterator<Item = String>,
        attributes: Option<&str>,
    ) -> Result<Self, MetadataError> {
        let mut metadata = Self::new();
        for tag in tags {
            metadata = metadata.with_tag(tag)?;
        }
        metadata.attributes = attributes.map(str::to_owned);
        Ok(metadata)
    }
}

/// A name that entries share so that they can be invalidated together.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(String);

impl Tag {
    /// Checks `text` and makes it a tag.
    ///
    /// # Errors
    /// [`MetadataError::Tag`].
    pub fn new(text: impl Into<String>) -> Result<Self, MetadataError> {
        let tag = text.into();
        if tag.is_empty() || tag.len() > TAG_BYTES_MAX || tag.contains('\0') {
            return Err(MetadataError::Tag { tag });
        }
        Ok(Self(tag))
    }

    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A document that was read whole and verified.
#[derive(Clone)]
pub struct Entry {
    header: Header,
    bytes: Vec<u8>,
    body: Range<usize>,
    standing: Standing,
}

impl Entry {
    pub(crate) fn new(header: Header, bytes: Vec<u8>, body: Range<usize>, standing: Standing) -> Self {
        Self { header, bytes, body, standing }
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// The document.
    pub fn body(&self) -> &[u8] {
        self.bytes.get(self.body.clone()).unwrap_or_default()
    }

    /// The document, without the rest.
    pub fn into_body(mut self) -> Vec<u8> {
        self.bytes.truncate(self.body.end);
        self.bytes.drain(..self.body.start);
        self.bytes
    }

    /// Its key.
    pub fn key(&self) -> &Key {
        &self.header.key
    }

    /// What was stored beside it.
    pub fn metadata(&self) -> &Metadata {
        &self.header.metadata
    }

    /// When it was stored, by the wall clock of the process that stored it.
    pub fn stored_at(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
            .checked_add(Duration::from_millis(self.header.stored_ms))
            .unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// How it was stored.
    pub fn durability(&self) -> Durability {
        self.header.durability
    }

    /// The generation its fetch began in.
    pub fn token(&self) -> Token {
        self.header.token
    }

    /// What later invalidations say of it.
    pub fn standing(&self) -> Standing {
        self.standing
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("key", &self.header.key)
            .field("length", &self.header.length)
            .field("standing", &self.standing)
            .field("token", &self.header.token)
            .field("metadata", &self.header.metadata)
            .finish_non_exhaustive()
    }
}
