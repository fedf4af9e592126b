//! Durable documents in files: whole or absent, verified on every read, invalidated in constant time.
//!
//! A [`Store`] keeps documents under [`Key`]s in a folder that any number of unrelated processes share, without a
//! daemon. A read returns the bytes that were put under that very key, or says absent: after `kill -9` at any
//! instruction, loss of power, a full disk, bit rot, or with writers at work. A [`Durability::Full`] put that returned
//! is on stable storage. [`Store::invalidate`] makes a key, a prefix, a tag or everything absent or stale in one step,
//! and what was being fetched meanwhile is not taken for current when it arrives.
//!
//! [`Store::evict`] keeps what is stored within [`Bounds`], what was not used for longest going first; how much there is,
//! every writer knows without looking.
//!
//! **What it is not.** It fetches nothing, knows no freshness, evicts nothing by itself and keeps nothing in memory:
//! the crate `larder` does all that with this one underneath. Most programs want that one.
//!
//! # Limitations
//!
//! - Documents are read and written whole; the default limit is 64 MiB.
//! - It costs an inode for each document, and another for the lock of a key that was written more than once;
//!   [`Store::sweep`] removes the latter.
//! - Locks on network file systems may lie. A root made with the lease backend does not depend on them, at the price
//!   that `larder-lock` states.
//! - Checksums find damage, not malice: whoever can write the folder can write a valid entry.
//! - Tested on Linux. See docs/platform.md for macOS and Windows.
//!
//! # Example
//!
//! ```
//! use larder_storage::{Durability, Key, Put, Scope, Store};
//!
//! # let scratch = larder_testkit::Scratch::new("storage-doc");
//! # let path = scratch.utf8_path();
//! let store = Store::open(path)?;
//! let key: Key = "guides/react/hooks".parse()?;
//!
//! let token = store.token()?; // before the fetch begins
//! let fetched = b"# Hooks"; // however long it takes
//! store.put(&key, fetched, &Put::new().fetched_in(token))?;
//! assert_eq!(store.get(&key)?.map(|entry| entry.into_body()).as_deref(), Some(&fetched[..]));
//!
//! store.invalidate(&[Scope::Prefix("guides/react/".parse()?).hard()])?;
//! assert!(store.get(&key)?.is_none());
//! // what was fetched before the invalidation is refused after it
//! assert!(store.put(&key, fetched, &Put::new().fetched_in(token)).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod key;
pub mod put;
mod store;

pub mod annex;
mod entry;
mod generation;
pub mod invalidate;
pub mod journal;
mod room;
pub mod root;
pub mod stamps;

mod failure;
mod folder;
mod header;
mod location;
mod quarantine;
mod temporary;

pub use annex::Annex;
pub use entry::{ATTRIBUTES_BYTES_MAX, Entry, Metadata, MetadataError, TAG_BYTES_MAX, TAGS_MAX, Tag};
pub use failure::Failure;
pub use generation::{Standing, Token, TokenError};
pub use invalidate::{Invalidation, Scope, Severity};
pub use key::{Key, Prefix};
pub use larder_lock::{Backend, Wait};
pub use put::{Durability, Published, Put};
pub use room::{Bounds, Occupied, Pressure};
pub use store::{
    Counted, Damage, Evicted, Eviction, GetError, Leftovers, Listing, Loose, Mark, Options, SetAside, Store, Summary,
    Swept, USE_RECORDED_EVERY, Usage, Verified, View, Views, Worth, trial,
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
