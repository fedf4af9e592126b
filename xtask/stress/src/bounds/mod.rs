//! Bounds: writers far beyond the bounds of a cache, some of them killed and frozen, also while they make room.

pub(crate) mod filler;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
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
/// In what room is counted, in bytes.
const BLOCK: u64 = 4096;
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
            judge(stage, &arena.join("root"), writers);
            Ok(())
        };
        let mut crowd = Crowd::start(stage, "bounds", arena.clone(), seed.fork(), &cast)?;
        crowd.live(SPELL, &mut look)?;
        crowd.end()?;
        if stage.is_cut_short() {
            return Ok(());
        }
        judge(stage, &arena.join("root"), writers);
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
///
/// A look at many files takes a while, and sees what goes meanwhile beside what comes in its place. What two looks, one after
/// the other, both see was there at the moment between them.
fn judge(stage: &Stage, root: &Utf8Path, writers: u64) {
    let (first, second) = (look(&root.join("entries")), look(&root.join("entries")));
    let both = first.iter().filter(|(file, _)| second.contains_key(*file));
    let (seen, taken) = both.fold((0, 0), |(seen, taken), (_, bytes)| (seen + 1, taken + bytes));
    let (entries, bytes) = (BOUNDS.entries + BOUNDS.entries / 10 + writers, BOUNDS.bytes + BOUNDS.bytes / 10);
    let is_beyond = seen > entries || taken > bytes + writers * LARGEST;
    let wrong = is_beyond.then(|| format!("{seen} documents, {taken} bytes"));
    let expected = format!("at most {entries} documents, {bytes} bytes and {writers} documents");
    stage.judge(Promise::Bounded, "bounds", "the store", &expected, wrong);
}

/// The files below a folder, by what tells one from another that has taken its name, with the room that they take.
fn look(folder: &Utf8Path) -> BTreeMap<(u64, i64, i64), u64> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        // what has gone meanwhile takes no room
        let (Ok(about), Ok(path)) = (entry.metadata(), Utf8PathBuf::from_path_buf(entry.path())) else { continue };
        if about.is_dir() {
            files.append(&mut look(&path));
        } else {
            files.insert((about.ino(), about.mtime(), about.mtime_nsec()), about.len().next_multiple_of(BLOCK));
        }
    }
    files
}
