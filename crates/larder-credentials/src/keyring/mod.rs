//! Keyrings: where a desktop keeps the secrets of its user.

#[cfg(feature = "keyring")]
mod platform;

use std::fmt;

use crate::{Secret, secret};

#[cfg(feature = "keyring")]
pub use platform::{PlatformKeyring, TIMEOUT};

/// A keyring: secrets by service and account.
///
/// Implementations return within a bound of their own, and never panic because there is no keyring.
pub trait Keyring: fmt::Debug + Send + Sync {
    /// The secret of this account; `None` when there is none.
    ///
    /// # Errors
    /// There is no keyring, it is locked, or it does not answer.
    fn get(&self, service: &str, account: &str) -> Result<Option<Secret>, Error>;

    /// Stores a secret, in place of what is there.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn set(&self, service: &str, account: &str, secret: &Secret) -> Result<(), Error>;

    /// Removes a secret; one that is not there is no error.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn remove(&self, service: &str, account: &str) -> Result<(), Error>;
}

/// Why a keyring did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is none here: no session, no service, or a program that was built without.
    #[error("no keyring service: {reason}")]
    NoService {
        /// How that shows.
        reason: String,
    },
    /// There is one, and it is locked, or its user refused.
    #[error("the keyring is locked, or access was refused: {reason}")]
    NoAccess {
        /// What it says.
        reason: String,
    },
    /// It did not answer in time.
    #[error("the keyring did not answer within {after:?}: does it ask something in a window?")]
    TimedOut {
        /// How long that is.
        after: std::time::Duration,
    },
    /// What it has is no secret.
    #[error("what the keyring has is no secret: set it again")]
    NoSecret(#[source] secret::Error),
    /// It failed in another way.
    #[error("the keyring failed: {reason}")]
    Failed {
        /// What it says.
        reason: String,
    },
}
