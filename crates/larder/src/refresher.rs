//! Refreshing what is due, from a queue that survives: for a program that has its sources in code.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use larder_lock::{Cancellation, Wait};
use larder_queue::{Claim, Counts, Options, Priority, Queue, Task, Worker};
use larder_staleness::ms_of;
use larder_storage::{GetError, Key, Prefix, Standing, annex};
use larder_upstream::{About, Class, Due, Failure};
use larder_watch::fingerprint::{Dependency, Paths};
use tokio::task::{JoinError, JoinSet, spawn_blocking};

use crate::cache::Cache;
use crate::exchange::{Context, Fetched};
use crate::fetch;
use crate::terms::Terms;

/// The folder of a root that has the queue.
const FOLDER: &str = "queue";
/// How long a step of the queue waits for other processes that write to it.
const WAIT: Duration = Duration::from_secs(30);
/// How often the leases are renewed: a third of their length.
const BEAT_EVERY: Duration = Duration::from_secs(20);
/// How often it looks for new tasks.
const LOOK: Duration = Duration::from_millis(200);
/// How many are fetched at a time, unless told otherwise.
const JOBS: usize = 4;

/// Why no more is refreshed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The root cannot be opened or written.
    #[error(transparent)]
    Annex(#[from] annex::Error),
    /// What is stored cannot be listed.
    #[error(transparent)]
    Read(#[from] GetError),
    /// The queue refused.
    #[error(transparent)]
    Queue(#[from] larder_queue::Error),
    /// The runtime was shut down meanwhile: what was claimed is free for others.
    #[error("the runtime ended in the midst of it: do it in one that lives on")]
    Interrupted(#[from] JoinError),
}

/// What a refresher has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Documents that were fetched anew.
    pub refreshed: u64,
    /// Tasks whose documents somebody else had refreshed since they were added.
    pub already: u64,
    /// Attempts that failed; the queue tries them again, less and less often.
    pub failed: u64,
    /// Tasks that are not tried again: the upstream does not have the document, or will not have the request.
    pub dead: u64,
    /// Tasks that others had taken over by the time they were done.
    pub lost: u64,
}

/// Works through the queue of a cache's root, which all processes share: [`Cache::refresher`].
///
/// Each task is fetched for as [`Cache::get_or_fetch_with`] does with [`Terms::refresh`]: once for all processes, and really,
/// whatever is stored. What it brings has the tags, the class and the files of the copy that it replaces. A task that fails is tried again later, and stands in nobody's way.
///
/// ```
/// use larder::{Cache, Context, Failure, Fetched, Prefix};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let scratch = larder_testkit::Scratch::new("refresher-doc");
/// let cache = Cache::builder(scratch.utf8_path()).open().await?;
/// let refresher = cache.refresher(async |context: Context| {
///     Ok::<_, Failure>(Fetched::new(format!("# {}", context.key)))
/// });
/// refresher.add(&["guides/react".parse()?]).await?; // durable
/// refresher.add_due(&Prefix::new("guides/")?).await?; // and whatever is overdue
/// let report = refresher.run(u64::MAX, std::future::pending()).await?;
/// assert_eq!((report.refreshed, report.failed), (1, 0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a refresher does nothing until it is run"]
pub struct Refresher<F> {
    cache: Cache,
    fetch: F,
    jobs: usize,
}

/// How one task ended.
enum End {
    Refreshed,
    Already,
    Failed(String),
    Hopeless(String),
}

impl Cache {
    /// A refresher of this cache, with one fetch for all keys.
    pub fn refresher<F, G>(&self, fetch: F) -> Refresher<F>
    where
        F: Fn(Context) -> G + Clone + Send + Sync + 'static,
        G: Future<Output = Result<Fetched, Failure>> + Send + 'static,
    {
        Refresher { cache: self.clone(), fetch, jobs: JOBS }
    }
}

impl<F, G> Refresher<F>
where
    F: Fn(Context) -> G + Clone + Send + Sync + 'static,
    G: Future<Output = Result<Fetched, Failure>> + Send + 'static,
{
    /// How many documents are fetched at a time; 4 unless told otherwise, at least one.
    pub fn jobs(mut self, at_once: usize) -> Self {
        self.jobs = at_once.max(1);
        self
    }

    /// Queues keys to be refreshed, durably, with the priority of what somebody asks for by its name (8).
    ///
    /// # Errors
    /// Nothing was queued.
    ///
    /// # Cancel safety
    /// Dropped after it has begun, it goes on.
    pub async fn add(&self, keys: &[Key]) -> Result<u64, Error> {
        let tasks = keys.iter().map(|key| task(key, Due::NAMED)).collect::<Result<Vec<_>, _>>()?;
        self.with_queue(move |queue| Ok(queue.add(&tasks, &wait())?.tasks)).await
    }

    /// Queues what is stored below `prefix` and due, by these priorities: overdue for more than seven days 9, overdue,
    /// invalidated or made from files that have changed 7, near its end 3. What is in the queue
    /// already stays as it is there, dead letters too. Returns how many. It reads the header of each entry,
    /// and looks at the files of those that depend on some.
    ///
    /// # Errors
    /// The cache cannot be listed, or nothing was queued.
    ///
    /// # Cancel safety
    /// Dropped after it has begun, it goes on.
    pub async fn add_due(&self, prefix: &Prefix) -> Result<u64, Error> {
        let (cache, prefix) = (self.cache.clone(), prefix.clone());
        self.with_queue(move |queue| {
            let store = cache.store();
            let now_ms = ms_of(store.clock().wall());
            // what is queued already waits for its turn, and what has failed too often for somebody to look at it
            let queued: HashSet<String> = queue.snapshot()?.tasks.into_iter().map(|task| task.key).collect();
            let mut tasks = Vec::new();
            for summary in store.list(&prefix)? {
                let summary = summary?;
                let changed =
                    |depends: &[_]| cache.inner().change_since(depends, &Paths::default(), Duration::MAX).is_some();
                if let Some(due) = Due::of(&summary, now_ms, changed).filter(|_| !queued.contains(summary.key.as_str()))
                {
                    tasks.push(task(&summary.key, due)?);
                }
            }
            Ok(queue.add(&tasks, &wait())?.tasks)
        })
        .await
    }

    /// How many tasks there are.
    ///
    /// # Errors
    /// The queue cannot be read.
    pub async fn counts(&self) -> Result<Counts, Error> {
        self.with_queue(|queue| Ok(queue.counts()?)).await
    }

    /// Works through what can be done now, at most so many tasks, or until `end` comes: then what is under way is given up,
    /// and its tasks are given back. Returns when there is nothing more that can be claimed; tasks that are scheduled for
    /// later, or left alone after a failure, are not waited for.
    ///
    /// # Errors
    /// The queue cannot be used. What was claimed is free for others.
    ///
    /// # Cancel safety
    /// Dropped, what is under way is given up, and its tasks are free for others at once.
    pub async fn run(&self, tasks_max: u64, end: impl Future<Output = ()>) -> Result<Report, Error> {
        self.work(tasks_max, end, false).await
    }

    /// The same without an end but `end`: waits for new tasks, and for those whose time comes.
    ///
    /// # Errors
    /// As [`Refresher::run`].
    ///
    /// # Cancel safety
    /// As [`Refresher::run`].
    pub async fn watch(&self, end: impl Future<Output = ()>) -> Result<Report, Error> {
        self.work(u64::MAX, end, true).await
    }

    async fn work(&self, tasks_max: u64, end: impl Future<Output = ()>, watches: bool) -> Result<Report, Error> {
        let name = format!("refresher, pid {}", std::process::id());
        let worker = Arc::new(self.with_queue(move |queue| Ok(queue.worker(&name)?)).await?);
        let (mut report, mut left) = (Report::default(), tasks_max);
        let mut under_way: JoinSet<(Claim, End)> = JoinSet::new();
        let mut claims: Vec<Claim> = Vec::new();
        let worked = self.cycle(&worker, &mut left, end, watches, (&mut under_way, &mut claims), &mut report).await;
        under_way.shutdown().await;
        if !claims.is_empty() {
            report.lost += with(&worker, move |worker| worker.release(claims, &wait())).await?.len() as u64;
        }
        worked.map(|()| report)
    }

    async fn cycle(
        &self,
        worker: &Arc<Worker>,
        left: &mut u64,
        end: impl Future<Output = ()>,
        watches: bool,
        (under_way, claims): (&mut JoinSet<(Claim, End)>, &mut Vec<Claim>),
        report: &mut Report,
    ) -> Result<(), Error> {
        let mut beat = tokio::time::interval(BEAT_EVERY);
        let mut end = std::pin::pin!(end);
        loop {
            let room = self.jobs.saturating_sub(under_way.len()).min(usize::try_from(*left).unwrap_or(usize::MAX));
            if room > 0 {
                // a look without the lock first: most of them find nothing
                let claim = move |worker: &Worker| {
                    let is_there = worker.wait(Duration::ZERO, &Cancellation::new())?;
                    if is_there { worker.claim(room, &wait()) } else { Ok(Vec::new()) }
                };
                for claim in with(worker, claim).await? {
                    *left = left.saturating_sub(1);
                    claims.push(claim.clone());
                    under_way.spawn(self.clone().attempt(claim));
                }
            }
            if under_way.is_empty() && (!watches || *left == 0) {
                return Ok(());
            }
            tokio::select! {
                () = &mut end => return Ok(()),
                _ = beat.tick() => { with(worker, |worker| worker.heartbeat(&wait())).await?; }
                Some(ended) = under_way.join_next() => {
                    // a panic of the fetch is caught where it is made
                    let (claim, ended) = ended?;
                    claims.retain(|other| other.token() != claim.token());
                    settle(worker, claim, ended, report).await?;
                }
                () = tokio::time::sleep(LOOK), if room > 0 => {}
            }
        }
    }

    async fn attempt(self, claim: Claim) -> (Claim, End) {
        let Ok(key) = claim.key().parse::<Key>() else {
            return (claim, End::Hopeless("it is no key of a document".to_owned()));
        };
        let Some(terms) = self.terms(&key, &claim).await else { return (claim, End::Already) };
        let asked = self.cache.get_or_fetch_with(&key, &terms, self.fetch).await;
        let ended = match asked {
            Ok(_) => End::Refreshed,
            Err(fetch::Error::Failed { failure, .. }) => match failure.class {
                Class::Absent | Class::Refused => End::Hopeless(failure.to_string()),
                _ => End::Failed(failure.to_string()),
            },
            Err(error) => End::Failed(error.to_string()),
        };
        (claim, ended)
    }

    /// The terms of the fetch; `None` when somebody has fetched the document since the task was added.
    async fn terms(&self, key: &Key, claim: &Claim) -> Option<Terms> {
        let (cache, key, added) = (self.cache.clone(), key.clone(), ms_of(claim.added().max(claim.due())));
        let otherwise = Terms::new().refresh().fresh_only();
        let terms = otherwise.clone();
        let look = move || {
            let (inner, store) = (cache.inner(), cache.store());
            let Ok(Some(entry)) = store.get_with_invalidated(&key) else { return Some(terms) };
            let About { life, class, depends, .. } = About::of_or_default(&entry);
            let counts = entry.standing() == Standing::Current && life.is_fresh(store.clock().wall());
            if life.fetched_ms > added
                && counts
                && inner.change_since(&depends, &Paths::default(), Duration::MAX).is_none()
            {
                return None;
            }
            let mut terms = terms.tags(entry.metadata().tags().iter().cloned());
            // a class that is gone says nothing any more
            terms.class = class.filter(|name| inner.settings.classes.choose(Some(name), key.as_str()).is_ok());
            match Paths::new(depends.iter().map(Dependency::path)) {
                Ok(paths) => Some(terms.depends(&paths)),
                Err(error) => {
                    tracing::warn!(%key, %error, "what the document depends on is not what anything can depend on");
                    Some(terms)
                }
            }
        };
        spawn_blocking(look).await.unwrap_or(Some(otherwise))
    }

    async fn with_queue<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Queue) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let cache = self.cache.clone();
        let open = move || {
            let home = cache.store().annex(FOLDER)?.home();
            work(&Queue::in_home(home, Options::new())?)
        };
        spawn_blocking(open).await?
    }
}

async fn settle(worker: &Arc<Worker>, claim: Claim, end: End, report: &mut Report) -> Result<(), Error> {
    let count = match &end {
        End::Refreshed => &mut report.refreshed,
        End::Already => &mut report.already,
        End::Failed(_) => &mut report.failed,
        End::Hopeless(_) => &mut report.dead,
    };
    *count += 1;
    let told = with(worker, move |worker| match end {
        End::Refreshed | End::Already => worker.complete(claim, &wait()),
        End::Failed(error) => worker.fail(claim, &error, &wait()),
        End::Hopeless(error) => worker.fail_for_good(claim, &error, &wait()),
    });
    report.lost += u64::from(told.await?.is_err());
    Ok(())
}

async fn with<T: Send + 'static>(
    worker: &Arc<Worker>,
    work: impl FnOnce(&Worker) -> Result<T, larder_queue::Error> + Send + 'static,
) -> Result<T, Error> {
    let worker = Arc::clone(worker);
    Ok(spawn_blocking(move || work(&worker)).await??)
}

fn task(key: &Key, due: Due) -> Result<Task, larder_queue::Error> {
    Ok(Task::new(key.as_str())?.priority(Priority::new(due.priority.into())?).reason(due.reason))
}

fn wait() -> Wait {
    Wait::up_to(WAIT)
}
