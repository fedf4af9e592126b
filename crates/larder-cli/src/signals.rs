//! Signals that end the command: to whom they matter at the moment, and which one came.

#[cfg_attr(unix, path = "signals/unix.rs")]
#[cfg_attr(not(unix), path = "signals/none.rs")]
mod platform;

use std::io;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};

use larder_lock::Cancellation;

use crate::child::Event;
use crate::exit::{Exit, Failed};

pub(crate) use self::platform::{INTERRUPT, KILL, TERMINATE, mind_children, outlive_file_limits};

/// What a signal does at the moment.
#[derive(Debug)]
pub(crate) enum Target {
    /// It ends a wait.
    Wait(Cancellation),
    /// It is told to whoever attends a child.
    Child(SyncSender<Event>),
    /// It ends this process: what is left to do matters to nobody else.
    Exit,
}

/// The signals that a person, a terminal or a supervisor ends programs with: SIGINT, SIGTERM and SIGHUP. One that was
/// ignored when this process began (`nohup`, a job in the background of a script) stays ignored.
#[derive(Debug)]
pub(crate) struct Signals {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    caught: Option<i32>,
    target: Target,
}

impl Signals {
    /// Catches signals from now on, on a thread of its own.
    pub(crate) fn catch(target: Target) -> io::Result<Self> {
        let state = Arc::new(Mutex::new(State { caught: None, target }));
        let heard = Arc::clone(&state);
        platform::listen(move |signal| {
            let mut state = heard.lock().unwrap_or_else(PoisonError::into_inner);
            state.caught.get_or_insert(signal);
            deliver(&state.target, signal);
        })?;
        Ok(Self { state })
    }

    /// From now on signals do this; one that has come already does it at once.
    pub(crate) fn aim(&self, target: Target) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.target = target;
        if let Some(signal) = state.caught {
            deliver(&state.target, signal);
        }
    }

    /// The exit that the first signal asks for, if one has come.
    pub(crate) fn check(&self) -> Result<(), Failed> {
        let caught = self.state.lock().unwrap_or_else(PoisonError::into_inner).caught;
        caught.map_or(Ok(()), |signal| Err(Failed::silent(Exit::of_signal(signal))))
    }
}

fn deliver(target: &Target, signal: i32) {
    match target {
        Target::Wait(cancellation) => cancellation.cancel(),
        // a queue that is full has signals enough
        Target::Child(events) => drop(events.try_send(Event::Signal(signal))),
        Target::Exit => std::process::exit(Exit::of_signal(signal).code().into()),
    }
}
