//! Totals, and how they are written in a record.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Counter;
use super::class::{self, ClassTotals};
use super::latency::Histogram;

/// The format of records.
const VERSION: u64 = 1;
/// How many counters of newer versions are carried along.
const OTHERS_MAX: usize = 64;

/// What has been counted; a delta or the sum of many.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Totals {
    /// [`Counter::HitsMemory`].
    pub hits_memory: u64,
    /// [`Counter::HitsDisk`].
    pub hits_disk: u64,
    /// [`Counter::Stale`].
    pub stale: u64,
    /// [`Counter::Misses`].
    pub misses: u64,
    /// [`Counter::Fetches`].
    pub fetches: u64,
    /// [`Counter::FetchFailures`].
    pub fetch_failures: u64,
    /// [`Counter::Collapsed`].
    pub collapsed: u64,
    /// [`Counter::Fenced`].
    pub fenced: u64,
    /// [`Counter::Stored`].
    pub stored: u64,
    /// [`Counter::NotStored`].
    pub not_stored: u64,
    /// [`Counter::Invalidations`].
    pub invalidations: u64,
    /// [`Counter::Evictions`].
    pub evictions: u64,
    /// [`Counter::Corrupt`].
    pub corrupt: u64,
    /// [`Counter::LockWaits`].
    pub lock_waits: u64,
    /// [`Counter::LockTimeouts`].
    pub lock_timeouts: u64,
    /// [`Counter::BytesServed`].
    pub bytes_served: u64,
    /// How long fetches took.
    pub fetch_us: Histogram,
    /// How long callers waited for others, those that waited.
    pub lock_wait_us: Histogram,
    /// The same by class: hits, misses, stale answers, fetches and errors.
    pub classes: BTreeMap<String, ClassTotals>,
    /// What a newer version counts.
    #[serde(flatten)]
    others: BTreeMap<String, u64>,
}

/// What a record turned out to be.
pub(super) enum Read {
    Delta(Box<Totals>),
    Foreign,
}

impl Totals {
    /// Adds what `delta` has.
    pub(super) fn add(&mut self, delta: &Self) {
        for &counter in Counter::ALL {
            let cell = self.cell(counter);
            *cell = cell.saturating_add(delta.get(counter));
        }
        self.fetch_us.add(&delta.fetch_us);
        self.lock_wait_us.add(&delta.lock_wait_us);
        class::add(&mut self.classes, &delta.classes);
        for (name, value) in &delta.others {
            if self.others.len() < OTHERS_MAX || self.others.contains_key(name) {
                let cell = self.others.entry(name.clone()).or_default();
                *cell = cell.saturating_add(*value);
            }
        }
    }

    /// Whether nothing was counted.
    pub fn is_zero(&self) -> bool {
        Counter::ALL.iter().all(|&counter| self.get(counter) == 0)
            && self.fetch_us.is_empty()
            && self.lock_wait_us.is_empty()
            && self.classes.is_empty()
            && self.others.is_empty()
    }
}

/// As a record: the version first, then what is not zero.
pub(super) fn encode(totals: &Totals) -> Vec<u8> {
    use std::io::Write as _;
    let known = Counter::ALL.iter().map(|&counter| (counter.name(), totals.get(counter)));
    let others = totals.others.iter().map(|(name, value)| (name.as_str(), *value));
    let mut record = Vec::with_capacity(128);
    // into memory, which does not fail
    let _ = write!(record, "{{\"counters\":{VERSION}");
    for (name, value) in known.chain(others).filter(|(_, value)| *value != 0) {
        record.extend_from_slice(b",");
        let _ = serde_json::to_writer(&mut record, name);
        let _ = write!(record, ":{value}");
    }
    for (name, histogram) in [("fetch_us", &totals.fetch_us), ("lock_wait_us", &totals.lock_wait_us)] {
        if !histogram.is_empty() {
            let _ = write!(record, ",\"{name}\":");
            let _ = serde_json::to_writer(&mut record, histogram);
        }
    }
    if !totals.classes.is_empty() {
        let _ = write!(record, ",\"classes\":");
        let _ = serde_json::to_writer(&mut record, &totals.classes);
    }
    record.extend_from_slice(b"}");
    record
}

/// A record of this format; any other is somebody else's.
pub(super) fn decode(record: &[u8]) -> Read {
    let Ok(mut totals) = serde_json::from_slice::<Totals>(record) else { return Read::Foreign };
    if totals.others.remove("counters") == Some(VERSION) { Read::Delta(Box::new(totals)) } else { Read::Foreign }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_the_documented_bytes() {
        let totals = Totals { hits_disk: 3, bytes_served: 4_096, ..Totals::default() };
        assert_eq!(encode(&totals), br#"{"counters":1,"hits_disk":3,"bytes_served":4096}"#);
        assert!(matches!(decode(&encode(&totals)), Read::Delta(read) if *read == totals));
    }

    #[test]
    fn counters_of_a_newer_version_are_carried_along() {
        let record = br#"{"counters":1,"misses":2,"renewed":7}"#;
        let Read::Delta(delta) = decode(record) else { panic!("it is a delta") };
        let mut totals = Totals::default();
        totals.add(&delta);
        totals.add(&delta);
        assert_eq!(encode(&totals), br#"{"counters":1,"misses":4,"renewed":14}"#);
    }

    #[test]
    fn what_is_no_record_of_this_format_is_foreign() {
        for record in
            [&b""[..], b"{}", b"[]", b"{\"counters\":2,\"misses\":1}", b"{\"counters\":1,\"misses\":-1}", b"\xff"]
        {
            assert!(matches!(decode(record), Read::Foreign), "{record:?}");
        }
    }
}
