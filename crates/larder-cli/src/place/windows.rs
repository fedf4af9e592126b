//! Caches as Windows places them: data of this machine alone.

use std::path::PathBuf;

/// The variables that can say so.
pub(crate) const VARIABLES: &str = "LOCALAPPDATA";

/// The folder for caches.
pub(crate) fn cache_folder() -> Option<PathBuf> {
    super::absolute("LOCALAPPDATA")
}
