//! How an answer came: what is told of it, and what is counted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use larder::counters::{Counter, Counters, Flushed, Fold, Latency};
use larder::{Forward, Level, Outcome};
use larder_lock::Wait;
use larder_staleness::Life;
use larder_storage::{Entry, Store};
use larder_upstream::Waited;

/// How long counting waits for others who count: they hold the journal for microseconds. What a frozen one costs everybody
/// else is this much of their exit, after the answer; and the count.
const COUNT_WAIT: Duration = Duration::from_secs(1);

/// How old `metrics.yaml` may become while commands count.
const METRICS_EVERY: Duration = Duration::from_secs(10);

/// Whether this process answers nobody: whoever sent it has counted the call.
static IS_HELPER: AtomicBool = AtomicBool::new(false);

/// The class that this process's documents are counted as.
static CLASS: OnceLock<String> = OnceLock::new();

/// What took how long, until it is counted.
static MEASURED: Mutex<Vec<(Latency, Duration)>> = Mutex::new(Vec::new());

/// What this process asks for is of this class.
pub(crate) fn be_of_class(name: &str) {
    // the first word counts: there is one call in a process
    let _ = CLASS.set(name.to_owned());
}

/// Something has taken so long; told with the next that is counted.
pub(crate) fn measure(latency: Latency, length: Duration) {
    if latency != Latency::LockWait || !IS_HELPER.load(Ordering::Relaxed) {
        MEASURED.lock().unwrap_or_else(PoisonError::into_inner).push((latency, length));
    }
}

/// From now on only what concerns the upstream and the store is counted.
pub(crate) fn be_helper() {
    IS_HELPER.store(true, Ordering::Relaxed);
}

/// Whether it counts callers, and not fetches.
const fn is_callers(counter: Counter) -> bool {
    matches!(
        counter,
        Counter::HitsDisk
            | Counter::Misses
            | Counter::Stale
            | Counter::Collapsed
            | Counter::BytesServed
            | Counter::LockWaits
            | Counter::LockTimeouts
    )
}

/// Brings `metrics.yaml` up to date, when it is old: for a command that has run another, or written to the disk.
fn write_metrics(store: &Store) {
    let written = store.view_age(&larder_storage::View::Metrics);
    if written.is_some_and(|age| age < METRICS_EVERY) {
        return;
    }
    if let Err(error) = larder::views::metrics(store) {
        tracing::info!(%error, "metrics.yaml is not up to date");
    }
}

/// The cache had it.
pub(crate) fn hit(life: &Life, now: SystemTime) -> Outcome {
    with_life(Outcome::hit(Level::Disk), life, now)
}

/// It had not, for this reason.
pub(crate) fn forwarded(why: Forward, waited: &Waited) -> Outcome {
    let mut outcome = Outcome::forwarded(why);
    outcome.collapsed = waited.flights > 0;
    outcome.wait = waited.duration;
    outcome.holder = waited.holder.as_ref().and_then(|holder| holder.pid);
    if !waited.duration.is_zero() {
        measure(Latency::LockWait, waited.duration);
    }
    outcome
}

/// The same, with what is known of the document's times.
pub(crate) fn with_life(mut outcome: Outcome, life: &Life, now: SystemTime) -> Outcome {
    outcome.ttl = Some(life.ttl_left(now));
    outcome.age = Some(life.age(now));
    outcome
}

/// Why what is stored was not given out.
pub(crate) fn reason(found: Option<&Entry>) -> Forward {
    if found.is_some() { Forward::Stale } else { Forward::UriMiss }
}

/// Counts, at once: whatever happens to this process next, it has been counted. What cannot be counted is not. To be
/// called when the answer has been given, or those who wait for it have been served.
pub(crate) fn count(store: &Arc<Store>, fold: Fold, counts: &[(Counter, u64)]) {
    let counters = Counters::new(Arc::clone(store));
    let is_helper = IS_HELPER.load(Ordering::Relaxed);
    for (counter, by) in counts.iter().filter(|(counter, _)| !is_helper || !is_callers(*counter)) {
        match CLASS.get() {
            Some(class) => counters.add_for(class, *counter, *by),
            None => counters.add(*counter, *by),
        }
    }
    for (latency, length) in MEASURED.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        counters.add(Counter::LockWaits, u64::from(latency == Latency::LockWait));
        counters.measure(latency, length);
    }
    match counters.flush(fold, &Wait::up_to(COUNT_WAIT)) {
        Ok(Flushed::Appended) if fold == Fold::WhenLong => write_metrics(store),
        Ok(_) => {}
        Err(error) => tracing::info!(%error, "not counted"),
    }
}
