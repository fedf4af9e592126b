//! How an upstream is asked whether it takes a secret.

use std::fmt;
use std::time::Duration;

use crate::Secret;

/// Asks an upstream whether it takes a secret, by its cheapest call.
pub trait Probe: fmt::Debug + Send + Sync {
    /// What is asked, for people, for instance its address. It has nothing secret in it.
    fn label(&self) -> String;

    /// What tells it from others, in at most 200 bytes: verdicts that another probe was given do not count for this one. It is
    /// written to the memory of verdicts, so it has nothing secret in it. The label, unless there is more to tell.
    fn identity(&self) -> String {
        self.label()
    }

    /// Asks, and answers within `deadline`. Never panics, and never shows the secret in what it answers.
    fn probe(&self, secret: &Secret, deadline: Duration) -> Probed;
}

/// What an upstream said to a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Probed {
    /// It takes it.
    Accepted,
    /// It does not.
    Refused {
        /// With this HTTP status, or what stands for it.
        status: u16,
        /// Whether it said that the secret was good once.
        expired: bool,
    },
    /// It asks to be left alone, which says nothing about the secret.
    RateLimited {
        /// For so long, if it said so.
        retry_after: Option<Duration>,
    },
    /// It did not answer, or its answer makes no sense, which says nothing about the secret either.
    Unreachable {
        /// How that shows.
        cause: String,
    },
}
