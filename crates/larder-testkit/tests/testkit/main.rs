//! Proof that each tool does what a test relies on: that each fault really happens, and is seen when it does.
#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    reason = "tests panic to fail, in their helping functions too, and look at the disk from outside the seam"
)]

mod agreement;
#[cfg(unix)]
mod children;
mod faults;
mod places;
mod power;
mod upstream;

use larder_testkit::child;

#[test]
#[ignore = "a child of other tests"]
fn child_entry() {
    child::run(|role, args| match role {
        #[cfg(unix)]
        "echo" => children::echo(),
        #[cfg(unix)]
        "busy" => children::busy(),
        #[cfg(unix)]
        "faulty-writer" => children::write_with_a_fault(args),
        "caller" => upstream::call_as_a_child(args),
        other => panic!("no role {other:?}"),
    });
}
