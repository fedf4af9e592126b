//! What is being fetched, as `locks` and `explain` show it.

use larder_staleness::whole_ms;
use larder_storage::Key;
use larder_upstream::UnderWay;
use serde::Serialize;

use crate::json::HolderObject;
use crate::text::{plain, span};

/// A flight as JSON.
#[derive(Serialize)]
pub(crate) struct FlightObject<'a> {
    key: &'a Key,
    holder: HolderObject,
    #[serde(skip_serializing_if = "Option::is_none")]
    alive: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remembered_failure: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remembered_for_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failures: Option<u32>,
}

impl<'a> From<&'a UnderWay> for FlightObject<'a> {
    fn from(flight: &'a UnderWay) -> Self {
        Self {
            key: &flight.key,
            holder: HolderObject::from(&flight.holder),
            alive: flight.alive,
            remembered_failure: flight.remembered.as_ref().map(|memory| memory.failure.message.as_str()),
            remembered_for_ms: flight.remembered.as_ref().map(|memory| whole_ms(memory.left)),
            failures: flight.remembered.as_ref().map(|memory| memory.failures),
        }
    }
}

/// A flight in words.
pub(crate) fn words(flight: &UnderWay) -> String {
    let holder = plain(&flight.holder.to_string()).into_owned();
    match (&flight.remembered, flight.alive) {
        (Some(memory), _) => {
            let (message, left) = (plain(&memory.failure.message), span(memory.left));
            let times =
                if memory.failures > 1 { format!(" {} times in a row", memory.failures) } else { String::new() };
            format!("failed{times}, last for {holder}, and that is still remembered for {left}: {message}")
        }
        (None, Some(false) | None) if flight.is_alone_for.is_some() => {
            format!("may not be stored, as {holder} has found: everybody fetches for itself")
        }
        (None, Some(false)) => format!("was being fetched by {holder}, which is dead; the next who asks fetches"),
        (None, _) => format!("being fetched by {holder}"),
    }
}
