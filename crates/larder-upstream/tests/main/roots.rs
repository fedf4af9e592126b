//! A root that goes away under those who wait, and roots whose locks are leases.
#![expect(clippy::disallowed_methods, reason = "the tests move folders behind larder's back")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use larder_lock::Backend;
use larder_storage::Options;
use larder_system::SystemDisk;
use larder_testkit::{Action, FaultDisk, Operation, Scratch};
use larder_upstream::Flights;

use crate::shared::{Waiter, begin, found, in_folder, lead, led, long, put};

#[test]
fn a_root_removed_under_a_waiter_is_noticed_and_the_waiter_leads_in_the_new_one() {
    let scratch = Scratch::new("removed");
    let root = scratch.utf8_path().join("root");
    let flight = lead(&in_folder(root.as_str()), "docs/a");
    let waiter = Waiter::for_flight(&in_folder(root.as_str()), "docs/a", long());
    std::fs::rename(&root, scratch.join("moved")).unwrap();
    let next = led(waiter.end());
    assert_eq!(in_folder(root.as_str()).under_way().unwrap().len(), 1);
    // the old leader's end touches nothing of the new flight's
    flight.land();
    let joined = Waiter::for_flight(&in_folder(root.as_str()), "docs/a", long());
    assert!(put(&in_folder(root.as_str()), &next, b"new"));
    next.land();
    assert_eq!(found(joined.end()), b"new");
}

#[test]
fn a_root_removed_between_two_calls_is_made_again() {
    let scratch = Scratch::new("again");
    let root = scratch.utf8_path().join("root");
    let flights = in_folder(root.as_str());
    lead(&flights, "docs/a").land();
    std::fs::remove_dir_all(&root).unwrap();
    let flight = lead(&flights, "docs/a");
    assert_eq!(in_folder(root.as_str()).under_way().unwrap().len(), 1);
    flight.land();
}

#[test]
fn a_root_removed_while_a_flight_gets_its_name_is_noticed_before_the_fetch() {
    let scratch = Scratch::new("ghost");
    let root = scratch.utf8_path().join("root");
    let disk = FaultDisk::over(Arc::new(SystemDisk::new()));
    let store = Options::new().disk(Arc::new(disk.clone())).open(&root).unwrap();
    let flights = Flights::new(Arc::new(store));
    lead(&flights, "docs/warm").land();
    let (from, to) = (root.clone(), scratch.join("moved"));
    let moved = AtomicBool::new(false);
    disk.before(move |call| {
        if call.operation == Operation::Link && !moved.swap(true, Ordering::Relaxed) {
            std::fs::rename(&from, &to).unwrap();
        }
        Action::Proceed
    });
    let flight = lead(&flights, "docs/a");
    assert_eq!(in_folder(root.as_str()).under_way().unwrap().len(), 1);
    assert_eq!(crate::shared::names(scratch.join("moved/flights")), Vec::<String>::new());
    flight.land();
}

#[test]
fn the_folder_of_flights_removed_alone_is_made_again() {
    let scratch = Scratch::new("folder");
    let flights = crate::shared::flights(&scratch);
    lead(&flights, "docs/a").land();
    std::fs::remove_dir(scratch.join("flights")).unwrap();
    let flight = lead(&flights, "docs/a");
    let waiter = Waiter::for_flight(&crate::shared::flights(&scratch), "docs/a", long());
    assert!(put(&flights, &flight, b"x"));
    flight.land();
    assert_eq!(found(waiter.end()), b"x");
}

#[test]
fn a_root_emptied_in_place_takes_its_locks_along_and_new_ones_are_used() {
    let scratch = Scratch::new("emptied");
    let flights = crate::shared::flights(&scratch);
    lead(&flights, "docs/a").land();
    for entry in std::fs::read_dir(scratch.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { std::fs::remove_dir_all(path).unwrap() } else { std::fs::remove_file(path).unwrap() }
    }
    let flight = lead(&flights, "docs/a");
    let others = crate::shared::flights(&scratch);
    assert_eq!(others.under_way().unwrap()[0].alive, Some(true), "its lock is one that others see");
    flight.land();
}

#[test]
fn a_root_that_cannot_be_made_is_a_clear_error() {
    let scratch = Scratch::new("file");
    std::fs::write(scratch.join("root"), b"").unwrap();
    let error = larder_storage::Store::open(scratch.utf8_path().join("root")).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("is not a folder"), "{error}");
    let flights = in_folder(scratch.utf8_path().join("none/root").as_str());
    std::fs::write(scratch.join("none"), b"").unwrap();
    let error = begin(&flights, "docs/a", &long()).unwrap_err();
    assert!(!error.is_contention(), "{error}");
}

fn leased(scratch: &Scratch) -> Flights {
    let backend = Backend::Lease { length: Duration::from_secs(30) };
    Flights::new(Arc::new(Options::new().backend(backend).open(scratch.utf8_path()).unwrap()))
}

#[test]
fn with_leases_one_leads_and_the_others_find_what_it_stored() {
    let scratch = Scratch::new("leases");
    let flights = leased(&scratch);
    let flight = lead(&flights, "docs/a");
    assert!(flight.lend().unwrap().is_none());
    let waiters: Vec<Waiter> = (0..3).map(|_| Waiter::for_flight(&leased(&scratch), "docs/a", long())).collect();
    assert!(put(&flights, &flight, b"whole"));
    flight.land();
    for waiter in waiters {
        assert_eq!(found(waiter.end()), b"whole");
    }
    lead(&flights, "docs/a2").land();
}

#[test]
fn with_leases_an_abandoned_flight_has_a_successor() {
    let scratch = Scratch::new("lease-abandoned");
    let flights = leased(&scratch);
    let flight = lead(&flights, "docs/a");
    let waiter = Waiter::for_flight(&leased(&scratch), "docs/a", long());
    drop(flight);
    led(waiter.end()).land();
}

#[test]
fn with_leases_a_killed_leader_has_a_successor() {
    let scratch = Scratch::new("lease-killed");
    drop(lead(&leased(&scratch), "docs/warm"));
    let root = scratch.utf8_path().as_str();
    let mut leader = larder_testkit::Child::spawn("lead", &[("root", root), ("key", "docs/a")]);
    leader.wait_for_line("leading");
    let waiter = Waiter::for_flight(&leased(&scratch), "docs/a", long());
    leader.kill();
    led(waiter.end()).land();
}

#[test]
fn with_leases_a_leader_that_has_lost_its_lease_leaves_its_successors_flight_alone() {
    let scratch = Scratch::new("lease-lost");
    let late = lead(&leased(&scratch), "docs/a");
    let waiter = Waiter::for_flight(&leased(&scratch), "docs/a", long());
    // as after a freeze for longer than the lease, without the wait for it
    let locks = crate::shared::names(scratch.join("locks"));
    let lease = locks.iter().find(|name| name.contains("flights")).unwrap();
    std::fs::remove_dir_all(scratch.join("locks").join(lease)).unwrap();
    let flight = led(waiter.end());
    let joined = Waiter::for_flight(&leased(&scratch), "docs/a", long());
    late.carry(b"late", &larder_storage::Metadata::new());
    assert_eq!(leased(&scratch).under_way().unwrap().len(), 1);
    assert!(put(&leased(&scratch), &flight, b"the successor's"));
    flight.land();
    assert_eq!(found(joined.end()), b"the successor's");
}

#[test]
fn with_leases_a_leader_that_has_lost_its_lease_removes_nothing_and_records_nothing() {
    let scratch = Scratch::new("lease-silent");
    let late = lead(&leased(&scratch), "docs/a");
    let file = crate::shared::flight_file(&scratch);
    let before = std::fs::read(&file).unwrap();
    let locks = crate::shared::names(scratch.join("locks"));
    let lease = locks.iter().find(|name| name.contains("flights")).unwrap();
    std::fs::remove_dir_all(scratch.join("locks").join(lease)).unwrap();
    late.carry(b"late", &larder_storage::Metadata::new());
    assert_eq!(std::fs::read(&file).unwrap(), before);
}
