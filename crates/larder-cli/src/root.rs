//! Which folder is the cache, how long to wait for others, and who said so.

use std::ffi::OsString;
use std::path::PathBuf;

use camino::Utf8PathBuf;
use larder_lock::{Origin, Wait};
use larder_storage::{Options, Store};

use crate::args::Global;
use crate::config::Loaded;
use crate::exit::{Exit, Failed};
use crate::place;

/// The variable that names the cache's folder.
pub(crate) const ROOT: &str = "LARDER_ROOT";
/// The variable that bounds waits.
pub(crate) const LOCK_TIMEOUT: &str = "LARDER_LOCK_TIMEOUT";

/// Why there is no folder to work in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    /// Nothing says where the cache is.
    #[error("nothing says where the cache is: give --root, or set {ROOT} or {}", place::VARIABLES)]
    Homeless,
    /// An empty flag.
    #[error("--root names no folder: give one, or leave the flag out")]
    Empty,
    /// Paths of roots are text, so that every message and file can name them.
    #[error("the cache's folder {} is not UTF-8: choose another with --root or {ROOT}", path.display())]
    NotText {
        /// The path.
        path: PathBuf,
    },
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::new(Exit::USAGE, error)
    }
}

/// The folder of the cache: the flag, else the variable, else the platform's place for caches.
pub(crate) fn path(global: &Global) -> Result<Utf8PathBuf, Error> {
    let named = match &global.root {
        Some(root) if root.as_os_str().is_empty() => return Err(Error::Empty),
        Some(root) => Some(root.clone()),
        None => variable(ROOT).map(PathBuf::from),
    };
    let path = match named {
        Some(path) => path,
        None => place::cache_folder().ok_or(Error::Homeless)?.join("larder"),
    };
    Utf8PathBuf::from_path_buf(path).map_err(|path| Error::NotText { path })
}

/// The store, for reading and writing. Nothing is made before the first write.
pub(crate) fn open(global: &Global) -> Result<Store, Failed> {
    Ok(Options::new().open(path(global)?)?)
}

/// The store, for reading only: nothing is made, changed or set aside.
pub(crate) fn open_read_only(global: &Global) -> Result<Store, Failed> {
    Ok(Options::new().read_only().open(path(global)?)?)
}

/// How long to wait for others: the flag, else the variable, else the configuration, else ten minutes.
pub(crate) fn wait(global: &Global, loaded: &Loaded) -> Result<Wait, Failed> {
    if let Some(bound) = global.lock_timeout {
        return Ok(Wait::new(bound).from(Origin::Flag("--lock-timeout".to_owned())));
    }
    let (text, origin) = match variable(LOCK_TIMEOUT) {
        Some(value) => (value.to_string_lossy().into_owned(), Origin::Environment(LOCK_TIMEOUT.to_owned())),
        None => return Ok(loaded.wait()),
    };
    Wait::parse(&text, origin).map_err(|source| Failed::new(Exit::USAGE, WaitError { source }))
}

/// The variable's value is no waiting time.
#[derive(Debug, thiserror::Error)]
#[error("environment variable {LOCK_TIMEOUT} cannot be used")]
struct WaitError {
    #[source]
    source: larder_lock::wait::Error,
}

/// A variable's value; an empty one is none.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}
