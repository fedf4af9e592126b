//! Named locks between processes: each wait has a deadline, each refusal names the holder.
#![doc = include_str!("../README.md")]

pub mod acquire;
mod advisory;
mod backoff;
mod cancel;
pub mod check;
mod errno;
mod free;
mod guard;
mod helper;
mod holder;
pub mod holders;
mod kept;
mod lease;
mod line;
mod locks;
mod name;
mod observe;
pub mod open;
mod options;
mod park;
mod probe;
mod process;
pub mod retire;
pub mod sweep;
mod table;
pub mod wait;
mod waiting;

pub use cancel::Cancellation;
pub use guard::Guard;
pub use helper::{HELPERS_MAX, helper_count};
pub use holder::Holder;
pub use locks::Locks;
pub use name::{NAME_BYTES_MAX, file_name};
pub use observe::{Event, Observer};
pub use options::{Backend, Mode, Options};
pub use probe::{Finding, probe};
pub use wait::{Bound, Origin, Wait};
