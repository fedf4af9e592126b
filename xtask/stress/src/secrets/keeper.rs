//! Keeps a secret through the library: stores, finds and logs it, and starts commands, some of which ask for it.

use super::canary::{Canaries, Way};
use super::witness;
use crate::failure::Failure;
use crate::parts::Keeping;
use crate::promise::Promise;
use crate::worker::Worker;

pub(crate) fn play(worker: &mut Worker) -> Result<(), Failure> {
    let folder = worker.order.folder.clone();
    let canaries = Canaries::read(&folder.join("apart"))?;
    let keeping = Keeping::open(&folder, worker.order.id, worker.order.sabotage)?;
    while !worker.end.has_come() {
        keeping.store(canaries.text(Way::Kept))?;
        let found = keeping.find()?;
        let whole = (found.as_deref() != Some(canaries.text(Way::Kept)))
            .then(|| ("the secret, whole".to_owned(), found.map_or("none", |_| "another one").to_owned()));
        worker.judge(Promise::Secret, "a stored secret", whole.map_or(Ok(()), Err));
        for asks in [true, false] {
            let said = keeping.run(asks)?;
            let expected = witness::says(if asks { &[Way::Kept] } else { &[] });
            let verdict = if said == expected { Ok(()) } else { Err((expected, said)) };
            worker.judge(Promise::Secret, "the environment of a command", verdict);
        }
        worker.voice.count("secrets kept");
    }
    Ok(())
}
