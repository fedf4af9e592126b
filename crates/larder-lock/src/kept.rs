//! Descriptors of unlocked lock files, kept open to be locked again.

use std::collections::VecDeque;
use std::sync::Mutex;

use larder_system::{Disk, Handle};

use crate::park::locked;

/// At most so many as the options allow, the least recently used first to go.
#[derive(Debug)]
pub(crate) struct Kept {
    count_max: usize,
    // Oldest first. The count is small and a look compares numbers, so a scan beats a map up to some hundreds.
    files: Mutex<VecDeque<(u128, Handle)>>,
}

impl Kept {
    pub(crate) fn new(count_max: usize) -> Self {
        Self { count_max, files: Mutex::default() }
    }

    pub(crate) const fn is_off(&self) -> bool {
        self.count_max == 0
    }

    pub(crate) fn take(&self, hash: u128) -> Option<Handle> {
        if self.is_off() {
            return None;
        }
        let mut files = locked(&self.files);
        let newest = files.iter().rposition(|(kept, _)| *kept == hash)?;
        files.remove(newest).map(|(_, file)| file)
    }

    /// Keeps an unlocked file; what no longer fits is closed.
    pub(crate) fn put(&self, disk: &dyn Disk, hash: u128, file: Handle) {
        let surplus = {
            let mut files = locked(&self.files);
            files.push_back((hash, file));
            if files.len() > self.count_max { files.pop_front() } else { None }
        };
        if let Some((_, file)) = surplus {
            disk.close(file);
        }
    }
}
