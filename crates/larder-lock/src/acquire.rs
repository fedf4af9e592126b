//! Taking a lock.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::guard::Hold;
use crate::line::{Place, Seat, Turn};
use crate::locks::Shared;
use crate::name::{NAME_BYTES_MAX, Name};
use crate::waiting::{Call, Stop};
use crate::{Bound, Guard, Holder, Mode, Origin, Wait, advisory, lease};

/// Why a lock was not got.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Somebody has it, and the caller would not wait.
    #[error("lock `{name}` is held by {holder}; not waited, as set by {origin}")]
    Busy {
        /// The lock.
        name: String,
        /// Who said not to wait.
        origin: Origin,
        /// Who has it.
        holder: Box<Holder>,
    },
    /// Somebody had it for the whole wait.
    #[error(
        "lock `{name}` is still held by {holder}; gave up after {waited:.1?}, the bound being {bound} as set by {origin}"
    )]
    TimedOut {
        /// The lock.
        name: String,
        /// How long this call took.
        waited: Duration,
        /// How long it was willing to.
        bound: Bound,
        /// Who said so.
        origin: Origin,
        /// Who has it.
        holder: Box<Holder>,
    },
    /// The caller's cancellation happened first.
    #[error("the wait for lock `{name}` was cancelled after {waited:.1?}; it is held by {holder}")]
    Cancelled {
        /// The lock.
        name: String,
        /// How long this call took.
        waited: Duration,
        /// Who has it.
        holder: Box<Holder>,
    },
    /// The name is too long.
    #[error("a lock name of {length} bytes is too long; use at most {NAME_BYTES_MAX}")]
    NameTooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// The folder of the locks is no more.
    #[error("{folder} was removed while it was in use; open it again")]
    FolderGone {
        /// Which folder.
        folder: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The system does not let this user at the lock file. Waiting would not help, so nobody waits.
    #[error("no permission to lock {}; give this user read and write access to it and its folder", file.display())]
    PermissionDenied {
        /// The lock file.
        file: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The file system has no such locks.
    #[error("the file system of {} has no usable file locks; use the lease backend or a local disk", file.display())]
    Unsupported {
        /// The lock file.
        file: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The lease backend has exclusive locks only.
    #[error("lock `{name}` was asked for shared, which the lease backend cannot do; ask for it exclusive")]
    SharedLease {
        /// The lock.
        name: String,
    },
    /// Something else has the lock file's name.
    #[error("{} is not a regular file; remove it", file.display())]
    Foreign {
        /// The name.
        file: PathBuf,
    },
    /// The lock file disappeared each time it was made.
    #[error("lock file {} was removed {attempts} times while being locked; find out who removes it", file.display())]
    Unstable {
        /// The lock file.
        file: PathBuf,
        /// How often it was made.
        attempts: u32,
    },
    /// A system call failed.
    #[error("could not {action} {}; see the cause", file.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file.
        file: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// Whether the lock itself is in order and somebody has it: trying later may help.
    pub const fn is_contention(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::TimedOut { .. } | Self::Cancelled { .. })
    }

    /// Who has the lock, when that is why it was not got.
    pub fn holder(&self) -> Option<&Holder> {
        match self {
            Self::Busy { holder, .. } | Self::TimedOut { holder, .. } | Self::Cancelled { holder, .. } => Some(holder),
            _ => None,
        }
    }
}

/// How an attempt can end without the lock.
#[derive(Debug)]
pub(crate) enum Failure {
    /// By the caller's terms.
    Stopped(Stop),
    /// By an error.
    Failed(Error),
}

impl From<Stop> for Failure {
    fn from(stop: Stop) -> Self {
        Self::Stopped(stop)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// First the line inside this process, then the operating system.
pub(crate) fn run(shared: &Arc<Shared>, text: &str, mode: Mode, wait: &Wait) -> Result<Guard, Error> {
    let name = Name::new(text).ok_or(Error::NameTooLong { length: text.len() })?;
    let mut call = Call::new(shared, &name, mode, wait);
    match attempt(&mut call) {
        Ok((hold, seat)) => {
            call.won();
            Ok(Guard::new(Arc::clone(shared), name, mode, hold, seat))
        }
        Err(Failure::Stopped(stop)) => Err(call.lost(stop)),
        Err(Failure::Failed(error)) => Err(error),
    }
}

fn attempt(call: &mut Call<'_>) -> Result<(Hold, Seat), Failure> {
    if call.wait.cancellation().is_some_and(crate::Cancellation::is_cancelled) {
        return Err(Stop::Cancelled.into());
    }
    if call.shared.lease_length().is_some() && call.mode == Mode::Shared {
        return Err(Error::SharedLease { name: call.name.text().to_owned() }.into());
    }
    let turn = turn(call)?;
    let hold = match call.shared.lease_length() {
        None => advisory::take(call)?,
        Some(length) => lease::take(call, length)?,
    };
    Ok((hold, turn.taken(call.mode)))
}

/// The turn of this caller among those of its process.
pub(crate) fn turn(call: &mut Call<'_>) -> Result<Turn, Stop> {
    let (key, mode) = (call.shared.key(call.name), call.mode);
    if !call.waits() {
        return Turn::glance(key, mode).ok_or(Stop::TimedOut);
    }
    if let Some(turn) = Turn::at_once(key, mode) {
        return Ok(turn);
    }
    let place = Place::last(key, mode, &call.latch());
    loop {
        if let Some(turn) = place.turn(mode) {
            return Ok(turn);
        }
        call.pause(None)?;
    }
}
