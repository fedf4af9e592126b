//! Where this platform keeps caches and configurations.

#[cfg_attr(target_os = "macos", path = "place/macos.rs")]
#[cfg_attr(windows, path = "place/windows.rs")]
#[cfg_attr(not(any(target_os = "macos", windows)), path = "place/xdg.rs")]
mod platform;

use std::path::PathBuf;

pub(crate) use self::platform::{CONFIG_VARIABLES, VARIABLES, cache_folder, config_folder};

/// The path in a variable. A relative one would mean another folder in each working folder, and is no place.
fn absolute(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute())
}
