//! Whether a lease may be taken, from what this process has seen of it.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use super::chain::Link;
use super::record::Record;
use crate::locks::Shared;
use crate::park::locked;

/// The most leases that one `Locks` remembers; beyond it the one seen least recently is forgotten, and watched anew.
const SEEN_MAX: usize = 1_024;
/// A length in a file counts up to here, so that garbage cannot make a lease immortal.
const LENGTH_MAX: Duration = Duration::from_secs(24 * 3_600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Free, or its holder dead or silent for its whole length.
    Takeable,
    Held,
}

/// What each lease looked like, and since when. Kept between acquisitions, so that short waits add up.
#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<HashMap<u128, Sighting>>);

#[derive(Debug)]
struct Sighting {
    epoch: u64,
    token: u64,
    content: Vec<u8>,
    /// When exactly this was first seen, by this process's monotonic clock.
    since: Duration,
    length: Duration,
}

pub(super) fn verdict(shared: &Shared, hash: u128, link: &Link, content: &[u8], length: Duration) -> Verdict {
    let record = Record::read(content, link);
    match &record {
        Some(record) if record.free => return Verdict::Takeable,
        Some(record) if record.holder.is_proven_dead(shared.clock.as_ref()) => return Verdict::Takeable,
        _ => {}
    }
    let length = record.map_or(length, |record| record.length()).min(LENGTH_MAX);
    let now = shared.clock.monotonic();
    let mut seen = locked(&shared.seen.0);
    if let Some(sighting) = seen.get(&hash)
        && (sighting.epoch, sighting.token) == (link.epoch(), link.token)
        && sighting.content == content
    {
        let silent = now.saturating_sub(sighting.since);
        return if silent > sighting.length { Verdict::Takeable } else { Verdict::Held };
    }
    if seen.len() >= SEEN_MAX
        && let Some(oldest) = seen.iter().min_by_key(|(_, sighting)| sighting.since).map(|(hash, _)| *hash)
    {
        seen.remove(&oldest);
    }
    let sighting = Sighting { epoch: link.epoch(), token: link.token, content: content.to_vec(), since: now, length };
    seen.insert(hash, sighting);
    Verdict::Held
}

/// How long until what was last seen has expired, if it does not change.
pub(super) fn expires_in(shared: &Shared, hash: u128) -> Duration {
    let now = shared.clock.monotonic();
    let seen = locked(&shared.seen.0);
    seen.get(&hash)
        .map_or(Duration::ZERO, |sighting| sighting.length.saturating_sub(now.saturating_sub(sighting.since)))
}

pub(super) fn forget(shared: &Shared, hash: u128) {
    locked(&shared.seen.0).remove(&hash);
}
