//! Ending a wait from outside.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::park::{Latch, locked};

/// Ends every wait that carries it, from any thread; clones are the same cancellation.
///
/// It cannot be taken back, and it does not touch a lock that is held already.
///
/// ```
/// let cancellation = larder_lock::Cancellation::new();
/// let same = cancellation.clone();
/// same.cancel();
/// assert!(cancellation.is_cancelled());
/// ```
#[derive(Clone, Default)]
pub struct Cancellation {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    cancelled: AtomicBool,
    // As many as threads are waiting with this cancellation; each takes itself off when it stops.
    waiting: Mutex<Vec<Arc<Latch>>>,
}

impl Cancellation {
    /// A cancellation that has not happened.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the waits that carry this, and all later ones at once.
    pub fn cancel(&self) {
        // Under the mutex, so that a thread that is just signing up either sees the flag or is woken.
        let waiting = locked(&self.shared.waiting);
        self.shared.cancelled.store(true, Ordering::Release);
        waiting.iter().for_each(|latch| latch.wake());
    }

    /// Whether [`cancel`](Self::cancel) was called.
    pub fn is_cancelled(&self) -> bool {
        self.shared.cancelled.load(Ordering::Acquire)
    }

    pub(crate) fn subscribe(&self, latch: &Arc<Latch>) -> Subscription {
        let mut waiting = locked(&self.shared.waiting);
        waiting.push(Arc::clone(latch));
        if self.is_cancelled() {
            latch.wake();
        }
        drop(waiting);
        Subscription { to: self.clone(), latch: Arc::clone(latch) }
    }
}

impl fmt::Debug for Cancellation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancellation").field("cancelled", &self.is_cancelled()).finish()
    }
}

pub(crate) struct Subscription {
    to: Cancellation,
    latch: Arc<Latch>,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        locked(&self.to.shared.waiting).retain(|latch| !Arc::ptr_eq(latch, &self.latch));
    }
}
