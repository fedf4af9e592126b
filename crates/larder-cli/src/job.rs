//! What brings a document that is not there, and how long it may be used.

use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

use larder::Policy;
use larder_config::Credential;
use larder_staleness::{Backoff, Wish};
use larder_storage::{Durability, Tag};
use larder_upstream::Failure;
use larder_watch::fingerprint::Paths;

/// A command that prints a document, and the terms on which it is run and its output kept.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// The program and its arguments.
    pub(crate) command: Vec<OsString>,
    /// What it finds in its environment.
    pub(crate) environment: Environment,
    /// The credentials that it gets in variables: where they are found, which nobody looks for before they are needed.
    pub(crate) credentials: Vec<Credential>,
    /// How long the document may be used.
    pub(crate) policy: Policy,
    /// The class that was named for it.
    pub(crate) class: Option<String>,
    pub(crate) tags: Vec<Tag>,
    /// The files that the document depends on.
    pub(crate) depends: Paths,
    pub(crate) durability: Durability,
    /// What the caller wants.
    pub(crate) wish: Wish,
    /// How long a caller with a usable stale copy waits for a new one.
    pub(crate) soft_timeout: Duration,
    /// How long a failure that had nothing to fall back on is remembered.
    pub(crate) remembers: Remembers,
    pub(crate) backoff: Backoff,
    /// Whether this caller and others share one run.
    pub(crate) is_shared: bool,
    /// Whether a stale answer ends in a failure.
    pub(crate) fails_on_stale: bool,
}

/// For how long those who come later are told a failure that nobody had a copy to fall back on for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remembers {
    /// So long; `None` for not at all.
    For(Option<Duration>),
    /// As the back-off says.
    BackOff,
}

/// The environment of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Environment {
    /// That of this process, unchanged.
    Inherited,
    /// Nothing but these variables.
    Only(Vec<(OsString, OsString)>),
}

impl Environment {
    /// Gives it to a command.
    pub(crate) fn give(&self, command: &mut Command) {
        if let Self::Only(variables) = self {
            command.env_clear().envs(variables.iter().map(|(name, value)| (name, value)));
        }
    }
}

impl Job {
    /// How long all processes remember this failure, the one after so many others.
    pub(crate) fn memory(&self, failure: &Failure, failures_before: u32, may_fall_back: bool) -> Option<Duration> {
        match self.remembers {
            Remembers::For(length) if !may_fall_back || length.is_some() => length,
            _ => failure.memory(failures_before, &self.backoff, self.policy.negative),
        }
    }
}
