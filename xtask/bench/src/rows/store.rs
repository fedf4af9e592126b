//! The store as the rows use it, and the one place that knows where its files lie.

use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use larder_storage::{Durability, Key, Options, Put, Scope, Store};
use larder_system::Disk;

use crate::run::Error;

/// A store in a folder of the run.
#[derive(Debug)]
pub(crate) struct Cupboard {
    store: Store,
    relaxed: Put,
    full: Put,
}

/// An entry as it lies on disk.
#[derive(Debug)]
pub(crate) struct EntryFile {
    /// Relative to the folder of entries.
    pub(crate) path: Utf8PathBuf,
    /// Header and body.
    pub(crate) bytes: Vec<u8>,
}

impl Cupboard {
    pub(crate) fn open(path: &Utf8Path, disk: Arc<dyn Disk>) -> Result<Self, Error> {
        let store = Options::new().disk(disk).open(path).map_err(|error| Error::larder("open a store", error))?;
        let with = |durability| Put::new().durability(durability);
        Ok(Self { store, relaxed: with(Durability::Relaxed), full: with(Durability::Full) })
    }

    /// Reads a document that is there, of this length.
    pub(crate) fn get(&self, key: &Key, length: usize) -> Result<(), Error> {
        let entry = self.store.get(key).map_err(|error| Error::larder("read a document", error))?;
        match entry {
            Some(entry) if entry.body().len() == length => Ok(()),
            _ => Err(Error::larder("read a document", "it is absent or of another length")),
        }
    }

    pub(crate) fn put_relaxed(&self, key: &Key, body: &[u8]) -> Result<(), Error> {
        self.put(key, body, &self.relaxed)
    }

    pub(crate) fn put_full(&self, key: &Key, body: &[u8]) -> Result<(), Error> {
        self.put(key, body, &self.full)
    }

    fn put(&self, key: &Key, body: &[u8], put: &Put) -> Result<(), Error> {
        self.store.put(key, body, put).map_err(|error| Error::larder("store a document", error))?;
        Ok(())
    }

    /// Invalidates each of `keys`, softly, in one call.
    pub(crate) fn invalidate(&self, keys: &[Key]) -> Result<(), Error> {
        let all: Vec<_> = keys.iter().map(|key| Scope::Key(key.clone()).soft()).collect();
        self.store.invalidate(&all).map_err(|error| Error::larder("invalidate", error))?;
        Ok(())
    }

    /// The folder of entries.
    pub(crate) fn entries(&self) -> Utf8PathBuf {
        self.store.path().join("entries")
    }

    /// The file of the only entry.
    pub(crate) fn only_file(&self) -> Result<EntryFile, Error> {
        let entries = self.entries();
        let failed = |source| Error::io("read", &entries, source);
        let mut folders = vec![entries.clone()];
        while let Some(folder) = folders.pop() {
            for entry in folder.read_dir_utf8().map_err(failed)? {
                let path = entry.map_err(failed)?.into_path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension() == Some("entry") {
                    let bytes = std::fs::read(&path).map_err(failed)?;
                    let path = path.strip_prefix(&entries).map(Utf8Path::to_owned).unwrap_or(path.clone());
                    return Ok(EntryFile { path, bytes });
                }
            }
        }
        Err(failed(std::io::ErrorKind::NotFound.into()))
    }
}

pub(crate) fn key(text: &str) -> Result<Key, Error> {
    Key::new(text).map_err(|error| Error::larder("make a key", error))
}

/// A document of this length that does not compress.
pub(crate) fn body(length: usize) -> Vec<u8> {
    // the golden ratio's multiples spread over all values
    let steps = (1_u64..).map(|step| step.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    steps.map(|value| value.to_be_bytes()[0]).take(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_the_length_asked_for_and_all_values() {
        let body = body(4_096);
        let values: std::collections::BTreeSet<_> = body.iter().collect();
        assert_eq!((body.len(), values.len()), (4_096, 256));
    }
}
