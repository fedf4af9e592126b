//! Sweeps and checks a store that is in use: the leftovers of the dead go, everything else stays.

use crate::failure::{Failure, chain};
use crate::parts::Shelf;
use crate::promise::Promise;
use crate::worker::Worker;

/// Between two sweeps.
const PAUSE_US: u64 = 15_000;

pub(crate) fn play(worker: &mut Worker) -> Result<(), Failure> {
    let root = worker.order.folder.join("root");
    let shelf = Shelf::open(&root, worker.order.sabotage)?;
    while !worker.end.has_come() {
        let swept = shelf.sweep().map(|_| ()).map_err(|error| ("a sweep works".to_owned(), chain(&error)));
        worker.voice.count("sweeps");
        worker.judge(Promise::Works, "the whole store", swept);
        if worker.seed.chance(1, 4) {
            check(worker, &shelf);
        }
        worker.end.pause(PAUSE_US);
    }
    Ok(())
}

fn check(worker: &mut Worker, shelf: &Shelf) {
    let expected = || "no damage in a full check".to_owned();
    let verdict = match shelf.store().verify(false) {
        Ok(verified) => verified
            .damage
            .first()
            .map_or(Ok(()), |damage| Err((expected(), format!("{}: {}", damage.path.display(), damage.reason)))),
        Err(error) => Err((expected(), chain(&error))),
    };
    worker.judge(Promise::Undamaged, "the whole store", verdict);
    let aside = shelf.store().quarantined();
    let verdict = if aside == 0 { Ok(()) } else { Err(("nothing is set aside".to_owned(), format!("{aside} files"))) };
    worker.judge(Promise::Undamaged, "the whole store", verdict);
}
