//! What the tests share: short names for long calls.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use larder_lock::{Locks, Wait};
use larder_queue::{Claim, Options, Priority, Queue, Selection, Snapshot, Standing, Task, Worker};
use larder_storage::journal::Home;
use larder_system::{Clock, Disk, SystemClock, SystemDisk};
use larder_testkit::{Scratch, VirtualClock};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn wait() -> Wait {
    Wait::up_to(SECOND * 60)
}

pub(crate) fn task(key: &str) -> Task {
    Task::new(key).unwrap()
}

pub(crate) fn urgent(key: &str, priority: u64) -> Task {
    task(key).priority(Priority::new(priority).unwrap())
}

pub(crate) fn keys(selected: &[&str]) -> Selection {
    Selection::Keys(selected.iter().map(|key| (*key).to_owned()).collect())
}

/// A folder, and a clock that stands still.
pub(crate) struct Place {
    pub(crate) scratch: Scratch,
    pub(crate) clock: Arc<VirtualClock>,
}

impl Place {
    pub(crate) fn new(name: &str) -> Self {
        Self { scratch: Scratch::new(name), clock: Arc::new(VirtualClock::new()) }
    }

    /// The queue, as another process has it.
    pub(crate) fn queue(&self) -> Queue {
        self.queue_with(Options::new())
    }

    pub(crate) fn queue_with(&self, options: Options) -> Queue {
        let path = self.scratch.utf8_path().join("queue");
        Queue::open_with(path, options, Arc::new(SystemDisk::new()), Arc::clone(&self.clock) as _)
    }

    pub(crate) fn wall(&self) -> SystemTime {
        self.clock.wall()
    }

    pub(crate) fn file(&self) -> std::path::PathBuf {
        self.scratch.path().join("queue/queue.journal")
    }
}

/// The queue in the root of a disk whose locks are on another view of it.
pub(crate) fn queue_on(disk: Arc<dyn Disk>, lock_disk: Arc<dyn Disk>) -> Queue {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let folder = Arc::new(disk.open_root(Path::new("/")).unwrap());
    let lock_folder = Arc::new(lock_disk.open_root(Path::new("/")).unwrap());
    let options = larder_lock::Options::default().record_holder(false).kept_descriptors(4);
    let locks = Locks::in_folder(lock_disk, Arc::clone(&clock), lock_folder, options);
    Queue::in_home(Home { disk, clock, folder, locks }, Options::new()).unwrap()
}

pub(crate) fn claim(worker: &Worker) -> Option<Claim> {
    worker.claim(1, &wait()).unwrap().pop()
}

/// What is claimed, key by key, until there is nothing more.
pub(crate) fn claim_all(worker: &Worker) -> Vec<String> {
    std::iter::from_fn(|| claim(worker)).map(|claim| claim.key().to_owned()).collect()
}

pub(crate) fn standings(snapshot: &Snapshot) -> Vec<(&str, Standing)> {
    snapshot.tasks.iter().map(|task| (task.key.as_str(), task.standing)).collect()
}
