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
    /// the copy that is to be refreshed; `None` to look for it.
    ///
    /// What it comes to is told to nobody: a document is in the store, a failure is remembered by all processes. When the
    /// runtime ends before it does, the flight is given up, and the next who asks refreshes.
    pub(crate) fn refresh_behind(&self, found: Option<Found>, fetch: Fetch) {
        let mut plan = self.plan(None, Duration::ZERO);
        tokio::spawn(async move {
            let (inner, key) = (Arc::clone(&plan.inner), plan.key.clone());
            let entered = spawn_blocking(move || {
                let found = found.or_else(|| inner.look(&key).ok().flatten());
                // whoever is at it in this process needs no second one beside it
                (inner.group.enter(&key, || inner.generation(), |_| true), found)
            });
            let Ok((Role::Lead(lead, ticket), found)) = entered.await else { return };
            plan.refused = found.as_ref().map(|found| found.identity);
            plan.base = found.map(|found| found.document);
            plan.takes_remembered = true;
            // the ticket says that somebody wants it: nobody's leaving ends it
            plan.fly(fetch, lead).await;
            drop(ticket);
        });
    }
}
