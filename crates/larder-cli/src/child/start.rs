//! Starting a command, and why it cannot be started.

use std::ffi::{OsStr, OsString};
use std::io;
use std::process::{Command, Stdio};
use std::sync::mpsc::SyncSender;

use super::{Event, platform};
use crate::exit::{Exit, Failed};
use crate::group::Group;

/// Why a command did not start. It names the program, if that is a name, and none of its arguments.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum StartError {
    /// There is none of that name.
    #[error("{} was not found: {}", named(program), advice(program))]
    NotFound {
        /// Its name.
        program: OsString,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// It is there, and cannot be executed.
    #[error("{} cannot be executed{}", named(program), remedy(source))]
    NotExecutable {
        /// Its name.
        program: OsString,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// A thread that attends it could not be started.
    #[error("{} cannot be attended", named(program))]
    Unattended {
        /// Its name.
        program: OsString,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

impl StartError {
    fn new(program: &OsString, source: io::Error) -> Self {
        let program = program.clone();
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound { program, source },
            _ => Self::NotExecutable { program, source },
        }
    }

    /// What others may be told, and files may keep: no word of the command line.
    pub(crate) fn unnamed(&self) -> String {
        let (what, source) = match self {
            Self::NotFound { source, .. } => ("was not found", source),
            Self::NotExecutable { source, .. } => ("cannot be executed", source),
            Self::Unattended { source, .. } => ("cannot be attended", source),
        };
        format!("the command {what}: {source}")
    }

    /// The code that shells use for it.
    pub(crate) const fn exit(&self) -> Exit {
        match self {
            Self::NotFound { .. } => Exit::NOT_FOUND,
            Self::NotExecutable { .. } => Exit::NOT_EXECUTABLE,
            Self::Unattended { .. } => Exit::FAILURE,
        }
    }
}

/// Whether a word can be shown: one with spaces or an equal sign is a whole command line, or a variable's value, where a
/// program was to stand, and may hold a secret.
fn is_name(program: &OsStr) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+~".contains(byte) || !byte.is_ascii();
    program.as_encoded_bytes().iter().all(is_plain)
}

fn named(program: &OsStr) -> String {
    if is_name(program) { format!("command \"{}\"", program.display()) } else { "the command".to_owned() }
}

fn advice(program: &OsStr) -> &'static str {
    if is_name(program) {
        "check its name, PATH, and the interpreter that a script begins with"
    } else {
        "give the program and each argument as words of their own, or `sh -c` and a script"
    }
}

/// What to do about a file that is there; about what else the system lacks, its own words say enough.
fn remedy(source: &io::Error) -> &'static str {
    /// `ENOEXEC`, of all Unix systems.
    const NO_FORMAT: i32 = 8;
    match source.kind() {
        io::ErrorKind::PermissionDenied => " (make it a file that this user may execute)",
        _ if cfg!(unix) && source.raw_os_error() == Some(NO_FORMAT) => " (let a script begin with its `#!` line)",
        _ => "",
    }
}

impl From<StartError> for Failed {
    fn from(error: StartError) -> Self {
        Self::new(error.exit(), error)
    }
}

/// A child that was started and not yet reaped.
#[derive(Debug)]
pub(crate) struct Child {
    pub(super) process: platform::Process,
    pub(super) group: Group,
}

/// Starts `command` with these streams; its end becomes an event.
///
/// # Errors
/// [`StartError`]; nothing runs then.
pub(crate) fn start(
    command: &[OsString],
    group: Group,
    streams: impl FnOnce(&mut Command),
    events: &SyncSender<Event>,
) -> Result<Child, StartError> {
    crate::signals::mind_children();
    let none = OsString::new();
    let (program, arguments) = command.split_first().unwrap_or((&none, &[]));
    let mut builder = Command::new(program);
    builder.args(arguments).stdin(Stdio::null());
    streams(&mut builder);
    if group == Group::Own {
        platform::lead_group(&mut builder);
    }
    let child = builder.spawn().map_err(|source| StartError::new(program, source))?;
    let process = platform::Process::new(child);
    let child = Child { process, group };
    let (waiter, events) = (child.process.waiter(), events.clone());
    let started = std::thread::Builder::new().name("end".to_owned()).spawn(move || {
        waiter.wait();
        let _ = events.send(Event::Ended);
    });
    match started {
        Ok(_) => Ok(child),
        Err(source) => {
            child.signal(crate::signals::KILL);
            let _ = child.reap();
            Err(StartError::Unattended { program: program.clone(), source })
        }
    }
}

impl Child {
    /// Sends it a signal, and in a group of its own all that it started.
    pub(crate) fn signal(&self, signal: i32) {
        self.process.signal(signal, self.group);
    }

    /// How it ended; waits until it has.
    pub(crate) fn reap(self) -> io::Result<super::End> {
        self.process.reap()
    }
}
