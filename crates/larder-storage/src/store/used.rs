//! When entries were used: recorded lazily, for eviction to know what nobody has asked for lately.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use larder_system::{Open, retry};

use super::Store;
use super::place::folder_path;
use crate::key::Key;
use crate::location::Location;
use crate::root;

/// A use is recorded if the last recorded one is this long ago: once in ten minutes is exact enough to evict by, and
/// cheap enough to be forgotten.
pub const USE_RECORDED_EVERY: Duration = Duration::from_secs(10 * 60);

impl Store {
    /// Records that the entries under `keys` were used now, each at most once in [`USE_RECORDED_EVERY`], in the file's
    /// own time of access. Returns how many were recorded. It is two or three system calls for each key: off the path of
    /// whoever asked for them.
    ///
    /// What cannot be recorded, as on a disk that may only be read, is not, and no error: eviction then goes by what it
    /// knows.
    ///
    /// # Errors
    /// The root cannot be opened.
    pub fn mark_used<'a>(&self, keys: impl IntoIterator<Item = &'a Key>) -> Result<u64, root::Error> {
        let mut marked = 0;
        let Some(root) = self.reading()?.filter(|_| self.around.writable) else { return Ok(0) };
        let Some(entries) = root.entries()? else { return Ok(0) };
        let now = self.around.clock.wall().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now_ns = i128::try_from(now.as_nanos()).unwrap_or(i128::MAX);
        let every = i128::try_from(USE_RECORDED_EVERY.as_nanos()).unwrap_or(i128::MAX);
        for key in keys {
            let location = Location::of(key);
            let folder: &Path = folder_path(&location);
            let Ok(parent) = retry(|| root.disk().open(entries, folder, Open::FOLDER)) else { continue };
            // also a time from the future is replaced: it is some clock's mistake
            let is_due = root
                .disk()
                .used_at(&parent, location.file())
                .is_ok_and(|(_, used_ns)| now_ns.saturating_sub(used_ns).saturating_abs() >= every);
            if is_due && root.disk().mark_used(&parent, location.file(), now_ns).is_ok() {
                marked += 1;
            }
            root.disk().close(parent);
        }
        Ok(marked)
    }
}
