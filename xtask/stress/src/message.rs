//! What workers and the stage tell each other, one JSON object on a line.

use serde::{Deserialize, Serialize};

use crate::promise::Promise;

/// A promise seen broken, and the evidence.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Violation {
    pub(crate) promise: Promise,
    /// What it was about: a key, a lock, a folder.
    pub(crate) key: String,
    pub(crate) expected: String,
    pub(crate) seen: String,
    /// Who saw it: role and number of a worker, or a scene of the stage.
    pub(crate) by: String,
}

/// What a worker says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case")]
pub(crate) enum Said {
    /// So many judgements were made since the last such line; violations are among them.
    Judged {
        promise: Promise,
        count: u64,
    },
    /// So many things happened, for the report.
    Counted {
        what: String,
        count: u64,
    },
    Violated(Violation),
    /// What it was told to do is done.
    Done {
        took_us: u64,
        outcome: Outcome,
    },
}

/// How what a worker was told to do ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "as", rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// The lock is held.
    Held,
    /// It is not; `holder` is the process that was named.
    Refused { holder: Option<u32>, message: String },
    /// It was let go.
    Freed,
    /// Something failed that must not.
    Failed { message: String },
    /// Answers to several askers.
    Answers { answers: Vec<Answer> },
    /// Answers to several patrons.
    Served { served: Vec<Served> },
}

/// How one asker was answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// Which call's document it is, whole; or what else came.
    pub(crate) fetched: Result<u64, String>,
    /// Whether somebody else's fetch brought it.
    pub(crate) collapsed: bool,
}

/// How one patron was served.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Served {
    /// Which call's document it is, whole; or what else came.
    pub(crate) fetched: Result<u64, String>,
    /// Whether it is labelled as stale.
    pub(crate) stale: bool,
    /// When it says that it was fetched, in milliseconds since 1970; 0 where it says nothing.
    pub(crate) fetched_ms: u64,
    /// By how many seconds the age that it tells differs from that, at the moment of the answer.
    pub(crate) age_off_s: i64,
    /// How it came, in the words of the cache.
    pub(crate) status: String,
}

/// What a patron wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Wish {
    /// An answer soon, be it stale.
    Soon,
    /// A stale one only if there is no other.
    Good,
    /// A new one.
    New,
}

/// What a worker is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub(crate) enum Told {
    Hold { name: String },
    Free,
    Try { name: String, bound_ms: u64 },
    Ask { round: u32, key: String, tasks: u32 },
    Serve { round: u32, key: String, tasks: u32, wish: Wish },
}
