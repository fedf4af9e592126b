//! What a search for a credential came to, and where it looked on the way.

use std::fmt;

use camino::Utf8PathBuf;
use serde::Serialize;

use crate::Secret;

/// A place where a credential is looked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Link {
    /// The calling program has it, from standard input or from a person.
    Explicit,
    /// An environment variable.
    Environment {
        /// Its name.
        variable: String,
    },
    /// What a command prints.
    Command {
        /// The program, without its arguments: they may tell more than a message should.
        program: String,
    },
    /// The keyring of the operating system.
    Keyring {
        /// Under which service.
        service: String,
    },
    /// A file of secrets.
    File {
        /// Which.
        path: Utf8PathBuf,
    },
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Explicit => f.write_str("what was given"),
            Self::Environment { variable } => write!(f, "environment variable {variable}"),
            Self::Command { program } => write!(f, "command `{program}`"),
            Self::Keyring { service } => write!(f, "keyring, service `{service}`"),
            Self::File { path } => write!(f, "file {path}"),
        }
    }
}

/// What was seen in a place that has no secret to give.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "looked", content = "reason", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Looked {
    /// There is nothing.
    Absent,
    /// There is something, and it is empty: an environment variable that is set to nothing.
    Empty,
    /// It could not be looked at, for this reason.
    Failed(String),
}

impl fmt::Display for Looked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("absent"),
            Self::Empty => f.write_str("set, but empty, which counts as absent"),
            Self::Failed(reason) => write!(f, "failed: {reason}"),
        }
    }
}

/// A place that was looked at in vain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tried {
    /// The place.
    pub link: Link,
    /// What was seen there.
    #[serde(flatten)]
    pub looked: Looked,
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.link, self.looked)
    }
}

/// A secret, and where it comes from.
#[derive(Clone, Debug)]
pub struct Found {
    /// The secret.
    pub secret: Secret,
    /// Where it was found.
    pub link: Link,
    /// Where it was looked for before, in order.
    pub tried: Vec<Tried>,
}

/// What a search came to.
#[derive(Clone, Debug)]
#[must_use = "a search that found nothing says where it looked"]
pub enum Answer {
    /// A secret.
    Found(Found),
    /// None, and the caller may go on without.
    Anonymous(Vec<Tried>),
    /// None, and the caller needs one.
    Missing(Vec<Tried>),
}

impl Answer {
    /// What was found, if anything was.
    pub fn found(self) -> Option<Found> {
        match self {
            Self::Found(found) => Some(found),
            Self::Anonymous(_) | Self::Missing(_) => None,
        }
    }

    /// The places that were looked at in vain, in order.
    pub fn tried(&self) -> &[Tried] {
        match self {
            Self::Found(found) => &found.tried,
            Self::Anonymous(tried) | Self::Missing(tried) => tried,
        }
    }
}
