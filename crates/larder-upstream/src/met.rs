//! A flight of somebody else's that a caller has found under way.

use larder_lock::Holder;
use larder_storage::{Annex, GetError};

use crate::begin;
use crate::file::{Header, Seen};
use crate::flights::Flights;
use crate::terms::Terms;
use crate::turn::Turn;

/// What [`begin_at_once`](Flights::begin_at_once) comes to.
#[derive(Debug)]
#[must_use = "it is the answer, the duty to fetch it, or a flight to wait for"]
pub enum Begun<T> {
    /// The caller's turn.
    Turn(Turn<T>),
    /// Somebody fetches it now.
    Met(Met),
}

/// A flight under way, with its file held open: however it ends and whatever takes its name then, its outcome reaches
/// whoever has met it. It may be sent to another thread, to be waited for there.
///
/// Dropping it is leaving, and touches nobody.
#[derive(Debug)]
#[must_use = "dropping it is not waiting for it"]
pub struct Met {
    // it is an answer among small ones
    pub(crate) parts: Box<Parts>,
}

#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) annex: Annex,
    pub(crate) seen: Seen,
    pub(crate) header: Header,
    /// Whether its answer will be that of whoever has met it.
    pub(crate) joins: bool,
}

impl Met {
    /// Who leads it, and since when.
    pub fn holder(&self) -> Holder {
        self.parts.header.holder()
    }

    /// Goes on as [`begin_at_once`](Flights::begin_at_once) does, with this flight's outcome if it has ended. Of the
    /// terms' tags those that were known when it was met decided whether its answer is this caller's.
    ///
    /// # Errors
    /// As [`Flights::begin`].
    pub fn at_once<T>(
        self,
        flights: &Flights,
        terms: &Terms,
        look: impl FnMut() -> Result<Option<T>, GetError>,
    ) -> Result<Begun<T>, begin::Error> {
        let key = self.parts.header.key.clone();
        begin::at_once(flights, &key, terms, Some(self), look)
    }

    /// Waits for its end, and goes on as [`begin`](Flights::begin) does. Blocks, for no longer than the terms' wait.
    ///
    /// # Errors
    /// As [`Flights::begin`].
    pub fn wait<T>(
        self,
        flights: &Flights,
        terms: &Terms,
        look: impl FnMut() -> Result<Option<T>, GetError>,
    ) -> Result<Turn<T>, begin::Error> {
        let key = self.parts.header.key.clone();
        begin::run(flights, &key, terms, Some(self), look)
    }
}
