//! Refreshing a document behind the back of whoever got a copy of it.

use std::sync::Arc;
use std::time::Duration;

use larder_upstream::tasks::Role;
use tokio::task::spawn_blocking;

use crate::call::Call;
use crate::flight::Fetch;
use crate::inner::Found;

impl Call {
    /// Refreshes the document in a task of its own, unless anybody in any process is at it: nobody is waited for. `found` is
    /// the copy that is to be refreshed; `None` to look for it, and to refresh it only if it is the one that was fetched at `seen`.
    ///
    /// What it comes to is told to nobody: a document is in the store, a failure is remembered by all processes. When the
    /// runtime ends before it does, the flight is given up, and the next who asks refreshes.
    pub(crate) fn refresh_behind(&self, found: Option<Found>, seen: Option<u64>, fetch: Fetch) {
        let mut plan = self.plan(None, Duration::ZERO);
        tokio::spawn(async move {
            let (inner, key) = (Arc::clone(&plan.inner), plan.key.clone());
            let entered = spawn_blocking(move || {
                let found = found.or_else(|| inner.look(&key).ok().flatten());
                // whoever is at it in this process needs no second one beside it
                (inner.group.enter(&key, || inner.generation(), |_| true), found)
            });
            let Ok((Role::Lead(lead, ticket), found)) = entered.await else { return };
            // somebody has brought a new one since this copy was found to be due
            if seen.is_some() && found.as_ref().map(|found| found.document.life.fetched_ms) != seen {
                return;
            }
            plan.refused = found.as_ref().map(|found| found.identity);
            plan.base = found.map(|found| found.document);
            plan.takes_remembered = true;
            plan.is_behind = true;
            // the ticket says that somebody wants it: nobody's leaving ends it
            plan.fly(fetch, lead).await;
            drop(ticket);
        });
    }
}
