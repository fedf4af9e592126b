//! Tests between crates and between processes, by theme, in one program.
#![expect(clippy::unwrap_used, reason = "roles are tests as well: what goes wrong in them fails their test")]

mod sharing;

use larder_testkit::child;

/// The roles that this program plays when a test runs it again.
#[test]
#[ignore = "a child of other tests"]
fn child_entry() {
    child::run(|role, arguments| match role {
        "sharing writer" => sharing::writer(arguments),
        other => panic!("no theme has a role {other:?}"),
    });
}
