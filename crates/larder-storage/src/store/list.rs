//! What is stored: lists by prefix, and how much room it takes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use larder_system::{Open, retry};

use super::walk::{Found, Walk};
use super::{GetError, Store};
use crate::entry::Metadata;
use crate::failure::Context;
use crate::generation::Standing;
use crate::header::{self, Decoded, Fault, Header};
use crate::key::{Key, Prefix};
use crate::location::{self, HASHED, Location};
use crate::put::Durability;
use crate::quarantine;
use crate::root::{ENTRIES, Root};

/// Bytes of an entry that nearly always hold the whole header.
const HEADER_READ_BYTES: usize = 4 * 1024;

/// An entry as a list shows it. The header was verified, the body was not read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Summary {
    /// Its key.
    pub key: Key,
    /// The document's length in bytes.
    pub length: u64,
    /// When it was stored, by the wall clock of the process that stored it.
    pub stored_at: SystemTime,
    /// How it was stored.
    pub durability: Durability,
    /// What was stored beside it.
    pub metadata: Metadata,
    /// Whether it is current or was invalidated. Entries that are gone are not listed.
    pub standing: Standing,
}

/// The room that a root takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Entries, including those that no longer count but still take room.
    pub entries: u64,
    /// Bytes allocated to them on disk.
    pub entry_bytes: u64,
    /// Files in quarantine.
    pub quarantined: u64,
    /// Bytes allocated to those.
    pub quarantined_bytes: u64,
}

/// The entries below a prefix, one after the other. Entries that come, go or move meanwhile may or may not be seen.
#[derive(Debug)]
#[must_use = "a listing reads nothing until it is iterated"]
pub struct Listing {
    root: Option<Arc<Root>>,
    prefix: Prefix,
    walks: Vec<Walk>,
}

impl Store {
    /// The entries below `prefix`, in the order of their files' names, keys that are hashed whole last.
    ///
    /// It reads each entry's header as it comes to it: the cost is that of the entries seen. Damaged files are passed
    /// over; [`Store::verify`] tells of them.
    ///
    /// # Errors
    /// The root cannot be opened, or its folders cannot be listed.
    pub fn list(&self, prefix: &Prefix) -> Result<Listing, GetError> {
        let root = self.reading()?;
        let mut walks = Vec::new();
        if let Some(root) = &root
            && let Some(entries) = root.entries()?
        {
            let mut begin = |start: PathBuf| -> Result<(), GetError> {
                let walk = Walk::below(root.disk(), entries, &start).context("list", root.path.join(ENTRIES))?;
                walks.push(walk);
                Ok(())
            };
            if !prefix.as_str().is_empty() {
                begin(PathBuf::from(HASHED))?;
            }
            if let Some(folder) = location::folder_of(prefix) {
                begin(folder)?;
            }
        }
        Ok(Listing { root, prefix: prefix.clone(), walks })
    }

    /// How much room the root takes. It looks at every entry.
    ///
    /// # Errors
    /// As [`Store::list`].
    pub fn usage(&self) -> Result<Usage, GetError> {
        let mut usage = Usage::default();
        let Some(root) = self.reading()? else { return Ok(usage) };
        if let Some(entries) = root.entries()? {
            let mut walk = Walk::below(root.disk(), entries, Path::new("")).context("list", root.path.join(ENTRIES))?;
            while let Some(found) = walk.next(root.disk(), entries).context("list", root.path.join(ENTRIES))? {
                let Found::Entry(path) = found else { continue };
                let Ok(file) = retry(|| root.disk().open(entries, &path, Open::READ)) else { continue };
                if let Ok(metadata) = root.disk().metadata(&file) {
                    usage.entries += 1;
                    usage.entry_bytes += metadata.allocated;
                }
                root.disk().close(file);
            }
        }
        (usage.quarantined, usage.quarantined_bytes) = quarantine::usage(root.disk(), &root.handle);
        Ok(usage)
    }
}

impl Iterator for Listing {
    type Item = Result<Summary, GetError>;

    fn next(&mut self) -> Option<Self::Item> {
        let root = self.root.clone()?;
        let entries = match root.entries() {
            Ok(entries) => entries?,
            Err(error) => return Some(Err(error.into())),
        };
        while let Some(walk) = self.walks.last_mut() {
            let found = match walk.next(root.disk(), entries) {
                Ok(Some(found)) => found,
                Ok(None) => {
                    self.walks.pop();
                    continue;
                }
                Err(error) => {
                    self.walks.pop();
                    return Some(Err(crate::Failure::new("list", root.path.join(ENTRIES), error).into()));
                }
            };
            let Found::Entry(path) = found else { continue };
            match summary(&root, &path, &self.prefix) {
                Ok(Some(summary)) => return Some(Ok(summary)),
                Ok(None) => {}
                Err(error) => return Some(Err(error)),
            }
        }
        None
    }
}

/// The header of the entry at `path`, without its body; `None` for what has none that can be read.
pub(super) fn header_at(root: &Root, path: &Path) -> Result<Option<Header>, GetError> {
    Ok(decoded_at(root, path)?.and_then(Result::ok))
}

/// The same, or why it is none; `None` when the file cannot be read. That is no use of the entry.
pub(super) fn decoded_at(root: &Root, path: &Path) -> Result<Option<Result<Header, Fault>>, GetError> {
    let Some(entries) = root.entries()? else { return Ok(None) };
    let Ok(file) = retry(|| root.disk().open(entries, path, Open::PEEK)) else { return Ok(None) };
    let mut bytes = Vec::with_capacity(HEADER_READ_BYTES);
    let mut header = None;
    for room in [HEADER_READ_BYTES, super::get::HEADER_READ_BYTES] {
        bytes.reserve(room.saturating_sub(bytes.len()));
        match retry(|| root.disk().read(&file, &mut bytes)) {
            // more than that was there before, and was judged
            Ok(0) if !bytes.is_empty() => break,
            Ok(_) => {}
            Err(_) => break,
        }
        header = Some(header::decode(&bytes, None).map(|Decoded { header, .. }| header));
        if matches!(header, Some(Ok(_) | Err(Fault::Newer(_)))) {
            break;
        }
    }
    root.disk().close(file);
    Ok(header)
}

fn summary(root: &Root, path: &Path, prefix: &Prefix) -> Result<Option<Summary>, GetError> {
    let Some(header) = header_at(root, path)? else { return Ok(None) };
    // an entry that lies where its key does not belong is no entry
    if !prefix.contains(&header.key) || Location::of(&header.key).path() != path {
        return Ok(None);
    }
    let standing = match root.stamps()? {
        Some(stamps) => stamps.standing(header.token, &header.key, header.metadata.tags())?,
        None => Standing::Gone,
    };
    if standing == Standing::Gone {
        return Ok(None);
    }
    Ok(Some(summary_of(header, standing)))
}

pub(super) fn summary_of(header: Header, standing: Standing) -> Summary {
    let stored_at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(header.stored_ms));
    Summary {
        key: header.key,
        length: header.length,
        stored_at: stored_at.unwrap_or(SystemTime::UNIX_EPOCH),
        durability: header.durability,
        metadata: header.metadata,
        standing,
    }
}
