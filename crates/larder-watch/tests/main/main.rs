//! Fingerprints of real files.
#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, in its own helpers too")]
#![expect(clippy::disallowed_methods, reason = "the user's files, changed as a user changes them")]

mod changes;
mod limits;
mod odd;
mod random;
mod stamps;
mod tree;
mod watching;
