//! How long things took, as counts that can be added up.
//!
//! The scale is that of high dynamic range histograms (Gil Tene's `HdrHistogram`), with four steps to each doubling, from a
//! microsecond on: what is told is at most a quarter more than what was measured.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Steps on the scale; the last one is for an hour and more.
pub(super) const STEPS: usize = 124;
/// The most that is told apart: an hour.
const LONGEST_US: u64 = 3_600_000_000;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Latency {
    /// A fetch, from its beginning to its answer or failure.
    Fetch,
    /// A caller's wait for somebody else: a lock, or a flight.
    LockWait,
}

impl Latency {
    pub(super) const COUNT: usize = 2;
}

/// The step of a length of time.
pub(super) fn step_of(length: Duration) -> usize {
    let us = u64::try_from(length.as_micros()).unwrap_or(u64::MAX).min(LONGEST_US);
    let step = match us.checked_ilog2() {
        None | Some(0 | 1) => us,
        Some(exponent) => u64::from(exponent - 1) * 4 + ((us >> (exponent - 2)) & 3),
    };
    usize::try_from(step).unwrap_or(STEPS).min(STEPS - 1)
}

/// The longest time of a step, in microseconds.
fn end_of(step: u64) -> u64 {
    if step < 4 {
        return step;
    }
    let (exponent, quarter) = (step / 4 + 1, step % 4);
    let unit = 1_u64 << (exponent - 2);
    (4 + quarter) * unit + (unit - 1)
}

/// How often something took how long.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Histogram(BTreeMap<u8, u64>);

impl Histogram {
    pub(super) fn count(&mut self, step: usize, by: u64) {
        if let Ok(step) = u8::try_from(step)
            && by > 0
        {
            let cell = self.0.entry(step).or_default();
            *cell = cell.saturating_add(by);
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (&step, &by) in &other.0 {
            self.count(usize::from(step).min(STEPS - 1), by);
        }
    }

    pub(super) fn steps(&self) -> impl Iterator<Item = (usize, u64)> {
        self.0.iter().map(|(&step, &by)| (usize::from(step), by))
    }

    /// Whether nothing was measured.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many times were measured.
    pub fn len(&self) -> u64 {
        self.0.values().fold(0, |sum, by| sum.saturating_add(*by))
    }

    /// The time that `part` of all, 0 to 1, did not exceed, by at most a quarter too long; `None` when nothing was measured.
    /// `quantile(1.0)` is the longest.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank among counts, rounded up, and not below one"
    )]
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        let rank = ((self.len() as f64 * part.clamp(0.0, 1.0)).ceil() as u64).max(1);
        let mut seen = 0_u64;
        let reached = self.0.iter().find(|(_, by)| {
            seen = seen.saturating_add(**by);
            seen >= rank
        });
        let step = reached.map(|(step, _)| *step).or_else(|| self.0.keys().next_back().copied());
        step.map(|step| Duration::from_micros(end_of(step.into())))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_told_is_no_less_and_at_most_a_quarter_more(us in 0..LONGEST_US) {
            let mut histogram = Histogram::default();
            histogram.count(step_of(Duration::from_micros(us)), 1);
            let told = u64::try_from(histogram.quantile(0.5).unwrap().as_micros()).unwrap();
            prop_assert!(told >= us && told <= us + us / 4, "{us} is told as {told}");
        }
    }

    #[test]
    fn steps_follow_one_another_to_the_end() {
        let mut last = 0;
        for step in 1..STEPS as u64 {
            assert!(end_of(step) > last, "{step}");
            last = end_of(step);
        }
        assert_eq!(step_of(Duration::MAX), step_of(Duration::from_secs(3_600)));
        assert!(last >= LONGEST_US);
    }

    #[test]
    fn quantiles_are_of_all_that_was_measured() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        for ms in 1..=100 {
            histogram.count(step_of(Duration::from_millis(ms)), 1);
        }
        let near = |part: f64, ms: u128| {
            let told = histogram.quantile(part).unwrap().as_millis();
            assert!(told >= ms && told <= ms + ms / 4 + 1, "{part}: {told} ms for {ms} ms");
        };
        near(0.0, 1);
        near(0.5, 50);
        near(0.99, 99);
        near(1.0, 100);
        assert_eq!(histogram.len(), 100);
    }
}
