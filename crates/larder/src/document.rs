//! A document in the hands of callers: shared bytes, and what is known of them.

use std::sync::Arc;

use bytes::Bytes;
use larder_staleness::Life;
use larder_storage::{Entry, Metadata, Token};
use larder_upstream::{About, Carried};
use larder_watch::fingerprint::Dependency;

use crate::outcome::Outcome;

/// A document, and how it came.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// The document. Clones share the bytes.
    pub body: Bytes,
    /// Its tags, and the times of its life as attributes.
    pub metadata: Arc<Metadata>,
    /// How it came.
    pub outcome: Outcome,
}

/// A document without a history of its own.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) body: Bytes,
    pub(crate) metadata: Arc<Metadata>,
    pub(crate) life: Life,
    /// Whether it is not to be refreshed while it is fresh.
    pub(crate) immutable: bool,
    /// The files that it was made from; `None` for none, which is most often so.
    pub(crate) depends: Option<Arc<[Dependency]>>,
}

impl Document {
    pub(crate) fn of_entry(entry: Entry) -> Self {
        let about = About::of_or_default(&entry);
        let metadata = entry.metadata().clone();
        Self::new(entry.into_body().into(), metadata, about)
    }

    pub(crate) fn new(body: Bytes, metadata: Metadata, about: About) -> Self {
        let About { life, immutable, depends, .. } = about;
        let depends = if depends.is_empty() { None } else { Some(depends.into()) };
        Self { body, metadata: Arc::new(metadata), life, immutable, depends }
    }

    /// What another process fetched and did not store, with the generation its fetch began in.
    pub(crate) fn of_carried(carried: Carried, otherwise: Life) -> (Self, Token) {
        let Carried { body, metadata, token, .. } = carried;
        let about = About::in_metadata(&metadata).unwrap_or_else(|| About::new(otherwise));
        // what is not stored is never refreshed early
        (Self::new(body.into(), metadata, About { immutable: false, ..about }), token)
    }

    /// As an answer. Its age and what is left of its freshness are added to `outcome`.
    pub(crate) fn answer(self, now: std::time::SystemTime, mut outcome: Outcome) -> Answer {
        outcome.ttl = Some(self.life.ttl_left(now));
        outcome.age = Some(self.life.age(now));
        Answer { body: self.body, metadata: self.metadata, outcome }
    }
}
