//! Who holds what.

use larder_lock::{Backend, Locks, Mode, Options, Wait, file_name};
use larder_testkit::Scratch;

use crate::stage::{BOTH, SHORT, holder, open, patient, spawn};

#[test]
fn the_list_names_each_held_lock_and_its_holder_and_no_other() {
    for backend in BOTH {
        let scratch = Scratch::new("list");
        let other = holder(&scratch, backend, "theirs");
        let locks = open(scratch.utf8_path(), backend);
        drop(locks.acquire("free", Mode::Exclusive, &Wait::none()).unwrap());
        let _mine = locks.acquire("mine", Mode::Exclusive, &Wait::none()).unwrap();
        let held = locks.holders().unwrap();
        let pids: Vec<_> =
            held.iter().map(|held| (held.file.split('-').next().unwrap(), held.holders[0].pid)).collect();
        assert_eq!(pids, [("mine", Some(std::process::id())), ("theirs", Some(other.pid()))]);
        assert!(held.iter().all(|held| held.mode == Some(Mode::Exclusive)));
    }
}

#[test]
fn a_holder_that_recorded_nothing_is_named_from_the_systems_table() {
    let scratch = Scratch::new("table");
    let locks = Locks::open(scratch.utf8_path(), Options::new().record_holder(false)).unwrap();
    let _guard = locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap();
    let error = locks.acquire("a", Mode::Exclusive, &Wait::up_to(SHORT)).unwrap_err();
    let holder = error.holder().unwrap();
    assert_eq!((holder.pid, holder.since), (Some(std::process::id()), None));
}

#[test]
fn all_who_share_a_lock_are_listed() {
    let scratch = Scratch::new("sharing");
    let mut others: Vec<_> = (0..3).map(|_| spawn(&scratch, "hold", Backend::Advisory, "a", Mode::Shared)).collect();
    for other in &mut others {
        other.wait_for_line("held");
    }
    let held = open(scratch.utf8_path(), Backend::Advisory).holders().unwrap();
    let mut pids: Vec<_> = held[0].holders.iter().map(|holder| holder.pid.unwrap()).collect();
    let mut want: Vec<_> = others.iter().map(larder_testkit::Child::pid).collect();
    pids.sort_unstable();
    want.sort_unstable();
    assert_eq!((pids, held[0].mode), (want, Some(Mode::Shared)));
}

#[test]
fn garbage_in_a_held_lock_file_does_not_hide_its_holder() {
    let scratch = Scratch::new("garbage");
    let locks = open(scratch.utf8_path(), Backend::Advisory);
    let guard = locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap();
    std::fs::write(scratch.join(file_name("a").unwrap()), [0xff; 700]).unwrap();
    let error = locks.acquire("a", Mode::Exclusive, &Wait::up_to(SHORT)).unwrap_err();
    assert_eq!(error.holder().unwrap().pid, Some(std::process::id()));
    drop(guard);
    drop(locks.acquire("a", Mode::Exclusive, &patient()).unwrap());
}

#[test]
fn a_label_is_shown_to_those_who_wait() {
    for backend in BOTH {
        let scratch = Scratch::new("label");
        let options = Options::new().backend(backend).label("refresh\nreact");
        let locks = Locks::open(scratch.utf8_path(), options).unwrap();
        let _guard = locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap();
        let error = locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap_err();
        assert!(error.to_string().contains("(refreshreact)"), "{error}");
    }
}

#[test]
fn the_record_of_a_holder_that_let_go_does_not_name_it_for_the_next_one() {
    let scratch = Scratch::new("outdated");
    let mut earlier = holder(&scratch, Backend::Advisory, "a");
    // It lives on, but holds nothing any more.
    earlier.send_line("yield");
    earlier.wait_for_line("yielded");
    let locks = Locks::open(scratch.utf8_path(), Options::new().record_holder(false)).unwrap();
    let _guard = locks.acquire("a", Mode::Exclusive, &patient()).unwrap();
    let error = locks.acquire("a", Mode::Exclusive, &Wait::up_to(SHORT)).unwrap_err();
    assert_eq!(error.holder().unwrap().pid, Some(std::process::id()));
}

#[test]
fn a_refusal_does_not_name_a_shared_holder_that_has_gone() {
    let scratch = Scratch::new("gone-shared");
    let mut first = spawn(&scratch, "hold", BOTH[0], "a", Mode::Shared);
    first.wait_for_line("held");
    let mut second = spawn(&scratch, "hold", BOTH[0], "a", Mode::Shared);
    second.wait_for_line("held");
    second.kill();
    let locks = open(scratch.utf8_path(), BOTH[0]);
    let error = locks.acquire("a", Mode::Exclusive, &Wait::none()).unwrap_err();
    assert_eq!(error.holder().unwrap().pid, Some(first.pid()), "{error}");
}
