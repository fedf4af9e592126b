//! What a put is told, what it answers, and why it is refused.

use std::path::PathBuf;

use larder_lock::Wait;
use serde::{Deserialize, Serialize};

use crate::entry::Metadata;
use crate::failure::Failure;
use crate::generation::Token;
use crate::key::Key;
use crate::{root, stamps};

/// What a put that returned has survived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Crash of the process and loss of power: file synced, renamed, folder synced, before the put returns. Two flushes
    /// of the disk, more where folders are new.
    Full,
    /// Crash of the process. Loss of power may take the new document and the one it replaced; what is left is still
    /// whole or absent.
    Relaxed,
}

/// The terms of a put.
///
/// ```
/// use larder_storage::{Durability, Metadata, Put};
/// let put = Put::new().durability(Durability::Relaxed).metadata(Metadata::new().with_tag("docs")?);
/// # Ok::<(), larder_storage::MetadataError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "terms do nothing until a put is made with them"]
pub struct Put {
    pub(crate) metadata: Metadata,
    pub(crate) durability: Option<Durability>,
    pub(crate) token: Option<Token>,
    pub(crate) wait: Wait,
}

/// How long a put waits for another writer of the same key, unless told otherwise: writers hold its lock for the time
/// of a rename.
const WAIT: std::time::Duration = std::time::Duration::from_secs(10);

impl Default for Put {
    fn default() -> Self {
        let wait = Wait::up_to(WAIT).from(larder_lock::Origin::Default);
        Self { metadata: Metadata::new(), durability: Some(Durability::Full), token: None, wait }
    }
}

impl Put {
    /// No metadata, fully durable, ordered at its own publication, 10 s of patience with other writers of the key.
    pub fn new() -> Self {
        Self::default()
    }

    /// What to store beside the document.
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// How durable it must be.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = Some(durability);
        self
    }

    /// As durable as the entry it replaces; fully, if there is none. For refreshes: what was safe stays safe. Costs a
    /// look at the present entry.
    pub fn durability_as_before(mut self) -> Self {
        self.durability = None;
        self
    }

    /// The generation in which the fetch of this document began: it is refused if it was invalidated since.
    pub fn fetched_in(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// How long to wait for another writer of the same key.
    pub fn wait(mut self, wait: Wait) -> Self {
        self.wait = wait;
        self
    }
}

/// What was published.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// The generation it counts from.
    pub token: Token,
    /// How durable it is.
    pub durability: Durability,
}

/// Why a document was not stored, or not as told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The root cannot be opened or written.
    #[error(transparent)]
    Root(#[from] root::Error),
    /// The record of invalidations cannot be read.
    #[error(transparent)]
    Stamps(#[from] stamps::Error),
    /// A system call failed; what was stored before is still there.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The document was published and readers see it, but it may not survive loss of power.
    #[error("{key} is published, but not known to be durable: put it again when the disk is well")]
    NotDurable {
        /// The key.
        key: Key,
        /// The sync that failed.
        #[source]
        source: Failure,
    },
    /// It was invalidated after its fetch began: what was fetched may be what was meant to go.
    #[error("{key} was invalidated while it was being fetched: fetch it again")]
    Fenced {
        /// The key.
        key: Key,
    },
    /// A document of that size is not stored.
    #[error("{key} has {bytes} bytes, and at most {limit} are stored: raise the limit, or store it in parts")]
    TooLarge {
        /// The key.
        key: Key,
        /// Its size.
        bytes: u64,
        /// The most that is stored.
        limit: u64,
    },
    /// Key, tags and attributes together are too long.
    #[error("{key} has more tags and attributes than fit its header: store fewer, or as a document of their own")]
    HeaderTooLong {
        /// The key.
        key: Key,
    },
    /// An entry of a newer format is left where it is.
    #[error("{key} is stored at {path} in a format that only a newer larder knows: it is left alone; use a newer larder, or remove the file", path = path.display())]
    NewerFormat {
        /// The key.
        key: Key,
        /// The file, relative to the root's entries.
        path: PathBuf,
    },
    /// Another writer of the key did not finish in time.
    #[error("{key} is being written by somebody else")]
    Locked {
        /// The key.
        key: Key,
        /// Who, and how long was waited.
        #[source]
        source: larder_lock::acquire::Error,
    },
    /// The lock on the key was lost before the document was published.
    #[error("the lock on {key} was lost before it was published: put it again")]
    LockLost {
        /// The key.
        key: Key,
        /// How it was lost.
        #[source]
        source: larder_lock::check::Error,
    },
    /// What was to be renewed is not what is stored now.
    #[error("{key} changed or vanished since it was read: read it again")]
    Changed {
        /// The key.
        key: Key,
    },
}

impl From<crate::GetError> for Error {
    fn from(error: crate::GetError) -> Self {
        match error {
            crate::GetError::Root(error) => Self::Root(error),
            crate::GetError::Stamps(error) => Self::Stamps(error),
            crate::GetError::Failed(error) => Self::Failed(error),
        }
    }
}
