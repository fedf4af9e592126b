//! How the command ends: its exit codes, which are API, and the failures that lead to them.

use std::error::Error;
use std::fmt::Write as _;
use std::process::ExitCode;

use larder_storage::{GetError, annex, invalidate, put, root};

/// An exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exit(u8);

impl Exit {
    /// Done.
    pub(crate) const OK: Self = Self(0);
    /// A failure without a code of its own, or `verify` found damage.
    pub(crate) const FAILURE: Self = Self(1);
    /// The command line says nothing that can be done.
    pub(crate) const USAGE: Self = Self(2);
    /// Nothing is stored under the key.
    pub(crate) const ABSENT: Self = Self(3);
    /// Credentials are missing or invalid, and nothing else is wrong.
    pub(crate) const CREDENTIALS: Self = Self(4);
    /// The answer is stale, and was not to be.
    pub(crate) const STALE: Self = Self(5);
    /// What answers could not be reached in time.
    pub(crate) const UNAVAILABLE: Self = Self(69);
    /// The system refused to read or write.
    pub(crate) const INPUT_OUTPUT: Self = Self(74);
    /// A lock, or another's flight, was not waited for any longer.
    pub(crate) const TIMEOUT: Self = Self(75);
    /// The command was found and cannot be executed.
    pub(crate) const NOT_EXECUTABLE: Self = Self(126);
    /// There is no such command.
    pub(crate) const NOT_FOUND: Self = Self(127);
    /// Nobody reads standard output any more: what a shell sees of a `cat` that SIGPIPE has ended.
    pub(crate) const CLOSED: Self = Self(141);

    /// The code as a number.
    pub(crate) const fn code(self) -> u8 {
        self.0
    }

    /// The code of a command that ended by itself; what does not fit a code is a failure.
    pub(crate) fn of_code(code: i32) -> Self {
        // Windows has codes of 32 bits, and a failure must not turn into a success
        u8::try_from(code).map_or(Self::FAILURE, Self)
    }

    /// What a shell shows for an end by this signal.
    pub(crate) fn of_signal(signal: i32) -> Self {
        Self::of_code(signal.saturating_add(128))
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.0)
    }
}

/// An error on its way out, with the code that it ends in.
#[derive(Debug)]
pub(crate) struct Failed {
    exit: Exit,
    error: Option<Box<dyn Error + Send + Sync>>,
}

impl Failed {
    /// Fails with `error`.
    pub(crate) fn new(exit: Exit, error: impl Error + Send + Sync + 'static) -> Self {
        Self { exit, error: Some(Box::new(error)) }
    }

    /// Ends without a word: all has been said, or nobody listens.
    pub(crate) const fn silent(exit: Exit) -> Self {
        Self { exit, error: None }
    }

    /// The code to end with.
    pub(crate) const fn exit(&self) -> Exit {
        self.exit
    }

    /// What to tell, and its causes, each once.
    pub(crate) fn message(&self) -> Option<String> {
        self.error.as_deref().map(|error| chain(error))
    }
}

/// An error and its causes as one line, each text once.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut last = line.clone();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // a transparent error has the text of its cause
        if text != last {
            let _ = write!(line, ": {text}");
        }
        last = text;
        cause = error.source();
    }
    line
}

impl From<GetError> for Failed {
    fn from(error: GetError) -> Self {
        Self::new(Exit::INPUT_OUTPUT, error)
    }
}

impl From<root::Error> for Failed {
    fn from(error: root::Error) -> Self {
        let exit = match &error {
            root::Error::Failed(_) => Exit::INPUT_OUTPUT,
            _ => Exit::FAILURE,
        };
        Self::new(exit, error)
    }
}

impl From<annex::Error> for Failed {
    fn from(error: annex::Error) -> Self {
        Self::new(Exit::INPUT_OUTPUT, error)
    }
}

impl From<invalidate::Error> for Failed {
    fn from(error: invalidate::Error) -> Self {
        Self::new(Exit::INPUT_OUTPUT, error)
    }
}

impl From<put::Error> for Failed {
    fn from(error: put::Error) -> Self {
        let exit = match &error {
            put::Error::Root(_) | put::Error::Stamps(_) | put::Error::Failed(_) | put::Error::NotDurable { .. } => {
                Exit::INPUT_OUTPUT
            }
            put::Error::Locked { source, .. } if source.is_contention() => Exit::TIMEOUT,
            _ => Exit::FAILURE,
        };
        Self::new(exit, error)
    }
}

impl From<larder_lock::acquire::Error> for Failed {
    fn from(error: larder_lock::acquire::Error) -> Self {
        let exit = match &error {
            error if error.is_contention() => Exit::TIMEOUT,
            larder_lock::acquire::Error::NameTooLong { .. } | larder_lock::acquire::Error::SharedLease { .. } => {
                Exit::USAGE
            }
            _ => Exit::INPUT_OUTPUT,
        };
        Self::new(exit, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] Transparent);

    #[derive(Debug, thiserror::Error)]
    #[error(transparent)]
    struct Transparent(#[from] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("inner")]
    struct Inner;

    #[test]
    fn each_cause_is_told_once() {
        assert_eq!(chain(&Outer(Inner.into())), "outer: inner");
        assert_eq!(chain(&Transparent(Inner)), "inner");
    }

    #[test]
    fn a_code_that_does_not_fit_is_a_failure_and_no_success() {
        assert_eq!(Exit::of_code(256), Exit::FAILURE);
        assert_eq!(Exit::of_code(-1), Exit::FAILURE);
        assert_eq!(Exit::of_signal(15).code(), 143);
    }
}
