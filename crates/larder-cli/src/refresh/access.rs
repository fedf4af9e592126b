//! What a look at a document leaves for the refresh worker: a short command owes no work that it has not recorded.

use larder_lock::Wait;
use larder_queue::Durability;
use larder_staleness::ms_of;
use larder_storage::Entry;
use larder_upstream::{About, Due};

use super::due;
use crate::ask::{Call, Look};
use crate::exit::Failed;
use crate::job::Environment;
use crate::{behind, queue};

/// How long the answer's end is delayed by others who write to the queue.
const WAIT: std::time::Duration = std::time::Duration::from_millis(500);

/// A document was given out, for the first time in a while. Where the configuration says so, a stale one that nobody
/// refreshes is queued (`owes`), and a worker is sent for what there is.
pub(crate) fn noticed(call: &Call<'_>, look: &Look<'_>, entry: &Entry, owes: bool) {
    let refresh = call.loaded.config.refresh();
    // what a configured source has brought, a configured source can bring again
    if !matches!(call.job.environment, Environment::Only(_)) || !call.loaded.may_fetch_behind() {
        return;
    }
    if owes && refresh.check_on_access && refresh.auto_queue {
        match queue_it(look, entry) {
            Ok(()) => tracing::info!(key = %look.key, "queued to be refreshed"),
            Err(failed) => tracing::warn!(key = %look.key, failed = failed.message(), "not queued to be refreshed"),
        }
    }
    if refresh.auto_process_on_startup
        && let Err(error) = behind::send_to_refresh(look.store, call.global)
    {
        tracing::warn!(error = &*error, "no helper works through the queue");
    }
}

fn queue_it(look: &Look<'_>, entry: &Entry) -> Result<(), Failed> {
    let life = About::of_or_default(entry).life;
    let now_ms = ms_of(look.store.clock().wall());
    let due = Due::of_life(&life, now_ms).unwrap_or(Due::BELOW);
    let task = due::task(look.key.as_str(), Due { reason: "stale when it was asked for", ..due })?;
    let (queue, wait) = (queue::open(look.store)?, Wait::up_to(WAIT).without_holder());
    // what has failed too often is for people to look at
    if queue.find(look.key.as_str())?.is_some() {
        return Ok(());
    }
    queue.add_as(&[task], Durability::Unsynced, &wait)?;
    Ok(())
}
