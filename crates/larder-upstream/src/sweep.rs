//! Removing what dead leaders left behind.

use larder_lock::{Mode, Wait, acquire};
use larder_storage::{Annex, annex};

use crate::file::{self, Outcome, Seen, What};
use crate::flight;
use crate::flights::{Flights, election_lock, is_alive, is_held};

/// What a sweep has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Swept {
    /// Files looked at.
    pub looked_at: usize,
    /// Files removed: of dead leaders, of failures no longer remembered, and damaged ones.
    pub removed: usize,
    /// Files left alone: of flights under way, of dead leaders whose command lives on, of failures still remembered, of newer
    /// versions.
    pub kept: usize,
    /// Files that were not looked at, because the bound was reached.
    pub left: usize,
}

/// Why a sweep could not go on. What it has removed is removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The folder of flights, or a file in it, cannot be read or written.
    #[error(transparent)]
    File(#[from] file::Error),
    /// A lock cannot be used.
    #[error(transparent)]
    Lock(#[from] acquire::Error),
}

impl From<annex::Error> for Error {
    fn from(error: annex::Error) -> Self {
        Self::File(error.into())
    }
}

pub(crate) fn run(flights: &Flights, files_max: usize) -> Result<Swept, Error> {
    if flights.store().annex_if_present(crate::flights::FOLDER)?.is_none() {
        return Ok(Swept::default());
    }
    let annex = flights.annex()?;
    let names = annex.names()?;
    let mut swept = Swept { left: names.len().saturating_sub(files_max), ..Swept::default() };
    for name in names.into_iter().take(files_max) {
        swept.looked_at += 1;
        if remove(flights, &annex, &name)? {
            swept.removed += 1;
        } else {
            swept.kept += 1;
        }
    }
    Ok(swept)
}

/// Removes one file, if nobody needs it; under the lock of those who would replace it, so that it is never theirs.
fn remove(flights: &Flights, annex: &Annex, name: &str) -> Result<bool, Error> {
    let Some(seen) = Seen::open(annex, name)? else { return Ok(false) };
    let removed = remove_seen(flights, annex, name, &seen);
    seen.close(annex);
    removed
}

fn remove_seen(flights: &Flights, annex: &Annex, name: &str, seen: &Seen) -> Result<bool, Error> {
    if is_needed(flights, annex, seen)? {
        return Ok(false);
    }
    let wait = Wait::none().without_holder();
    let election = match annex.locks().acquire(&election_lock(name), Mode::Exclusive, &wait) {
        Ok(election) => election,
        // somebody is about to replace it
        Err(error) if error.is_contention() => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let removed = if election.check().is_ok() && seen.is_still(annex, name)? { annex.remove(name) } else { Ok(false) };
    flight::retire(election);
    Ok(removed?)
}

fn is_needed(flights: &Flights, annex: &Annex, seen: &Seen) -> Result<bool, Error> {
    let (header, is_ending) = match &seen.what {
        What::Flight { header, is_ending, .. } => (header, *is_ending),
        What::Newer(_) | What::Folder => return Ok(true),
        What::Foreign => return Ok(false),
    };
    if is_alive(annex, &header.id)? {
        return Ok(true);
    }
    let outcome = if is_ending { seen.outcome(annex, flights.store().body_bytes_max()).ok().flatten() } else { None };
    Ok(match outcome {
        // also when its time is over: the next failure is then not the first
        Some(Outcome::Failed { remembered: Some(memory), .. }) => memory.counts(annex.clock()),
        Some(Outcome::Alone { remembered: Some(memory) }) => memory.left(annex.clock()).is_some(),
        Some(_) => false,
        // its command may live on, and whoever comes next must learn of it
        None => is_held(annex, &header.id.command_lock())?,
    })
}
