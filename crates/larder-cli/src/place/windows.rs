//! Caches as Windows places them: data of this machine alone.

use std::path::PathBuf;

/// The variables that can say so.
pub(crate) const VARIABLES: &str = "LOCALAPPDATA";

/// The variables that can say where configurations are.
pub(crate) const CONFIG_VARIABLES: &str = "APPDATA";

/// The folder for caches.
pub(crate) fn cache_folder() -> Option<PathBuf> {
    super::absolute("LOCALAPPDATA")
}

/// The folder for configurations.
pub(crate) fn config_folder() -> Option<PathBuf> {
    super::absolute("APPDATA")
}
