//! What goes to a fetch, and what comes of it.

use std::time::Duration;

use bytes::Bytes;
use larder_staleness::{CacheControl, Response};
use larder_storage::{Key, Tag};
use larder_upstream::About;

use crate::document::Document;

/// What a fetch is told.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Context {
    /// What is wanted.
    pub key: Key,
    /// How long the fetch may take. It is dropped when that is over.
    pub time_left: Duration,
    /// The copy that there is, for a conditional request: a fetch that finds it still good brings
    /// [`Fetched::not_modified`].
    pub stale: Option<Stale>,
}

/// A copy that is to be refreshed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stale {
    /// The document.
    pub body: Bytes,
    /// The upstream's name for this version, for `If-None-Match`.
    pub etag: Option<String>,
    /// When the upstream last changed it, in the upstream's words, for `If-Modified-Since`.
    pub last_modified: Option<String>,
}

impl Context {
    pub(crate) fn new(key: Key, time_left: Duration, base: Option<&Document>) -> Self {
        let stale = base.map(|document| {
            let About { etag, last_modified, .. } = About::in_metadata(&document.metadata).unwrap_or_default();
            Stale { body: document.body.clone(), etag, last_modified }
        });
        Self { key, time_left, stale }
    }
}

/// What a fetch has brought.
///
/// ```
/// use std::time::Duration;
/// use larder::Fetched;
///
/// let fetched = Fetched::new("# Hooks\n").ttl(Duration::from_secs(3_600)).etag("\"v7\"");
/// # assert!(fetched.store);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Fetched {
    /// The document; `None` when it is the one that the fetch was told of.
    pub body: Option<Bytes>,
    /// For how long it is fresh; `None` leaves that to the headers, then to the caller's terms, then to its class.
    pub ttl: Option<Duration>,
    /// Its tags, beside those of the caller's terms.
    pub tags: Vec<Tag>,
    /// Whether it may be stored. If not, it is given to those who were waiting for it, in all processes, and to nobody else;
    /// whoever asks within the next ten seconds fetches for itself without waiting for anybody.
    pub store: bool,
    /// The upstream's name for this version.
    pub etag: Option<String>,
    /// When the upstream last changed it.
    pub last_modified: Option<String>,
    headers: Option<Headers>,
}

/// The headers that say how long a response may be used, kept until its class is known.
#[derive(Clone, Debug)]
struct Headers {
    cache_control: CacheControl,
    age: Option<String>,
    date: Option<String>,
    expires: Option<String>,
}

impl Fetched {
    /// A document to be stored, without tags of its own.
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self { body: Some(body.into()), ..Self::not_modified() }
    }

    /// The document that the fetch was told of ([`Context::stale`]) is still good: its times begin anew.
    pub fn not_modified() -> Self {
        let (body, ttl, tags, headers) = (None, None, Vec::new(), None);
        Self { body, ttl, tags, store: true, etag: None, last_modified: None, headers }
    }

    /// Says for how long it is fresh, whatever the headers, the terms and the class say.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Adds a tag.
    #[must_use]
    pub fn tag(mut self, tag: Tag) -> Self {
        self.tags.push(tag);
        self
    }

    /// Forbids to store it.
    #[must_use]
    pub fn do_not_store(mut self) -> Self {
        self.store = false;
        self
    }

    /// Says what the upstream calls this version.
    #[must_use]
    pub fn etag(mut self, etag: impl Into<String>) -> Self {
        self.etag = Some(etag.into());
        self
    }

    /// Says when the upstream last changed it.
    #[must_use]
    pub fn last_modified(mut self, when: impl Into<String>) -> Self {
        self.last_modified = Some(when.into());
        self
    }

    /// Says what the response's headers say of its freshness (RFC 9111, RFC 5861): they come before the caller's terms and
    /// the class, within the bounds of the class. `no-store` forbids to store it.
    #[must_use]
    pub fn response(mut self, response: &Response<'_>) -> Self {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        self.store &= !response.cache_control.no_store;
        self.headers = Some(Headers {
            cache_control: response.cache_control,
            age: owned(response.age),
            date: owned(response.date),
            expires: owned(response.expires),
        });
        self
    }

    /// The policy for this document: that of its class, as its headers change it.
    pub(crate) fn policy(
        &self,
        class: &larder_staleness::Policy,
        now: std::time::SystemTime,
    ) -> larder_staleness::Policy {
        let mut policy = match &self.headers {
            None => *class,
            Some(headers) => {
                let (age, date) = (headers.age.as_deref(), headers.date.as_deref());
                let expires = headers.expires.as_deref();
                Response { cache_control: headers.cache_control, age, date, expires }.policy(class, now).policy
            }
        };
        if let Some(ttl) = self.ttl {
            (policy.fresh, policy.jitter, policy.adaptive) = (ttl, Duration::ZERO, false);
        }
        policy
    }
}
