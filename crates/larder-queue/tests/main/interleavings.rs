//! What happens between two steps of one process.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use larder_queue::{Claim, Options, Queue, Standing, Worker};
use larder_system::{Boot, Clock, SystemDisk};
use larder_testkit::VirtualClock;

use crate::shared::{Place, SECOND, claim, claim_all, task, wait};

type Act = Box<dyn FnOnce() + Send>;

/// A clock whose reader is not scheduled for a while after it has read it, once.
struct Interrupting {
    clock: Arc<VirtualClock>,
    act: Mutex<Option<Act>>,
}

impl std::fmt::Debug for Interrupting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Interrupting")
    }
}

impl Clock for Interrupting {
    fn wall(&self) -> SystemTime {
        self.clock.wall()
    }

    fn monotonic(&self) -> Duration {
        let now = self.clock.monotonic();
        let act = self.act.lock().unwrap().take();
        if let Some(act) = act {
            act();
        }
        now
    }

    fn boot(&self) -> Option<Boot> {
        self.clock.boot()
    }

    fn sleep(&self, duration: Duration) {
        self.clock.sleep(duration);
    }
}

/// What `act` does with a claimed task while another process has read the clock and not yet the queue.
fn while_another_looks(name: &str, act: impl FnOnce(&Worker, Claim) + Send + 'static) -> (Place, Worker, Queue) {
    let place = Place::new(name);
    let queue = place.queue();
    queue.add(&[task("k")], &wait()).unwrap();
    let worker = queue.worker("it").unwrap();
    let clock = Arc::new(Interrupting { clock: Arc::clone(&place.clock), act: Mutex::default() });
    let path = place.scratch.utf8_path().join("queue");
    let other = Queue::open_with(path, Options::new(), Arc::new(SystemDisk::new()), Arc::clone(&clock) as _);
    let looker = other.worker("looker").unwrap();
    other.counts().unwrap();
    let virtual_clock = Arc::clone(&place.clock);
    let busy = queue.clone();
    *clock.act.lock().unwrap() = Some(Box::new(move || {
        virtual_clock.advance(SECOND);
        let claimed = claim(&worker).unwrap();
        act(&worker, claimed);
        // it lives on
        std::mem::forget(worker);
    }));
    other.counts().unwrap();
    assert!(clock.act.lock().unwrap().is_none(), "the clock was read");
    (place, looker, busy)
}

#[test]
fn a_claim_that_is_made_after_a_looker_has_read_the_clock_stands() {
    let (_place, looker, queue) = while_another_looks("interleavings-claim", |_, _| {});
    assert_eq!(claim_all(&looker), [""; 0]);
    let found = queue.find("k").unwrap().unwrap();
    assert_eq!((found.standing, found.losses), (Standing::Claimed, 0));
}

#[test]
fn a_failure_after_a_looker_has_read_the_clock_is_left_alone() {
    let fail = |worker: &Worker, claim| worker.fail(claim, "no", &wait()).unwrap().unwrap();
    let (_place, looker, queue) = while_another_looks("interleavings-hold", fail);
    assert_eq!(claim_all(&looker), [""; 0]);
    assert_eq!(queue.find("k").unwrap().unwrap().standing, Standing::Held);
}
