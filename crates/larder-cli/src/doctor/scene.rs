//! What all checks look at: where the root is, its store, and the configuration, each opened within a bound.

use std::sync::Arc;
use std::time::Duration;

use camino::Utf8PathBuf;
use larder_storage::{Options, Store};

use super::check::apart;
use super::shell;
use crate::args::Global;
use crate::config::{self, Loaded};
use crate::root;

/// How long opening each may take.
const BOUND: Duration = Duration::from_secs(5);

/// What became of the attempt to open the root.
pub(super) enum Opened {
    Store(Arc<Store>),
    /// There is no root yet.
    Absent,
    Failed(larder_storage::root::Error),
    /// The file system did not answer in time, or there is no thread to ask it with.
    Silent,
    /// Nothing says where it is.
    Nowhere,
}

/// What all checks look at.
pub(super) struct Scene {
    /// Where the root is or would be, absolute.
    pub(super) root: Result<Utf8PathBuf, root::Error>,
    pub(super) opened: Opened,
    /// `None` when its file does not answer.
    pub(super) config: Option<Result<Loaded, config::Error>>,
    /// The flags that lead another command here too.
    flags: Vec<String>,
    /// The waiting time that flag, variable and configuration come to, if it makes no sense.
    pub(super) wait: Option<String>,
    /// Whether nobody beyond this machine may be asked.
    pub(super) offline: bool,
}

impl Scene {
    pub(super) fn open(global: &Global, offline: bool) -> Self {
        let asked = Global { root: global.root.clone(), config: global.config.clone(), ..Global::default() };
        let config = within(move || Loaded::find(&asked));
        let options = match &config {
            Some(Ok(loaded)) => loaded.options(),
            _ => Options::new(),
        };
        let found = root::path(global);
        let root = found.map(|path| camino::absolute_utf8(&path).unwrap_or(path));
        let opened = match &root {
            Ok(path) => {
                let path = path.clone();
                within(move || open(options, &path)).unwrap_or(Opened::Silent)
            }
            Err(_) => Opened::Nowhere,
        };
        let wait = match &config {
            Some(Ok(loaded)) => root::wait(global, loaded).err().and_then(|failed| failed.message()),
            _ => None,
        };
        Self { root, opened, config, flags: flags(global), wait, offline }
    }

    /// The store, where there is a root that can be opened.
    pub(super) fn store(&self) -> Option<&Arc<Store>> {
        match &self.opened {
            Opened::Store(store) => Some(store),
            _ => None,
        }
    }

    /// The configuration, where it can be used.
    pub(super) fn loaded(&self) -> Option<&Loaded> {
        self.config.as_ref()?.as_ref().ok()
    }

    /// A command of larder's for this root and this configuration.
    pub(super) fn larder(&self, words: &[&str]) -> String {
        shell::command(
            std::iter::once("larder").chain(self.flags.iter().map(String::as_str)).chain(words.iter().copied()),
        )
    }
}

fn open(options: Options, path: &Utf8PathBuf) -> Opened {
    let opened = options.open(path).and_then(|store| Ok((store.is_present()?, store)));
    match opened {
        Ok((true, store)) => Opened::Store(Arc::new(store)),
        Ok((false, _)) => Opened::Absent,
        Err(error) => Opened::Failed(error),
    }
}

fn within<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    apart(work)?.recv_timeout(BOUND).ok()
}

/// Variables lead every command to the same place; flags must be given again.
fn flags(global: &Global) -> Vec<String> {
    let mut flags = Vec::new();
    for (flag, path) in [("--root", &global.root), ("--config", &global.config)] {
        if let Some(path) = path {
            flags.extend([flag.to_owned(), path.to_string_lossy().into_owned()]);
        }
    }
    flags
}
