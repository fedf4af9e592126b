//! A command that prints the secret, such as one of a password store: bounded in time and output.

mod output;
#[cfg(any(not(unix), test))]
mod portable;
#[cfg(unix)]
mod unix;

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

use crate::{Secret, secret};
use output::Output;
#[cfg(not(unix))]
use portable as system;
#[cfg(unix)]
use unix as system;

/// How long a command may take unless told otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest time that a command can be given: nobody waits longer for a key.
const TIMEOUT_MAX: Duration = Duration::from_secs(600);

const UNSHOWN: &str = " and a message, which may hold the secret and is not shown: run it by hand to see";

/// The most that a command may print: a secret, and the end of its line.
pub const OUTPUT_BYTES_MAX: usize = secret::SECRET_BYTES_MAX + 2;

/// What commands of password stores need to find their way and their agents, none of it a secret.
const PASSED: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TMPDIR",
    "LANG",
    "LC_ALL",
    "TZ",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "DBUS_SESSION_BUS_ADDRESS",
    "GNUPGHOME",
    "PASSWORD_STORE_DIR",
    "SSH_AUTH_SOCK",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
    "SystemRoot",
    "SystemDrive",
    "TEMP",
    "TMP",
    "USERPROFILE",
    "APPDATA",
    "LOCALAPPDATA",
    "PATHEXT",
    "COMSPEC",
];

/// A command that prints the secret on its standard output, and nothing else.
///
/// It is started without a shell, with an empty standard input and a clean environment: what programs need to find their
/// way, and the variables that [`pass`](Self::pass) names. It cannot ask anything on the terminal.
///
/// What it prints is never shown, on standard error neither: nobody knows what a command says there about a secret. Why it fails,
/// whoever runs it by hand is told.
///
/// # Platform
/// On Unix it leads a process group of its own, which is killed when its time is over. Elsewhere only the command itself is
/// ended; what it started runs on, without holding anybody up.
///
/// ```
/// use std::time::Duration;
/// use larder_credentials::chain::Command;
///
/// let command = Command::new(["pass", "show", "docs"])?.timeout(Duration::from_secs(30)).pass("GPG_TTY");
/// assert_eq!(command.program(), "pass");
/// # Ok::<(), larder_credentials::chain::NoProgram>(())
/// ```
#[derive(Clone)]
pub struct Command {
    program: String,
    arguments: Vec<String>,
    timeout: Duration,
    passed: Vec<String>,
}

/// A command without a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a command that prints a credential needs a program, and none was given")]
#[non_exhaustive]
pub struct NoProgram;

/// Why a command gave no secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("cannot start it")]
    NotStarted(#[source] io::Error),
    #[error("cannot read what it prints")]
    NotRead(#[source] io::Error),
    #[error("it did not end within {0:?}, and was killed")]
    TimedOut(Duration),
    #[error("it printed more than {OUTPUT_BYTES_MAX} bytes, and was killed")]
    TooMuch,
    #[error("it ended with {status}{}", if *has_said { UNSHOWN } else { "" })]
    Failed { status: ExitStatus, has_said: bool },
    #[error("it printed nothing")]
    PrintedNothing,
    #[error("what it printed is no secret")]
    NoSecret(#[source] secret::Error),
}

/// How a command's run came to its end.
#[derive(Debug)]
enum End {
    Ended(ExitStatus),
    TimedOut,
    TooMuch,
    NotRead(io::Error),
}

impl Command {
    /// The program and its arguments.
    ///
    /// # Errors
    /// There is no program among them.
    pub fn new(words: impl IntoIterator<Item = impl Into<String>>) -> Result<Self, NoProgram> {
        let mut words = words.into_iter().map(Into::into);
        let program = words.next().filter(|program| !program.is_empty()).ok_or(NoProgram)?;
        Ok(Self { program, arguments: words.collect(), timeout: TIMEOUT, passed: Vec::new() })
    }

    /// Kills it when it takes longer; 10 seconds unless set, at most 10 minutes.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.min(TIMEOUT_MAX);
        self
    }

    /// Gives it this environment variable as well, when it is set.
    #[must_use]
    pub fn pass(mut self, variable: impl Into<String>) -> Self {
        self.passed.push(variable.into());
        self
    }

    /// The program.
    pub fn program(&self) -> &str {
        &self.program
    }

    pub(super) fn run(&self, environment: &dyn Fn(&str) -> Option<OsString>) -> Result<Secret, Failure> {
        self.run_by(environment, system::lead_group, system::watch)
    }

    fn run_by(
        &self,
        environment: &dyn Fn(&str) -> Option<OsString>,
        lead_group: fn(&mut std::process::Command),
        watch: fn(Child, Duration, &mut Output) -> End,
    ) -> Result<Secret, Failure> {
        let mut command = std::process::Command::new(&self.program);
        command.args(&self.arguments).env_clear();
        for variable in PASSED.iter().copied().chain(self.passed.iter().map(String::as_str)) {
            if let Some(value) = environment(variable) {
                command.env(variable, value);
            }
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        lead_group(&mut command);
        let child = command.spawn().map_err(Failure::NotStarted)?;
        let mut output = Output::new();
        match watch(child, self.timeout, &mut output) {
            End::TimedOut => Err(Failure::TimedOut(self.timeout)),
            End::TooMuch => Err(Failure::TooMuch),
            End::NotRead(error) => Err(Failure::NotRead(error)),
            End::Ended(status) if !status.success() => Err(Failure::Failed { status, has_said: output.has_said() }),
            End::Ended(_) => Secret::new(output.take_printed()).map_err(|error| match error {
                secret::Error::Empty => Failure::PrintedNothing,
                error => Failure::NoSecret(error),
            }),
        }
    }
}

/// Without the arguments: people write tokens into them.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("program", &self.program)
            .field("arguments", &self.arguments.len())
            .field("timeout", &self.timeout)
            .field("passed", &self.passed)
            .finish()
    }
}

/// Waits until it is gone, which a killed process is in a moment; one that the system cannot end yet is left to a thread.
fn bury(mut child: Child) {
    use larder_system::{Clock as _, SystemClock};
    const LOOKS_MAX: u32 = 200;
    const LOOK_EVERY: Duration = Duration::from_millis(5);
    for _ in 0..LOOKS_MAX {
        match child.try_wait() {
            Ok(None) => SystemClock::new().sleep(LOOK_EVERY),
            Ok(Some(_)) | Err(_) => return,
        }
    }
    // without a thread it stays a zombie until this process ends, which harms nobody
    let _ = std::thread::Builder::new().name("credential command".to_owned()).spawn(move || child.wait());
}

#[cfg(all(test, unix))]
mod tests;
