//! What is in flight now.

use std::time::Duration;

use larder_lock::{Holder, acquire};
use larder_storage::{Annex, Key, Standing, Tag, annex};

use crate::failure::Failure;
use crate::file::{self, Outcome, Seen, What};
use crate::flights::{Flights, file_name, is_alive};

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
    pub remembered: Option<Memory>,
    /// For how long its answers are still known to be such as may not be stored, so that everybody fetches for itself.
    pub is_alone_for: Option<Duration>,
}

/// A failure that all processes remember.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Memory {
    /// It.
    pub failure: Failure,
    /// For how long it is still told to those who ask.
    pub left: Duration,
    /// How many fetches in a row have failed, this one among them.
    pub failures: u32,
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

/// What there is of one key, as far as it concerns whoever asks now.
pub(crate) fn at(flights: &Flights, key: &Key, tags: &[Tag]) -> Result<Option<UnderWay>, Error> {
    let Some((annex, has_locks)) = flights.annex_if_present()? else { return Ok(None) };
    let Some(seen) = Seen::open(&annex, &file_name(key))? else { return Ok(None) };
    let found = look(flights, &annex, has_locks, &seen);
    let token = if let What::Flight { header, .. } = &seen.what { Some(header.token) } else { None };
    seen.close(&annex);
    let Some(mut found) = found?.filter(|found| found.key == *key) else { return Ok(None) };
    let is_current = |token| flights.store().standing(token, key, tags).is_ok_and(|now| now == Standing::Current);
    if !token.is_some_and(is_current) {
        // what was learnt before an invalidation stands for nobody who comes after it
        (found.remembered, found.is_alone_for) = (None, None);
    }
    Ok(Some(found))
}

fn look(flights: &Flights, annex: &Annex, has_locks: bool, seen: &Seen) -> Result<Option<UnderWay>, Error> {
    let What::Flight { header, is_ending, .. } = &seen.what else { return Ok(None) };
    let alive = if has_locks { Some(is_alive(annex, &header.id)?) } else { None };
    let (mut remembered, mut is_alone_for) = (None, None);
    if *is_ending {
        match seen.outcome(annex, flights.store().body_bytes_max()) {
            Ok(Some(Outcome::Failed { failure, remembered: Some(memory) })) => {
                let failures = header.failures.saturating_add(1);
                remembered = memory.left(annex.clock()).map(|left| Memory { failure, left, failures });
            }
            Ok(Some(Outcome::Alone { remembered: Some(memory) })) => is_alone_for = memory.left(annex.clock()),
            _ => {}
        }
        // it has ended, and nothing of it concerns anybody any more
        if remembered.is_none() && is_alone_for.is_none() && alive != Some(true) {
            return Ok(None);
        }
    }
    Ok(Some(UnderWay { key: header.key.clone(), holder: header.holder(), alive, remembered, is_alone_for }))
}
