//! How long a call may take: in all, and waiting for others.

use std::time::Duration;

use larder_lock::{Bound, Origin, Wait};
use larder_system::Clock;

use crate::args::Global;
use crate::config::Loaded;
use crate::exit::{Exit, Failed};
use crate::root;

/// The flag that bounds the whole call.
const FLAG: &str = "--timeout";

/// No time for anything.
#[derive(Debug, thiserror::Error)]
#[error("{FLAG} leaves the command no time: give it some, or infinite")]
struct NoTime;

/// The bounds of one call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The most that the call may take.
    timeout: Option<Duration>,
    /// When it began to count.
    begun: Option<Duration>,
}

impl Bounds {
    /// As the command line says. A bound that cannot be kept is refused.
    pub(crate) fn new(global: &Global, loaded: &Loaded, timeout: Option<Bound>) -> Result<Self, Failed> {
        // a mistake in the environment is told whether or not it matters this time
        let _ = root::wait(global, loaded)?;
        let timeout = match timeout {
            None | Some(Bound::Infinite) if global.behind => Some(crate::behind::TIMEOUT),
            None | Some(Bound::Infinite) => None,
            Some(Bound::None) => return Err(Failed::new(Exit::USAGE, NoTime)),
            Some(Bound::UpTo(timeout)) => Some(timeout),
        };
        Ok(Self { timeout, begun: None })
    }

    /// Counts from now on.
    pub(crate) fn begin(self, clock: &dyn Clock) -> Self {
        let begun = self.begun.or_else(|| self.timeout.map(|_| clock.monotonic()));
        Self { begun, ..self }
    }

    /// When the call must be over, by the monotonic clock.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        Some(self.begun?.saturating_add(self.timeout?))
    }

    /// What is left of that.
    pub(crate) fn left(&self, clock: &dyn Clock) -> Option<Duration> {
        Some(self.deadline()?.saturating_sub(clock.monotonic()))
    }

    /// The time that the whole call has, for messages.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// How long to wait for others: what the wait says, and no longer than the call may take.
    pub(crate) fn wait(&self, global: &Global, loaded: &Loaded) -> Result<Wait, Failed> {
        let wait = root::wait(global, loaded)?;
        Ok(match (self.timeout, wait.bound()) {
            (Some(timeout), Bound::Infinite) => all(timeout),
            (Some(timeout), Bound::UpTo(bound)) if timeout < bound => all(timeout),
            _ => wait,
        })
    }
}

fn all(timeout: Duration) -> Wait {
    Wait::up_to(timeout).from(Origin::Flag(FLAG.to_owned()))
}

/// Whether a wait ended because the whole call was over.
pub(crate) fn is_whole(origin: &Origin) -> bool {
    matches!(origin, Origin::Flag(flag) if flag == FLAG)
}
