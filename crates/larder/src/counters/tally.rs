//! Counting in memory: each thread in cells of its own, so that hits on many threads do not share a cache line.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::Totals;
use super::class::Classes;
use super::latency::{self, Latency};

/// How many threads count without meeting: more share.
pub(super) const STRIPES: usize = 16;

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $variant:ident => $field:ident,)+) => {
        /// What is counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Counter {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Counter {
            /// Every counter, in the order in which they are shown.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Its name in records and in JSON.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($field),)+
                }
            }
        }

        impl Totals {
            /// The value of one counter.
            pub const fn get(&self, counter: Counter) -> u64 {
                match counter {
                    $(Counter::$variant => self.$field,)+
                }
            }

            pub(super) fn cell(&mut self, counter: Counter) -> &mut u64 {
                match counter {
                    $(Counter::$variant => &mut self.$field,)+
                }
            }
        }
    };
}

counters! {
    /// Answers from a copy in memory.
    HitsMemory => hits_memory,
    /// Answers from the disk.
    HitsDisk => hits_disk,
    /// Answers that were stale: given while the document was being refreshed, or because it could not be.
    Stale => stale,
    /// Questions that neither could answer.
    Misses => misses,
    /// Times an upstream was asked.
    Fetches => fetches,
    /// Times it gave no answer.
    FetchFailures => fetch_failures,
    /// Callers that waited for somebody else's fetch and took its answer.
    Collapsed => collapsed,
    /// Answers that were not stored because they were invalidated while they were being fetched.
    Fenced => fenced,
    /// Documents that were stored.
    Stored => stored,
    /// Fetched documents that were not, for whatever reason.
    NotStored => not_stored,
    /// Invalidations that were recorded.
    Invalidations => invalidations,
    /// Documents that were removed to make room, or because nobody needs them any more.
    Evictions => evictions,
    /// Files that were found damaged, and set aside.
    Corrupt => corrupt,
    /// Callers that waited for somebody else: for a lock, or for a flight.
    LockWaits => lock_waits,
    /// Callers that waited in vain.
    LockTimeouts => lock_timeouts,
    /// Bytes of documents that were given out.
    BytesServed => bytes_served,
}

/// The cells of one stripe, on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe([AtomicU64; Counter::ALL.len()]);

#[derive(Debug)]
pub(super) struct Tally {
    stripes: [Stripe; STRIPES],
    latencies: [[AtomicU64; latency::STEPS]; Latency::COUNT],
    pub(super) classes: Classes,
}

thread_local! {
    static STRIPE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The stripe of this thread.
pub(super) fn stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    STRIPE.with(|stripe| {
        stripe.get().unwrap_or_else(|| {
            let number = NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES;
            stripe.set(Some(number));
            number
        })
    })
}

impl Tally {
    pub(super) fn new() -> Self {
        let latencies = std::array::from_fn(|_| std::array::from_fn(|_| AtomicU64::new(0)));
        Self { stripes: Default::default(), latencies, classes: Classes::default() }
    }

    pub(super) fn add(&self, counter: Counter, by: u64) {
        if let Some(cell) = self.stripes.get(stripe()).and_then(|stripe| stripe.0.get(counter as usize)) {
            cell.fetch_add(by, Ordering::Relaxed);
        }
    }

    pub(super) fn measure(&self, latency: Latency, length: Duration) {
        let cells = self.latencies.get(latency as usize);
        if let Some(cell) = cells.and_then(|cells| cells.get(latency::step_of(length))) {
            cell.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What was counted since the last time, which is counted anew from here on.
    pub(super) fn take(&self) -> Totals {
        let mut totals = self.sum(|cell| cell.swap(0, Ordering::Relaxed));
        totals.classes = self.classes.take();
        totals
    }

    pub(super) fn peek(&self) -> Totals {
        let mut totals = self.sum(|cell| cell.load(Ordering::Relaxed));
        totals.classes = self.classes.peek();
        totals
    }

    /// What was taken, and could not be written.
    pub(super) fn give_back(&self, totals: &Totals) {
        for &counter in Counter::ALL {
            self.add(counter, totals.get(counter));
        }
        self.classes.give_back(&totals.classes);
        for (cells, histogram) in self.latencies.iter().zip([&totals.fetch_us, &totals.lock_wait_us]) {
            for (step, by) in histogram.steps() {
                if let Some(cell) = cells.get(step) {
                    cell.fetch_add(by, Ordering::Relaxed);
                }
            }
        }
    }

    fn sum(&self, of: impl Fn(&AtomicU64) -> u64) -> Totals {
        let mut totals = Totals::default();
        for stripe in &self.stripes {
            for (&counter, cell) in Counter::ALL.iter().zip(&stripe.0) {
                *totals.cell(counter) += of(cell);
            }
        }
        for (cells, histogram) in self.latencies.iter().zip([&mut totals.fetch_us, &mut totals.lock_wait_us]) {
            for (step, cell) in cells.iter().enumerate() {
                histogram.count(step, of(cell));
            }
        }
        totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_many_threads_count_at_once_is_taken_once() {
        let tally = Tally::new();
        let mut taken = Totals::default();
        std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| (0..10_000).for_each(|_| tally.add(Counter::HitsMemory, 1)))).collect();
            while threads.iter().any(|thread| !thread.is_finished()) {
                taken.add(&tally.take());
            }
        });
        taken.add(&tally.take());
        assert_eq!(taken.hits_memory, 40_000);
    }

    #[test]
    fn each_counter_has_a_cell_and_a_name_of_its_own() {
        let tally = Tally::new();
        for (at, &counter) in Counter::ALL.iter().enumerate() {
            tally.add(counter, at as u64 + 1);
        }
        let json = serde_json::to_value(tally.take()).unwrap();
        for (at, counter) in Counter::ALL.iter().enumerate() {
            assert_eq!(json[counter.name()], at as u64 + 1, "{counter:?}");
        }
    }
}
