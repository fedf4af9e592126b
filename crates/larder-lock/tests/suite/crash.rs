//! Many processes, and those that die.

use larder_lock::{Backend, Mode};
use larder_testkit::{Child, Scratch};

use crate::stage::{BOTH, name_of, open, patient};

fn count_with_eight(backend: Backend) {
    let scratch = Scratch::new("count");
    std::fs::write(scratch.join("count"), "0").unwrap();
    let folder = scratch.utf8_path().as_str();
    let mut children: Vec<_> = (0..8)
        .map(|_| Child::spawn("increment", &[("folder", folder), ("backend", name_of(backend)), ("times", "1250")]))
        .collect();
    children.iter_mut().for_each(Child::wait_for_success);
    assert_eq!(std::fs::read_to_string(scratch.join("count")).unwrap(), "10000");
}

#[test]
fn ten_thousand_increments_by_eight_processes_are_ten_thousand_under_advisory_locks() {
    count_with_eight(Backend::Advisory);
}

#[test]
fn ten_thousand_increments_by_eight_processes_are_ten_thousand_under_leases() {
    count_with_eight(Backend::LEASE);
}

/// One holder and one that waits for it, over and over: each kill must hand the lock to the one that waits, and to
/// nobody before.
fn kill_one_after_another(backend: Backend, kills: u32) {
    let scratch = Scratch::new("kills");
    let spawn = || crate::stage::spawn(&scratch, "mark", backend, "mark", Mode::Exclusive);
    let mut holder = spawn();
    holder.wait_for_line("held");
    for kill in 0..kills {
        let mut next = spawn();
        next.wait_for_line("waiting");
        assert!(!next.said().contains(&"held".to_owned()), "two holders at kill {kill}");
        holder.kill();
        next.wait_for_line("held");
        holder = next;
    }
    holder.kill();
    drop(open(scratch.utf8_path(), backend).acquire("mark", Mode::Exclusive, &patient()).unwrap());
}

#[test]
fn a_thousand_killed_holders_lose_no_advisory_lock() {
    kill_one_after_another(Backend::Advisory, 1_000);
}

#[test]
fn a_thousand_killed_holders_lose_no_lease() {
    kill_one_after_another(BOTH[1], 1_000);
}
