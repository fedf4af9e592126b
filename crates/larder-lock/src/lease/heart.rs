//! Signs of life: one thread for all leases of this process.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use larder_system::{Clock, Disk};

use super::chain::Link;
use super::record::Record;
use crate::locks::Shared;
use crate::park::locked;

const STACK_BYTES: usize = 128 * 1_024;
/// How long the thread stays after the last lease, so that a series of short ones does not start it each time.
const IDLE: Duration = Duration::from_secs(2);

/// A lease to be kept alive.
#[derive(Debug)]
pub(super) struct Beat {
    pub(super) link: Link,
    pub(super) length: Duration,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    /// When the next write is due, in nanoseconds of that clock. Beside the state, because that is locked during a write,
    /// and a write that hangs must not keep others from starting or ending leases.
    due_ns: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    record: Record,
    /// When the last write that succeeded was begun.
    alive_at: Duration,
    over: bool,
    lost: bool,
    /// No sign of life for the whole length: it stays so, whatever is written now.
    expired: bool,
}

#[derive(Default)]
struct Heart {
    beats: Vec<Arc<Beat>>,
    running: bool,
    /// When the thread means to wake up.
    wakes_at: Option<Duration>,
}

static HEART: Mutex<Heart> = Mutex::new(Heart { beats: Vec::new(), running: false, wakes_at: None });
static CHANGED: Condvar = Condvar::new();

/// Keeps the lease alive from now on. Without a thread for that there is no lease.
pub(super) fn start(
    shared: &Shared,
    link: Link,
    record: Record,
    length: Duration,
    taken_at: Duration,
) -> io::Result<Arc<Beat>> {
    let due = taken_at.saturating_add(length / 3);
    let beat = Arc::new(Beat {
        link,
        length,
        disk: Arc::clone(&shared.disk),
        clock: Arc::clone(&shared.clock),
        due_ns: AtomicU64::new(nanoseconds(due)),
        state: Mutex::new(State { record, alive_at: taken_at, over: false, lost: false, expired: false }),
    });
    let mut heart = locked(&HEART);
    if !heart.running {
        let spawned =
            std::thread::Builder::new().name("larder-lock heart".to_owned()).stack_size(STACK_BYTES).spawn(run);
        if let Err(error) = spawned {
            drop(heart);
            beat.set_free();
            return Err(error);
        }
        heart.running = true;
        heart.wakes_at = None;
    }
    heart.beats.push(Arc::clone(&beat));
    if heart.wakes_at.is_none_or(|wakes_at| due < wakes_at) {
        CHANGED.notify_one();
    }
    Ok(beat)
}

/// No more signs of life, once this returns.
pub(super) fn stop(beat: &Arc<Beat>) {
    locked(&HEART).beats.retain(|other| !Arc::ptr_eq(other, beat));
    // Waits for a write that is under way.
    locked(&beat.state).over = true;
}

fn run() {
    loop {
        let due = {
            let mut heart = locked(&HEART);
            match wait(&mut heart) {
                Next::Beat(due) => due,
                Next::Sleep(time) => {
                    let (mut heart, timeout) =
                        CHANGED.wait_timeout(heart, time).unwrap_or_else(PoisonError::into_inner);
                    if timeout.timed_out() && heart.beats.is_empty() {
                        heart.running = false;
                        return;
                    }
                    continue;
                }
            }
        };
        for beat in due {
            if !beat.beat() {
                locked(&HEART).beats.retain(|other| !Arc::ptr_eq(other, &beat));
            }
        }
    }
}

enum Next {
    Beat(Vec<Arc<Beat>>),
    Sleep(Duration),
}

fn wait(heart: &mut Heart) -> Next {
    let mut due = Vec::new();
    let mut soonest: Option<(Duration, Duration)> = None;
    for beat in &heart.beats {
        let (now, at) = (beat.clock.monotonic(), Duration::from_nanos(beat.due_ns.load(Ordering::Relaxed)));
        let left = at.saturating_sub(now);
        if left.is_zero() {
            due.push(Arc::clone(beat));
        } else if soonest.is_none_or(|(soonest, _)| left < soonest) {
            soonest = Some((left, at));
        }
    }
    if !due.is_empty() {
        return Next::Beat(due);
    }
    heart.wakes_at = soonest.map(|(_, at)| at);
    Next::Sleep(soonest.map_or(IDLE, |(left, _)| left))
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Beat {
    /// One sign of life; false when there is nothing left to keep alive.
    fn beat(&self) -> bool {
        let mut state = locked(&self.state);
        if state.over || state.lost || state.expired {
            return false;
        }
        let now = self.clock.monotonic();
        // too late: by now another may have it, on a machine whose moves are not seen here yet
        if now.saturating_sub(state.alive_at) >= self.length {
            state.expired = true;
            return false;
        }
        self.due_ns.store(nanoseconds(now.saturating_add(self.length / 3)), Ordering::Relaxed);
        match self.link.is_named(self.disk.as_ref()) {
            Ok(true) => {}
            Ok(false) => {
                state.lost = true;
                return false;
            }
            Err(error) => {
                tracing::debug!(%error, "a lease could not be looked at");
                return true;
            }
        }
        let mut record = state.record.clone();
        record.beat = record.beat.wrapping_add(1);
        match self.link.write(self.disk.as_ref(), &record) {
            Ok(()) => {
                state.record = record;
                state.alive_at = now;
            }
            Err(error) => tracing::debug!(%error, "a lease could not be kept alive"),
        }
        true
    }

    /// Since the last sign of life.
    pub(super) fn silent_for(&self) -> Duration {
        let alive_at = locked(&self.state).alive_at;
        self.clock.monotonic().saturating_sub(alive_at)
    }

    pub(super) fn is_lost(&self) -> bool {
        locked(&self.state).lost
    }

    /// Writes that nobody has the lease; not when another one has it already.
    pub(super) fn set_free(&self) {
        let mut state = locked(&self.state);
        if state.lost || state.expired || !self.link.is_current(self.disk.as_ref()) {
            return;
        }
        state.record.free = true;
        // Without this the lease expires instead.
        if let Err(error) = self.link.write(self.disk.as_ref(), &state.record) {
            tracing::debug!(%error, "a lease could not be marked free");
        }
    }
}
