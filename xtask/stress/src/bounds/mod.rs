//! Bounds: writers far beyond the bounds of a cache, some of them killed and frozen, also while they make room.

pub(crate) mod filler;

use std::time::Duration;

use larder::Bounds;
use larder_storage::Store;
use larder_system::Clock as _;

use crate::crowd::Crowd;
use crate::failure::{Doing as _, Failure};
use crate::promise::Promise;
use crate::scratch;
use crate::stage::Stage;
use crate::worker::Role;

/// How long one spell lasts.
const SPELL: Duration = Duration::from_secs(8);
/// How often the whole store is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(150);
/// What the cache may have.
pub(crate) const BOUNDS: Bounds = Bounds { bytes: 3 * 1024 * 1024, entries: 300 };
/// The largest document with its header, in bytes.
const LARGEST: u64 = 128 * 1024;

/// The text of a key.
pub(crate) fn key_text(number: u64) -> String {
    format!("shelf-{}/document-{number}", number % 37)
}

/// Runs spells until the run's time is over.
pub(crate) fn run(stage: &Stage) -> Result<(), Failure> {
    let mut seed = stage.choices("bounds");
    let mut number = 0;
    while !stage.is_over() {
        number += 1;
        let arena = stage.folder.join(format!("bounds-{number}"));
        scratch::make(&arena)?;
        let cast = vec![Role::Filler; usize::try_from((stage.processes / 6).clamp(3, 8)).unwrap_or(3)];
        let writers = cast.len() as u64;
        let store = Store::open(arena.join("root")).doing("open the root")?;
        let mut looked = Duration::ZERO;
        let mut look = || {
            let now = stage.clock.monotonic();
            if now.saturating_sub(looked) < LOOK_EVERY {
                return Ok(());
            }
            looked = now;
            judge(stage, &store, writers)
        };
        let mut crowd = Crowd::start(stage, "bounds", arena.clone(), seed.fork(), &cast)?;
        crowd.live(SPELL, &mut look)?;
        crowd.end()?;
        if stage.is_cut_short() {
            return Ok(());
        }
        judge(stage, &store, writers)?;
        let damaged = store.verify(false).doing("check the store")?.damaged;
        let wrong = (damaged > 0).then(|| format!("{damaged} damaged files"));
        stage.judge(Promise::Undamaged, "bounds", "the store", "no damage in a full check", wrong);
        if !stage.tally.is_violated() {
            scratch::remove(&arena);
        }
    }
    Ok(())
}

/// A tenth more than the bounds, and one document for each writer.
fn judge(stage: &Stage, store: &Store, writers: u64) -> Result<(), Failure> {
    let usage = store.usage().doing("look at the store")?;
    let (entries, bytes) = (BOUNDS.entries + BOUNDS.entries / 10 + writers, BOUNDS.bytes + BOUNDS.bytes / 10);
    let is_beyond = usage.entries > entries || usage.entry_bytes > bytes + writers * LARGEST;
    let wrong = is_beyond.then(|| format!("{} documents, {} bytes", usage.entries, usage.entry_bytes));
    let expected = format!("at most {entries} documents, {bytes} bytes and {writers} documents");
    stage.judge(Promise::Bounded, "bounds", "the store", &expected, wrong);
    Ok(())
}
