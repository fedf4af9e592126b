//! Keeping what is stored within its bounds, and recording what is used, on a thread that no caller waits for.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use larder_lock::Wait;
use larder_storage::{Eviction, Key, Pressure, Store, USE_RECORDED_EVERY};
use larder_upstream::Flights;
use twox_hash::XxHash3_64;

use crate::counters::{Counter, Counters};

/// How many keys are remembered as used lately. Keys that share a place are recorded more often than need be.
const PLACES: usize = 4_096;
/// The most uses that wait to be recorded; of further ones nothing is known.
const WAITING_MAX: usize = 1_024;
/// Uses are recorded together, so long after the first of them.
const GATHERED_FOR: Duration = Duration::from_secs(1);
/// How long a writer that must make room itself waits for somebody else who does.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long whoever tidies up waits for somebody else who does.
const TIDY_PATIENCE: Duration = Duration::from_secs(10);
/// How often the index is written anew while documents are stored.
const INDEX_EVERY: Duration = Duration::from_secs(60);
/// How long the end waits for the thread, which has so long to make the room that is wanted: a program that is over in
/// milliseconds is the only one there is, perhaps.
const FAREWELL: Duration = Duration::from_millis(500);
/// The part of a place that tells the key; the rest tells the time, in [`TICK`]s.
const DIGEST: u64 = !0xFFFF;
/// How exactly it is known when a key was used last: 65,536 of these, until a time repeats, are 45 days.
const TICK: Duration = Duration::from_secs(60);

/// The uses, the bounds, and the thread that sees to both. Dropped, it gives that thread
/// half a second to end.
#[derive(Debug)]
pub(crate) struct Room {
    shared: Arc<Shared>,
    places: Box<[AtomicU64]>,
    is_read_only: bool,
}

#[derive(Debug)]
struct Shared {
    store: Arc<Store>,
    flights: Flights,
    counters: Counters,
    state: Mutex<State>,
    changed: Condvar,
    is_ending: AtomicBool,
    /// Whether the end has come, and waits no longer.
    has_ended: AtomicBool,
    /// Whether the index is kept up to date.
    has_views: bool,
    /// When it was written last, by the monotonic clock.
    indexed: Mutex<Option<Duration>>,
}

/// What an eviction is for.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    /// Room, if nobody else makes it.
    Room,
    /// Room, whatever others do.
    AtOnce,
    /// That nothing is left that nobody needs.
    Tidiness,
}

#[derive(Debug, Default)]
struct State {
    used: Vec<Key>,
    must_evict: bool,
    must_index: bool,
    runs: bool,
}

impl Room {
    pub(crate) fn new(flights: &Flights, counters: &Counters, is_read_only: bool, has_views: bool) -> Self {
        let shared = Shared {
            store: Arc::clone(flights.store()),
            flights: flights.clone(),
            counters: counters.clone(),
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
            is_ending: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
            has_views,
            indexed: Mutex::new(None),
        };
        let places = if is_read_only { 0 } else { PLACES };
        let places = (0..places).map(|_| AtomicU64::new(0)).collect();
        Self { shared: Arc::new(shared), places, is_read_only }
    }

    /// The document was given out. Nearly always a hash and a load.
    pub(crate) fn used(&self, key: &Key, now: SystemTime) {
        let digest = XxHash3_64::oneshot(key.as_str().as_bytes());
        let Some(place) = self.places.get(usize::try_from(digest % PLACES as u64).unwrap_or(0)) else { return };
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let tick = (since.as_secs() / TICK.as_secs()) & !DIGEST;
        let seen = place.load(Ordering::Relaxed);
        let every = USE_RECORDED_EVERY.as_secs() / TICK.as_secs();
        if (seen & DIGEST) == (digest & DIGEST) && (tick.wrapping_sub(seen) & !DIGEST) < every {
            return;
        }
        let mut state = self.shared.state();
        if state.used.len() < WAITING_MAX {
            place.store((digest & DIGEST) | tick, Ordering::Relaxed);
            state.used.push(key.clone());
            self.shared.wake(state);
        }
    }

    /// Something was stored. Where that is far more than there may be, this makes room at once, on this thread, which
    /// blocks; where it is only more, or nobody knows, in the background.
    pub(crate) fn stored(&self) {
        if self.is_read_only {
            return;
        }
        if self.shared.has_views {
            let mut state = self.shared.state();
            state.must_index = true;
            self.shared.wake(state);
        }
        match self.shared.store.pressure() {
            Pressure::None => {}
            Pressure::Unknown | Pressure::Over => {
                let mut state = self.shared.state();
                state.must_evict = true;
                self.shared.wake(state);
            }
            Pressure::FarOver => {
                self.shared.evict(Wanted::AtOnce);
            }
        }
    }

    /// Evicts now, on this thread, which blocks: also what is expendable while there is room.
    pub(crate) fn tidy(&self) -> Result<larder_storage::Evicted, larder_storage::put::Error> {
        self.shared.try_evict(Wanted::Tidiness)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.shared.is_ending.store(true, Ordering::Relaxed);
        let state = self.shared.state();
        self.shared.changed.notify_all();
        // whether it ended or not: more is not waited
        drop(self.shared.changed.wait_timeout_while(state, FAREWELL, |state| state.runs));
        self.shared.has_ended.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the thread see to what there is to do; begins it when it does not run.
    fn wake(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        if !state.runs {
            let shared = Arc::clone(self);
            let thread = std::thread::Builder::new().name("larder-room".to_owned());
            match thread.spawn(move || shared.run()) {
                Ok(_) => state.runs = true,
                Err(error) => {
                    tracing::debug!(%error, "no thread to keep the cache within its bounds: the next put tries");
                }
            }
        }
        drop(state);
        self.changed.notify_all();
    }

    fn run(&self) {
        let _ended = Ended(self);
        while let Some((used, must_evict, must_index)) = self.rest() {
            if let Err(error) = self.store.mark_used(&used) {
                tracing::debug!(%error, "uses are not recorded");
            }
            if must_evict {
                self.evict(Wanted::Room);
            }
            if must_index {
                self.index();
            }
        }
        // what this process has stored is for others to know
        if let Err(error) = self.store.occupied() {
            tracing::debug!(%error, "what was stored is not counted");
        }
    }

    /// What there is to do, once there is something: at once where room is wanted, else when more has come together; `None`
    /// at the end, when only uses are left to record.
    fn rest(&self) -> Option<(Vec<Key>, bool, bool)> {
        let is_ending = || self.is_ending.load(Ordering::Relaxed);
        let state = self.state();
        let idles = |state: &mut State| state.used.is_empty() && !state.must_evict && !state.must_index && !is_ending();
        let state = self.changed.wait_while(state, idles).unwrap_or_else(PoisonError::into_inner);
        let gathers = |state: &mut State| !state.must_evict && !is_ending();
        let waited = self.changed.wait_timeout_while(state, GATHERED_FOR, gathers);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let must_evict = std::mem::take(&mut state.must_evict);
        let must_index = std::mem::take(&mut state.must_index);
        let found = (std::mem::take(&mut state.used), must_evict, must_index);
        (!is_ending() || !found.0.is_empty() || must_evict || must_index).then_some(found)
    }

    /// Writes the index anew, at most once a minute; at the end, if there is something new.
    fn index(&self) {
        let mut indexed = self.indexed.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.store.clock().monotonic();
        let is_due = indexed.is_none_or(|at| now.saturating_sub(at) >= INDEX_EVERY);
        if !is_due && !self.is_ending.load(Ordering::Relaxed) {
            // with the next put, or at the end
            return;
        }
        match crate::views::index(&self.store, &Wait::none()) {
            // whoever else is at it may not have seen what is new here
            Ok(indexing) if indexing.elsewhere => {}
            Ok(_) => *indexed = Some(now),
            Err(error) => {
                *indexed = Some(now);
                tracing::warn!(error = &error as &dyn std::error::Error, "the index is not up to date");
            }
        }
    }

    fn evict(&self, wanted: Wanted) {
        match self.try_evict(wanted) {
            Ok(evicted) if evicted.removed.entries > 0 => tracing::debug!(?evicted, "room was made"),
            Ok(_) => {}
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "no room was made"),
        }
    }

    fn try_evict(&self, wanted: Wanted) -> Result<larder_storage::Evicted, larder_storage::put::Error> {
        let judge = |summary: &larder_storage::Summary| self.flights.worth(summary);
        let has_ended = || self.has_ended.load(Ordering::Relaxed);
        let terms = Eviction::new(&judge).until(&has_ended);
        let evicted = self.store.evict(&match wanted {
            Wanted::Room => terms,
            Wanted::AtOnce => terms.wait(Wait::up_to(PATIENCE).without_holder()).in_any_case(),
            Wanted::Tidiness => terms.all_expendable().wait(Wait::up_to(TIDY_PATIENCE)).in_any_case(),
        })?;
        self.counters.add(Counter::Evictions, evicted.removed.entries);
        Ok(evicted)
    }
}

/// Tells whoever waits for the end, and whoever would begin another thread, also after a panic.
struct Ended<'a>(&'a Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.state().runs = false;
        self.0.changed.notify_all();
    }
}
