//! Credentials in real files, processes and environments, and on disks that fail.
#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its own helpers too")]

mod canary;
mod chain;
mod check;
mod crash;
mod place;
mod processes;
mod store;
