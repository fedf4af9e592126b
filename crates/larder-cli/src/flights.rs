//! What is being fetched, as `locks` and `explain` show it.

use larder_storage::Key;
use larder_upstream::UnderWay;
use serde::Serialize;

use crate::json::HolderObject;
use crate::text::plain;

/// A flight as JSON.
#[derive(Serialize)]
pub(crate) struct FlightObject<'a> {
    key: &'a Key,
    holder: HolderObject,
    #[serde(skip_serializing_if = "Option::is_none")]
    alive: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remembered_failure: Option<&'a str>,
}

impl<'a> From<&'a UnderWay> for FlightObject<'a> {
    fn from(flight: &'a UnderWay) -> Self {
        Self {
            key: &flight.key,
            holder: HolderObject::from(&flight.holder),
            alive: flight.alive,
            remembered_failure: flight.remembered.as_ref().map(|failure| failure.message.as_str()),
        }
    }
}

/// A flight in words.
pub(crate) fn words(flight: &UnderWay) -> String {
    let holder = plain(&flight.holder.to_string()).into_owned();
    match (&flight.remembered, flight.alive) {
        (Some(failure), _) => format!("failed for {holder}, and that is still remembered: {}", plain(&failure.message)),
        (None, Some(false)) => format!("was being fetched by {holder}, which is dead; the next who asks fetches"),
        (None, _) => format!("being fetched by {holder}"),
    }
}
