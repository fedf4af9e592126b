//! How a caller's turn came out.

use std::time::Duration;

use larder_lock::Holder;
use larder_storage::{Metadata, Token};

use crate::failure::Failure;
use crate::flight::Flight;

/// What [`begin`](crate::Flights::begin) comes to: an answer, or the lead.
#[derive(Debug)]
#[must_use = "it is the answer, or the duty to fetch it"]
pub enum Turn<T> {
    /// The store has an answer: it came while this caller was on its way, or with somebody's flight.
    Found {
        /// What the look at the store gave.
        found: T,
        /// What it took.
        waited: Waited,
    },
    /// This caller fetches, and everybody else waits for it.
    Lead(Flight),
    /// Somebody's answer that is not in the store.
    Carried {
        /// It.
        document: Carried,
        /// What it took.
        waited: Waited,
    },
    /// Somebody's fetch failed, and that is the answer.
    Failed {
        /// How.
        failure: Failure,
        /// What it took.
        waited: Waited,
        /// Whether the fetch was over before this caller came.
        remembered: bool,
    },
    /// Somebody's answer may not be shared, or is too large to be: this caller fetches for itself, without a flight.
    Alone {
        /// What it took.
        waited: Waited,
    },
}

/// A document that was handed from one process to others, but not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// The document.
    pub body: Vec<u8>,
    /// What would have been stored beside it.
    pub metadata: Metadata,
    /// The generation its fetch began in.
    pub token: Token,
}

/// What waiting for others took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waited {
    /// How long, from the call to the end of the last wait; zero when there was nobody to wait for.
    pub duration: Duration,
    /// For how many flights of others. Above zero means that this caller was collapsed into them.
    pub flights: u32,
    /// Who led the last of them.
    pub holder: Option<Holder>,
}
