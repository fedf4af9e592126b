//! The files that documents are made from: looked at before a fetch begins, and before a copy is given out.
//!
//! All of this reads the disk, and blocks: it is for blocking work, next to the look at the store. A copy in memory that
//! depends on files therefore costs the way to a blocking thread, where others cost one system call.

use std::sync::Arc;
use std::time::Duration;

use larder_storage::Key;
use larder_upstream::{About, Turn};
use larder_watch::fingerprint::{Change, Dependency, Error, Fingerprints, Limits, Paths};
use tokio::task::spawn_blocking;

use crate::document::Document;
use crate::flight::Plan;
use crate::inner::{Found, Identity, Inner};
use crate::turn::{Begin, Unbegun};

/// How often another process may hand on what was made from files that have changed since.
const ROUNDS_MAX: u32 = 8;

impl Inner {
    /// Lets a watch know of it, if there is one.
    #[cfg_attr(not(feature = "watch"), expect(clippy::unused_self, reason = "without the feature there is no watch"))]
    pub(crate) fn note(&self, key: &Key, identity: Identity, document: &Document) {
        #[cfg(feature = "watch")]
        self.known.note(key, identity, document);
        #[cfg(not(feature = "watch"))]
        let _ = (key, identity, document);
    }

    /// What has changed of that which the document depends on, or of what this caller names; nothing is looked at for one that
    /// depends on nothing.
    pub(crate) fn change_of(&self, document: &Document, named: &Paths, deadline: Duration) -> Option<Change> {
        let depends = document.depends.as_deref().unwrap_or_default();
        self.change_since(depends, named, deadline)
    }

    pub(crate) fn change_since(
        &self,
        dependencies: &[Dependency],
        named: &Paths,
        deadline: Duration,
    ) -> Option<Change> {
        if dependencies.is_empty() && named.is_empty() {
            return None;
        }
        self.fingerprints(self.limits(deadline)).check(dependencies, named)
    }

    /// The fingerprints of what a document will depend on. To be taken before its fetch begins.
    pub(crate) fn dependencies(&self, named: &Paths, deadline: Duration) -> Result<Vec<Dependency>, Error> {
        if named.is_empty() {
            return Ok(Vec::new());
        }
        self.fingerprints(self.limits(deadline)).take(named)
    }

    /// The same when the fetch is over: cheaper to compare from now on, if possible.
    pub(crate) fn settle(&self, dependencies: &mut [Dependency], deadline: Duration) {
        if dependencies.iter().any(|dependency| !dependency.is_settled()) {
            self.fingerprints(self.limits(deadline)).settle(dependencies);
        }
    }

    fn limits(&self, deadline: Duration) -> Limits {
        let limits = Limits::default();
        limits.time_max(limits.time_max.min(deadline.saturating_sub(self.monotonic())))
    }

    pub(crate) fn fingerprints(&self, limits: Limits) -> Fingerprints {
        let fingerprints = Fingerprints::new(Arc::clone(self.store.clock())).limits(limits);
        fingerprints.leaving_out(self.store.path().as_std_path())
    }
}

impl Found {
    /// Finds out whether it was made from files that have changed since, and what has.
    pub(crate) fn compare(&mut self, inner: &Inner, named: &Paths, deadline: Duration) -> Option<Change> {
        let change = inner.change_of(&self.document, named, deadline);
        self.is_outdated = change.is_some();
        change
    }
}

impl Plan {
    /// The turn among all processes. What another one hands on is an answer only if the files that it was made from are
    /// still what they were: it may have begun before this caller asked.
    pub(crate) async fn begin_current(&self, cancellation: &larder_lock::Cancellation) -> Result<Begin, Unbegun> {
        let mut waited = None;
        for _ in 0..ROUNDS_MAX {
            match self.begin(cancellation).await? {
                Ok(Turn::Carried { document, waited: this }) => {
                    let depends = About::in_metadata(&document.metadata).unwrap_or_default().depends;
                    let (inner, named, deadline) = (Arc::clone(&self.inner), self.depends.clone(), self.deadline);
                    if spawn_blocking(move || inner.change_since(&depends, &named, deadline)).await?.is_none() {
                        return Ok(Ok(Turn::Carried { document, waited: this }));
                    }
                    waited = Some(this);
                }
                turn => return Ok(turn),
            }
        }
        Ok(Ok(Turn::Alone { waited: waited.unwrap_or_default() }))
    }
}
