//! The content of a lease file.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::chain::Link;
use crate::holder::{line, padded};
use crate::process::Stamp;

/// Every content has this size, and is written by one `pwrite`.
pub(super) const BYTES: usize = 1_024;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Must equal the token in the file's name; otherwise the content is that of an earlier holder.
    pub(super) token: u64,
    pub(super) free: bool,
    /// Counts the holder's signs of life.
    pub(super) beat: u64,
    pub(super) length_ms: u64,
    pub(super) holder: Stamp,
}

impl Record {
    pub(super) fn held(link: &Link, length: Duration, holder: Stamp) -> Self {
        let length_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        Self { token: link.token, free: false, beat: 0, length_ms, holder }
    }

    /// The content of a file that nobody has had yet.
    pub(super) fn first(length: Duration, holder: Stamp) -> Self {
        let length_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        Self { token: 0, free: true, beat: 0, length_ms, holder }
    }

    /// `None` for anything that is not a record of the token in the name.
    pub(super) fn read(bytes: &[u8], link: &Link) -> Option<Self> {
        let record: Self = serde_json::from_slice(line(bytes)?).ok()?;
        (record.token == link.token).then_some(record)
    }

    /// The bytes to write. A label too long for them is left out.
    pub(super) fn bytes(&self) -> Vec<u8> {
        padded(self, BYTES)
            .or_else(|| {
                let mut plain = self.clone();
                plain.holder.label = None;
                padded(&plain, BYTES)
            })
            // A host name is at most 64 characters, so the rest always fits; an empty record would be a holder without
            // a name, which expires like any other.
            .unwrap_or_else(|| vec![b'\n'; BYTES])
    }

    pub(super) const fn length(&self) -> Duration {
        Duration::from_millis(self.length_ms)
    }
}
