//! Power cuts at every call: un-synced bytes and names may be lost, in any combination.

use larder_storage::{Durability, Put};
use larder_testkit::{Seed, SimDisk};

use crate::cases::{self, Case, Ended};
use crate::judge::{Allowed, judge, token_before};
use crate::place::{BOOT, NEXT_BOOT, Place, key, look};

/// How many states are judged at each call.
const STATES_MAX: usize = 7;

fn cut_at_every_call(cases: &[Case]) {
    let mut seed = Seed::new();
    for case in cases {
        let sim = SimDisk::new();
        prepare(&sim);
        let place = Place::simulated(&sim);
        case.set_up(&place);
        let mut tokens = token_before(&place, case);
        let store = place.open(case.boot);
        (case.warm)(&store);
        sim.record();
        assert_eq!((case.act)(&store), Ended::Done, "{}", case.name);
        let history = sim.history();
        assert!(history.len() > 1, "{} changes nothing", case.name);
        let relaxed = matches!(case.promise, cases::Promise::Publish(_) | cases::Promise::Remove) && !case.durable;
        let before = if relaxed { Allowed::EitherOrAbsent } else { Allowed::Either };
        for moment in history {
            for state in moment.crash_states(STATES_MAX, seed.draw()) {
                judge(&Place::simulated(&state), NEXT_BOOT, case, before, &tokens, state.describe());
            }
        }
        tokens.push(store.token().unwrap());
        let after = if case.durable { Allowed::New } else { before };
        for state in sim.crash_states(STATES_MAX, seed.draw()) {
            judge(&Place::simulated(&state), NEXT_BOOT, case, after, &tokens, state.describe());
        }
    }
}

/// The folder that the root is made in.
pub(crate) fn prepare(sim: &SimDisk) {
    use larder_system::Disk as _;
    sim.make_root(std::path::Path::new("/cache")).unwrap();
    let top = sim.open_root(std::path::Path::new("/")).unwrap();
    sim.sync(&top).unwrap();
}

#[test]
fn a_put_cut_off_at_any_call_leaves_old_or_new_and_an_acknowledged_full_put_stays() {
    cut_at_every_call(&cases::puts());
}

#[test]
fn a_removal_cut_off_at_any_call_is_whole_and_an_acknowledged_full_one_stays() {
    cut_at_every_call(&cases::removals());
}

#[test]
fn an_invalidation_cut_off_at_any_call_holds_or_not_and_an_acknowledged_one_holds() {
    cut_at_every_call(&cases::invalidations());
}

#[test]
fn tidying_cut_off_at_any_call_loses_nothing() {
    cut_at_every_call(&cases::tidying());
}

#[test]
fn two_puts_that_share_a_sync_are_both_durable() {
    cut_at_every_call(&[cases::shared_sync()]);
}

#[test]
fn a_large_relaxed_put_torn_anywhere_is_old_new_or_absent() {
    let document = |first: u8| -> Vec<u8> { (first..=250).cycle().take(20_000).collect() };
    let (old, new) = (document(1), document(2));
    let sim = SimDisk::new();
    prepare(&sim);
    let place = Place::simulated(&sim);
    let store = place.open(BOOT);
    store.put(&key("a"), &old, &Put::new()).unwrap();
    store.put(&key("a"), &new, &Put::new().durability(Durability::Relaxed)).unwrap();
    let states = sim.crash_states(100, Seed::new().draw());
    let seen: Vec<_> = states
        .iter()
        .map(|state| {
            let found = Place::simulated(state).open(NEXT_BOOT).get(&key("a")).unwrap();
            let found = found.map(larder_storage::Entry::into_body);
            assert!(found.as_ref().is_none_or(|body| *body == old || *body == new), "{}", state.describe());
            found
        })
        .collect();
    assert!(seen.contains(&None) && seen.contains(&Some(new)), "of {} states none is torn, or none whole", seen.len());
}

#[test]
fn a_full_put_into_folders_that_a_relaxed_put_made_survives_a_power_cut() {
    let sim = SimDisk::new();
    prepare(&sim);
    let place = Place::simulated(&sim);
    let store = place.open(BOOT);
    store.put(&key("a/b/relaxed"), b"x", &Put::new().durability(Durability::Relaxed)).unwrap();
    store.put(&key("a/b/full"), b"full", &Put::new()).unwrap();
    for state in sim.crash_states(64, Seed::new().draw()) {
        let found = look(&Place::simulated(&state).open(NEXT_BOOT), "a/b/full");
        assert_eq!(found.as_deref(), Some("full"), "{}", state.describe());
    }
}
