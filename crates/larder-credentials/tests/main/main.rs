//! Credentials in real files, processes and environments, and on disks that fail.
#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its own helpers too")]

mod canary;
mod chain;
mod check;
mod crash;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "keyring")]
mod keyring;
mod place;
mod processes;
mod store;
