//! The store under `kill -9`, errors, freezes and power cuts at every system call of every operation.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what the tests stand on fails them")]

#[path = "crash/call_count.rs"]
mod call_count;
#[path = "crash/cases.rs"]
mod cases;
#[path = "crash/errors.rs"]
mod errors;
#[path = "crash/frozen.rs"]
mod frozen;
#[path = "crash/judge.rs"]
mod judge;
#[path = "crash/kill.rs"]
mod kill;
#[path = "crash/place.rs"]
mod place;
#[path = "crash/power.rs"]
mod power;
#[path = "crash/power_after_kill.rs"]
mod power_after_kill;
#[path = "crash/strangers.rs"]
mod strangers;

#[test]
#[ignore = "a child of other tests"]
fn child_entry() {
    larder_testkit::child::run(|role, args| match role {
        "killed" => kill::die(args),
        "frozen" => frozen::freeze(args),
        "counted" => call_count::count(args),
        other => panic!("no role {other:?}"),
    });
}
