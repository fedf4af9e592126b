//! Whether a held lock still excludes others.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::Guard;
use crate::guard::Hold;

/// Why a held lock no longer excludes others. Nothing that it protects may be published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The lock file was removed, or another one has taken its name.
    #[error("lock file {} was removed or replaced while lock `{name}` was held; start over", file.display())]
    Replaced {
        /// The lock.
        name: String,
        /// Its file.
        file: PathBuf,
    },
    /// Another process has taken the lease over.
    #[error("the lease on lock `{name}` (token {token}) was taken over; start over")]
    Lost {
        /// The lock.
        name: String,
        /// The token of the lease that was lost.
        token: u64,
    },
    /// No heartbeat succeeded for the length of the lease, so that others may take it over at any moment.
    #[error("the lease on lock `{name}` (token {token}) expired: its last heartbeat was {silent:.1?} ago; start over")]
    Expired {
        /// The lock.
        name: String,
        /// The token of the lease.
        token: u64,
        /// Since its last heartbeat.
        silent: Duration,
    },
    /// The file could not be looked at.
    #[error("could not look at lock file {}; treat lock `{name}` as lost", file.display())]
    Io {
        /// The lock.
        name: String,
        /// Its file.
        file: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

pub(crate) fn run(guard: &Guard) -> Result<(), Error> {
    let (shared, name) = (guard.shared.as_ref(), guard.name.text());
    match &guard.hold {
        Some(Hold::Advisory(held)) => {
            let path = guard.name.lock_file();
            match shared.disk.metadata_at(&shared.folder, &path) {
                Ok(now) if now.is_same_file(&held.found) => Ok(()),
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(Error::Io { name: name.to_owned(), file: shared.path_of(&path), source: error })
                }
                _ => Err(Error::Replaced { name: name.to_owned(), file: shared.path_of(&path) }),
            }
        }
        Some(Hold::Lease(held)) => held.check(shared, &guard.name),
        None => Err(Error::Replaced { name: name.to_owned(), file: shared.path_of(&guard.name.lock_file()) }),
    }
}
