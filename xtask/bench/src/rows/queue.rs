//! The queue: what a task costs at any length, beside the journal's own appends and the disk's own flushes.

use std::sync::Arc;

use camino::Utf8Path;
use larder_lock::{Locks, Wait};
use larder_queue::{Durability, Options, Queue, Task, Worker};
use larder_storage::journal::{self, Home, Journal};
use larder_system::{Clock as _, SystemClock, SystemDisk};

use crate::pairs::{nanoseconds, pairs};
use crate::raw::Preallocated;
use crate::report::Row;
use crate::run::{Context, Error};

const FEW: usize = 100;
const GROWTH_MAX: f64 = 1.2;
const APPENDS_MAX: f64 = 1.5;
const DURABLE_MAX: f64 = 1.2;
/// A batch of so many keys, in nanoseconds.
const BATCH: usize = 10_000;
const BATCH_NS_MAX: u64 = 1_000_000_000;
/// A record of a task is about so long.
const RECORD: [u8; 100] = [b'x'; 100];

/// A queue with so many tasks in it, and a worker.
struct Line {
    queue: Queue,
    worker: Worker,
}

impl Line {
    fn of(path: &Utf8Path, queued: usize) -> Result<Self, Error> {
        let (disk, clock) = (Arc::new(SystemDisk::new()), Arc::new(SystemClock::new()));
        let queue = Queue::open_with(path, Options::new(), disk, clock);
        let failed = |error: larder_queue::Error| Error::larder("use a queue", error);
        let tasks = (0..queued).map(|number| task(&format!("waiting/{number}"), 1)).collect::<Result<Vec<_>, _>>()?;
        queue.add(&tasks, &wait()).map_err(failed)?;
        let worker = queue.worker("bench").map_err(failed)?;
        Ok(Self { queue, worker })
    }

    /// One task from its addition to its completion.
    fn one(&self, durability: Durability) -> Result<(), Error> {
        let failed = |error: larder_queue::Error| Error::larder("do a task", error);
        self.queue.add_as(&[task("urgent", 10)?], durability, &wait()).map_err(failed)?;
        let claims = self.worker.claim(1, &wait()).map_err(failed)?;
        let lost = self.worker.complete_all_as(claims, durability, &wait()).map_err(failed)?;
        if lost.is_empty() { Ok(()) } else { Err(Error::larder("do a task", "its claim was lost")) }
    }
}

pub(crate) fn rows(context: &Context) -> Result<Vec<Row>, Error> {
    let many = if context.quick { 10_000 } else { 100_000 };
    let path = context.scratch.folder("queue")?;
    let (few, full) = (Line::of(&path.join("few"), FEW)?, Line::of(&path.join("many"), many)?);
    let samples = context.samples();
    context.settle()?;
    let unsynced = Durability::Unsynced;
    let growth = pairs(samples, |_| few.one(unsynced), |_| full.one(unsynced))?;
    let appends = appends(&path.join("appends"))?;
    let append = |_| {
        for _ in 0..3 {
            let appended = appends.append(&[RECORD], unsynced, &wait());
            appended.map_err(|error| Error::larder("append", error))?;
        }
        Ok(())
    };
    let beside = pairs(samples, append, |_| full.one(unsynced))?;
    let raw = Preallocated::open(path.join("raw").as_str()).map_err(|source| Error::io("make", &path, source))?;
    let flushes =
        |_| raw.append(&RECORD).and_then(|()| raw.append(&RECORD)).map_err(|source| Error::io("flush", &path, source));
    let durable = pairs(samples / 2, flushes, |_| full.one(Durability::Synced))?;
    let name = |what: &str| format!("{what}, {many} queued");
    Ok(vec![
        Row::ratio(name("add+claim+complete"), "the same at 100 queued", growth, GROWTH_MAX),
        Row::ratio(name("add+claim+complete"), "three locked appends", beside, APPENDS_MAX),
        Row::ratio(name("durable add+claim+complete"), "two preallocated fdatasyncs", durable, DURABLE_MAX),
        batch(&path.join("batch"))?,
    ])
}

/// Ten thousand keys in one batch, durably.
fn batch(path: &Utf8Path) -> Result<Row, Error> {
    let (disk, clock) = (Arc::new(SystemDisk::new()), SystemClock::new());
    let queue = Queue::open_with(path, Options::new(), disk, Arc::new(SystemClock::new()));
    let tasks = (0..BATCH).map(|number| task(&format!("key/{number}"), 5)).collect::<Result<Vec<_>, _>>()?;
    let began = clock.monotonic();
    queue.add(&tasks, &wait()).map_err(|error| Error::larder("add a batch", error))?;
    let took = nanoseconds(clock.monotonic().saturating_sub(began));
    Ok(Row::time("durable add of 10,000 keys", took, BATCH_NS_MAX, 1))
}

/// A journal beside the queue's.
fn appends(path: &Utf8Path) -> Result<Journal, Error> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| Error::larder("open a journal", error);
    let disk: Arc<dyn larder_system::Disk> = Arc::new(SystemDisk::new());
    let clock: Arc<dyn larder_system::Clock> = Arc::new(SystemClock::new());
    disk.make_root(path.as_std_path()).map_err(|source| Error::io("make", path, source))?;
    let folder = disk.open_root(path.as_std_path()).map_err(|source| Error::io("open", path, source))?;
    let options = larder_lock::Options::new().record_holder(false).kept_descriptors(8);
    let locks = Locks::open_with(Arc::clone(&disk), Arc::clone(&clock), &path.join("locks"), options);
    let locks = locks.map_err(|error| failed(error.into()))?;
    let home = Home { disk, clock, folder: Arc::new(folder), locks };
    Journal::new(home, "appends", journal::Options::default()).map_err(|error| failed(error.into()))
}

fn task(key: &str, priority: u64) -> Result<Task, Error> {
    let made = Task::new(key).and_then(|task| Ok(task.priority(larder_queue::Priority::new(priority)?)));
    made.map_err(|error| Error::larder("name a task", error))
}

fn wait() -> Wait {
    Wait::up_to(std::time::Duration::from_secs(10))
}
