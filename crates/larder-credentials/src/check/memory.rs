//! Verdicts that are remembered, so that each short command does not ask the upstream again.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use camino::Utf8PathBuf;
use larder_system::{Clock, Disk};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Verdict;
use crate::store::file::{Bytes, PrivateFile};
use crate::store::{self};
use crate::{Fingerprint, Name};

const VERSION: u32 = 1;
/// The most bytes that the file may have.
const BYTES_MAX: u64 = 64 * 1024;
/// The most verdicts that are kept; the latest stay.
const VERDICTS_MAX: usize = 200;
/// How long a label is kept as it is: of a longer one the end is cut off, and with it the memory may be shared.
const LABEL_BYTES_MAX: usize = 200;
/// What is waited for others who write: nobody is kept from working to remember something.
const LOCK_WAIT: Duration = Duration::from_millis(200);

/// A file of verdicts. What cannot be read or written counts as absent: then the upstream is asked again.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    file: PrivateFile,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    version: u32,
    verdicts: Vec<Remembered>,
}

/// Whether the upstream took a secret, which is told by its fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    name: String,
    fingerprint: Fingerprint,
    probe: String,
    at_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused: Option<Refused>,
}

/// That the upstream did not take it, and how it said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) expired: bool,
}

impl Refused {
    /// As it is known since then.
    pub(super) const fn verdict(self, since: SystemTime) -> Verdict {
        if self.expired { Verdict::Expired { since } } else { Verdict::Invalid { status: self.status } }
    }
}

/// What the upstream said last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Last {
    pub(super) at: SystemTime,
    /// `None` when it took it.
    pub(super) refused: Option<Refused>,
}

/// What a verdict is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct About<'a> {
    pub(super) name: &'a Name,
    pub(super) fingerprint: Fingerprint,
    pub(super) probe: &'a str,
}

impl About<'_> {
    fn is_of(&self, remembered: &Remembered) -> bool {
        remembered.name == self.name.as_str()
            && remembered.fingerprint == self.fingerprint
            && remembered.probe == cut(self.probe)
    }
}

impl Memory {
    pub(super) fn at(path: Utf8PathBuf, disk: Arc<dyn Disk>, clock: Arc<dyn Clock>) -> Self {
        Self { file: PrivateFile { path, disk, clock, bytes_max: BYTES_MAX } }
    }

    /// What the upstream said last, unless that is longer ago than `keep`, or in the future.
    pub(super) fn recall(&self, about: About<'_>, keep: Duration) -> Option<Last> {
        let content = parse(self.file.read().ok()?.as_ref());
        let latest = content.verdicts.iter().filter(|one| about.is_of(one)).max_by_key(|one| one.at_ms)?;
        let at = UNIX_EPOCH.checked_add(Duration::from_millis(latest.at_ms))?;
        let age = self.file.clock.wall().duration_since(at).ok()?;
        (age <= keep).then_some(Last { at, refused: latest.refused })
    }

    /// Remembers what the upstream says now.
    pub(super) fn remember(&self, about: About<'_>, refused: Option<Refused>, keep: Duration) {
        let now_ms = self.now_ms();
        self.change(about, keep, |verdicts| {
            verdicts.push(Remembered {
                name: about.name.as_str().to_owned(),
                fingerprint: about.fingerprint,
                probe: cut(about.probe).to_owned(),
                at_ms: now_ms,
                refused,
            });
        });
    }

    fn now_ms(&self) -> u64 {
        let now = self.file.clock.wall().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
    }

    fn change(&self, about: About<'_>, keep: Duration, change: impl FnOnce(&mut Vec<Remembered>)) {
        let oldest_ms = self.now_ms().saturating_sub(u64::try_from(keep.as_millis()).unwrap_or(u64::MAX));
        let done = self.file.update(LOCK_WAIT, |old| {
            let mut content = parse(old.as_ref());
            content.version = VERSION;
            content.verdicts.retain(|one| !about.is_of(one) && one.at_ms >= oldest_ms);
            change(&mut content.verdicts);
            let excess = content.verdicts.len().saturating_sub(VERDICTS_MAX);
            content.verdicts.drain(..excess);
            let bytes = serde_json::to_vec(&content).map_err(|error| store::Error::Io {
                action: "compose the memory",
                path: self.file.path.clone(),
                source: error.into(),
            })?;
            Ok((Some(Zeroizing::new(bytes)), ()))
        });
        if let Err(error) = done {
            tracing::debug!(%error, "a verdict is not remembered");
        }
    }
}

/// A damaged memory is an empty one, and so is that of a later version, which is only a memory.
fn parse(bytes: Option<&Bytes>) -> Content {
    let content: Option<Content> = bytes.and_then(|bytes| serde_json::from_slice(bytes).ok());
    content.filter(|content| content.version == VERSION).unwrap_or_default()
}

fn cut(label: &str) -> &str {
    let end = label.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= LABEL_BYTES_MAX).last();
    label.get(..end.unwrap_or(0)).unwrap_or_default()
}
