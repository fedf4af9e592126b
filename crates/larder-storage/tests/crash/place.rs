//! A root on some disk, and what tests do to it from outside the store.

use std::path::Path;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use larder_storage::{Key, Options, Standing, Store};
use larder_system::{Boot, Clock, Disk, Handle, Kind, Listed, Open, Replace, read_to_limit, write_all};
use larder_testkit::VirtualClock;

/// The boot that roots are made in.
pub(crate) const BOOT: u128 = 1;
/// The boot after a power cut.
pub(crate) const NEXT_BOOT: u128 = 9;

/// A root's path on a disk.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) path: Utf8PathBuf,
}

pub(crate) fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

impl Place {
    pub(crate) fn new(disk: Arc<dyn Disk>, path: impl AsRef<Utf8Path>) -> Self {
        Self { disk, path: path.as_ref().to_owned() }
    }

    /// On a simulated disk.
    pub(crate) fn simulated(disk: &larder_testkit::SimDisk) -> Self {
        Self::new(Arc::new(disk.clone()), "/cache/root")
    }

    /// The store, as a process of this boot opens it.
    pub(crate) fn open(&self, boot: u128) -> Store {
        self.options(boot).open(&self.path).unwrap()
    }

    pub(crate) fn options(&self, boot: u128) -> Options {
        let clock = VirtualClock::new();
        clock.set_boot(Some(Boot::from_number(boot)));
        let clock: Arc<dyn Clock> = Arc::new(clock);
        Options::new().disk(Arc::clone(&self.disk)).clock(clock)
    }

    fn folder(&self, below: &str) -> Option<Handle> {
        let root = self.disk.open_root(self.path.as_std_path()).ok()?;
        self.disk.open(&root, Path::new(below), Open::FOLDER).ok()
    }

    /// The names in a folder of the root; none where there is no such folder.
    pub(crate) fn names(&self, below: &str) -> Vec<String> {
        let Some(folder) = self.folder(below) else { return Vec::new() };
        let mut listed: Vec<Listed> = Vec::new();
        while self.disk.list(&folder, &mut listed).unwrap() {}
        listed.into_iter().filter(|one| one.kind != Kind::Folder).map(|one| one.name.into_string().unwrap()).collect()
    }

    /// The temporary files.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        self.names("tmp")
    }

    pub(crate) fn read(&self, folder: &str, name: &str) -> Vec<u8> {
        let folder = self.folder(folder).unwrap();
        let file = self.disk.open(&folder, Path::new(name), Open::READ).unwrap();
        let mut bytes = Vec::new();
        assert!(read_to_limit(&*self.disk, &file, &mut bytes, 64 << 20).unwrap());
        bytes
    }

    /// Gives a file a content and a new inode, durably.
    pub(crate) fn write(&self, folder: &str, name: &str, content: &[u8]) {
        let folder = self.folder(folder).unwrap();
        let new = Path::new("stranger.new");
        let file = self.disk.open(&folder, new, Open::CREATE_NEW).unwrap();
        write_all(&*self.disk, &file, &[content]).unwrap();
        self.disk.sync(&file).unwrap();
        self.disk.rename(&folder, new, &folder, Path::new(name), Replace::Yes).unwrap();
        self.disk.sync(&folder).unwrap();
    }

    /// What a copy of the root does to the record of invalidations: the same bytes in other inodes.
    pub(crate) fn copy_stamps(&self) {
        for name in self.names("stamps") {
            let content = self.read("stamps", &name);
            self.write("stamps", &name, &content);
        }
    }
}

/// What a key shows: the document, its attributes, and whether it is only a fallback.
pub(crate) fn look(store: &Store, text: &str) -> Option<String> {
    let entry = store.get_with_invalidated(&key(text)).unwrap()?;
    let stale = if entry.standing() == Standing::Invalidated { "~" } else { "" };
    let attributes = entry.metadata().attributes_json().unwrap_or_default();
    Some(format!("{}{attributes}{stale}", String::from_utf8_lossy(entry.body())))
}
