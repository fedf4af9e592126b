//! Power cuts after a process was killed: what the dead one had not synced is no excuse for the next one.

use larder_storage::{Durability, Put, Scope, Wait, put};
use larder_testkit::{Seed, SimDisk};

use crate::cases::{Case, Ended};
use crate::place::{BOOT, NEXT_BOOT, Place, key, look};
use crate::power::prepare;

/// How many states are judged after each kill.
const STATES_MAX: usize = 6;

/// Kills a process at every call of the case, lets another put and invalidate, cuts the power, and judges.
fn kill_then_cut(name: &str, changed: &[&str]) {
    let mut seed = Seed::new();
    let case = Case::named(name);
    let sim = SimDisk::new();
    prepare(&sim);
    let place = Place::simulated(&sim);
    case.set_up(&place);
    let store = place.open(case.boot);
    (case.warm)(&store);
    sim.record();
    assert_eq!((case.act)(&store), Ended::Done, "{name}");
    for killed in sim.history() {
        let next = Place::simulated(&killed).open(case.boot);
        let context = killed.describe();
        let put =
            |at: &str| next.put(&key(at), b"next", &Put::new()).unwrap_or_else(|error| panic!("{context}: {error}"));
        for at in changed {
            put(at);
        }
        for state in killed.crash_states(STATES_MAX, seed.draw()) {
            let context = state.describe();
            let after = Place::simulated(&state).open(NEXT_BOOT);
            for at in changed {
                assert_eq!(look(&after, at).as_deref(), Some("next"), "{name}: {context}: {at} is lost");
            }
            // numbers that the dead one drew, and lost, are not drawn again
            after.invalidate(&[Scope::Key(key(changed[0])).hard()]).unwrap();
            assert_eq!(look(&after, changed[0]), None, "{name}: {context}: {} outlives its invalidation", changed[0]);
        }
        next.invalidate(&[Scope::All.hard()]).unwrap();
        for state in killed.crash_states(STATES_MAX, seed.draw()) {
            let after = Place::simulated(&state).open(NEXT_BOOT);
            for at in changed {
                assert_eq!(look(&after, at), None, "{name}: {}: an invalidation is lost", state.describe());
            }
        }
    }
}

#[test]
fn a_root_whose_maker_was_killed_keeps_what_the_next_process_puts() {
    kill_then_cut("put that makes the root", &["deep/er/new", "top"]);
}

#[test]
fn folders_whose_maker_was_killed_keep_what_the_next_process_puts() {
    kill_then_cut("put into new folders", &["deep/er/next", "deep/next"]);
}

#[test]
fn a_record_whose_writer_was_killed_before_its_sync_does_not_take_later_puts_along() {
    kill_then_cut("several invalidations at once", &["docs/old", "docs/next"]);
}

#[test]
fn a_fold_whose_maker_was_killed_does_not_take_later_puts_along() {
    kill_then_cut("invalidation that folds", &["docs/old"]);
}

#[test]
fn a_fold_after_a_reboot_whose_maker_was_killed_does_not_take_later_puts_along() {
    kill_then_cut("invalidation after a reboot", &["docs/old"]);
}

#[test]
fn a_fold_of_a_copied_root_whose_maker_was_killed_does_not_take_later_puts_along() {
    kill_then_cut("invalidation in a copied root", &["docs/old"]);
}

#[test]
fn numbers_that_were_lost_with_power_are_not_drawn_again() {
    let mut seed = Seed::new();
    let case = Case::named("several invalidations at once");
    let sim = SimDisk::new();
    prepare(&sim);
    let place = Place::simulated(&sim);
    case.set_up(&place);
    let store = place.open(BOOT);
    sim.record();
    assert_eq!((case.act)(&store), Ended::Done);
    for killed in sim.history() {
        let next = Place::simulated(&killed).open(BOOT);
        let token = next.token().unwrap();
        next.put(&key("docs/old"), b"next", &Put::new().durability(Durability::Relaxed)).unwrap();
        for state in killed.crash_states(STATES_MAX, seed.draw()) {
            let after = Place::simulated(&state).open(NEXT_BOOT);
            after.invalidate(&[Scope::Key(key("docs/old")).hard()]).unwrap();
            after.invalidate(&vec![Scope::Key(key("others")).hard(); 20]).unwrap();
            assert_eq!(look(&after, "docs/old"), None, "{}: it outlives its invalidation", state.describe());
            let late = after.put(&key("docs/old"), b"late", &Put::new().fetched_in(token));
            assert!(matches!(late, Err(put::Error::Fenced { .. })), "{}: {late:?}", state.describe());
        }
    }
}

#[test]
fn a_removal_whose_maker_was_killed_is_made_good_by_the_next_full_one() {
    let mut seed = Seed::new();
    let case = Case::named("removal");
    let sim = SimDisk::new();
    prepare(&sim);
    let place = Place::simulated(&sim);
    case.set_up(&place);
    let store = place.open(BOOT);
    (case.warm)(&store);
    sim.record();
    assert_eq!((case.act)(&store), Ended::Done);
    for (killed, sweeps) in sim.history().into_iter().flat_map(|killed| [(killed.snapshot(), false), (killed, true)]) {
        let next = Place::simulated(&killed).open(BOOT);
        next.remove(&key("docs/stay"), Durability::Relaxed, &Wait::none()).unwrap();
        if sweeps {
            // the folder of what was invalidated goes, and with the removal under way already, this one as well
            let is_empty = look(&next, "docs/old").is_none();
            assert_eq!(next.sweep().unwrap().folders, 1 + u64::from(is_empty), "{}", killed.describe());
        }
        next.remove(&key("docs/old"), Durability::Full, &Wait::none()).unwrap();
        for state in killed.crash_states(STATES_MAX, seed.draw()) {
            let seen = look(&Place::simulated(&state).open(NEXT_BOOT), "docs/old");
            assert_eq!(seen, None, "swept: {sweeps}, {}", state.describe());
        }
    }
}

#[test]
fn a_lost_folder_sync_of_one_process_is_made_good_by_the_next_full_put() {
    let sim = SimDisk::new();
    prepare(&sim);
    let place = Place::simulated(&sim);
    Case::named("put that makes the root").set_up(&place);
    let (one, other) = (place.open(BOOT), place.open(BOOT));
    one.put(&key("a/b/first"), b"first", &Put::new()).unwrap();
    // a sweep removes the folder that both know, and a relaxed put makes another of the same name
    one.remove(&key("a/b/first"), Durability::Full, &Wait::none()).unwrap();
    assert_eq!(other.sweep().unwrap().folders, 2);
    other.put(&key("a/b/relaxed"), b"x", &Put::new().durability(Durability::Relaxed)).unwrap();
    one.put(&key("a/b/full"), b"full", &Put::new()).unwrap();
    for state in sim.crash_states(32, Seed::new().draw()) {
        let found = look(&Place::simulated(&state).open(NEXT_BOOT), "a/b/full");
        assert_eq!(found.as_deref(), Some("full"), "{}", state.describe());
    }
}
