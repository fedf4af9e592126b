//! A gate that holds a thread before a call, as a frozen process would be held.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long anybody waits at a gate before the test is called broken.
const WAIT_MAX: Duration = Duration::from_secs(120);

/// Holds threads until it is opened.
///
/// A thread that reaches a closed gate through [`Action::Hold`](crate::Action::Hold) is, for the rest of the test, a
/// writer frozen at that very call.
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    open: bool,
    arrived: usize,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Lets everybody through, from now on.
    pub fn open(&self) {
        self.state().open = true;
        self.changed.notify_all();
    }

    /// Waits until `threads` threads have reached the gate since it was made.
    ///
    /// # Panics
    /// They have not within two minutes.
    pub fn wait_until_held(&self, threads: usize) {
        let (state, waited) = self
            .changed
            .wait_timeout_while(self.state(), WAIT_MAX, |state| state.arrived < threads)
            .unwrap_or_else(PoisonError::into_inner);
        let arrived = state.arrived;
        drop(state);
        assert!(!waited.timed_out(), "{arrived} of {threads} threads reached the gate within {WAIT_MAX:?}");
    }

    /// Passes the gate, once it is open.
    ///
    /// # Panics
    /// Nobody opens it within two minutes.
    pub(super) fn pass(&self) {
        let mut state = self.state();
        state.arrived += 1;
        self.changed.notify_all();
        let (state, waited) = self
            .changed
            .wait_timeout_while(state, WAIT_MAX, |state| !state.open)
            .unwrap_or_else(PoisonError::into_inner);
        drop(state);
        assert!(!waited.timed_out(), "nobody opened the gate within {WAIT_MAX:?}");
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
