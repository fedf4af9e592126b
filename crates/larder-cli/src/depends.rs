//! The files that an output depends on: looked at before the command runs, and before a copy is given out.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use larder_staleness::format_date;
use larder_storage::{Entry, Key, Store, Tag};
use larder_upstream::{About, Flights};
use larder_watch::fingerprint::{Change, Dependency, Error, Fingerprints, Limits, Paths};
use serde::Serialize;

use crate::ask::Look;
use crate::ask::bounds::Bounds;

impl<'a> Look<'a> {
    pub(crate) fn new(
        (store, flights): (&'a Arc<Store>, &'a Flights),
        key: &'a Key,
        tags: &'a [Tag],
        depends: &'a Paths,
    ) -> Self {
        let (change, is_outlived, deadline) = (RefCell::new(None), Cell::new(false), None);
        Self { store, flights, key, tags, depends, change, is_outlived, deadline }
    }

    /// What has changed of that which this copy depends on; nothing is looked at for one that depends on nothing.
    pub(crate) fn change_of(&self, entry: &Entry) -> Option<Change> {
        self.change_since(&About::of(entry).unwrap_or_default().depends)
    }

    pub(crate) fn change_since(&self, dependencies: &[Dependency]) -> Option<Change> {
        if dependencies.is_empty() && self.depends.is_empty() {
            return None;
        }
        self.fingerprints(self.limits(self.deadline)).check(dependencies, self.depends)
    }

    /// What was last found to have changed, in words.
    pub(crate) fn changed(&self) -> Option<String> {
        self.change.borrow().as_ref().map(ToString::to_string)
    }

    /// The fingerprints of what the output will depend on. To be taken before the command runs.
    pub(crate) fn dependencies(&self, bounds: &Bounds) -> Result<Vec<Dependency>, Error> {
        if self.depends.is_empty() {
            return Ok(Vec::new());
        }
        self.fingerprints(self.limits(bounds.deadline())).take(self.depends)
    }

    /// The same when the command has ended: cheaper to compare from now on, if possible.
    pub(crate) fn settle(&self, dependencies: &mut [Dependency], bounds: &Bounds) {
        if dependencies.iter().any(|dependency| !dependency.is_settled()) {
            self.fingerprints(self.limits(bounds.deadline())).settle(dependencies);
        }
    }

    /// No longer than the whole call may take.
    fn limits(&self, deadline: Option<Duration>) -> Limits {
        let limits = Limits::default();
        let now = self.store.clock().monotonic();
        let left = deadline.map_or(Duration::MAX, |deadline| deadline.saturating_sub(now));
        limits.time_max(limits.time_max.min(left))
    }

    fn fingerprints(&self, limits: Limits) -> Fingerprints {
        let fingerprints = Fingerprints::new(Arc::clone(self.store.clock())).limits(limits);
        fingerprints.leaving_out(self.store.path().as_std_path())
    }
}

/// A dependency of a stored copy, as `explain` shows it.
#[derive(Serialize)]
pub(crate) struct Object {
    path: String,
    taken_ms: u64,
    /// Whether it can be found unchanged without being read.
    settled: bool,
}

impl Object {
    pub(crate) fn words(&self) -> String {
        let how = if self.settled { "" } else { ", read whenever it is compared" };
        format!("{}, as it was {}{how}", self.path, format_date(self.taken_ms))
    }
}

pub(crate) fn objects(entry: &Entry) -> Vec<Object> {
    let depends = About::of(entry).unwrap_or_default().depends;
    let object =
        |one: &Dependency| Object { path: one.path().to_string(), taken_ms: one.taken_ms(), settled: one.is_settled() };
    depends.iter().map(object).collect()
}
