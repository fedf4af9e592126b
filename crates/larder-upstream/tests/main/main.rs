//! The tests of larder-upstream, one module a theme.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its own helpers too")]

mod deaths;
mod failures;
mod fences;
mod files;
mod herd;
mod met;
mod orphans;
mod roles;
mod roots;
mod shared;
mod turns;
mod waits;

#[test]
#[ignore = "a child of other tests"]
fn child_entry() {
    larder_testkit::child::run(roles::run);
}
