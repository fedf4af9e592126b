//! A queue of tasks, or one that is broken.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use larder_lock::Wait;
use larder_queue::{Claim, Options, Queue, Task, Worker};
use larder_system::{SystemClock, SystemDisk};

use crate::failure::{Doing as _, Failure};
use crate::sabotage::Sabotage;

/// Shorter than most are frozen for.
const LEASE: Duration = Duration::from_millis(150);
/// How long a step waits for others: also for one that is frozen with the queue's lock in hand.
const WAIT: Duration = Duration::from_secs(20);

/// A queue.
#[derive(Debug)]
pub(crate) struct Queueing {
    queue: Queue,
    worker: Option<Worker>,
    file: Utf8PathBuf,
    sabotage: Option<Sabotage>,
}

/// A task that was taken.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) key: String,
    /// A later one has a greater number, where the part has any.
    pub(crate) token: u64,
    claim: Option<Claim>,
}

impl Queueing {
    pub(crate) fn open(arena: &Utf8Path, sabotage: Option<Sabotage>) -> Self {
        let options = Options::new().lease(LEASE).losses_max(1_000);
        let (disk, clock) = (Arc::new(SystemDisk::new()), Arc::new(SystemClock::new()));
        let queue = Queue::open_with(arena.join("queue"), options, disk, clock);
        Self { queue, worker: None, file: arena.join("tasks"), sabotage }
    }

    /// Adds tasks; when it returns, they are there for good.
    pub(crate) fn add(&self, keys: &[String]) -> Result<(), Failure> {
        if self.sabotage == Some(Sabotage::QueueRewritten) {
            let mut all = self.rewritten()?;
            all.extend_from_slice(keys);
            return self.rewrite(&all);
        }
        let tasks: Result<Vec<_>, _> = keys.iter().map(|key| Task::new(key.as_str())).collect();
        self.queue.add(&tasks.doing("name tasks")?, &wait()).doing("add tasks").map(drop)
    }

    /// Takes tasks, at most so many.
    pub(crate) fn take(&mut self, most: usize) -> Result<Vec<Taken>, Failure> {
        match self.sabotage {
            Some(Sabotage::QueueRewritten) => {
                let mut all = self.rewritten()?;
                let taken: Vec<_> = all.drain(..most.min(all.len())).collect();
                self.rewrite(&all)?;
                Ok(taken.into_iter().map(|key| Taken { key, token: 0, claim: None }).collect())
            }
            Some(Sabotage::ClaimWithoutLease) => {
                let snapshot = self.queue.snapshot().doing("look at tasks")?;
                let keys = snapshot.tasks.into_iter().map(|task| task.key);
                Ok(keys.take(most).map(|key| Taken { key, token: 0, claim: None }).collect())
            }
            _ => {
                if self.worker.is_none() {
                    let name = format!("pid {}", std::process::id());
                    self.worker = Some(self.queue.worker(&name).doing("begin a worker")?);
                }
                let Some(worker) = &self.worker else { return Ok(Vec::new()) };
                let claims = worker.claim(most, &wait()).doing("claim tasks")?;
                let taken =
                    |claim: Claim| Taken { key: claim.key().to_owned(), token: claim.token(), claim: Some(claim) };
                Ok(claims.into_iter().map(taken).collect())
            }
        }
    }

    /// Says that it is done; false when it was somebody else's by then.
    pub(crate) fn done(&self, taken: Taken) -> Result<bool, Failure> {
        match (taken.claim, &self.worker) {
            (Some(claim), Some(worker)) => Ok(worker.complete(claim, &wait()).doing("complete a task")?.is_ok()),
            _ if self.sabotage == Some(Sabotage::ClaimWithoutLease) => {
                let selection = larder_queue::Selection::Keys(vec![taken.key]);
                self.queue.remove(&selection, &wait()).doing("remove a task")?;
                Ok(true)
            }
            _ => Ok(true),
        }
    }

    /// The keys of all tasks that are still to be done.
    pub(crate) fn left(&self) -> Result<Vec<String>, Failure> {
        if self.sabotage == Some(Sabotage::QueueRewritten) {
            return self.rewritten();
        }
        let snapshot = self.queue.snapshot().doing("look at tasks")?;
        Ok(snapshot.tasks.into_iter().map(|task| task.key).collect())
    }

    fn rewritten(&self) -> Result<Vec<String>, Failure> {
        let mut text = String::new();
        match std::fs::File::open(&self.file) {
            Ok(mut file) => _ = file.read_to_string(&mut text).doing("read the tasks")?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).doing("open the tasks"),
        }
        Ok(text.lines().map(str::to_owned).collect())
    }

    #[expect(clippy::disallowed_methods, reason = "this is what is wrong with it")]
    fn rewrite(&self, all: &[String]) -> Result<(), Failure> {
        let mut file = std::fs::File::create(&self.file).doing("make the tasks")?;
        file.write_all(all.join("\n").as_bytes()).doing("write the tasks")
    }
}

fn wait() -> Wait {
    Wait::up_to(WAIT)
}
