//! Why something was not done.

use std::io;

use camino::Utf8PathBuf;
use larder_storage::journal::{self, append, follow, reach};

use crate::task;

/// Why something was not done. Unless an error says otherwise, the queue is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A task that cannot be.
    #[error(transparent)]
    Task(#[from] task::Error),
    /// It was not written; [`append::Error::NotDurable`]: it was, and is perhaps not for good.
    #[error(transparent)]
    Append(Box<append::Error>),
    /// The queue cannot be locked or written.
    #[error(transparent)]
    Reach(Box<reach::Error>),
    /// It cannot be read.
    #[error(transparent)]
    Follow(#[from] follow::Error),
    /// It cannot be shortened.
    #[error(transparent)]
    Compact(Box<journal::compact::Error>),
    /// The journal cannot be named.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// The queue's folder cannot be opened or made.
    #[error("cannot {action} {path}")]
    Folder {
        /// What was being done.
        action: &'static str,
        /// The folder.
        path: Utf8PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The queue's locks cannot be used.
    #[error("the locks in {path} cannot be used")]
    Locks {
        /// Their folder.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: Box<larder_lock::open::Error>,
    },
    /// A worker cannot show that it lives.
    #[error("the worker cannot take the lock that shows that it lives")]
    Worker {
        /// Why.
        #[source]
        source: Box<larder_lock::acquire::Error>,
    },
    /// The system has no random number for a worker's identity.
    #[error("the system has no random number to tell this worker from others")]
    Identity {
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// There is more to read than one look goes through.
    #[error("the queue does not come to an end: somebody writes faster than it is read; try again")]
    Endless,
}

macro_rules! boxed {
    ($($error:ty => $variant:ident,)+) => {$(
        impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::$variant(Box::new(error))
            }
        }
    )+};
}

boxed! {
    append::Error => Append,
    reach::Error => Reach,
    journal::compact::Error => Compact,
}

impl Error {
    /// Whether others had the queue's lock, so that trying again may help.
    pub fn is_contention(&self) -> bool {
        let reach = match self {
            Self::Reach(reach) => &**reach,
            Self::Append(error) => match &**error {
                append::Error::Reach(reach) => reach,
                _ => return false,
            },
            _ => return false,
        };
        matches!(reach, reach::Error::Lock { source, .. } if source.is_contention())
    }

    /// Whether the records are in the queue all the same, seen by everybody, and only not known to survive loss of power.
    pub fn is_not_durable(&self) -> bool {
        matches!(self, Self::Append(error) if matches!(**error, append::Error::NotDurable { .. }))
    }
}
