//! A crash-safe read-through cache of documents, shared by all processes of a machine, without a daemon.
//!
//! A [`Cache`] is asked for a [`Key`] and given a way to fetch it. It looks in memory, on the disk, at the fetch under way
//! in this process, at the one under way in another, and only then fetches: of all that ask at the same time, one does.
//! Every [`Answer`] has an [`Outcome`] that says how it came, in the words of HTTP's `Cache-Status`.
//!
//! | asked for | answered by | takes |
//! |---|---|---|
//! | what this process has had before | a copy in memory, after one cheap system call that tells whether any process has put, removed or invalidated it | 0.3 µs |
//! | what any process has fetched | the disk, verified, on a blocking thread | 20 µs |
//! | what somebody fetches now | that fetch; its failure too | as long as it takes |
//! | what is stale, within its window | the stale copy, while one task of one process refreshes it | 20 µs |
//! | what an upstream fails to give | the stale copy, within its window; the failure is remembered by all processes | its failure, once a step |
//! | anything else | a fetch in a task of its own, stored before it is handed on | the same, and two flushes |
//!
//! - **Invalidation** ([`Cache::invalidate`]: a key, a prefix, a tag, everything) is in force in all processes when it
//!   returns. No get that begins afterwards gives an answer whose fetch began before, also not by joining it.
//! - **Leaving** cancels nothing for others. A fetch that panics is the failure of its own caller; one of those who wait
//!   goes on with its own. A process that dies is succeeded by exactly one other.
//! - **Where nothing can be stored** (a full disk, a root that may only be read, a document that is too large) the caller
//!   is answered all the same, and the outcome says so.
//! - **[`counters`]** are exact over all processes.
//!
//! # Limitations
//!
//! - It needs a tokio runtime with its time enabled. The crates below do not.
//! - Stale use is off until a class ([`Policy`]) or a call ([`Terms`]) allows it.
//! - A fetch that has begun goes on to its end or timeout, when all its callers have left too.
//! - See the README for the rest.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use larder::{Cache, Failure, Fetched, Key, Level, Scope};
//!
//! async fn download(_topic: &str) -> Result<String, std::io::Error> {
//!     Ok("# Hooks\n".to_owned()) // slow, metered, flaky
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let scratch = larder_testkit::Scratch::new("larder-doc");
//! # let root = scratch.utf8_path();
//! let cache = Cache::builder(root).ttl(Duration::from_secs(3_600)).open().await?;
//! let key: Key = "guides/react/hooks".parse()?;
//!
//! let answer = cache
//!     .get_or_fetch(&key, |context| async move {
//!         Ok::<_, Failure>(Fetched::new(download(context.key.as_str()).await?))
//!     })
//!     .await?;
//! assert_eq!(&answer.body[..], b"# Hooks\n");
//! assert!(answer.outcome.to_string().starts_with("larder; fwd=uri-miss; ttl="));
//!
//! cache.get(&key).await?;
//! let hit = cache.get(&key).await?.ok_or("nobody has invalidated it")?;
//! assert!(hit.outcome.is_hit() && hit.outcome.level == Level::Memory);
//!
//! cache.invalidate(&[Scope::Prefix("guides/".parse()?).hard()]).await?; // in all processes, when it returns
//! assert!(cache.get(&key).await?.is_none());
//! # Ok(())
//! # }
//! ```
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod builder;
pub mod cache;
pub mod fetch;

pub mod refresher;

mod exchange;

pub mod counters;
mod document;
mod outcome;
mod terms;
pub mod views;

mod call;
mod coarse;
mod depends;
mod flight;
mod inner;
mod memory;
mod refresh;
mod room;
mod turn;
#[cfg(feature = "watch")]
pub mod watch;

pub use builder::Builder;
pub use cache::{Cache, Stats};
pub use document::Answer;
pub use exchange::{Context, Fetched, Stale};
pub use larder_queue::Counts;
pub use larder_staleness::{Backoff, CacheControl, Classes, Early, Pattern, Policy, Response};
pub use larder_storage::{
    Bounds, Durability, Evicted, Invalidation, Key, Metadata, MetadataError, Options, Prefix, Published, Scope,
    Severity, Summary, Tag, Token,
};
pub use larder_upstream::{Class, Failure};
pub use larder_watch::fingerprint::Paths;
pub use outcome::{Forward, Level, Outcome, Verdict};
pub use refresher::Refresher;
pub use terms::Terms;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/cookbook.md")]
mod cookbook {}
