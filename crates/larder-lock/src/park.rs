//! Where a waiting thread sleeps: one latch, woken by whatever it waits for.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The longest single sleep; waiters look again after it, so the bound costs one wake-up an hour.
const SLEEP_MAX: Duration = Duration::from_secs(3_600);

/// Takes a mutex whose data stays consistent between any two statements, so that a panic elsewhere is no reason to stop.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A latch that one thread waits on: a wake-up before the wait is not lost.
#[derive(Debug, Default)]
pub(crate) struct Latch {
    woken: Mutex<bool>,
    wake: Condvar,
}

impl Latch {
    pub(crate) fn wake(&self) {
        *locked(&self.woken) = true;
        self.wake.notify_one();
    }

    /// Returns when woken, or after `timeout`, or now and then for no reason: the caller looks at what it waits for.
    /// True when the whole of `timeout` has passed without a wake-up.
    pub(crate) fn sleep(&self, timeout: Option<Duration>) -> bool {
        let mut woken = locked(&self.woken);
        let mut timed_out = false;
        if !*woken {
            let most = timeout.unwrap_or(SLEEP_MAX).min(SLEEP_MAX);
            let (later, result) = self.wake.wait_timeout(woken, most).unwrap_or_else(PoisonError::into_inner);
            woken = later;
            timed_out = result.timed_out() && !*woken && timeout == Some(most);
        }
        *woken = false;
        timed_out
    }
}
