//! What is due, as tasks.

use std::sync::Arc;

use larder_queue::{Priority, Task};
use larder_staleness::ms_of;
use larder_storage::{GetError, Prefix, Store};
use larder_upstream::Due;
use larder_watch::fingerprint::{Fingerprints, Paths};

use crate::config::Loaded;

/// A task as urgent as that.
pub(super) fn task(key: &str, due: Due) -> Result<Task, larder_queue::Error> {
    let priority = Priority::new(due.priority.into())?;
    Ok(Task::new(key)?.priority(priority).reason(due.reason))
}

/// The documents below a prefix that a source can refresh, and that are to be refreshed: the overdue ones, or with `all`
/// each.
pub(super) fn tasks(store: &Arc<Store>, loaded: &Loaded, prefix: &Prefix, all: bool) -> Result<Vec<Task>, GetError> {
    let now_ms = ms_of(store.clock().wall());
    let fingerprints = Fingerprints::new(Arc::clone(store.clock())).leaving_out(store.path().as_std_path());
    let mut tasks = Vec::new();
    for summary in store.list(prefix)? {
        let summary = summary?;
        if loaded.source_of(&summary.key).is_none() {
            continue;
        }
        let changed = |depends: &[_]| fingerprints.check(depends, &Paths::default()).is_some();
        let due = if all { Some(Due::BELOW) } else { Due::of(&summary, now_ms, changed) };
        // a key of the store is one of the queue
        if let Some(Ok(task)) = due.map(|due| task(summary.key.as_str(), due)) {
            tasks.push(task);
        }
    }
    Ok(tasks)
}
