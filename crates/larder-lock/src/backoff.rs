//! Pauses between looks, where nothing can wake the one who waits.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(1);
const LAST: Duration = Duration::from_millis(25);

/// From 1 ms doubling to 25 ms, each pause up to a half shorter by chance, so that pollers do not fall into step.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    chance: u64,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        // Without random numbers the pid spreads the processes.
        let chance = larder_system::unique().unwrap_or_else(|_| u64::from(std::process::id())) | 1;
        Self { next: FIRST, chance }
    }

    pub(crate) fn next(&mut self) -> Duration {
        // xorshift: never leaves the non-zero numbers.
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        let full = self.next;
        self.next = full.saturating_mul(2).min(LAST);
        let nanos = u64::try_from(full.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(nanos - self.chance % (nanos / 2).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound_and_stay_above_half_of_it() {
        let mut backoff = Backoff::new();
        let pauses: Vec<_> = (0..20).map(|_| backoff.next()).collect();
        assert!(pauses[0] <= FIRST && pauses[0] > FIRST / 3);
        assert!(pauses[6..].iter().all(|pause| *pause <= LAST && *pause > LAST / 3), "{pauses:?}");
    }
}
