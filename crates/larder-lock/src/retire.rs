//! Letting go of a lock together with its file.

use std::io;
use std::path::PathBuf;

use crate::guard::Hold;
use crate::{Guard, Mode, advisory, check};

/// Why a lock's file was not removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Others may hold it too.
    #[error("lock `{}` is held shared; only an exclusive holder may remove its file", guard.name())]
    Shared {
        /// The lock, still held.
        guard: Box<Guard>,
    },
    /// It no longer was this guard's to remove. It is let go.
    #[error("the lock was lost before its file could be removed; nothing is left to do")]
    Lost {
        /// How.
        #[source]
        source: check::Error,
    },
    /// The file could not be removed.
    #[error("could not remove lock file {}; it does no harm there", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
        /// The lock, still held.
        guard: Box<Guard>,
    },
}

pub(crate) fn run(mut guard: Guard) -> Result<(), Error> {
    if guard.mode() != Mode::Exclusive {
        return Err(Error::Shared { guard: Box::new(guard) });
    }
    guard.check().map_err(|source| Error::Lost { source })?;
    let removed = match &guard.hold {
        Some(Hold::Advisory(_)) => guard.shared.disk.remove_file(&guard.shared.folder, &guard.name.lock_file()),
        Some(Hold::Lease(held)) => held.remove(&guard.shared, &guard.name),
        None => Ok(()),
    };
    match removed {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            let file = guard.shared.path_of(&guard.name.lock_file());
            return Err(Error::Io { file, source, guard: Box::new(guard) });
        }
        _ => {}
    }
    // A file without a name is not worth keeping open.
    if let Some(Hold::Advisory(held)) = guard.hold.take() {
        advisory::discard(&guard.shared, held);
    }
    Ok(())
}
