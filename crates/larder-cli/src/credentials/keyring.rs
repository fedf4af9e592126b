//! The keyring of the system, where this command is built with one.

use std::sync::Arc;
use std::time::Duration;

use larder_credentials::keyring::{Error, Keyring};
use larder_credentials::{Name, Secret};

/// Under what the keyring has what this command stores.
pub(crate) const SERVICE: &str = "larder";

/// The system's, which answers within `bound`.
#[cfg(feature = "keyring")]
pub(super) fn platform(bound: Option<Duration>) -> Arc<dyn Keyring> {
    use larder_credentials::keyring::{PlatformKeyring, TIMEOUT};
    Arc::new(PlatformKeyring::new().timeout(bound.map_or(TIMEOUT, |bound| bound.min(TIMEOUT))))
}

/// One that says that there is none.
#[cfg(not(feature = "keyring"))]
pub(super) fn platform(_bound: Option<Duration>) -> Arc<dyn Keyring> {
    Arc::new(without::Without)
}

pub(crate) fn set(name: &Name, secret: &Secret) -> Result<(), Error> {
    platform(None).set(SERVICE, name.as_str(), secret)
}

/// Whether there was one.
pub(crate) fn remove(name: &Name) -> Result<bool, Error> {
    let (keyring, account) = (platform(None), name.as_str());
    let had = keyring.get(SERVICE, account)?.is_some();
    if had {
        keyring.remove(SERVICE, account)?;
    }
    Ok(had)
}

#[cfg(not(feature = "keyring"))]
mod without {
    use larder_credentials::Secret;
    use larder_credentials::keyring::{Error, Keyring};

    /// This command was built without.
    #[derive(Debug)]
    pub(super) struct Without;

    impl Without {
        fn reason() -> Error {
            Error::NoService { reason: "this larder was built without the feature `keyring`".to_owned() }
        }
    }

    impl Keyring for Without {
        fn get(&self, _service: &str, _account: &str) -> Result<Option<Secret>, Error> {
            Err(Self::reason())
        }

        fn set(&self, _service: &str, _account: &str, _secret: &Secret) -> Result<(), Error> {
            Err(Self::reason())
        }

        fn remove(&self, _service: &str, _account: &str) -> Result<(), Error> {
            Err(Self::reason())
        }
    }
}
