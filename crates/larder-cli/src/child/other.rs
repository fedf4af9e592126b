//! Processes where a handle keeps their number: waited for in short looks, ended without asking.

use std::io;
use std::process::{ChildStderr, ChildStdout, Command};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use larder_system::{Clock as _, SystemClock};

use super::End;
use crate::group::Group;

/// How often its end is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A child.
#[derive(Debug)]
pub(super) struct Process {
    child: Arc<Mutex<std::process::Child>>,
}

/// Waits for its end.
#[derive(Clone, Debug)]
pub(super) struct Waiter {
    child: Arc<Mutex<std::process::Child>>,
}

/// There are no groups to lead.
pub(super) fn lead_group(_command: &mut Command) {}

impl Process {
    pub(super) fn new(child: std::process::Child) -> Self {
        Self { child: Arc::new(Mutex::new(child)) }
    }

    pub(super) fn streams(&mut self) -> (Option<ChildStdout>, Option<ChildStderr>) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        (child.stdout.take(), child.stderr.take())
    }

    pub(super) fn waiter(&self) -> Waiter {
        Waiter { child: Arc::clone(&self.child) }
    }

    /// Ends it: there is no asking. An error means that it has ended.
    pub(super) fn signal(&self, _signal: i32, _group: Group) {
        let _ = self.child.lock().unwrap_or_else(PoisonError::into_inner).kill();
    }

    pub(super) fn reap(self) -> io::Result<End> {
        let status = self.child.lock().unwrap_or_else(PoisonError::into_inner).wait()?;
        Ok(End::Code(status.code().unwrap_or(1)))
    }
}

impl Waiter {
    pub(super) fn wait(self) {
        let clock = SystemClock::new();
        while let Ok(None) = self.child.lock().unwrap_or_else(PoisonError::into_inner).try_wait() {
            clock.sleep(LOOK_EVERY);
        }
    }
}
