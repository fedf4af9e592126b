//! Asks for a document in several threads at once, as it is told, and judges what each of them gets.

use std::io::BufRead as _;
use std::sync::Arc;

use larder_storage::Key;
use larder_testkit::Upstream;

use super::upstream;
use crate::corpus::Corpus;
use crate::document;
use crate::facts::Scribe;
use crate::failure::{Doing as _, Failure, chain};
use crate::message::{Answer, Outcome, Said, Told};
use crate::parts::{Asked, Asking, Fetch};
use crate::worker::{Worker, say};

/// What the threads of one process share.
struct Desk {
    upstream: Upstream,
    scribe: Scribe,
    corpus: Corpus,
}

pub(crate) fn play(worker: &mut Worker) -> Result<(), Failure> {
    let arena = &worker.order.folder;
    let asking = Asking::open(&arena.join("root"), worker.order.sabotage)?;
    let desk = Arc::new(Desk {
        upstream: Upstream::open(arena.join("upstream")),
        scribe: Scribe::open(arena)?,
        corpus: Corpus::open(&worker.order.corpus)?,
    });
    for line in std::io::stdin().lock().lines() {
        let line = line.doing("hear what to do")?;
        let Told::Ask { round, key, tasks } = serde_json::from_str(&line).doing("understand what to do")? else {
            return Err("an asker is only asked for documents").doing("understand what to do");
        };
        let name: Key = key.parse().doing("make a key")?;
        let before = worker.end.now();
        let answers = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..tasks).map(|_| scope.spawn(|| desk.ask(&asking, round, &name))).collect();
            let lost = || Answer { fetched: Err("it panicked".to_owned()), collapsed: false };
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| lost())).collect()
        });
        let took = worker.end.now().saturating_sub(before);
        let outcome = Outcome::Answers { answers };
        say(&Said::Done { took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX), outcome });
    }
    Ok(())
}

impl Desk {
    fn ask(self: &Arc<Self>, asking: &Asking, round: u32, key: &Key) -> Answer {
        let (desk, name) = (Arc::clone(self), key.clone());
        let fetch: Fetch = Arc::new(move || desk.call(round, name.as_str()));
        let Asked { fetched, collapsed } = asking.ask(key, &fetch);
        let fetched = fetched.and_then(|body| document::judge(&self.corpus, key.as_str(), &body));
        Answer { fetched, collapsed }
    }

    /// One call of the upstream.
    fn call(&self, round: u32, key: &str) -> Result<Vec<u8>, String> {
        let own = std::process::id();
        upstream::announce(&self.scribe, round, own, own).map_err(|failure| chain(&failure))?;
        let called = self.upstream.call(key).map_err(|failure| failure.message)?;
        Ok(upstream::document(&self.corpus, key, called.call))
    }
}
