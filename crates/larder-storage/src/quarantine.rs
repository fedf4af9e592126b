//! Quarantine: where damaged and foreign files are set aside, so that nothing is lost and nothing is served.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use camino::Utf8PathBuf;
use larder_system::{Clock, Disk, Handle, Kind, Replace, retry, unique};

use crate::folder;

/// The most files kept; the oldest go first.
pub(crate) const FILES_MAX: usize = 64;
/// A longer file is removed instead of kept: it would fill the disk for nobody's use.
pub(crate) const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// How deep and how much a folder in a file's place is emptied before it is left where it is.
const REMOVALS_MAX: usize = 10_000;

/// The folder of files set aside.
#[derive(Debug)]
pub(crate) struct Quarantine {
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    folder: Handle,
    path: Utf8PathBuf,
    taken: AtomicU64,
    /// How many of these somebody has been told of.
    told: AtomicU64,
}

impl Quarantine {
    pub(crate) fn new(disk: Arc<dyn Disk>, clock: Arc<dyn Clock>, folder: Handle, path: Utf8PathBuf) -> Self {
        Self { disk, clock, folder, path, taken: AtomicU64::new(0), told: AtomicU64::new(0) }
    }

    /// Where files are set aside.
    pub(crate) fn folder(&self) -> &Handle {
        &self.folder
    }

    /// How many files this process has set aside.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// How many since this was asked last.
    pub(crate) fn newly_taken(&self) -> u64 {
        let taken = self.taken();
        taken.saturating_sub(self.told.swap(taken, Ordering::Relaxed))
    }

    /// Moves `name` out of `from`; the caller holds what protects that name, and has judged the file that it names.
    /// Returns whether the name is free now.
    pub(crate) fn take(&self, from: &Handle, name: &Path, reason: &str) -> bool {
        let Ok(metadata) = self.disk.metadata_at(from, name) else { return false };
        let Ok(random) = unique() else { return false };
        let millis =
            self.clock.wall().duration_since(std::time::SystemTime::UNIX_EPOCH).map_or(0, |age| age.as_millis());
        let kept = format!("{millis:016}-{random:016x}");
        let moved = retry(|| self.disk.rename(from, name, &self.folder, Path::new(&kept), Replace::Yes));
        if let Err(error) = moved {
            tracing::warn!(path = %name.display(), %error, "cannot set a damaged file aside");
            return false;
        }
        self.taken.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(from = %name.display(), to = %self.path.join(&kept), reason, "set a damaged file aside");
        // judged by the space it takes: a sparse file of 64 GiB is no burden
        if metadata.kind == Kind::File && metadata.allocated > FILE_BYTES_MAX {
            let _ = retry(|| self.disk.remove_file(&self.folder, Path::new(&kept)));
        }
        self.bound();
        true
    }

    /// Removes the oldest files beyond the bound. Names begin with the time, so their order is their age.
    fn bound(&self) {
        let Ok(mut names) = folder::names(&*self.disk, &self.folder, Path::new(".")) else { return };
        // what was there before larder is not larder's to remove
        names.retain(|listed| is_ours(&listed.name));
        names.sort_by(|one, other| one.name.cmp(&other.name));
        let excess = names.len().saturating_sub(FILES_MAX);
        for listed in names.iter().take(excess) {
            let name = Path::new(&listed.name);
            if retry(|| self.disk.remove_file(&self.folder, name)).is_err() {
                let mut left = REMOVALS_MAX;
                remove_folder(&*self.disk, &self.folder, name, 0, &mut left);
            }
        }
    }
}

/// Whether a name is one that [`Quarantine::take`] gives.
fn is_ours(name: &std::ffi::OsStr) -> bool {
    let Some((millis, random)) = name.to_str().and_then(|name| name.split_once('-')) else { return false };
    let digits = |text: &str| text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    digits(millis) && digits(random)
}

/// When the file with this name was set aside, in milliseconds since 1970; `None` when [`Quarantine::take`] gives no such
/// name.
pub(crate) fn taken_at_ms(name: &str) -> Option<u64> {
    is_ours(name.as_ref()).then(|| name.split_once('-')?.0.parse().ok()).flatten()
}

/// What is set aside in the root: files, and the bytes they take.
pub(crate) fn usage(disk: &dyn Disk, root: &Handle) -> (u64, u64) {
    let Ok(folder) = retry(|| disk.open(root, Path::new(crate::root::QUARANTINE), larder_system::Open::FOLDER)) else {
        return (0, 0);
    };
    let names = folder::names(disk, &folder, Path::new(".")).unwrap_or_default();
    let ours = names.iter().filter(|listed| is_ours(&listed.name));
    let sizes = ours.filter_map(|listed| disk.metadata_at(&folder, Path::new(&listed.name)).ok());
    let usage = sizes.fold((0, 0), |(files, bytes), metadata| (files + 1, bytes + metadata.allocated));
    disk.close(folder);
    usage
}

/// Removes a folder with all that is in it, within bounds; links are removed, not followed.
fn remove_folder(disk: &dyn Disk, at: &Handle, name: &Path, depth: usize, left: &mut usize) {
    const DEPTH_MAX: usize = 64;
    if depth > DEPTH_MAX {
        return;
    }
    let Ok(inner) = retry(|| disk.open(at, name, larder_system::Open::FOLDER)) else { return };
    for listed in folder::names(disk, &inner, Path::new(".")).unwrap_or_default() {
        if *left == 0 {
            break;
        }
        *left -= 1;
        let name = Path::new(&listed.name);
        if retry(|| disk.remove_file(&inner, name)).is_err() {
            remove_folder(disk, &inner, name, depth + 1, left);
        }
    }
    disk.close(inner);
    let _ = retry(|| disk.remove_folder(at, name));
}
