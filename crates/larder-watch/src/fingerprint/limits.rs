//! What a fingerprint may cost.

use std::time::Duration;

/// How much may lie below the dependencies of one document, all of them together.
///
/// The defaults are far above what a project has and far below what would hurt: 100,000 files are walked in a tenth of a
/// second to a second, 4 GiB are read in some seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Names, folders included; 100,000.
    pub files_max: u64,
    /// Bytes that are read in one go; 4 GiB.
    pub bytes_max: u64,
    /// Folders in folders; 64. Each is an open file for as long as what is below it is looked at.
    pub depth_max: usize,
    /// Time; 60 s. A call of the system that does not return is not interrupted.
    pub time_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { files_max: 100_000, bytes_max: 4 << 30, depth_max: 64, time_max: Duration::from_secs(60) }
    }
}

impl Limits {
    /// At most so many names.
    #[must_use]
    pub const fn files_max(mut self, files: u64) -> Self {
        self.files_max = files;
        self
    }

    /// At most so many bytes.
    #[must_use]
    pub const fn bytes_max(mut self, bytes: u64) -> Self {
        self.bytes_max = bytes;
        self
    }

    /// At most so many folders in folders.
    #[must_use]
    pub const fn depth_max(mut self, depth: usize) -> Self {
        self.depth_max = depth;
        self
    }

    /// No longer than this.
    #[must_use]
    pub const fn time_max(mut self, time: Duration) -> Self {
        self.time_max = time;
        self
    }
}
