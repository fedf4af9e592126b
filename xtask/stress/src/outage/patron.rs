//! Asks for documents in several threads at once, as it is told, and tells what each of them got.

use std::io::BufRead as _;
use std::sync::Arc;

use larder_storage::Key;
use larder_testkit::Upstream;

use crate::corpus::Corpus;
use crate::document;
use crate::facts::Scribe;
use crate::failure::{Doing as _, Failure, chain};
use crate::herd::upstream;
use crate::message::{Outcome, Said, Served, Told, Wish};
use crate::parts::{Consulting, Fetch};
use crate::worker::{Worker, say};

/// What the threads of one process share.
struct Desk {
    upstream: Upstream,
    scribe: Scribe,
    corpus: Corpus,
}

pub(crate) fn play(worker: &mut Worker) -> Result<(), Failure> {
    let arena = &worker.order.folder;
    let consulting = Consulting::open(&arena.join("root"), worker.order.sabotage)?;
    let desk = Arc::new(Desk {
        upstream: Upstream::open(arena.join("upstream")),
        scribe: Scribe::open(arena)?,
        corpus: Corpus::open(&worker.order.corpus)?,
    });
    for line in std::io::stdin().lock().lines() {
        let line = line.doing("hear what to do")?;
        let Told::Serve { round, key, tasks, wish } = serde_json::from_str(&line).doing("understand what to do")?
        else {
            return Err("a patron is only asked for documents").doing("understand what to do");
        };
        let name: Key = key.parse().doing("make a key")?;
        let before = worker.end.now();
        let served = std::thread::scope(|scope| {
            let ask = || desk.ask(&consulting, round, &name, wish);
            let threads: Vec<_> = (0..tasks).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Served::lost("it panicked"))).collect()
        });
        let took = worker.end.now().saturating_sub(before);
        let outcome = Outcome::Served { served };
        say(&Said::Done { took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX), outcome });
    }
    Ok(())
}

impl Served {
    /// No answer.
    pub(super) fn lost(why: &str) -> Self {
        Self { fetched: Err(why.to_owned()), stale: false, fetched_ms: 0, age_off_s: 0, status: String::new() }
    }
}

impl Desk {
    fn ask(self: &Arc<Self>, consulting: &Consulting, round: u32, key: &Key, wish: Wish) -> Served {
        let (desk, name) = (Arc::clone(self), key.clone());
        let fetch: Fetch = Arc::new(move || desk.call(round, name.as_str()));
        let consulted = consulting.consult(key, &fetch, wish);
        let fetched = consulted.body.and_then(|body| document::judge(&self.corpus, key.as_str(), &body));
        let (stale, fetched_ms, age_off_s) = (consulted.stale, consulted.fetched_ms, consulted.age_off_s);
        Served { fetched, stale, fetched_ms, age_off_s, status: consulted.status }
    }

    /// One call of the upstream.
    fn call(&self, round: u32, key: &str) -> Result<Vec<u8>, String> {
        let own = std::process::id();
        upstream::announce(&self.scribe, round, own, own).map_err(|failure| chain(&failure))?;
        let called = self.upstream.call(key).map_err(|failure| failure.message)?;
        Ok(upstream::document(&self.corpus, key, called.call))
    }
}
