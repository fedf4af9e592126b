//! What went wrong with a fetch, in a form that other processes can be told.

use std::fmt;
use std::time::Duration;

use larder_staleness::Backoff;
use larder_watch::fingerprint::Dependency;
use serde::{Deserialize, Serialize};

/// The most that is kept of what a failed command wrote to its standard error, in bytes: the end of it.
pub const STDERR_BYTES_MAX: usize = 64 * 1024;
/// The longest message, in bytes; what is beyond is cut off.
pub const MESSAGE_BYTES_MAX: usize = 8 * 1024;
/// How many causes of an error are looked at.
const CAUSES_MAX: usize = 32;

/// A fetch that failed.
///
/// It is plain data, because it is handed to processes that were waiting for the answer. It is no
/// [`std::error::Error`] itself, so that every error can become one: the message is then the error's own and that of
/// its causes, each said once.
///
/// It is stored and shown as it is: whoever makes one keeps secrets out of it.
///
/// ```
/// use larder_upstream::{Class, Failure};
///
/// fn fetch() -> Result<u32, Failure> {
///     Ok("twelve".parse()?)
/// }
/// let failure = fetch().unwrap_err();
/// assert_eq!(failure.class, Class::Unavailable);
/// assert!(failure.to_string().contains("invalid digit"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure.
    pub class: Class,
    /// What happened, for people.
    pub message: String,
    /// How the command ended, when a command was the upstream.
    pub exit: Option<Exit>,
    /// The end of what the command wrote to its standard error; at most [`STDERR_BYTES_MAX`] bytes are handed on.
    pub stderr: Vec<u8>,
    /// How long the upstream asked to be left alone.
    pub retry_after: Option<Duration>,
    /// The files that the document would have been made from, as they were before. When they have changed, the failure is
    /// remembered for nothing.
    pub depends: Vec<Dependency>,
}

/// Kinds of failure, by what may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Class {
    /// The upstream did not answer, or not in time: trying later may help.
    Unavailable,
    /// The upstream wants fewer requests.
    Throttled,
    /// The upstream does not let this caller in: other credentials may help.
    Denied,
    /// The upstream does not have it.
    Absent,
    /// The upstream will not have the request, now or later.
    Refused,
    /// The upstream is preparing it.
    NotReady,
    /// A command ran and failed: see [`Failure::exit`].
    Command,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Failure {
    /// A failure of this class, with a message for people.
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), exit: None, stderr: Vec::new(), retry_after: None, depends: Vec::new() }
    }

    /// A command that ended so, having written this to its standard error.
    pub fn of_command(exit: Exit, stderr: Vec<u8>) -> Self {
        Self { exit: Some(exit), stderr, ..Self::new(Class::Command, format!("the command {exit}")) }
    }

    /// Says how long the upstream asked to be left alone.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }
}

impl Failure {
    /// How long all processes remember this failure, the one after so many others in a row; `None` for not at all.
    ///
    /// What is wrong with the upstream backs off, what is wrong with the request or the credentials does not: those can be
    /// mended by the caller, who then must not be told an old failure. That there is no such document is remembered for
    /// `negative`.
    pub fn memory(&self, failures_before: u32, backoff: &Backoff, negative: Duration) -> Option<Duration> {
        let length = match self.class {
            Class::Unavailable | Class::Throttled | Class::Command => {
                backoff.after(failures_before.saturating_add(1), self.retry_after)
            }
            // being prepared is not failing: the times between two looks do not grow
            Class::NotReady => backoff.after(1, self.retry_after),
            Class::Absent => negative,
            Class::Denied | Class::Refused => Duration::ZERO,
        };
        Some(length).filter(|length| !length.is_zero())
    }
}

impl Class {
    /// Whether the times between two calls grow while it fails so: the upstream is in trouble, and has not answered that
    /// there is nothing, or nothing yet.
    pub(crate) const fn backs_off(self) -> bool {
        matches!(self, Self::Unavailable | Self::Throttled | Self::Command)
    }

    /// Whether a stale copy may be given out instead of such a failure: not when the upstream has said that there is no such
    /// document, that this caller may not have it, or that the request makes no sense.
    pub const fn allows_stale(self) -> bool {
        match self {
            Self::Unavailable | Self::Throttled | Self::NotReady | Self::Command => true,
            Self::Denied | Self::Absent | Self::Refused => false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unavailable => "unavailable",
            Self::Throttled => "throttled",
            Self::Denied => "denied",
            Self::Absent => "absent",
            Self::Refused => "refused",
            Self::NotReady => "not-ready",
            Self::Command => "command",
        })
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "ended with exit code {code}"),
            Self::Signal(signal) => write!(f, "was ended by signal {signal}"),
        }
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        for _ in 0..CAUSES_MAX {
            let Some(error) = cause else { break };
            let text = error.to_string();
            // many errors repeat their cause in their own text
            if !message.ends_with(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            cause = error.source();
        }
        Self::new(Class::Unavailable, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Link {
        text: &'static str,
        #[source]
        cause: Option<Box<Link>>,
    }

    fn chain(texts: &[&'static str]) -> Option<Box<Link>> {
        let (text, rest) = texts.split_first()?;
        Some(Box::new(Link { text, cause: chain(rest) }))
    }

    #[test]
    fn an_error_becomes_a_failure_with_each_cause_said_once() {
        let error = *chain(&["cannot fetch: no route", "no route", "cable pulled"]).unwrap();
        assert_eq!(Failure::from(error).message, "cannot fetch: no route: cable pulled");
    }

    #[test]
    fn a_class_prints_as_it_is_stored() {
        for class in [
            Class::Unavailable,
            Class::Throttled,
            Class::Denied,
            Class::Absent,
            Class::Refused,
            Class::NotReady,
            Class::Command,
        ] {
            assert_eq!(serde_json::to_string(&class).unwrap(), format!("\"{class}\""));
        }
    }
}
