//! What larder's tests stand on.
//!
//! - [`FaultDisk`]: counts every call of another disk, and fails, shortens, freezes or kills at the ones a test names.
//! - [`SimDisk`]: a disk in memory that knows what was synced, and gives every state that a power cut may leave.
//! - [`child`]: the test's own program, run again in another role, to be stopped and killed.
//! - [`Upstream`]: a slow, failing source that counts its calls across processes.
//! - [`VirtualClock`]: time that moves only when told to.
//! - [`Scratch`] and [`Seed`]: a folder that is kept, and random choices that are printed, when a test fails.
//!
//! **What it is not.** It is no part of what ships: it panics where a test should fail. `SimDisk` is a model, as good as
//! its assumptions (see there); real file systems under real power cuts are tested elsewhere. A `FaultDisk` sees the
//! calls of its own process only.
//!
//! ```
//! use larder_system::{Disk, Open, Replace, write_all};
//! use larder_testkit::SimDisk;
//! use std::path::Path;
//!
//! // Writes a file and renames it into place, but forgets to sync the file.
//! let disk = SimDisk::new();
//! let root = disk.open_root(Path::new("/"))?;
//! let file = disk.open(&root, Path::new("new"), Open::CREATE_NEW)?;
//! write_all(&disk, &file, &[b"precious"])?;
//! disk.rename(&root, Path::new("new"), &root, Path::new("kept"), Replace::Yes)?;
//! disk.sync(&root)?;
//!
//! let lost = disk.crash_states(1_000, 1).into_iter().find(|state| state.read_file("/kept") != Some(b"precious".into()));
//! assert!(lost.is_some(), "some state after a power cut lacks what was written");
//! # std::io::Result::Ok(())
//! ```
#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    reason = "a tool for tests: it panics to fail the test, and stands below the seams that it replaces"
)]

pub mod child;
mod clock;
pub mod errno;
mod fault;
mod scratch;
mod seed;
mod signals;
mod sim;
mod upstream;

pub use child::Child;
pub use clock::VirtualClock;
pub use fault::{Action, Call, FaultDisk, Gate, Operation};
pub use scratch::Scratch;
pub use seed::Seed;
pub use signals::with_default_signals;
pub use sim::SimDisk;
pub use upstream::{Answer, Failure, Hold, Upstream};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
