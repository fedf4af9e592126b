//! The locks as their users meet them: other processes, killed and frozen ones, file systems that misbehave.

#![cfg(unix)]
#![expect(clippy::disallowed_methods, reason = "tests stand outside the seams: they play the stranger who meddles")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "what goes wrong here fails a test")]

mod acquire;
mod calls;
mod check;
mod child;
mod crash;
mod free;
mod helper;
mod holders;
mod lease;
mod open;
mod retire;
mod stage;
mod sweep;
mod wait;

#[test]
#[ignore = "a child of other tests"]
fn child_entry() {
    larder_testkit::child::run(child::play);
}
