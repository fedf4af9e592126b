//! Work that survives crashes, shared by any number of processes, without a server.
#![doc = include_str!("../README.md")]

mod queue;
pub mod task;
mod worker;

mod claim;
mod error;
mod options;
mod snapshot;

mod compact;
mod fold;
mod hold;
mod record;
mod state;

pub use claim::{Claim, Lost};
pub use error::Error;
pub use larder_storage::journal::Durability;
pub use options::Options;
pub use queue::{Added, Queue, Selection};
pub use snapshot::{Counts, Snapshot, Standing, View};
pub use task::{ERROR_BYTES_MAX, KEY_BYTES_MAX, PAYLOAD_BYTES_MAX, Priority, REASON_BYTES_MAX, Task};
pub use worker::Worker;
