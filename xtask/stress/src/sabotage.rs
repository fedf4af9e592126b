//! The broken parts that workers can be told to use: each is one that a real cache has shipped.
//!
//! Only `parts` asks which one is in use; judges, stages and reports of what was seen do not know.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A deliberately broken part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Sabotage {
    /// A document is written over the one it replaces, instead of beside it and renamed
    WriteInPlace,
    /// Documents are read without looking at their checksums, and written in place
    UnverifiedRead,
    /// A put is acknowledged before it is published, by a thread that dies with its process
    AcknowledgedEarly,
    /// The sweep takes every temporary file for a dead writer's
    SweepTheLiving,
    /// What is in memory is given out without asking whether it still counts
    StaleMemory,
    /// What was fetched before an invalidation is stored as if it had been fetched after it
    FenceIgnored,
    /// Locks are got without being taken
    NoLock,
    /// The lock file is removed after the lock was let go
    UnlinkAfterRelease,
    /// A lock that was held for long counts as abandoned, though its holder is only frozen
    StealFromFrozen,
    /// A lock is a file that exists, and stays when its holder is killed
    LockFileLeft,
    /// Whoever wins the lead fetches, without looking whether somebody else has just done so
    NoRecheck,
    /// When the one who fetches dies, all who waited fetch at once
    FallThrough,
    /// Nobody knows of anybody else's fetch
    ShareNothing,
    /// A failure is its finder's own: everybody who waited for it asks the failing upstream again
    FailureKept,
    /// In an outage nobody knows of anybody else's failure, and everybody asks the upstream
    FallThroughHerd,
    /// A refresh takes what is cached for what is new
    RefreshFromCache,
    /// A refresh that fails stores the old document anew, as if it had just been fetched
    AgeResetByError,
    /// Whoever has a stale copy waits for a new one as long as those who have none
    WaitForTheFrozen,
    /// A queue is a file that is read and written whole, without a lock
    QueueRewritten,
    /// A task is done by whoever sees it, and nobody says that it is being done
    ClaimWithoutLease,
    /// Counts are a file that is read, added to and written, without a lock
    MetricsWithoutLock,
    /// Nothing is ever removed to make room
    GrowForEver,
    /// A secret is a text like any other, and is logged with what it is part of
    SecretInLog,
    /// Every command that is started gets every secret in its environment
    SecretForAll,
    /// Symbolic links in the root are followed, whatever they lead to
    FollowedLink,
}
