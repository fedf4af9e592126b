//! What the tests share: names, secrets, and a store in a folder of their own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use larder_credentials::{Name, Secret, Store};
use larder_testkit::Scratch;

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn secret(text: &str) -> Secret {
    Secret::new(text).unwrap()
}

/// What a store has under a name.
pub(crate) fn value(store: &Store, at: &str) -> Option<String> {
    store.get(&name(at)).unwrap().map(|stored| stored.secret.expose().to_owned())
}

/// A store whose folder is not made yet.
pub(crate) struct Place {
    pub(crate) scratch: Scratch,
    pub(crate) store: Store,
}

impl Place {
    pub(crate) fn new(test: &str) -> Self {
        let scratch = Scratch::new(test);
        let store = Store::at(scratch.utf8_path().join("config/tool/credentials.json"));
        Self { scratch, store }
    }

    pub(crate) fn with(test: &str, at: &str, text: &str) -> Self {
        let place = Self::new(test);
        place.store.set(&name(at), &secret(text)).unwrap();
        place
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.scratch.join("config/tool")
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder().join("credentials.json")
    }

    pub(crate) fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    #[expect(clippy::disallowed_methods, reason = "the file as its user changes it")]
    pub(crate) fn write(&self, text: &str) {
        fs::write(self.file(), text).unwrap();
        set_mode(&self.file(), 0o600);
    }
}

pub(crate) fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[expect(clippy::disallowed_methods, reason = "the file as its user changes it")]
pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// All that is below a folder.
pub(crate) fn below(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if fs::symlink_metadata(&path).unwrap().is_dir() {
            all.extend(below(&path));
        }
        all.push(path);
    }
    all
}
