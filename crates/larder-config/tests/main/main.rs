//! The configuration from outside: values, origins, mistakes, hostile files.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its own helpers too")]

mod credentials;
mod hostile;
mod mistakes;
mod sources;
mod values;
