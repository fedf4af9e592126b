//! Views of a cache for people and other tools: what is stored (`index.yaml`, `meta.yaml`) and what was counted
//! (`metrics.yaml`), as YAML.
//!
//! They are made from the entries and the journal of counters, each in one atomic step, and nothing ever reads them back:
//! a view that is lost, old or wrong costs nothing but another look. They are YAML 1.2, all texts in double quotes.

mod index;
mod metrics;
mod yaml;

use larder_lock::Wait;
use larder_storage::{GetError, Store, put};

pub use self::index::Indexed;
use crate::counters;

/// Why a view was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What is stored cannot be listed.
    #[error(transparent)]
    Read(#[from] GetError),
    /// What was counted cannot be read.
    #[error(transparent)]
    Counters(#[from] counters::Error),
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] put::Error),
}

/// Writes `index.yaml`, and `meta.yaml` for each library, from the entries that are there now: their headers are read. A
/// library is what keys have before their first slash. One process writes views at a time: others leave it to that after
/// `wait`, and [`Indexed::elsewhere`] says so.
///
/// # Errors
/// The cache cannot be listed, or a view cannot be written.
pub fn index(store: &Store, wait: &Wait) -> Result<Indexed, Error> {
    index::write(store, wait)
}

/// Writes `metrics.yaml`: exactly what all processes have counted and flushed, and up to which record. False when another
/// process is writing it, or there is no root.
///
/// # Errors
/// The counters cannot be read, or the view cannot be written.
pub fn metrics(store: &Store) -> Result<bool, Error> {
    metrics::write(store)
}
