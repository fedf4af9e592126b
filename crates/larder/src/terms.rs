//! On which terms a caller asks or stores.

use std::time::Duration;

use larder_storage::Tag;

/// The terms of one call. What is not said here is as the [`Builder`](crate::Builder) has it.
///
/// ```
/// use std::time::Duration;
/// use larder::{Tag, Terms};
///
/// let terms = Terms::new().ttl(Duration::from_secs(3_600)).timeout(Duration::from_secs(20)).tag(Tag::new("react")?);
/// # Ok::<(), larder::MetadataError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "terms do nothing until something is asked or stored on them"]
pub struct Terms {
    pub(crate) ttl: Option<Duration>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) wait: Option<Duration>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) refresh: bool,
    pub(crate) offline: bool,
}

impl Terms {
    /// The cache's own, and no tags.
    pub fn new() -> Self {
        Self::default()
    }

    /// For how long the document is fresh, counted from the end of its fetch. A fetch that knows better says so
    /// ([`Fetched::ttl`](crate::Fetched::ttl)).
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Adds a tag to what is stored. An answer that was being fetched when one of these tags was invalidated is no answer
    /// to a later call with it.
    pub fn tag(mut self, tag: Tag) -> Self {
        self.tags.push(tag);
        self
    }

    /// Adds several.
    pub fn tags(mut self, tags: impl IntoIterator<Item = Tag>) -> Self {
        self.tags.extend(tags);
        self
    }

    /// How long this caller waits for the fetch of another one; zero is not at all.
    pub fn wait(mut self, at_most: Duration) -> Self {
        self.wait = Some(at_most);
        self
    }

    /// How long everything together may take: waiting for others, and the fetch. When the time is up, the fetch is dropped,
    /// and everybody who waited for it is told.
    pub fn timeout(mut self, in_all: Duration) -> Self {
        self.timeout = Some(in_all);
        self
    }

    /// Fetches although there is a fresh answer. Those who ask so at once share one fetch.
    pub fn refresh(mut self) -> Self {
        self.refresh = true;
        self
    }

    /// Never fetches: any copy that is still kept will do, also one that is stale, or was invalidated softly.
    pub fn offline(mut self) -> Self {
        self.offline = true;
        self
    }
}
