//! What the journal's tests share: a home on any disk, and a reader that remembers.
#![expect(clippy::unwrap_used, reason = "what the tests stand on fails them")]
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(unreachable_pub, reason = "a module of several test programs")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use larder_lock::{Locks, Wait};
use larder_storage::journal::{Event, Follower, Home, Journal, Options};
use larder_system::{Clock, Disk, SystemClock};
use larder_testkit::SimDisk;

/// A home in the existing folder `path` of `disk`, its locks on `lock_disk`, which is another view of the same disk.
pub fn home_with(disk: Arc<dyn Disk>, lock_disk: Arc<dyn Disk>, path: &Path, clock: Arc<dyn Clock>) -> Home {
    let folder = Arc::new(disk.open_root(path).unwrap());
    let lock_folder = Arc::new(lock_disk.open_root(path).unwrap());
    let options = larder_lock::Options::default().record_holder(false).kept_descriptors(1);
    let locks = Locks::in_folder(lock_disk, Arc::clone(&clock), lock_folder, options);
    Home { disk, clock, folder, locks }
}

pub fn home(disk: Arc<dyn Disk>, path: &Path) -> Home {
    home_with(Arc::clone(&disk), disk, path, Arc::new(SystemClock::new()))
}

pub fn journal_in(home: &Home) -> Journal {
    Journal::new(home.clone(), "tasks", Options::default()).unwrap()
}

/// A journal as a newly started process finds it on `sim`.
pub fn journal_on(sim: &SimDisk) -> Journal {
    journal_in(&home(Arc::new(sim.clone()), Path::new("/")))
}

pub fn wait() -> Wait {
    Wait::up_to(Duration::from_secs(60))
}

/// What one follower was told.
#[derive(Debug, Default)]
pub struct Seen {
    pub records: Vec<Vec<u8>>,
    pub sequences: Vec<u64>,
    pub lost: u64,
    pub resets: u64,
    pub gone: u64,
}

impl Seen {
    pub fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Reset(_) | Event::Gone => {
                self.records.clear();
                self.sequences.clear();
                if event == Event::Gone { self.gone += 1 } else { self.resets += 1 }
            }
            Event::Record { sequence, bytes } => {
                self.records.push(bytes.to_vec());
                self.sequences.push(sequence);
            }
            Event::Lost { records } => self.lost += records,
        }
    }

    pub fn poll(&mut self, follower: &mut Follower) {
        while follower.poll(|event| self.take(event)).unwrap().more {}
    }

    pub fn texts(&self) -> Vec<String> {
        self.records.iter().map(|record| String::from_utf8_lossy(record).into_owned()).collect()
    }
}

/// All that a new follower finds.
pub fn all_of(journal: &Journal) -> Seen {
    let mut seen = Seen::default();
    seen.poll(&mut journal.follow());
    seen
}
