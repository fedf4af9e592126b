//! One path that is watched.

use std::time::Duration;

use camino::Utf8Path;

use super::source::Backend;
use crate::fingerprint::{Digest, Fingerprints};

/// What is known of one path.
#[derive(Debug)]
pub(super) struct Place {
    /// Its stamps at the last look.
    seen: Option<Digest<16>>,
    /// What lay there then.
    pub(super) identity: Option<Identity>,
    pub(super) how: How,
    /// Whether its refusal was told: the next ones are not news.
    pub(super) is_told: bool,
}

/// Which file or folder it is.
pub(super) type Identity = (u64, u64);

/// Who looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// The source.
    Source,
    /// The watch itself; the source is asked again at this monotonic time.
    Itself { retry_at: Duration },
}

impl Place {
    pub(super) fn new(path: &Utf8Path, fingerprints: &Fingerprints) -> Self {
        let how = How::Itself { retry_at: Duration::ZERO };
        Self { seen: fingerprints.stamp(path), identity: identity(path), how, is_told: false }
    }

    /// Looks again; whether anything has changed. What cannot be looked at twice has not changed.
    pub(super) fn has_changed(&mut self, path: &Utf8Path, fingerprints: &Fingerprints) -> bool {
        let seen = fingerprints.stamp(path);
        let has_changed = seen != self.seen;
        self.seen = seen;
        has_changed
    }

    /// What the source has watched is gone, or another one: that is to be offered to it at once.
    pub(super) fn leave(&mut self, path: &Utf8Path, backend: Option<&mut Box<dyn Backend>>) {
        if self.how == How::Source
            && let Some(backend) = backend
        {
            backend.unwatch(path.as_std_path());
        }
        self.how = How::Itself { retry_at: Duration::ZERO };
    }

    /// Whether another file or folder is there now, which nobody watches yet.
    pub(super) fn is_another(&mut self, path: &Utf8Path) -> bool {
        let identity = identity(path);
        let is_another = identity != self.identity;
        self.identity = identity;
        is_another
    }
}

#[cfg(unix)]
fn identity(path: &Utf8Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = path.symlink_metadata().ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// Only whether it is there, and when it was made: the standard library tells no more.
#[cfg(not(unix))]
fn identity(path: &Utf8Path) -> Option<Identity> {
    let created = path.symlink_metadata().ok()?.created().ok();
    let since = created.and_then(|created| created.duration_since(std::time::UNIX_EPOCH).ok());
    Some(since.map_or((0, 0), |since| (since.as_secs(), u64::from(since.subsec_nanos()))))
}
