//! What is to be done about a question, with what all processes remember of the upstream.

use std::time::{Duration, SystemTime};

use larder_staleness::{Action, Copy, Decision, Held, Wish, decide};
use larder_storage::{Key, Tag};

use crate::flights::Flights;
use crate::under_way::UnderWay;

/// What is to be done, and what that was decided from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decided {
    /// What, and why.
    pub decision: Decision,
    /// What there was of the key among the flights, when the decision needed to know.
    pub under_way: Option<UnderWay>,
}

/// Decides as [`Flights::decide`] documents.
pub(crate) fn run(
    flights: &Flights,
    key: &Key,
    tags: &[Tag],
    copy: Option<&Copy>,
    wish: &Wish,
    at: SystemTime,
) -> Decided {
    // what is drawn twice is not used twice: with a failure that is remembered, nothing is early
    let decided = |held| decide(copy, held, wish, at, chance);
    let decision = decided(None);
    // a copy that is given out as it is concerns no upstream
    if matches!(decision.action, Action::Give { refresh: false } | Action::Absent) {
        return Decided { decision, under_way: None };
    }
    let under_way = flights.at(key, tags).unwrap_or_else(|error| {
        tracing::debug!(%key, %error, "what is remembered of the upstream cannot be read");
        None
    });
    let ahead = at.duration_since(flights.store().clock().wall()).unwrap_or(Duration::ZERO);
    let memory = under_way.as_ref().and_then(|flight| flight.remembered.as_ref());
    let held = memory
        .filter(|memory| memory.left > ahead)
        .map(|memory| Held { allows_stale: memory.failure.class.allows_stale() });
    Decided { decision: held.map_or(decision, |held| decided(Some(held))), under_way }
}

/// A number of 0 to 1, other in each process and call. Without random numbers, always the one that refreshes nothing early.
fn chance() -> f64 {
    let bits = larder_system::unique().map_or(u32::MAX, |number| u32::try_from(number >> 32).unwrap_or(u32::MAX));
    f64::from(bits) / f64::from(u32::MAX)
}
