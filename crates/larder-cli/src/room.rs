//! Keeping the cache within its bounds, for commands that are over in milliseconds: what is little is done on the way out,
//! what is more by a helper that nobody waits for.

use std::sync::Arc;
use std::time::Duration;

use larder::counters::{Counter, Fold};
use larder_lock::Wait;
use larder_storage::{Evicted, Eviction, Key, Pressure, Store, Summary, put};
use larder_upstream::Flights;

use crate::{behind, status};

/// How long a command on its way out looks at entries that nobody has counted in this boot.
const LOOK: Duration = Duration::from_millis(20);
/// How long a command that must make room itself waits for somebody else who does.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long whoever was called to tidy up waits for somebody else who does.
const TIDY_PATIENCE: Duration = Duration::from_secs(10);

/// What an eviction is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted {
    /// To know how much there is, if that is found out at once.
    Count,
    /// Room, if nobody else makes it.
    Room,
    /// Room, whatever others do.
    AtOnce,
    /// That nothing is left that nobody needs.
    Tidiness,
}

/// Something was stored, and everybody has been served: now what is beyond the bounds has to go.
pub(crate) fn stored(store: &Arc<Store>) {
    // what this process stored is for others to know
    if let Err(error) = store.occupied() {
        tracing::debug!(%error, "what was stored is not counted");
        return;
    }
    let evicted = match store.pressure() {
        Pressure::None => return,
        Pressure::Over => Ok(None),
        Pressure::Unknown => evict(store, Wanted::Count).map(Some),
        Pressure::FarOver => evict(store, Wanted::AtOnce).map(Some),
    };
    match evicted {
        Ok(Some(Evicted { stopped: false, .. })) => {}
        Ok(_) => send(store),
        Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "no room was made"),
    }
}

/// The document was given out; whether that was recorded, which it is once in ten minutes.
pub(crate) fn used(store: &Store, key: &Key) -> bool {
    match store.mark_used([key]) {
        Ok(marked) => marked > 0,
        Err(error) => {
            tracing::debug!(%error, "its use is not recorded");
            false
        }
    }
}

/// Evicts, and counts what went.
pub(crate) fn evict(store: &Arc<Store>, wanted: Wanted) -> Result<Evicted, put::Error> {
    let (clock, began) = (store.clock(), store.clock().monotonic());
    let is_long = || clock.monotonic().saturating_sub(began) > LOOK;
    let flights = Flights::new(Arc::clone(store));
    let judge = |summary: &Summary| flights.worth(summary);
    let terms = Eviction::new(&judge);
    let evicted = store.evict(&match wanted {
        Wanted::Count => terms.until(&is_long),
        Wanted::Room => terms,
        Wanted::AtOnce => terms.wait(Wait::up_to(PATIENCE).without_holder()).in_any_case(),
        Wanted::Tidiness => terms.all_expendable().wait(Wait::up_to(TIDY_PATIENCE)).in_any_case(),
    })?;
    status::count(store, Fold::WhenPressing, &[(Counter::Evictions, evicted.removed.entries)]);
    Ok(evicted)
}

/// Sends a helper, unless somebody is at it.
fn send(store: &Store) {
    if store.is_evicting() {
        return;
    }
    match behind::send_to_evict(store) {
        Ok(()) => tracing::info!("a helper makes room"),
        Err(error) => tracing::warn!(%error, "no helper makes room"),
    }
}
