//! When a worker comes to its end: its life is over, or the stage has closed its input.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use larder_system::{Clock as _, SystemClock};

use crate::failure::{Doing as _, Failure};

/// The end that a worker looks out for between two steps.
#[derive(Debug)]
pub(crate) struct End {
    closed: Arc<AtomicBool>,
    clock: SystemClock,
    at: Duration,
}

impl End {
    /// After `life_ms`, or when standard input ends.
    pub(crate) fn listen(life_ms: u64) -> Result<Self, Failure> {
        let clock = SystemClock::new();
        let at = clock.monotonic().saturating_add(Duration::from_millis(life_ms));
        let end = Self { closed: Arc::default(), clock, at };
        let closed = Arc::clone(&end.closed);
        let listen = move || {
            let mut bytes = [0; 64];
            while matches!(std::io::stdin().lock().read(&mut bytes), Ok(1..)) {}
            closed.store(true, Ordering::Relaxed);
        };
        std::thread::Builder::new().name("end".to_owned()).spawn(listen).doing("listen for the end")?;
        Ok(end)
    }

    /// For those who are told the end otherwise.
    pub(crate) fn never() -> Self {
        Self { closed: Arc::default(), clock: SystemClock::new(), at: Duration::MAX }
    }

    pub(crate) fn has_come(&self) -> bool {
        self.closed.load(Ordering::Relaxed) || self.clock.monotonic() >= self.at
    }

    pub(crate) fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    /// A breath between two steps, so that the steps of many processes mix.
    pub(crate) fn pause(&self, micros: u64) {
        if micros > 0 {
            self.clock.sleep(Duration::from_micros(micros));
        }
    }
}
