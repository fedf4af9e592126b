//! A store, or one that is broken.

use std::sync::Arc;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use larder_storage::{GetError, Key, Options, Put, Store, Swept, Token, put};
use larder_system::{Clock as _, Disk as _, Open, SystemClock, SystemDisk, read_to_limit};

use super::disk::InPlace;
use crate::failure::{Doing as _, Failure};
use crate::sabotage::Sabotage;

/// How long the broken put leaves what it has acknowledged unpublished.
const UNPUBLISHED: Duration = Duration::from_millis(25);
/// The most that an unverified read reads.
const READ_BYTES_MAX: usize = 1024 * 1024;
/// What ends a header.
const HEADER_END: &[u8] = b"\n---\n";

/// Where documents are put and got.
#[derive(Debug)]
pub(crate) struct Shelf {
    store: Arc<Store>,
    root: Utf8PathBuf,
    sabotage: Option<Sabotage>,
}

impl Shelf {
    pub(crate) fn open(root: &Utf8Path, sabotage: Option<Sabotage>) -> Result<Self, Failure> {
        let options = match sabotage {
            Some(Sabotage::WriteInPlace | Sabotage::UnverifiedRead) => Options::new().disk(Arc::new(InPlace::new())),
            _ => Options::new(),
        };
        let store = Arc::new(options.open(root).doing(format!("open the store {root}"))?);
        Ok(Self { store, root: root.to_owned(), sabotage })
    }

    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Puts; acknowledged when this returns.
    pub(crate) fn put(&self, key: &Key, body: &[u8], put: Put) -> Result<(), put::Error> {
        if self.sabotage == Some(Sabotage::AcknowledgedEarly) {
            let (store, key, body) = (Arc::clone(&self.store), key.clone(), body.to_vec());
            std::thread::spawn(move || {
                SystemClock::new().sleep(UNPUBLISHED);
                let _ = store.put(&key, &body, &put);
            });
            return Ok(());
        }
        self.store.put(key, body, &put).map(|_| ())
    }

    /// Puts what was fetched in the generation of `token`.
    pub(crate) fn put_fetched(&self, key: &Key, body: &[u8], token: Token, put: Put) -> Result<(), put::Error> {
        let put = if self.sabotage == Some(Sabotage::FenceIgnored) { put } else { put.fetched_in(token) };
        self.put(key, body, put)
    }

    pub(crate) fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, GetError> {
        if self.sabotage == Some(Sabotage::UnverifiedRead) {
            return Ok(self.read_unverified(key).ok());
        }
        if self.sabotage == Some(Sabotage::FollowedLink)
            && let Some(elsewhere) = self.root_behind_link(key)
            && let Ok(store) = Store::open(elsewhere)
        {
            return Ok(store.get(key)?.map(larder_storage::Entry::into_body));
        }
        Ok(self.store.get(key)?.map(larder_storage::Entry::into_body))
    }

    /// The other root that a link in this one leads to.
    fn root_behind_link(&self, key: &Key) -> Option<Utf8PathBuf> {
        let entry = format!("entries/{key}.entry");
        let found = self.root.join(&entry).canonicalize_utf8().ok()?;
        let root = Utf8PathBuf::from(found.as_str().strip_suffix(&entry)?);
        (root != self.root).then_some(root)
    }

    /// Whatever stands behind the header, if it has one.
    fn read_unverified(&self, key: &Key) -> std::io::Result<Vec<u8>> {
        let disk = SystemDisk::new();
        let root = disk.open_root(self.root.as_std_path())?;
        let file = disk.open(&root, format!("entries/{key}.entry").as_ref(), Open::READ)?;
        let mut bytes = Vec::new();
        read_to_limit(&disk, &file, &mut bytes, READ_BYTES_MAX)?;
        let at = bytes.windows(HEADER_END.len()).position(|window| window == HEADER_END);
        let at = at.ok_or(std::io::ErrorKind::NotFound)?;
        Ok(bytes.split_off(at + HEADER_END.len()))
    }

    pub(crate) fn sweep(&self) -> Result<Swept, put::Error> {
        if self.sabotage == Some(Sabotage::SweepTheLiving) {
            // one that was made a moment ago as well
            let _ = self.remove_temporaries();
        }
        self.store.sweep()
    }

    fn remove_temporaries(&self) -> std::io::Result<()> {
        let disk = SystemDisk::new();
        let root = disk.open_root(self.root.as_std_path())?;
        let folder = disk.open(&root, "tmp".as_ref(), Open::FOLDER)?;
        let mut names = Vec::new();
        while disk.list(&folder, &mut names)? {}
        for listed in names {
            let _ = disk.remove_file(&folder, listed.name.as_ref());
        }
        Ok(())
    }
}
