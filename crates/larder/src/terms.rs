//! On which terms a caller asks or stores.

use std::time::Duration;

use larder_storage::Tag;
use larder_watch::fingerprint::Paths;

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
    pub(crate) soft_timeout: Option<Duration>,
    pub(crate) class: Option<String>,
    pub(crate) max_age: Option<Duration>,
    pub(crate) stale_while_revalidate: Option<Duration>,
    pub(crate) stale_if_error: Option<Duration>,
    pub(crate) fresh_only: bool,
    pub(crate) refresh: bool,
    pub(crate) offline: bool,
    pub(crate) depends: Paths,
}

impl Terms {
    /// The cache's own, and no tags.
    pub fn new() -> Self {
        Self::default()
    }

    /// For how long the document is fresh, counted from the end of its fetch, without jitter. A fetch that knows better says
    /// so ([`Fetched::ttl`](crate::Fetched::ttl)).
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

    /// Names the files and folders that the document is made from. When anything in them changes, a copy is nothing but a
    /// fallback, as if it was invalidated softly; see [`larder_watch::fingerprint`] for what counts. So is a copy that is
    /// stored without one of these. They are looked at before the fetch begins, so that what changes meanwhile counts, and
    /// are part neither of the key nor of the document. A document whose files cannot be read is not stored.
    ///
    /// ```
    /// use larder::{Paths, Terms};
    ///
    /// let terms = Terms::new().depends(&Paths::new(["Cargo.toml", "src"])?);
    /// # Ok::<(), larder_watch::fingerprint::Error>(())
    /// ```
    pub fn depends(mut self, paths: &Paths) -> Self {
        self.depends = paths.clone();
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

    /// How long this caller waits at most when there is a stale copy that may be given out; then it is, and the fetch goes
    /// on behind it. Zero is not at all.
    pub fn soft_timeout(mut self, at_most: Duration) -> Self {
        self.soft_timeout = Some(at_most);
        self
    }

    /// Names the document's class, instead of leaving that to its key.
    pub fn class(mut self, name: impl Into<String>) -> Self {
        self.class = Some(name.into());
        self
    }

    /// Takes no copy older than this, fresh or stale.
    pub fn max_age(mut self, at_most: Duration) -> Self {
        self.max_age = Some(at_most);
        self
    }

    /// For how long after its fresh time a copy is good enough while it is being refreshed, for this caller and for what it
    /// stores; zero for not at all.
    pub fn stale_while_revalidate(mut self, window: Duration) -> Self {
        self.stale_while_revalidate = Some(window);
        self
    }

    /// For how long after its fresh time a copy is good enough when the upstream fails, likewise.
    pub fn stale_if_error(mut self, window: Duration) -> Self {
        self.stale_if_error = Some(window);
        self
    }

    /// Takes no stale copy, also not when the upstream fails.
    pub fn fresh_only(mut self) -> Self {
        self.fresh_only = true;
        self
    }

    /// Fetches although there is a fresh answer. Those who ask so at once share one fetch, and so does who finds one under way
    /// that nothing was invalidated since, with its failure if it fails. A stale copy is given only if
    /// that fails, and a failure that is remembered is not taken for an answer.
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
