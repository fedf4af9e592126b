//! When a document was fetched, and until when it is fresh.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use larder_storage::{Entry, Metadata, MetadataError, Tag};
use serde::{Deserialize, Serialize};

/// How long a document is fresh when nobody said: 30 days.
pub const DEFAULT_TTL: Duration = Duration::from_secs(30 * 24 * 3_600);

/// The times of a document, by the wall clock of whoever fetched it. They are stored as the entry's attributes.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use larder_upstream::Life;
///
/// let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
/// let life = Life::new(now, Duration::from_secs(60), Duration::from_millis(300));
/// let later = now + Duration::from_secs(61);
/// assert!(life.is_fresh(now) && !life.is_fresh(later));
/// assert_eq!((life.age(later), life.ttl_left(later)), (61, -1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// When the fetch that brought it was over, in milliseconds since 1970.
    pub fetched_ms: u64,
    /// The first moment at which it is no longer fresh, in milliseconds since 1970.
    pub fresh_until_ms: u64,
    /// How long the fetch took, in milliseconds.
    pub fetch_ms: u64,
}

/// The attributes, with room for others beside these.
#[derive(Serialize, Deserialize)]
struct Attributes {
    life: Life,
}

impl Life {
    /// Of a document fetched at this moment, fresh for `ttl`, whose fetch took so long.
    pub fn new(fetched: SystemTime, ttl: Duration, took: Duration) -> Self {
        let fetched_ms = since_1970_ms(fetched);
        Self { fetched_ms, fresh_until_ms: fetched_ms.saturating_add(whole_ms(ttl)), fetch_ms: whole_ms(took) }
    }

    /// What was stored with the entry; `None` when it was stored by somebody who stores no times.
    pub fn of(entry: &Entry) -> Option<Self> {
        Self::in_metadata(entry.metadata())
    }

    /// What is in this metadata.
    pub fn in_metadata(metadata: &Metadata) -> Option<Self> {
        metadata.attributes::<Attributes>().ok().flatten().map(|attributes| attributes.life)
    }

    /// The same; without times, as if it was fetched when it was stored, to be fresh for [`DEFAULT_TTL`].
    pub fn of_or_default(entry: &Entry) -> Self {
        Self::of(entry).unwrap_or_else(|| Self::new(entry.stored_at(), DEFAULT_TTL, Duration::ZERO))
    }

    /// Whether it is fresh now. A document from the future is not: some clock was wrong, and nobody knows which.
    pub fn is_fresh(&self, now: SystemTime) -> bool {
        (self.fetched_ms..self.fresh_until_ms).contains(&since_1970_ms(now))
    }

    /// How long ago it was fetched, in whole seconds; negative when that lies in the future.
    pub fn age(&self, now: SystemTime) -> i64 {
        seconds(since_1970_ms(now), self.fetched_ms)
    }

    /// How long it will be fresh, in whole seconds; negative since it is not.
    pub fn ttl_left(&self, now: SystemTime) -> i64 {
        seconds(self.fresh_until_ms, since_1970_ms(now))
    }

    /// The metadata of a document with these times and tags.
    ///
    /// # Errors
    /// There are more tags than an entry can have.
    pub fn metadata(self, tags: &[Tag]) -> Result<Metadata, MetadataError> {
        let metadata = Metadata::new().with_attributes(&Attributes { life: self })?;
        tags.iter().try_fold(metadata, |metadata, tag| metadata.with_tag(tag.as_str()))
    }
}

fn since_1970_ms(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, whole_ms)
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// From `from` to `to`, rounded down.
fn seconds(to: u64, from: u64) -> i64 {
    let ms = i128::from(to) - i128::from(from);
    i64::try_from(ms.div_euclid(1_000)).unwrap_or(if ms < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(ms)
    }

    #[test]
    fn freshness_ends_at_the_very_millisecond() {
        let life = Life::new(at(5_000), Duration::from_millis(10), Duration::ZERO);
        assert!(life.is_fresh(at(5_009)));
        assert!(!life.is_fresh(at(5_010)));
    }

    #[test]
    fn a_document_from_the_future_is_not_fresh() {
        let life = Life::new(at(5_000), Duration::from_secs(60), Duration::ZERO);
        assert!(!life.is_fresh(at(4_999)));
        assert_eq!(life.age(at(4_000)), -1);
    }

    #[test]
    fn what_is_left_is_negative_from_the_first_millisecond_on() {
        let life = Life::new(at(0), Duration::from_secs(1), Duration::ZERO);
        assert_eq!((life.ttl_left(at(1_000)), life.ttl_left(at(1_001))), (0, -1));
    }

    #[test]
    fn an_endless_ttl_does_not_overflow() {
        let life = Life::new(at(5_000), Duration::MAX, Duration::MAX);
        assert!(life.is_fresh(at(u64::MAX / 2)));
    }

    #[test]
    fn times_and_tags_come_back_from_the_metadata() {
        let life = Life::new(at(5_000), Duration::from_secs(60), Duration::from_millis(7));
        let metadata = life.metadata(&[Tag::new("a").unwrap(), Tag::new("b").unwrap()]).unwrap();
        assert_eq!(Life::in_metadata(&metadata), Some(life));
        assert_eq!(metadata.tags().len(), 2);
    }

    #[test]
    fn foreign_attributes_are_no_life() {
        let metadata = Metadata::new().with_attributes(&[1, 2, 3]).unwrap();
        assert_eq!(Life::in_metadata(&metadata), None);
        assert_eq!(Life::in_metadata(&Metadata::new()), None);
    }
}
