//! The login keychain of macOS.

use apple_native_keyring_store::keychain::Store;
use keyring_core::Entry;
use keyring_core::api::CredentialStoreApi as _;

use crate::keyring::Error;

/// There always is one.
#[expect(clippy::unnecessary_wraps, reason = "other platforms may have none")]
pub(super) fn look() -> Result<(), Error> {
    Ok(())
}

pub(super) fn entry(service: &str, account: &str) -> Result<Entry, Error> {
    let store = Store::new().map_err(|error| Error::NoService { reason: error.to_string() })?;
    store.build(service, account, None).map_err(|error| super::told(&error))
}
