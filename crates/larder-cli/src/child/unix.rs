//! Processes of Unix: seen to end before they are reaped, so that a signal never reaches a stranger with their number.

use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{ChildStderr, ChildStdout, Command};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};

use super::End;
use crate::group::Group;

/// A child that has not been reaped.
#[derive(Debug)]
pub(super) struct Process {
    child: std::process::Child,
}

/// Waits for its end without reaping it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiter {
    pid: Pid,
}

/// Makes it the leader of a process group of its own.
pub(super) fn lead_group(command: &mut Command) {
    command.process_group(0);
}

impl Process {
    pub(super) fn new(child: std::process::Child) -> Self {
        Self { child }
    }

    pub(super) fn streams(&mut self) -> (Option<ChildStdout>, Option<ChildStderr>) {
        (self.child.stdout.take(), self.child.stderr.take())
    }

    pub(super) fn waiter(&self) -> Waiter {
        Waiter { pid: Pid::from_child(&self.child) }
    }

    /// An error means that it is gone, which is what was to be reached.
    pub(super) fn signal(&self, signal: i32, group: Group) {
        let Some(signal) = Signal::from_named_raw(signal) else { return };
        let pid = Pid::from_child(&self.child);
        let _ = match group {
            Group::Own => kill_process_group(pid, signal),
            Group::Shared => kill_process(pid, signal),
        };
    }

    pub(super) fn reap(mut self) -> io::Result<End> {
        let status = self.child.wait()?;
        Ok(status.signal().map_or_else(|| End::Code(status.code().unwrap_or(1)), End::Signal))
    }
}

impl Waiter {
    pub(super) fn wait(self) {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        // any other error means that there is nothing to wait for
        while matches!(waitid(WaitId::Pid(self.pid), options), Err(rustix::io::Errno::INTR)) {}
    }
}
