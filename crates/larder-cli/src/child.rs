//! A command as a direct child: its output taken, its errors passed on, its end bounded.

mod attend;
mod errors;
mod output;
#[cfg_attr(unix, path = "child/unix.rs")]
#[cfg_attr(not(unix), path = "child/other.rs")]
mod platform;
mod redact;
mod start;

pub(crate) use self::attend::{Large, Plan, Ran, Stop, attend};
pub(crate) use self::errors::Tee;
pub(crate) use self::output::{Sink, Taken};
pub(crate) use self::start::start;

use std::sync::mpsc::SyncSender;

use crate::exit::Exit;

/// What happens to whoever attends a child.
#[derive(Debug)]
pub(crate) enum Event {
    /// It ended; it has not been reaped, so that its number stays its own.
    Ended,
    /// Its output is longer than what is kept: the sender waits to be told where the rest goes.
    Large,
    /// Its output ended.
    Output(Taken),
    /// A signal came to this process.
    Signal(i32),
}

/// How many events may wait: more than the threads of a child ever send.
const EVENTS_MAX: usize = 64;

/// A queue for the events of one child.
pub(crate) fn events() -> (SyncSender<Event>, std::sync::mpsc::Receiver<Event>) {
    std::sync::mpsc::sync_channel(EVENTS_MAX)
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By itself.
    Code(i32),
    /// By a signal.
    Signal(i32),
}

impl End {
    /// The exit code that passes it on.
    pub(crate) fn exit(self) -> Exit {
        match self {
            Self::Code(code) => Exit::of_code(code),
            Self::Signal(signal) => Exit::of_signal(signal),
        }
    }
}
