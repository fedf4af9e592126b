//! A clock that stands still until a test moves it, in any direction.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use larder_system::{Boot, Clock};

/// How many sleeps are remembered.
const SLEEPS_MAX: usize = 100_000;

/// A clock that moves only when told to.
///
/// It starts late in 2023, 1,000 seconds after boot number 1. A [`sleep`](Clock::sleep) returns at once, having moved
/// both times on.
///
/// ```
/// use larder_system::Clock;
/// use larder_testkit::VirtualClock;
/// use std::time::Duration;
///
/// let clock = VirtualClock::new();
/// let (wall, monotonic) = (clock.wall(), clock.monotonic());
/// clock.rewind_wall(Duration::from_secs(3_600));
/// clock.sleep(Duration::from_secs(2));
/// assert_eq!(clock.wall(), wall - Duration::from_secs(3_598));
/// assert_eq!(clock.monotonic(), monotonic + Duration::from_secs(2));
/// ```
#[derive(Debug)]
pub struct VirtualClock {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    wall: SystemTime,
    monotonic: Duration,
    boot: Option<Boot>,
    boots: u128,
    sleeps: Vec<Duration>,
}

impl VirtualClock {
    /// A clock at its start.
    pub fn new() -> Self {
        let state = State {
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
            monotonic: Duration::from_secs(1_000),
            boot: Some(Boot::from_number(1)),
            boots: 1,
            sleeps: Vec::new(),
        };
        Self { state: Mutex::new(state) }
    }

    /// Sets the wall clock.
    pub fn set_wall(&self, wall: SystemTime) {
        self.state().wall = wall;
    }

    /// Jumps the wall clock forward; the monotonic one stays.
    pub fn advance_wall(&self, by: Duration) {
        self.state().wall += by;
    }

    /// Jumps the wall clock back; the monotonic one stays.
    pub fn rewind_wall(&self, by: Duration) {
        self.state().wall -= by;
    }

    /// Lets monotonic time pass alone, as while the wall clock is being held back.
    pub fn advance_monotonic(&self, by: Duration) {
        self.state().monotonic += by;
    }

    /// Lets time pass on both clocks.
    pub fn advance(&self, by: Duration) {
        let mut state = self.state();
        state.wall += by;
        state.monotonic += by;
    }

    /// Boots again: another boot number, and monotonic time starts from 0.
    pub fn reboot(&self) {
        let mut state = self.state();
        state.boots += 1;
        state.boot = Some(Boot::from_number(state.boots));
        state.monotonic = Duration::ZERO;
    }

    /// Sets which boot the clock tells; `None` is a platform that does not tell.
    pub fn set_boot(&self, boot: Option<Boot>) {
        self.state().boot = boot;
    }

    /// The sleeps so far, in order, at most the first 100,000.
    pub fn sleeps(&self) -> Vec<Duration> {
        self.state().sleeps.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for VirtualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for VirtualClock {
    fn wall(&self) -> SystemTime {
        self.state().wall
    }

    fn monotonic(&self) -> Duration {
        self.state().monotonic
    }

    fn boot(&self) -> Option<Boot> {
        self.state().boot
    }

    fn sleep(&self, duration: Duration) {
        let mut state = self.state();
        state.wall += duration;
        state.monotonic += duration;
        if state.sleeps.len() < SLEEPS_MAX {
            state.sleeps.push(duration);
        }
        drop(state);
        // A loop that polls between sleeps must still let other threads run.
        std::thread::yield_now();
    }
}
