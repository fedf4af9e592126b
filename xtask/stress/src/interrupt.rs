//! Ctrl-C and its like: the run ends early, every process with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::failure::{Doing as _, Failure};

/// Which signal asked for the end, if one did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt(Arc<AtomicI32>);

impl Interrupt {
    /// From now on signals are noted instead of ending this process.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let noted = Self::default();
        let flag = Arc::clone(&noted.0);
        let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP]).doing("listen for signals")?;
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || signals.forever().for_each(|signal| flag.store(signal, Ordering::Relaxed)))
            .doing("start the thread that listens for signals")?;
        Ok(noted)
    }

    pub(crate) fn signal(&self) -> Option<i32> {
        Some(self.0.load(Ordering::Relaxed)).filter(|signal| *signal != 0)
    }
}
