//! Measuring two acts side by side: pairs with alternating order, so that what disturbs one disturbs the other.

use std::time::Duration;

use larder_system::{Clock as _, SystemClock};

/// What a row of pairs showed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pairs {
    /// Median of the act that cannot be beaten.
    pub(crate) limit_ns: u64,
    /// Median of ours.
    pub(crate) ours_ns: u64,
    /// Median of the ratios of each pair, ours to limit.
    pub(crate) ratio: f64,
    /// How many pairs.
    pub(crate) samples: usize,
}

/// Times `limit` and `ours` in turn. Both are given the number of the pair, warm-up pairs included, which are not
/// counted: they come first and are `samples / 10`.
pub(crate) fn pairs<E>(
    samples: usize,
    mut limit: impl FnMut(usize) -> Result<(), E>,
    mut ours: impl FnMut(usize) -> Result<(), E>,
) -> Result<Pairs, E> {
    let clock = SystemClock::new();
    let look = look_ns(&clock);
    let mut taken = Vec::with_capacity(samples);
    for index in 0..total(samples) {
        let mut limit = || time(&clock, || limit(index)).map(|taken_ns| taken_ns.saturating_sub(look));
        let mut ours = || time(&clock, || ours(index)).map(|taken_ns| taken_ns.saturating_sub(look));
        let pair = if index % 2 == 0 {
            let first = limit()?;
            (first, ours()?)
        } else {
            let first = ours()?;
            (limit()?, first)
        };
        if index >= warm_up(samples) {
            taken.push(pair);
        }
    }
    Ok(judge(&taken))
}

/// How many pairs are made for so many counted ones.
pub(crate) const fn total(samples: usize) -> usize {
    samples + warm_up(samples)
}

const fn warm_up(samples: usize) -> usize {
    samples / 10
}

fn time<E>(clock: &SystemClock, act: impl FnOnce() -> Result<(), E>) -> Result<u64, E> {
    let start = clock.monotonic();
    act()?;
    Ok(nanoseconds(clock.monotonic().saturating_sub(start)))
}

/// What looking at the clock twice costs. It would flatter the ratio of two short acts.
fn look_ns(clock: &SystemClock) -> u64 {
    let looks = (0..1_000).map(|_| time(clock, || Ok::<(), ()>(())).unwrap_or_default());
    median(looks.collect())
}

/// A duration in whole nanoseconds; those of 584 years and more are all the same.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The pairs, limit first, as medians.
pub(crate) fn judge(taken: &[(u64, u64)]) -> Pairs {
    // the clock's grain is a nanosecond: nothing takes none
    let ratios = taken.iter().map(|(limit, ours)| as_float(*ours) / as_float((*limit).max(1)));
    Pairs {
        limit_ns: median(taken.iter().map(|(limit, _)| *limit).collect()),
        ours_ns: median(taken.iter().map(|(_, ours)| *ours).collect()),
        ratio: median_ratio(ratios.collect()),
        samples: taken.len(),
    }
}

/// The value in the middle, the upper one of two; 0 of none.
pub(crate) fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn median_ratio(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "times below 104 days are exact, and no act takes that long")]
pub(crate) fn as_float(nanoseconds: u64) -> f64 {
    nanoseconds as f64
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn the_order_of_the_two_alternates() {
        let order = RefCell::new(String::new());
        let act = |letter| {
            let order = &order;
            move |_| {
                order.borrow_mut().push(letter);
                Ok::<(), ()>(())
            }
        };
        pairs(4, act('l'), act('o')).unwrap();
        assert_eq!(order.into_inner(), "loollool");
    }

    #[test]
    fn warm_up_pairs_are_made_and_not_counted() {
        let made = RefCell::new(0);
        let count = |_| {
            *made.borrow_mut() += 1;
            Ok::<(), ()>(())
        };
        let pairs = pairs(20, count, |_| Ok(())).unwrap();
        assert_eq!((made.into_inner(), pairs.samples), (22, 20));
    }

    #[test]
    fn medians_are_taken_of_each_side_and_of_the_ratios_by_themselves() {
        let pairs = judge(&[(100, 110), (200, 800), (1_000, 1_200)]);
        assert_eq!((pairs.limit_ns, pairs.ours_ns), (200, 800));
        assert!((pairs.ratio - 1.2).abs() < 1e-9, "{}", pairs.ratio);
    }

    #[test]
    fn an_odd_list_has_its_median_in_the_middle() {
        assert_eq!(median(vec![3, 1, 2]), 2);
    }

    #[test]
    fn the_first_error_ends_the_measurement() {
        let made = RefCell::new(0);
        let fail = |_| {
            *made.borrow_mut() += 1;
            Err("broken")
        };
        assert_eq!(pairs(20, fail, |_| Ok(())), Err("broken"));
        assert_eq!(made.into_inner(), 1);
    }
}
