//! The right to send somebody to refresh a document behind its callers' backs.

use std::fs::File;
use std::io;

use larder_lock::{Guard, Mode, Wait, acquire};
use larder_storage::{Key, annex};

use crate::flights::{Flights, file_name};

/// The right to start one process that refreshes a document: of all processes that find it stale, one has it.
///
/// Who has it looks once more whether a refresh is still needed, and either drops it or hands it over to the process that
/// it starts, which then has it until its end.
#[must_use = "dropping it lets the next one send somebody"]
#[derive(Debug)]
pub struct Errand {
    lock: Guard,
}

/// Why it cannot be told whether somebody is on the way.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The root cannot be written.
    #[error(transparent)]
    Annex(#[from] annex::Error),
    /// The lock cannot be used.
    #[error(transparent)]
    Lock(#[from] acquire::Error),
}

impl Errand {
    /// Hands it over: as the standard input of the process that goes, an empty file. `None` where locks are leases, which
    /// no file carries: then the process takes the errand itself, and goes home when another has it.
    ///
    /// # Errors
    /// The descriptor cannot be duplicated; the errand is nobody's then.
    pub fn hand_over(self) -> io::Result<Option<File>> {
        self.lock.hand_over()
    }
}

/// The name of the lock.
fn name(key: &Key) -> String {
    format!("//flights/errand/{}", file_name(key))
}

pub(crate) fn take(flights: &Flights, key: &Key) -> Result<Option<Errand>, Error> {
    let annex = flights.annex()?;
    match annex.locks().acquire(&name(key), Mode::Exclusive, &Wait::none().without_holder()) {
        Ok(lock) => Ok(Some(Errand { lock })),
        Err(error) if error.is_contention() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

pub(crate) fn wait(flights: &Flights, key: &Key, wait: &Wait) -> Result<bool, Error> {
    match flights.annex()?.locks().wait_until_free(&name(key), wait) {
        Ok(()) => Ok(true),
        Err(error) if error.is_contention() => Ok(false),
        Err(error) => Err(error.into()),
    }
}
