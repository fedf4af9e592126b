//! The tests of larder, one module a theme.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its own helpers too")]

mod agreement;
mod answers;
mod bounds;
mod coherence;
mod counters;
mod depends;
mod elsewhere;
mod examples;
mod invalidation;
mod processes;
mod refresher;
mod refusals;
mod shared;
mod stale;
mod stalls;
mod switches;
mod tasks;
mod views;
#[cfg(feature = "watch")]
mod watch;
