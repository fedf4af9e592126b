//! The wall clock for hits: a coarse monotonic clock and the distance between the two, measured anew each second.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use larder_staleness::Life;
use larder_system::Clock;

/// How long the distance is trusted: a jump of the wall clock is noticed within that time.
const TRUSTED_MS: i64 = 1_000;
/// How coarse the monotonic clock may be. Nearer than that to the beginning or the end of a life, the exact one is asked.
const COARSENESS_MS: u64 = 64;

/// Says what time it is, at a sixth of the price.
#[derive(Debug)]
pub(crate) struct Coarse {
    clock: Arc<dyn Clock>,
    /// Wall time less monotonic time.
    distance_ms: AtomicI64,
    /// When it was measured, in monotonic time.
    measured_ms: AtomicI64,
}

impl Coarse {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, distance_ms: AtomicI64::new(0), measured_ms: AtomicI64::new(-TRUSTED_MS) }
    }

    /// The time at which `life` is fresh; `None` when it is not.
    pub(crate) fn while_fresh(&self, life: &Life) -> Option<SystemTime> {
        let now = self.now();
        let is_clear = |edge_ms: u64| ms_of(now).abs_diff(edge_ms) > COARSENESS_MS;
        let now = if is_clear(life.fetched_ms) && is_clear(life.fresh_until_ms) { now } else { self.clock.wall() };
        life.is_fresh(now).then_some(now)
    }

    fn now(&self) -> SystemTime {
        let monotonic = i64::try_from(self.clock.monotonic_coarse().as_millis()).unwrap_or(i64::MAX);
        let measured = self.measured_ms.load(Ordering::Acquire);
        let distance = if (0..TRUSTED_MS).contains(&monotonic.saturating_sub(measured)) {
            self.distance_ms.load(Ordering::Relaxed)
        } else {
            // threads that measure at once measure the same
            let wall = i64::try_from(ms_of(self.clock.wall())).unwrap_or(i64::MAX);
            let distance = wall.saturating_sub(monotonic);
            self.distance_ms.store(distance, Ordering::Relaxed);
            self.measured_ms.store(monotonic, Ordering::Release);
            distance
        };
        let ms = u64::try_from(monotonic.saturating_add(distance)).unwrap_or(0);
        SystemTime::UNIX_EPOCH + Duration::from_millis(ms)
    }
}

fn ms_of(at: SystemTime) -> u64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use larder_staleness::Policy;
    use larder_testkit::VirtualClock;

    use super::*;

    fn fresh_for(clock: &VirtualClock, ms: u64) -> Life {
        Life::new(clock.wall(), &Policy::fresh_for(Duration::from_millis(ms)), Duration::ZERO)
    }

    #[test]
    fn freshness_ends_at_the_very_millisecond() {
        let clock = Arc::new(VirtualClock::new());
        let coarse = Coarse::new(clock.clone());
        let life = fresh_for(&clock, 900);
        clock.advance(Duration::from_millis(900));
        assert!(coarse.while_fresh(&life).is_some());
        clock.advance(Duration::from_millis(1));
        assert!(coarse.while_fresh(&life).is_none());
    }

    #[test]
    fn a_jump_of_the_wall_clock_is_noticed_within_a_second() {
        let clock = Arc::new(VirtualClock::new());
        let coarse = Coarse::new(clock.clone());
        let life = fresh_for(&clock, 3_600_000);
        clock.advance(Duration::from_millis(100));
        assert!(coarse.while_fresh(&life).is_some());
        clock.advance_wall(Duration::from_secs(7_200));
        clock.advance(Duration::from_secs(1));
        assert!(coarse.while_fresh(&life).is_none());
        clock.rewind_wall(Duration::from_secs(9_000));
        clock.advance(Duration::from_secs(1));
        assert!(coarse.while_fresh(&life).is_none(), "it lies in the future");
    }

    #[test]
    fn monotonic_time_that_begins_again_is_no_reason_to_trust() {
        let clock = Arc::new(VirtualClock::new());
        let coarse = Coarse::new(clock.clone());
        let life = fresh_for(&clock, 3_600_000);
        clock.advance(Duration::from_millis(100));
        assert!(coarse.while_fresh(&life).is_some());
        clock.reboot();
        clock.advance_wall(Duration::from_secs(7_200));
        assert!(coarse.while_fresh(&life).is_none());
    }
}
