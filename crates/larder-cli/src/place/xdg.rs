//! Caches as the XDG Base Directory Specification places them.

use std::path::PathBuf;

/// The variables that can say so.
pub(crate) const VARIABLES: &str = "XDG_CACHE_HOME or HOME";

/// The variables that can say where configurations are.
pub(crate) const CONFIG_VARIABLES: &str = "XDG_CONFIG_HOME or HOME";

/// The folder for caches.
pub(crate) fn cache_folder() -> Option<PathBuf> {
    super::absolute("XDG_CACHE_HOME").or_else(|| super::absolute("HOME").map(|home| home.join(".cache")))
}

/// The folder for configurations.
pub(crate) fn config_folder() -> Option<PathBuf> {
    super::absolute("XDG_CONFIG_HOME").or_else(|| super::absolute("HOME").map(|home| home.join(".config")))
}
