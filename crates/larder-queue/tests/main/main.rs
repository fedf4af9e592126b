//! The tests of larder-queue, one module a theme.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its own helpers too")]

mod cost;
mod crash;
mod damage;
mod full;
mod interleavings;
mod leases;
mod model;
mod order;
mod processes;
mod shared;

#[test]
#[ignore = "a child of other tests"]
fn child_entry() {
    larder_testkit::child::run(processes::work);
}
