//! Removing the files of locks that nobody holds.

use std::io;
use std::path::Path;

use larder_system::{Open, retry};

use crate::locks::Shared;
use crate::{Mode, holders, lease, line, name, open, probe};

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Swept {
    /// Names that were looked at.
    pub examined: usize,
    /// Locks whose files are gone now.
    pub removed: usize,
    /// Locks that somebody holds, waits for, or has held too recently to tell.
    pub in_use: usize,
    /// Leftovers of interrupted work that are gone now.
    pub leftovers: usize,
    /// Names that could not be looked at or removed.
    pub failed: usize,
}

/// Why nothing was swept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The folder could not be listed.
    #[error("could not list {folder}; see the cause")]
    List {
        /// Which folder.
        folder: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

pub(crate) fn run(shared: &Shared, files_max: usize) -> Result<Swept, Error> {
    let listed = holders::names(shared, files_max).map_err(|source| Error::List { folder: shared.place(), source })?;
    let mut swept = Swept::default();
    for file in listed.iter().take(files_max) {
        swept.examined += 1;
        let path = Path::new(file);
        if let Some(hash) = name::hash_of(file, "lock") {
            count(&mut swept, &lock_file(shared, hash, path));
        } else if let Some(hash) = name::hash_of(file, "lease") {
            // In a folder of advisory locks there are none that anybody could hold.
            let length = shared.lease_length().unwrap_or_default();
            let idle = line::is_idle(&shared.key_of(hash));
            count(&mut swept, &if idle { lease::remove_unheld(shared, hash, path, length) } else { Ok(false) });
        } else if is_numbered(file, lease::chain::NEW_PREFIX) {
            swept.leftovers += usize::from(lease::chain::discard_leftover(shared, path));
        } else if is_numbered(file, lease::chain::OLD_PREFIX) {
            lease::chain::remove_old(shared, path);
            swept.leftovers += 1;
        } else if is_numbered(file, probe::PREFIX) || is_numbered(file, open::RECORD_NEW_PREFIX) {
            // A living owner of either notices that it is gone and makes another, or needs it no more.
            let removed = retry(|| shared.disk.remove_file(&shared.folder, path));
            swept.leftovers += usize::from(removed.is_ok());
        }
    }
    Ok(swept)
}

/// Whether a name is a prefix of ours and the 16 digits drawn for it; a stranger's may begin likewise.
fn is_numbered(file: &str, prefix: &str) -> bool {
    let digits = file.strip_prefix(prefix).unwrap_or_default();
    digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn count(swept: &mut Swept, removed: &io::Result<bool>) {
    match removed {
        Ok(true) => swept.removed += 1,
        Ok(false) => swept.in_use += 1,
        Err(_) => swept.failed += 1,
    }
}

/// Removes one lock file, held exclusively meanwhile, if its name still means the file that was locked.
fn lock_file(shared: &Shared, hash: u128, path: &Path) -> io::Result<bool> {
    if !line::is_idle(&shared.key_of(hash)) {
        return Ok(false);
    }
    let disk = shared.disk.as_ref();
    let file = match retry(|| disk.open(&shared.folder, path, Open::READ_WRITE)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let removed = retry(|| disk.try_lock(&file, Mode::Exclusive)).and_then(|locked| {
        if !locked {
            return Ok(false);
        }
        let own = disk.metadata(&file)?;
        let named = disk.metadata_at(&shared.folder, path)?;
        if !own.is_same_file(&named) {
            return Ok(false);
        }
        disk.remove_file(&shared.folder, path).map(|()| true)
    });
    disk.close(file);
    removed
}
