//! The Secret Service of a desktop session, over D-Bus.

use std::path::Path;

use keyring_core::Entry;
use keyring_core::api::CredentialStoreApi as _;
use zbus_secret_service_keyring_store::Store;

use crate::keyring::Error;

/// Where a session's bus is when nothing says otherwise, below the folder of its run time.
const BUS: &str = "bus";

/// Whether there is a session at all, without asking anybody.
pub(super) fn look() -> Result<(), Error> {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let has_bus = std::env::var_os("XDG_RUNTIME_DIR").is_some_and(|folder| Path::new(&folder).join(BUS).exists());
    if is_set("DBUS_SESSION_BUS_ADDRESS") || has_bus {
        return Ok(());
    }
    Err(Error::NoService { reason: "there is no D-Bus session (DBUS_SESSION_BUS_ADDRESS is not set)".to_owned() })
}

pub(super) fn entry(service: &str, account: &str) -> Result<Entry, Error> {
    let store = Store::new().map_err(|error| Error::NoService { reason: error.to_string() })?;
    store.build(service, account, None).map_err(|error| super::told(&error))
}
