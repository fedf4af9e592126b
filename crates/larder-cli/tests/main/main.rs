//! The real `larder` command, seen from outside.
#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, in its own helpers too")]

mod auth;
mod bad_input;
mod bounds;
mod config;
mod depends;
mod doctor;
mod failures;
mod frozen;
mod herd;
mod hits;
mod locks;
mod place;
mod refresh;
mod roots;
mod signals;
mod stale;
mod streams;
mod verbs;
