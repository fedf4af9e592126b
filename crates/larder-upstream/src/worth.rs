//! What a stored document is worth when room is needed.

use larder_staleness::ms_of;
use larder_storage::{Standing, Summary, Worth};

use crate::about::About;
use crate::file::{Error, Outcome, Seen, What};
use crate::flights::{Flights, file_name};

pub(crate) fn of(flights: &Flights, summary: &Summary) -> Worth {
    let life = About::in_metadata_or_default(&summary.metadata, summary.stored_at).life;
    if life.keep_until_ms <= ms_of(flights.store().clock().wall()) {
        return Worth::Expendable;
    }
    let is_failing = is_failing(flights, summary).unwrap_or_else(|error| {
        // it does not save the document: an unreadable folder would save all of them
        tracing::debug!(key = %summary.key, %error, "what is remembered of the upstream cannot be read");
        false
    });
    if is_failing { Worth::Precious } else { Worth::Kept }
}

/// Whether the last fetch of the document failed as in an outage, and nothing was learnt since: also when the time is over
/// for which nobody asks again, because nobody has asked.
fn is_failing(flights: &Flights, summary: &Summary) -> Result<bool, Error> {
    let Some((annex, _)) = flights.annex_if_present()? else { return Ok(false) };
    let Some(seen) = Seen::open(&annex, &file_name(&summary.key))? else { return Ok(false) };
    let failed = match &seen.what {
        What::Flight { header, is_ending, .. } if header.key == summary.key => {
            let standing = flights.store().standing(header.token, &summary.key, summary.metadata.tags());
            let is_current = standing.is_ok_and(|standing| standing == Standing::Current);
            // a leader who tries again after failures has not succeeded yet
            let is_trying = !is_ending && header.failures > 0;
            is_current && (is_trying || (*is_ending && has_failed(&seen, &annex, flights)))
        }
        _ => false,
    };
    seen.close(&annex);
    Ok(failed)
}

fn has_failed(seen: &Seen, annex: &larder_storage::Annex, flights: &Flights) -> bool {
    let outcome = seen.outcome(annex, flights.store().body_bytes_max());
    matches!(outcome, Ok(Some(Outcome::Failed { failure, .. })) if failure.class.backs_off())
}
