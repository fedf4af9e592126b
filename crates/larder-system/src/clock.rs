//! The clock seam: wall time, monotonic time, and which boot this is.

use std::fmt;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use crate::Boot;

/// The time, as larder asks for it.
///
/// Ages shown to people and stored in files are wall time, and may jump. Waits and intervals are monotonic.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The wall clock: may be wrong, may jump either way.
    fn wall(&self) -> SystemTime;

    /// Time since an arbitrary moment that all processes of this boot share, where the platform has one (`CLOCK_MONOTONIC`);
    /// never goes back.
    fn monotonic(&self) -> Duration;

    /// [`Clock::monotonic`] to within some milliseconds, where that is cheaper: for looks that are due now and then.
    fn monotonic_coarse(&self) -> Duration {
        self.monotonic()
    }

    /// Which boot this is. `None` where the platform does not tell; then no two processes may assume that they share
    /// one.
    fn boot(&self) -> Option<Boot>;

    /// Blocks this thread for about `duration` of monotonic time.
    fn sleep(&self, duration: Duration);
}

/// The system's clock.
#[derive(Debug, Default)]
pub struct SystemClock {
    boot: OnceLock<Option<Boot>>,
    #[cfg_attr(unix, expect(dead_code, reason = "unix asks the system for a clock that all processes share"))]
    start: OnceLock<std::time::Instant>,
}

impl SystemClock {
    /// The system's clock.
    pub fn new() -> Self {
        Self::default()
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the clock seam")]
impl Clock for SystemClock {
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    #[cfg(unix)]
    fn monotonic(&self) -> Duration {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
    }

    #[cfg(target_os = "linux")]
    fn monotonic_coarse(&self) -> Duration {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
        Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
    }

    #[cfg(not(unix))]
    fn monotonic(&self) -> Duration {
        self.start.get_or_init(std::time::Instant::now).elapsed()
    }

    fn boot(&self) -> Option<Boot> {
        *self.boot.get_or_init(Boot::current)
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_time_never_goes_back() {
        let clock = SystemClock::new();
        let mut before = clock.monotonic();
        for _ in 0..10_000 {
            let now = clock.monotonic();
            assert!(now >= before, "{now:?} after {before:?}");
            before = now;
        }
    }

    #[test]
    fn a_sleep_takes_at_least_its_time() {
        let clock = SystemClock::new();
        let before = clock.monotonic();
        clock.sleep(Duration::from_millis(5));
        assert!(clock.monotonic() >= before + Duration::from_millis(5));
    }

    #[cfg(unix)]
    #[test]
    fn two_clocks_of_one_boot_tell_the_same_monotonic_time() {
        let (one, other) = (SystemClock::new(), SystemClock::new());
        let before = one.monotonic();
        let between = other.monotonic();
        assert!(before <= between && between <= one.monotonic());
    }

    #[test]
    fn the_boot_is_the_same_on_every_look() {
        let clock = SystemClock::new();
        assert_eq!(clock.boot(), Boot::current());
        assert_eq!(clock.boot(), SystemClock::new().boot());
        assert_eq!(clock.boot().is_some(), cfg!(target_os = "linux"));
    }
}
