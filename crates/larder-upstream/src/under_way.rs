//! What is in flight now.

use larder_lock::{Holder, acquire};
use larder_storage::{Annex, Key, annex};

use crate::failure::Failure;
use crate::file::{self, Outcome, Seen, What};
use crate::flights::{Flights, is_alive};

/// The most files that one look goes through.
const FILES_MAX: usize = 100_000;

/// A flight, as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnderWay {
    /// What is being fetched.
    pub key: Key,
    /// Who leads it, and since when.
    pub holder: Holder,
    /// Whether its leader lives: a dead one's flight is taken over by the next who asks. `None` when that cannot be told,
    /// because the store was opened for reading only.
    pub alive: Option<bool>,
    /// The failure that it ended with, when that is still remembered.
    pub remembered: Option<Failure>,
}

/// Why it cannot be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The folder of flights, or a file in it, cannot be read.
    #[error(transparent)]
    File(#[from] file::Error),
    /// A lock cannot be looked at.
    #[error(transparent)]
    Lock(#[from] acquire::Error),
}

impl From<annex::Error> for Error {
    fn from(error: annex::Error) -> Self {
        Self::File(error.into())
    }
}

pub(crate) fn list(flights: &Flights) -> Result<Vec<UnderWay>, Error> {
    let Some((annex, has_locks)) = flights.annex_if_present()? else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    for name in annex.names()?.into_iter().take(FILES_MAX) {
        let Some(seen) = Seen::open(&annex, &name)? else { continue };
        let found = look(flights, &annex, has_locks, &seen);
        seen.close(&annex);
        all.extend(found?);
    }
    Ok(all)
}

fn look(flights: &Flights, annex: &Annex, has_locks: bool, seen: &Seen) -> Result<Option<UnderWay>, Error> {
    let What::Flight { header, is_ending, .. } = &seen.what else { return Ok(None) };
    let alive = if has_locks { Some(is_alive(annex, &header.id)?) } else { None };
    let mut remembered = None;
    if *is_ending {
        remembered = match seen.outcome(annex, flights.store().body_bytes_max()) {
            Ok(Some(Outcome::Failed { failure, remembered: Some(memory) })) => {
                memory.left(annex.clock()).map(|_| failure)
            }
            _ => None,
        };
        // it has ended, and nothing of it concerns anybody any more
        if remembered.is_none() && alive != Some(true) {
            return Ok(None);
        }
    }
    Ok(Some(UnderWay { key: header.key.clone(), holder: header.holder(), alive, remembered }))
}
