//! `kill -9` before every call of every operation, on a real disk.

use std::sync::Arc;

use larder_system::SystemDisk;
use larder_testkit::child::{self, Args};
use larder_testkit::{Action, Child, FaultDisk, Scratch};

use crate::cases::{self, Case, Ended};
use crate::judge::{Allowed, judge, token_before};
use crate::place::Place;

/// More calls than any case makes: a bound on the loop.
const CALLS_MAX: u64 = 1_000;

/// A child that dies before one of its calls.
pub(crate) fn die(args: &Args) {
    let case = Case::named(args.get("case"));
    let at: u64 = args.parse("at");
    let fault = FaultDisk::over(Arc::new(SystemDisk::new()));
    let store = Place::new(Arc::new(fault.clone()), args.get("path")).open(case.boot);
    (case.warm)(&store);
    fault.reset();
    fault.before(move |call| if call.index == at { Action::KillProcess } else { Action::Proceed });
    let ended = (case.act)(&store);
    drop(store);
    assert_eq!(ended, Ended::Done);
    child::say("done");
}

fn kill_before_every_call(cases: &[Case]) {
    for case in cases {
        let mut killed = 0;
        for at in 0..CALLS_MAX {
            let scratch = Scratch::new("killed");
            let place = Place::new(Arc::new(SystemDisk::new()), scratch.utf8_path().join("root"));
            case.set_up(&place);
            let tokens = token_before(&place, case);
            let at = at.to_string();
            let mut child = Child::spawn("killed", &[("case", case.name), ("path", place.path.as_str()), ("at", &at)]);
            let said = child.next_line();
            let context = format!("killed before call {at}");
            if said.is_some() {
                child.wait_for_success();
                judge(&place, case.boot, case, Allowed::New, &tokens, "not killed");
                break;
            }
            let status = child.wait();
            assert!(!status.success() && status.code().is_none(), "{}: {status}: {}", case.name, child.printed());
            judge(&place, case.boot, case, Allowed::Either, &tokens, &context);
            killed += 1;
        }
        assert!((3..CALLS_MAX).contains(&killed), "{}: killed at {killed} calls", case.name);
    }
}

#[test]
fn a_put_killed_before_any_call_leaves_old_or_new() {
    kill_before_every_call(&cases::puts());
}

#[test]
fn a_removal_killed_before_any_call_is_whole() {
    kill_before_every_call(&cases::removals());
}

#[test]
fn an_invalidation_killed_before_any_call_holds_or_not() {
    kill_before_every_call(&cases::invalidations());
}

#[test]
fn tidying_killed_before_any_call_loses_nothing() {
    kill_before_every_call(&cases::tidying());
}

#[test]
fn two_puts_killed_before_any_call_are_each_whole() {
    kill_before_every_call(&[cases::shared_sync()]);
}
