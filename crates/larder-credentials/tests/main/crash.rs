//! Every change cut off at every call: by a kill, by a loss of power, and by each error that the system has.

use std::path::Path;
use std::sync::Arc;

use larder_credentials::Store;
use larder_credentials::store::Error;
use larder_system::{Disk as _, SystemClock};
use larder_testkit::errno::{ENOENT, ENOSPC};
use larder_testkit::{FaultDisk, Operation, Seed, SimDisk};

use crate::place::{name, secret, value};

/// How many states are judged at each call.
const STATES_MAX: usize = 12;

/// A change: what is there before, what is done, and what `docs` is before and after.
struct Case {
    called: &'static str,
    before: fn(&Store),
    act: fn(&Store) -> Result<(), Error>,
    old: Option<&'static str>,
    new: Option<&'static str>,
}

fn two(store: &Store) {
    store.set(&name("stay"), &secret("stays")).unwrap();
    store.set(&name("docs"), &secret("old")).unwrap();
}

const CASES: [Case; 4] = [
    Case {
        called: "set that makes the folder",
        before: |_| {},
        act: |store| store.set(&name("docs"), &secret("new")).map(drop),
        old: None,
        new: Some("new"),
    },
    Case {
        called: "set of another name",
        before: |store| _ = store.set(&name("stay"), &secret("stays")).unwrap(),
        act: |store| store.set(&name("docs"), &secret("new")).map(drop),
        old: None,
        new: Some("new"),
    },
    Case {
        called: "rotation",
        before: two,
        act: |store| store.set(&name("docs"), &secret("new")).map(drop),
        old: Some("old"),
        new: Some("new"),
    },
    Case {
        called: "removal",
        before: two,
        act: |store| store.remove(&name("docs")).map(drop),
        old: Some("old"),
        new: None,
    },
];

fn store_on(disk: Arc<dyn larder_system::Disk>) -> Store {
    Store::at("/user/config/tool/credentials.json").system(disk, Arc::new(SystemClock::new()))
}

/// The disk before the case.
fn base_of(case: &Case) -> SimDisk {
    let sim = SimDisk::new();
    sim.make_root(Path::new("/user")).unwrap();
    sim.sync(&sim.open_root(Path::new("/")).unwrap()).unwrap();
    (case.before)(&store_on(Arc::new(sim.clone())));
    sim
}

/// One whole value, the other name untouched, and the next change works and leaves nothing behind.
fn judge(case: &Case, disk: &SimDisk, allowed: &[Option<&str>], says: &str) {
    let store = store_on(Arc::new(disk.clone()));
    let found = value(&store, "docs");
    assert!(allowed.contains(&found.as_deref()), "{}: {found:?} at {says}", case.called);
    let stays = base_has_other(case).then_some("stays");
    assert_eq!(value(&store, "stay").as_deref(), stays, "{}: at {says}", case.called);
    store.set(&name("next"), &secret("next")).unwrap_or_else(|error| panic!("{}: {error:?} at {says}", case.called));
    assert_eq!(value(&store, "next").as_deref(), Some("next"));
    assert_eq!(leftovers(disk), Vec::<String>::new(), "{}: at {says}", case.called);
}

fn base_has_other(case: &Case) -> bool {
    value(&store_on(Arc::new(base_of(case))), "stay").is_some()
}

fn leftovers(disk: &SimDisk) -> Vec<String> {
    disk.tree().into_keys().map(|path| path.display().to_string()).filter(|path| path.contains(".new-")).collect()
}

#[test]
fn a_kill_or_a_loss_of_power_at_any_call_leaves_old_or_new_and_what_returned_stays() {
    let mut seed = Seed::new();
    for case in CASES {
        let sim = base_of(&case);
        sim.record();
        (case.act)(&store_on(Arc::new(sim.clone()))).unwrap();
        let history = sim.history();
        assert!(history.len() > 3, "{} changes nothing", case.called);
        for moment in history {
            judge(&case, &moment.snapshot(), &[case.old, case.new], moment.describe());
            for state in moment.crash_states(STATES_MAX, seed.draw()) {
                judge(&case, &state, &[case.old, case.new], state.describe());
            }
        }
        for state in sim.crash_states(64, seed.draw()) {
            judge(&case, &state, &[case.new], state.describe());
        }
    }
}

#[test]
fn any_error_of_any_call_leaves_old_or_new_says_so_and_leaves_nothing_behind() {
    for case in CASES {
        let base = base_of(&case);
        let calls = {
            let fault = FaultDisk::over(Arc::new(base.snapshot()));
            fault.record();
            (case.act)(&store_on(Arc::new(fault.clone()))).unwrap();
            fault.calls()
        };
        for call in calls.iter().filter(|call| call.operation != Operation::Close) {
            for &errno in call.operation.errnos() {
                let sim = base.snapshot();
                let fault = FaultDisk::over(Arc::new(sim.clone()));
                fault.fail_at(call.index, errno);
                let ended = (case.act)(&store_on(Arc::new(fault)));
                let says = format!("{call}, error {errno}: {ended:?}");
                let allowed = match &ended {
                    // no folder, nothing to remove
                    Ok(()) if call.operation == Operation::OpenRoot && errno == ENOENT => &[case.old, case.new][..],
                    Ok(()) | Err(Error::NotDurable { .. }) => &[case.new],
                    Err(_) => &[case.old],
                };
                // only where the removal itself was made to fail
                if call.operation != Operation::RemoveFile {
                    assert_eq!(leftovers(&sim), Vec::<String>::new(), "{}: {says}", case.called);
                }
                judge(&case, &sim, allowed, &says);
            }
        }
    }
}

#[test]
fn a_disk_that_is_full_from_any_call_on_loses_nothing() {
    for case in CASES {
        let base = base_of(&case);
        let count = {
            let fault = FaultDisk::over(Arc::new(base.snapshot()));
            (case.act)(&store_on(Arc::new(fault.clone()))).unwrap();
            fault.count()
        };
        for index in 0..count {
            let sim = base.snapshot();
            let fault = FaultDisk::over(Arc::new(sim.clone()));
            fault.fail_from(index, ENOSPC);
            let ended = (case.act)(&store_on(Arc::new(fault)));
            judge(&case, &sim, &[case.old, case.new], &format!("call {index}: {ended:?}"));
        }
    }
}
