//! Caches as the XDG Base Directory Specification places them.

use std::path::PathBuf;

/// The variables that can say so.
pub(crate) const VARIABLES: &str = "XDG_CACHE_HOME or HOME";

/// The folder for caches.
pub(crate) fn cache_folder() -> Option<PathBuf> {
    super::absolute("XDG_CACHE_HOME").or_else(|| super::absolute("HOME").map(|home| home.join(".cache")))
}
