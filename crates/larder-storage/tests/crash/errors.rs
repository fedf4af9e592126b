//! Every call of every operation fails: with every error that it can have, once and from then on.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use larder_testkit::errno::{EINTR, EIO};
use larder_testkit::{Action, Call, FaultDisk, Operation, SimDisk};

use crate::cases::{self, Case, DEAD_WRITERS, Ended, Promise};
use crate::judge::{Allowed, judge, token_before};
use crate::place::Place;
use crate::power::prepare;

/// How long an error lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lasting {
    Once,
    /// From then on, for calls of that kind: a full disk still removes, a failing one still lists.
    ForItsKind,
    /// From then on, whatever is called.
    ForAll,
}

/// What happened to a case.
struct Run {
    ended: Ended,
    calls: Vec<Call>,
    failed: Vec<u64>,
    leftovers: Vec<String>,
}

/// Runs the case on a copy of `base` until it ends, failing what `fails` says.
fn run(case: &Case, base: &SimDisk, fails: impl Fn(&Call) -> Action + Send + Sync + 'static) -> (Run, Place) {
    run_times(1, case, base, fails)
}

/// The same, again and again in one process; how the last ended.
fn run_times(
    times: usize,
    case: &Case,
    base: &SimDisk,
    fails: impl Fn(&Call) -> Action + Send + Sync + 'static,
) -> (Run, Place) {
    let place = Place::simulated(&base.snapshot());
    let fault = FaultDisk::over(Arc::clone(&place.disk));
    let store = Place::new(Arc::new(fault.clone()), &place.path).open(case.boot);
    (case.warm)(&store);
    fault.reset();
    fault.record();
    let failed: Arc<Mutex<Vec<u64>>> = Arc::default();
    let noted = Arc::clone(&failed);
    fault.before(move |call| {
        let action = fails(call);
        if matches!(action, Action::Fail(_)) {
            noted.lock().unwrap().push(call.index);
        }
        action
    });
    let mut ends: Vec<Ended> = (0..times).map(|_| (case.act)(&store)).collect();
    let ended = ends.pop().unwrap();
    let (calls, mut leftovers) = (fault.calls(), place.leftovers());
    leftovers.retain(|name| name != DEAD_WRITERS);
    fault.heal();
    drop(store);
    let failed = failed.lock().unwrap().clone();
    (Run { ended, calls, failed, leftovers }, place)
}

fn base_of(case: &Case) -> SimDisk {
    let base = SimDisk::new();
    prepare(&base);
    case.set_up(&Place::simulated(&base));
    base
}

fn fail_every_call(cases: &[Case]) {
    for case in cases {
        let base = base_of(case);
        let tokens = token_before(&Place::simulated(&base.snapshot()), case);
        let (healthy, _) = run(case, &base, |_| Action::Proceed);
        assert_eq!(healthy.ended, Ended::Done, "{}", case.name);
        for call in &healthy.calls {
            for &errno in call.operation.errnos() {
                fail(case, &base, &tokens, call, errno, Lasting::Once);
                // a storm of signals that never ends is a test of its own
                if errno != EINTR {
                    fail(case, &base, &tokens, call, errno, Lasting::ForItsKind);
                }
            }
            fail(case, &base, &tokens, call, EIO, Lasting::ForAll);
        }
    }
}

fn fail(case: &Case, base: &SimDisk, tokens: &[larder_storage::Token], at: &Call, errno: i32, lasting: Lasting) {
    let (index, operation) = (at.index, at.operation);
    let once = AtomicBool::new(false);
    let (run, place) = run(case, base, move |call| {
        let hit = match lasting {
            // the thread that tries locks may close its files a call earlier or later
            Lasting::Once => call.index >= index && call.operation == operation && !once.swap(true, Ordering::Relaxed),
            Lasting::ForItsKind => call.index >= index && call.operation == operation,
            Lasting::ForAll => call.index >= index,
        };
        if hit && call.operation != Operation::Close { Action::Fail(errno) } else { Action::Proceed }
    });
    let context = format!("{at} fails with {errno}, {lasting:?}, and ends {:?}", run.ended);
    let is_sync = matches!(operation, Operation::Sync | Operation::SyncData);
    if errno == EINTR && lasting == Lasting::Once && !is_sync {
        assert_eq!(run.ended, Ended::Done, "{}: {context}: an interruption is seen", case.name);
    }
    let stuck = |call: &&Call| call.operation == Operation::RemoveFile && run.failed.contains(&call.index);
    if !run.calls.iter().any(|call| stuck(&call)) {
        assert_eq!(run.leftovers, Vec::<String>::new(), "{}: {context}: files are left", case.name);
    }
    no_sync_is_tried_again(case, &run, &context);
    let allowed = match (case.promise, &run.ended) {
        (Promise::Tidy, _) | (Promise::Publish(_) | Promise::Remove, Ended::Failed(_)) => Allowed::Old,
        (_, Ended::Done | Ended::NotDurable) => Allowed::New,
        (Promise::Invalidate, Ended::Failed(_)) => Allowed::Either,
    };
    if let Promise::Publish(path) = case.promise {
        syncs_are_as_told(case, &run, &place.path.as_std_path().join(path), &context);
    }
    judge(&place, case.boot, case, allowed, tokens, &context);
}

/// After a failed sync nothing is known of what reached the disk, and a second one on the same descriptor may lie.
fn no_sync_is_tried_again(case: &Case, run: &Run, context: &str) {
    let is_sync = |call: &Call| matches!(call.operation, Operation::Sync | Operation::SyncData);
    for failed in run.calls.iter().filter(|call| is_sync(call) && run.failed.contains(&call.index)) {
        let later = run.calls.iter().filter(|call| call.index > failed.index && call.path == failed.path);
        let opens = |call: &Call| matches!(call.operation, Operation::Open | Operation::OpenRoot);
        let next = later.clone().find(|call| is_sync(call) || opens(call));
        assert!(next.is_none_or(opens), "{}: {context}: {failed} is tried again", case.name);
    }
}

/// Success and "not durable" are said exactly when the syncs went so.
fn syncs_are_as_told(case: &Case, run: &Run, published: &Path, context: &str) {
    // that nothing was published then is for the judge to see
    if matches!(run.ended, Ended::Failed(_)) {
        return;
    }
    let went_well = |call: &&Call| !run.failed.contains(&call.index);
    let renamed = run.calls.iter().filter(went_well).rfind(|call| call.to.as_deref() == Some(published)).unwrap();
    let sync_of = |path: &Path, from: u64| {
        run.calls
            .iter()
            .find(|call| call.operation == Operation::Sync && call.index > from && call.path.as_deref() == Some(path))
    };
    let folder: PathBuf = published.parent().unwrap().to_owned();
    let folder_sync = sync_of(&folder, renamed.index);
    if case.durable {
        let temporary = renamed.path.clone().unwrap();
        let of_it = |call: &&Call| call.path.as_ref() == Some(&temporary);
        let written = run.calls.iter().filter(of_it).rfind(|call| call.operation == Operation::Write).unwrap();
        let synced = sync_of(&temporary, written.index).filter(went_well);
        assert!(synced.is_some_and(|sync| sync.index < renamed.index), "{}: {context}: unsynced", case.name);
        let folder_synced = folder_sync.as_ref().is_some_and(went_well);
        let told = if folder_synced { Ended::Done } else { Ended::NotDurable };
        assert_eq!(run.ended, told, "{}: {context}", case.name);
    } else {
        assert_eq!((folder_sync, &run.ended), (None, &Ended::Done), "{}: {context}", case.name);
    }
}

#[test]
fn a_put_that_fails_at_any_call_leaves_the_old_document_and_says_how_it_ended() {
    fail_every_call(&cases::puts());
}

#[test]
fn a_removal_that_fails_at_any_call_leaves_the_old_document() {
    fail_every_call(&cases::removals());
}

#[test]
fn an_invalidation_that_fails_at_any_call_holds_or_not_and_loses_nothing_else() {
    // what they cover changes one record, and no call
    let covers = ["invalidation of a prefix", "invalidation of a tag", "invalidation of everything"];
    let cases = cases::invalidations().into_iter().filter(|case| !covers.contains(&case.name));
    fail_every_call(&cases.collect::<Vec<Case>>());
}

#[test]
fn tidying_that_fails_at_any_call_loses_nothing() {
    fail_every_call(&cases::tidying());
}

#[test]
fn a_storm_of_signals_that_never_ends_is_reported_and_nothing_is_lost() {
    let case = Case::named("put over another's entry");
    let base = base_of(&case);
    let (healthy, _) = run(&case, &base, |_| Action::Proceed);
    for call in healthy.calls.iter().filter(|call| call.operation.is_interruptible()) {
        fail(&case, &base, &[], call, EINTR, Lasting::ForItsKind);
    }
}

#[test]
fn a_descriptor_whose_sync_failed_is_not_used_by_the_next_operation() {
    let durable = cases::all().into_iter().filter(|case| case.durable && case.promise != Promise::Remove);
    for case in durable {
        let base = base_of(&case);
        let (healthy, _) = run(&case, &base, |_| Action::Proceed);
        let is_sync = |call: &&Call| matches!(call.operation, Operation::Sync | Operation::SyncData);
        for sync in healthy.calls.iter().filter(is_sync) {
            let index = sync.index;
            let fails = move |call: &Call| if call.index == index { Action::Fail(EIO) } else { Action::Proceed };
            let (run, _) = run_times(2, &case, &base, fails);
            let context = format!("{sync} fails, then all goes well");
            assert_eq!(run.ended, Ended::Done, "{}: {context}", case.name);
            no_sync_is_tried_again(&case, &run, &context);
        }
    }
}

#[test]
fn short_writes_and_interruptions_make_whole_documents() {
    for case in cases::all() {
        let base = base_of(&case);
        for bytes in [1, 7, 100] {
            let (run, place) = run(&case, &base, move |call| match call.operation {
                Operation::Write | Operation::WriteAt | Operation::Read | Operation::ReadAt
                    if call.index.is_multiple_of(2) =>
                {
                    Action::Fail(EINTR)
                }
                Operation::Write => Action::Short(bytes),
                // a table of pages in pieces of one byte proves no more
                Operation::WriteAt => Action::Short(bytes * 512),
                _ => Action::Proceed,
            });
            let context = format!("writes of {bytes}");
            assert_eq!(run.ended, Ended::Done, "{}: {context}", case.name);
            let allowed = if case.promise == Promise::Tidy { Allowed::Old } else { Allowed::New };
            judge(&place, case.boot, &case, allowed, &[], &context);
        }
    }
}
