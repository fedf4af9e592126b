//! Who holds what in a folder of locks.

use std::io;
use std::path::Path;

use larder_system::{Handle, Open, retry};

use crate::locks::Shared;
use crate::{Holder, Mode, holder, lease, name, table};

/// The most names that one look goes through.
const LISTED_MAX: usize = 1_000_000;

/// One lock that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Held {
    /// Its file. It begins with the readable part of the lock's name, and [`file_name`](crate::file_name) gives it for a name.
    pub file: String,
    /// How it is held; `None` where only that it is held can be told.
    pub mode: Option<Mode>,
    /// Who holds it: one, or several that share it; where only one can be named, that one.
    pub holders: Vec<Holder>,
}

/// Why the folder could not be looked at.
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

/// All names in the folder, at most `names_max` and some more of the last batch.
pub(crate) fn names(shared: &Shared, names_max: usize) -> io::Result<Vec<String>> {
    // A handle of its own: a listing's position belongs to its handle.
    let folder = retry(|| shared.disk.open(&shared.folder, Path::new("."), Open::FOLDER))?;
    let mut listed = Vec::new();
    while listed.len() < names_max && retry(|| shared.disk.list(&folder, &mut listed))? {}
    shared.disk.close(folder);
    Ok(listed.into_iter().filter_map(|listed| listed.name.into_string().ok()).collect())
}

pub(crate) fn list(shared: &Shared) -> Result<Vec<Held>, Error> {
    let listed = names(shared, LISTED_MAX).map_err(|source| Error::List { folder: shared.place(), source })?;
    let is_lease = shared.lease_length().is_some();
    let rows = if is_lease { None } else { table::held() };
    let mut all = Vec::new();
    for file in listed {
        let held = if is_lease { lease(shared, &file) } else { advisory(shared, &file, rows.as_deref()) };
        all.extend(held);
    }
    all.sort_by(|a: &Held, b| a.file.cmp(&b.file));
    Ok(all)
}

fn lease(shared: &Shared, file: &str) -> Option<Held> {
    name::hash_of(file, "lease")?;
    let Ok(lease::chain::Located::Link(link)) = lease::chain::locate(shared, Path::new(file)) else { return None };
    let holder = lease::holder_in(shared, &link)?;
    Some(Held { file: file.to_owned(), mode: Some(Mode::Exclusive), holders: vec![holder] })
}

fn advisory(shared: &Shared, file: &str, rows: Option<&[table::Row]>) -> Option<Held> {
    name::hash_of(file, "lock")?;
    let disk = shared.disk.as_ref();
    let handle = retry(|| disk.open(&shared.folder, Path::new(file), Open::READ_WRITE)).ok()?;
    let held = held(shared, &handle, rows);
    disk.close(handle);
    held.map(|(mode, holders)| Held { file: file.to_owned(), mode, holders })
}

fn held(shared: &Shared, handle: &Handle, rows: Option<&[table::Row]>) -> Option<(Option<Mode>, Vec<Holder>)> {
    let disk = shared.disk.as_ref();
    let found = disk.metadata(handle).ok()?;
    let stamp = holder::recorded(disk, handle);
    let own = holder::rows_of(&found, rows.unwrap_or_default());
    if !own.is_empty() {
        let holders = own.iter().map(|row| holder::join(Some(row.pid), stamp.clone())).collect();
        return Some((own.first().map(|row| row.mode), holders));
    }
    match retry(|| disk.try_lock(handle, Mode::Exclusive)) {
        Ok(false) => Some((None, vec![holder::join(None, stamp)])),
        // Granted for an instant, given back by the close.
        Ok(true) | Err(_) => None,
    }
}
