//! A thread that flushes at least once a second, as long as there is something to flush.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use larder_lock::Wait;

use super::{Counters, Flushed, Fold, Shared};

/// How often.
const EVERY: Duration = Duration::from_secs(1);
/// After how many flushes `metrics.yaml` is written anew, where something was counted; at the end, too.
const VIEW_EVERY: u32 = 5;
/// How long a flush waits for another process's.
const WAIT: Duration = Duration::from_millis(500);
/// How long the end waits for the last flush.
const FAREWELL: Duration = Duration::from_millis(500);

/// Flushes counters each second. Dropped, it flushes a last time, waiting for that for at most half a second; a disk
/// that does not answer delays nobody longer.
#[derive(Debug)]
#[must_use = "counters are flushed only as long as this lives"]
pub struct Flusher {
    signal: Arc<Signal>,
}

#[derive(Debug, Default)]
struct Signal {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Running,
    Ending,
    Ended,
}

impl Counters {
    /// Flushes each second from now on, on a thread of its own.
    ///
    /// # Errors
    /// The system gives no thread; then [`Counters::flush`] is the only way.
    pub fn keep_flushing(&self) -> std::io::Result<Flusher> {
        let signal = Arc::new(Signal::default());
        let counters = Arc::downgrade(&self.shared);
        let told = Arc::clone(&signal);
        std::thread::Builder::new().name("larder-counters".to_owned()).spawn(move || told.run(&counters))?;
        Ok(Flusher { signal })
    }
}

impl Signal {
    fn run(&self, counters: &Weak<Shared>) {
        let _ended = Ended(self);
        let (mut is_warned, mut turns) = (false, 0_u32);
        loop {
            let is_last = self.rest();
            let Some(counters) = counters.upgrade() else { return };
            match counters.flush(Fold::WhenLong, &Wait::up_to(WAIT)) {
                Ok(flushed) => {
                    is_warned = false;
                    turns = turns.saturating_add(1);
                    if flushed == Flushed::Appended && (is_last || turns >= VIEW_EVERY) {
                        turns = 0;
                        counters.write_view();
                    }
                }
                Err(error) if is_warned => tracing::debug!(%error, "still not counted"),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "not counted");
                    is_warned = true;
                }
            }
            if is_last {
                return;
            }
        }
    }

    /// A second, or less when it ends; whether it does.
    fn rest(&self) -> bool {
        let state = self.state();
        let (state, _) = self
            .changed
            .wait_timeout_while(state, EVERY, |state| *state == State::Running)
            .unwrap_or_else(PoisonError::into_inner);
        *state != State::Running
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells whoever waits for the end, also after a panic.
struct Ended<'a>(&'a Signal);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        *self.0.state() = State::Ended;
        self.0.changed.notify_all();
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        let mut state = self.signal.state();
        if *state == State::Running {
            *state = State::Ending;
            self.signal.changed.notify_all();
        }
        // whether it ended or not: more is not waited
        drop(self.signal.changed.wait_timeout_while(state, FAREWELL, |state| *state != State::Ended));
    }
}
