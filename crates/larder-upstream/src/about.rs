//! What is stored beside a document: its times, what tells whether it has changed, and how often it has.

use std::time::{Duration, SystemTime};

use larder_staleness::{DAY, History, Life, Policy};
use larder_storage::{Entry, Metadata, MetadataError, Tag};
use larder_watch::fingerprint::Dependency;
use serde::{Deserialize, Serialize};

/// How long a document is fresh when nobody said: 30 days.
pub const DEFAULT_TTL: Duration = Duration::from_secs(DAY.as_secs() * 30);

/// What is stored beside a document, as the entry's attributes.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use larder_staleness::{Life, Policy};
/// use larder_upstream::About;
///
/// let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
/// let policy = Policy::fresh_for(Duration::from_secs(60));
/// let about = About { etag: Some("\"v1\"".to_owned()), ..About::new(Life::new(now, &policy, Duration::ZERO)) };
/// let metadata = about.metadata(&[])?;
/// assert_eq!(About::in_metadata(&metadata), Some(about));
/// # Ok::<(), larder_storage::MetadataError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Its times.
    pub life: Life,
    /// The upstream's name for this very version, for a conditional request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// When the upstream last changed it, in the upstream's words, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
    /// Whether the upstream says that it does not change while it is fresh: it is not refreshed early then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub immutable: bool,
    /// The class that whoever stored it named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// How its last checks went.
    #[serde(default, skip_serializing_if = "is_new")]
    pub history: History,
    /// The files that it was made from, as they were before its fetch began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends: Vec<Dependency>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_new(history: &History) -> bool {
    *history == History::default()
}

impl About {
    /// A document with these times, of which nothing else is known.
    pub fn new(life: Life) -> Self {
        Self { life, ..Self::default() }
    }

    /// What was stored with the entry; `None` when it was stored by somebody who stores no times.
    pub fn of(entry: &Entry) -> Option<Self> {
        Self::in_metadata(entry.metadata())
    }

    /// What is in this metadata.
    pub fn in_metadata(metadata: &Metadata) -> Option<Self> {
        metadata.attributes::<Self>().ok().flatten()
    }

    /// The same; without times, as if it was fetched at `stored`, to be fresh for [`DEFAULT_TTL`].
    pub fn in_metadata_or_default(metadata: &Metadata, stored: SystemTime) -> Self {
        let otherwise = || Self::new(Life::new(stored, &Policy::fresh_for(DEFAULT_TTL), Duration::ZERO));
        Self::in_metadata(metadata).unwrap_or_else(otherwise)
    }

    /// Likewise, of an entry.
    pub fn of_or_default(entry: &Entry) -> Self {
        Self::in_metadata_or_default(entry.metadata(), entry.stored_at())
    }

    /// The metadata of a document with this and these tags.
    ///
    /// # Errors
    /// There are more tags than an entry can have, or the upstream's names are longer than its attributes may be.
    pub fn metadata(&self, tags: &[Tag]) -> Result<Metadata, MetadataError> {
        let metadata = Metadata::new().with_attributes(self)?;
        tags.iter().try_fold(metadata, |metadata, tag| metadata.with_tag(tag.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life() -> Life {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(5);
        Life::new(at, &Policy::fresh_for(Duration::from_secs(60)), Duration::from_millis(7))
    }

    #[test]
    fn what_is_known_and_tags_come_back_from_the_metadata() {
        let about = About {
            etag: Some("\"a\"".to_owned()),
            class: Some("critical".to_owned()),
            history: History { unchanged: 3, changed: 0 },
            ..About::new(life())
        };
        let metadata = about.metadata(&[Tag::new("a").unwrap(), Tag::new("b").unwrap()]).unwrap();
        assert_eq!(About::in_metadata(&metadata), Some(about));
        assert_eq!(metadata.tags().len(), 2);
    }

    #[test]
    fn foreign_attributes_tell_nothing_and_count_from_when_they_were_stored() {
        let metadata = Metadata::new().with_attributes(&[1, 2, 3]).unwrap();
        assert_eq!(About::in_metadata(&metadata), None);
        assert_eq!(About::in_metadata(&Metadata::new()), None);
        let stored = SystemTime::UNIX_EPOCH + Duration::from_secs(9);
        let life = About::in_metadata_or_default(&metadata, stored).life;
        assert_eq!((life.fetched_ms, life.fresh_until_ms), (9_000, 9_000 + 30 * 86_400_000));
    }
}
