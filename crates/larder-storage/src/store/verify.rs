//! The full check: every entry read and judged.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::get::Read;
use super::list::header_at;
use super::walk::{Found, Walk};
use super::{GetError, Store};
use crate::failure::Context;
use crate::generation::Standing;
use crate::key::Key;
use crate::location::Location;
use crate::root::{ENTRIES, Root};

/// The most damaged files described one by one; all are counted.
const DESCRIBED_MAX: usize = 1_000;

/// What a full check found.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Verified {
    /// Entries that are whole.
    pub whole: u64,
    /// Bytes of their documents.
    pub bytes: u64,
    /// Of those, the ones invalidated softly, and the ones gone but not yet removed.
    pub invalidated: u64,
    /// Entries of newer formats, left alone.
    pub newer: u64,
    /// Damaged or foreign files found.
    pub damaged: u64,
    /// Of those, the ones set aside.
    pub repaired: u64,
    /// The first 1,000 damaged files.
    pub damage: Vec<Damage>,
    /// When the last of the whole ones was stored, by the wall clock of whoever stored it.
    pub latest: Option<SystemTime>,
    /// Whether it was stopped before it had seen everything.
    pub stopped: bool,
}

/// A file that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// Where it is, below the root's `entries`.
    pub path: PathBuf,
    /// The key that its header names, if it can be read.
    pub key: Option<Key>,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Store {
    /// Reads every entry and judges it. With `repair`, damaged files are set aside in `quarantine/`, so that they are
    /// fetched anew; without, nothing changes. Leftovers of dead writers are no damage.
    ///
    /// # Errors
    /// The root cannot be opened, or the system refuses a call.
    pub fn verify(&self, repair: bool) -> Result<Verified, GetError> {
        self.verify_from(0, repair, &|_| true)
    }

    /// The same of some entries, others each time, until `goes_on` has enough of what was seen: for a quick look. Nothing
    /// changes.
    ///
    /// # Errors
    /// As [`Store::verify`].
    ///
    /// ```
    /// # let scratch = larder_testkit::Scratch::new("verify-some-doc");
    /// # let store = larder_storage::Store::open(scratch.utf8_path())?;
    /// let seen = store.verify_some(&|seen| seen.whole + seen.damaged < 100)?;
    /// assert!(seen.damage.is_empty() && !seen.stopped);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn verify_some(&self, goes_on: &dyn Fn(&Verified) -> bool) -> Result<Verified, GetError> {
        // without a random number it is the same part each time, which is better than none
        let turn = larder_system::unique().map_or(0, |number| usize::try_from(number >> 32).unwrap_or(0));
        self.verify_from(turn, false, goes_on)
    }

    fn verify_from(
        &self,
        turn: usize,
        repair: bool,
        goes_on: &dyn Fn(&Verified) -> bool,
    ) -> Result<Verified, GetError> {
        let mut verified = Verified::default();
        let Some(root) = self.reading()? else { return Ok(verified) };
        let Some(entries) = root.entries()? else { return Ok(verified) };
        let mut walk =
            Walk::turned(root.disk(), entries, Path::new(""), turn).context("list", root.path.join(ENTRIES))?;
        while let Some(found) = walk.next(root.disk(), entries).context("list", root.path.join(ENTRIES))? {
            if !goes_on(&verified) {
                verified.stopped = true;
                break;
            }
            match found {
                Found::Folder(_) => {}
                Found::Stranger(path) => {
                    self.note(&root, &mut verified, Damage { path, key: None, reason: "it is no entry" }, repair);
                }
                Found::Entry(path) => self.judge(&root, &mut verified, path, repair)?,
            }
        }
        Ok(verified)
    }

    fn judge(
        &self,
        root: &std::sync::Arc<Root>,
        verified: &mut Verified,
        path: PathBuf,
        repair: bool,
    ) -> Result<(), GetError> {
        let Some(entries) = root.entries()? else { return Ok(()) };
        let read = self
            .read_below(root.disk(), entries, &path, None)
            .context("read", root.path.join(ENTRIES).join(path.to_string_lossy().as_ref()))?;
        match read {
            // gone since the listing
            Read::Absent => {}
            Read::Newer => verified.newer += 1,
            Read::TooLarge => self.note(
                root,
                verified,
                Damage { path, key: None, reason: "it is larger than this store reads" },
                false,
            ),
            Read::Damaged(reason) => {
                let key = header_at(root, &path)?.map(|header| header.key);
                self.note(root, verified, Damage { path, key, reason }, repair);
            }
            Read::Whole(decoded, _) => {
                let header = decoded.header;
                if Location::of(&header.key).path() != path {
                    let damage = Damage { path, key: Some(header.key), reason: "it is another key's entry" };
                    self.note(root, verified, damage, repair);
                    return Ok(());
                }
                let standing = match root.stamps()? {
                    Some(stamps) => stamps.standing(header.token, &header.key, header.metadata.tags())?,
                    None => Standing::Gone,
                };
                verified.whole += 1;
                verified.bytes += header.length;
                let stored = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(header.stored_ms));
                verified.latest = verified.latest.max(stored);
                verified.invalidated += u64::from(standing != Standing::Current);
            }
        }
        Ok(())
    }

    fn note(&self, root: &std::sync::Arc<Root>, verified: &mut Verified, damage: Damage, repair: bool) {
        verified.damaged += 1;
        if repair && self.set_aside_found(root, &damage) {
            verified.repaired += 1;
        }
        if verified.damage.len() < DESCRIBED_MAX {
            verified.damage.push(damage);
        }
    }
}
