//! Shortening the journal to the tasks that are left.

use larder_storage::journal::Exclusive;

use crate::error::Error;
use crate::fold::Fold;
use crate::queue::Opened;
use crate::record::Record;
use crate::state::FOREIGN_MAX;

/// A shorter journal is left as it is, in bytes.
const FLOOR: u64 = 256 * 1024;

/// Whether what is left of a journal of this length is so little that it pays to write it anew.
pub(crate) fn is_due(length: u64, fold: &Fold) -> bool {
    // each byte that is kept is paid for by one that is dropped, so that an operation costs the same at any length
    length > FLOOR.max(fold.state.weight.saturating_mul(2)) && fold.state.foreign.len() <= FOREIGN_MAX
}

/// The same for one that is full: at least a ninth of it goes.
pub(crate) fn is_worth_it(length: u64, fold: &Fold) -> bool {
    let weight = fold.state.weight;
    length > weight.saturating_add(weight / 8) && fold.state.foreign.len() <= FOREIGN_MAX
}

/// Replaces the journal by one record for each task. The fold has caught up; it is read anew when it is needed next.
pub(crate) fn run(opened: &Opened, exclusive: Exclusive<'_>, fold: &mut Fold) -> Result<(), Error> {
    let mut entries: Vec<_> = fold.state.entries.values().collect();
    entries.sort_unstable_by_key(|entry| entry.turn);
    let tasks = entries.into_iter().map(|entry| Record { stored: Some(entry.stored()), ..Record::new() }.encode());
    let foreign = fold.state.foreign.iter().map(|record| record.to_vec());
    let compacted = exclusive.compact(foreign.chain(tasks))?;
    // others are told by a mark in the old file, or find its name changed within half a second; this process knows
    fold.restart(&opened.journal);
    tracing::debug!(?compacted, "a queue was compacted");
    Ok(())
}
