//! Storm: writers, readers, fetchers and a janitor share two stores; some of them are killed, some frozen, at any moment.
//!
//! It comes in spells. Each has stores of its own, so that its record stays short, and is judged at its end: nobody is
//! left, nothing is damaged, and a sweep leaves no temporary file.

pub(crate) mod fetcher;
pub(crate) mod janitor;
mod judge;
pub(crate) mod reader;
pub(crate) mod writer;

use std::time::Duration;

use camino::Utf8Path;
use larder_storage::Store;

use crate::crowd::Crowd;
use crate::failure::{Doing as _, Failure, chain};
use crate::promise::Promise;
use crate::scratch;
use crate::stage::Stage;
use crate::worker::Role;

/// How long one spell lasts.
const SPELL: Duration = Duration::from_secs(6);
/// The keys of a store: few, so that many processes meet at each.
pub(crate) const KEYS: u32 = 12;
/// How many keys share a prefix and a tag.
const GROUP: u32 = 4;

/// The text of a key.
pub(crate) fn key_text(number: u32) -> String {
    format!("shelf-{}/document-{number}", number / GROUP)
}

/// Runs spells until the run's time is over.
pub(crate) fn run(stage: &Stage) -> Result<(), Failure> {
    let mut seed = stage.choices("storm");
    let mut number = 0;
    while !stage.is_over() {
        number += 1;
        let folder = stage.folder.join(format!("storm-{number}"));
        // puts and reads in one store, in which nothing acknowledged may be missing; fetches and invalidations in another
        let (puts, fetches) = (folder.join("puts"), folder.join("fetches"));
        scratch::make(&puts)?;
        scratch::make(&fetches)?;
        let (first, second) = casts(stage.processes);
        std::thread::scope(|scope| {
            let (one, other) = (seed.fork(), seed.fork());
            let beside = std::thread::Builder::new()
                .spawn_scoped(scope, || spell(stage, &fetches, other, &second))
                .doing("start a scene")?;
            spell(stage, &puts, one, &first)?;
            beside.join().map_err(|_| "a scene panicked").doing("run a scene")?
        })?;
        if !stage.tally.is_violated() {
            scratch::remove(&folder);
        }
    }
    Ok(())
}

/// Who plays in which store.
fn casts(processes: u32) -> (Vec<Role>, Vec<Role>) {
    let first = [Role::Writer, Role::Reader, Role::Writer, Role::Rememberer, Role::Writer, Role::Rememberer];
    let second = [Role::Fetcher, Role::Rememberer, Role::Fetcher, Role::Reader];
    let cast = |roles: &[Role], count: u32| -> Vec<Role> {
        let mut cast = vec![Role::Janitor];
        cast.extend(roles.iter().cycle().take(usize::try_from(count.max(3)).unwrap_or(3)));
        cast
    };
    let of_second = processes / 3;
    (cast(&first, processes.saturating_sub(of_second).saturating_sub(2)), cast(&second, of_second))
}

fn spell(stage: &Stage, arena: &Utf8Path, mut seed: larder_testkit::Seed, cast: &[Role]) -> Result<(), Failure> {
    let mut crowd = Crowd::start(stage, "storm", arena.to_owned(), seed.fork(), cast)?;
    crowd.live(SPELL, || Ok(()))?;
    crowd.end()?;
    if !stage.is_cut_short() {
        stage.tally.counted("stores checked", 1);
        check(stage, &arena.join("root"))?;
    }
    Ok(())
}

/// What must hold of a store when everybody has gone, killed or not.
fn check(stage: &Stage, root: &Utf8Path) -> Result<(), Failure> {
    let store = Store::open(root).doing(format!("open {root}"))?;
    let verified = store.verify(false);
    let damage = match &verified {
        Ok(verified) => verified.damage.first().map(|damage| format!("{}: {}", damage.path.display(), damage.reason)),
        Err(error) => Some(chain(error)),
    };
    stage.judge(Promise::Undamaged, "storm", root.as_str(), "no damage in a full check", damage);
    let set_aside = names(&root.join("quarantine"));
    let found = set_aside.first().map(|name| format!("{} files, the first {name}", set_aside.len()));
    stage.judge(Promise::Undamaged, "storm", root.as_str(), "nothing was set aside", found);
    let failed = store.sweep().err().map(|error| chain(&error));
    stage.judge(Promise::Works, "storm", root.as_str(), "a sweep works", failed);
    let left = names(&root.join("tmp"));
    let found = left.first().map(|name| format!("{} files, the first {name}", left.len()));
    stage.judge(Promise::Clean, "storm", root.as_str(), "no temporary file after a sweep", found);
    Ok(())
}

/// The names in a folder; none when it is not there.
fn names(folder: &Utf8Path) -> Vec<String> {
    let listed = std::fs::read_dir(folder).into_iter().flatten().flatten();
    listed.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
