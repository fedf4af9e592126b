//! Puts far more than there may be, and reads what is left, judging every byte.

use larder_storage::Key;

use super::{BOUNDS, key_text};
use crate::corpus::Corpus;
use crate::document;
use crate::failure::{Doing as _, Failure};
use crate::parts::Bounded;
use crate::promise::Promise;
use crate::worker::Worker;

/// How many keys there are, many times what fits.
const KEYS: u64 = 4_000;

pub(crate) fn play(worker: &mut Worker) -> Result<(), Failure> {
    let corpus = Corpus::open(&worker.order.corpus)?;
    let bounded = Bounded::open(&worker.order.folder.join("root"), BOUNDS, worker.order.sabotage)?;
    let mut version = u64::from(worker.order.id) << 32;
    while !worker.end.has_come() {
        version += 1;
        let text = key_text(worker.seed.below(KEYS));
        let key: Key = text.parse().doing("name a document")?;
        bounded.put(&key, document::make(&corpus, &text, version))?;
        worker.voice.count("documents put beyond the bounds");
        let text = key_text(worker.seed.below(KEYS));
        let key: Key = text.parse().doing("name a document")?;
        if let Some(body) = bounded.get(&key)? {
            let wrong = document::judge(&corpus, &text, &body).err();
            let verdict = wrong.map_or(Ok(()), |seen| Err(("a whole document, or none".to_owned(), seen)));
            worker.judge(Promise::Whole, &text, verdict);
        }
    }
    Ok(())
}
