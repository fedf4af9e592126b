//! Counts by the class of the document.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

use super::Counter;
use super::tally::{STRIPES, stripe};

/// How many classes are counted apart, in a process and in a root; further ones are counted together.
pub(super) const CLASSES_MAX: usize = 64;
/// What those are counted as.
pub(super) const OTHERS: &str = "(others)";
/// The longest name that is counted apart, in bytes.
const NAME_BYTES_MAX: usize = 256;
const KINDS: usize = 5;

/// What was counted of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ClassTotals {
    /// Answers from memory or the disk.
    #[serde(skip_serializing_if = "is_zero")]
    pub hits: u64,
    /// Questions that neither could answer.
    #[serde(skip_serializing_if = "is_zero")]
    pub misses: u64,
    /// Answers that were stale.
    #[serde(skip_serializing_if = "is_zero")]
    pub stale: u64,
    /// Times an upstream was asked.
    #[serde(skip_serializing_if = "is_zero")]
    pub fetches: u64,
    /// Times it gave no answer.
    #[serde(skip_serializing_if = "is_zero")]
    pub errors: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl ClassTotals {
    pub(super) fn add(&mut self, other: &Self) {
        for (cell, by) in self.cells().into_iter().zip(other.values()) {
            *cell = cell.saturating_add(by);
        }
    }

    pub(super) fn is_zero(&self) -> bool {
        self.values().iter().all(|value| *value == 0)
    }

    const fn values(&self) -> [u64; KINDS] {
        [self.hits, self.misses, self.stale, self.fetches, self.errors]
    }

    const fn cells(&mut self) -> [&mut u64; KINDS] {
        [&mut self.hits, &mut self.misses, &mut self.stale, &mut self.fetches, &mut self.errors]
    }
}

/// The cells of one stripe, on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Stripe([AtomicU64; KINDS]);

/// One class, for counting.
#[derive(Clone, Debug)]
pub(crate) struct Class(Arc<[Stripe; STRIPES]>);

impl Class {
    fn new() -> Self {
        Self(Arc::default())
    }

    /// Counts what is counted by class; anything else is not.
    pub(crate) fn count(&self, counter: Counter, by: u64) {
        let kind = match counter {
            Counter::HitsMemory | Counter::HitsDisk => 0,
            Counter::Misses => 1,
            Counter::Stale => 2,
            Counter::Fetches => 3,
            Counter::FetchFailures => 4,
            _ => return,
        };
        if let Some(cell) = self.0.get(stripe()).and_then(|stripe| stripe.0.get(kind)) {
            cell.fetch_add(by, Ordering::Relaxed);
        }
    }

    fn sum(&self, of: impl Fn(&AtomicU64) -> u64) -> ClassTotals {
        let mut totals = ClassTotals::default();
        for stripe in self.0.iter() {
            for (cell, count) in totals.cells().into_iter().zip(&stripe.0) {
                *cell += of(count);
            }
        }
        totals
    }
}

/// The classes that this process has met.
#[derive(Debug, Default)]
pub(super) struct Classes(RwLock<BTreeMap<String, Class>>);

impl Classes {
    pub(super) fn of(&self, name: &str) -> Class {
        let name = if name.len() > NAME_BYTES_MAX { OTHERS } else { name };
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(class) = known.get(name) {
            return class.clone();
        }
        let name = if known.len() >= CLASSES_MAX { OTHERS } else { name };
        drop(known);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.entry(name.to_owned()).or_insert_with(Class::new).clone()
    }

    /// What was counted since the last time.
    pub(super) fn take(&self) -> BTreeMap<String, ClassTotals> {
        self.totals(|cell| cell.swap(0, Ordering::Relaxed))
    }

    pub(super) fn peek(&self) -> BTreeMap<String, ClassTotals> {
        self.totals(|cell| cell.load(Ordering::Relaxed))
    }

    /// What was taken, and could not be written.
    pub(super) fn give_back(&self, totals: &BTreeMap<String, ClassTotals>) {
        for (name, totals) in totals {
            let class = self.of(name);
            let counters =
                [Counter::HitsDisk, Counter::Misses, Counter::Stale, Counter::Fetches, Counter::FetchFailures];
            for (counter, by) in counters.into_iter().zip(totals.values()) {
                class.count(counter, by);
            }
        }
    }

    fn totals(&self, of: impl Fn(&AtomicU64) -> u64) -> BTreeMap<String, ClassTotals> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let totals = known.iter().map(|(name, class)| (name.clone(), class.sum(&of)));
        totals.filter(|(_, totals)| !totals.is_zero()).collect()
    }
}

/// Adds one to the other, within the bound on classes.
pub(super) fn add(to: &mut BTreeMap<String, ClassTotals>, delta: &BTreeMap<String, ClassTotals>) {
    for (name, totals) in delta {
        let is_there = to.contains_key(name) || to.len() < CLASSES_MAX;
        let name = if is_there { name.as_str() } else { OTHERS };
        to.entry(name.to_owned()).or_default().add(totals);
    }
}
