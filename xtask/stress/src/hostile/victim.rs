//! Uses a root that others damage meanwhile, in every way that programs do, and judges every byte that comes back.
//!
//! What fails is no violation while the root is under attack: an error is an answer. A wrong document, a crash and a wait
//! without end are none.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use larder::{Cache, Class, Context, Durability, Failure as Refusal, Fetched, Prefix, Scope, Terms, views};
use larder_lock::Wait;
use larder_storage::Put;
use tokio::runtime::Runtime;

use super::{OUTSIDE_WRITER, bombs, keys};
use crate::corpus::Corpus;
use crate::document;
use crate::failure::{Doing as _, Failure};
use crate::parts::Shelf;
use crate::promise::Promise;
use crate::worker::Worker;

/// How many operations are made before the root is opened anew.
const OPERATIONS: u32 = 40;
/// How long one may wait for others.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long a longer one may take in all.
const TIME_MAX: Duration = Duration::from_secs(5);

/// What a victim works with until it opens the root anew.
struct Open {
    shelf: Shelf,
    cache: Cache,
}

pub(crate) fn play(worker: &mut Worker) -> Result<(), Failure> {
    let corpus = Arc::new(Corpus::open(&worker.order.corpus)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build();
    let runtime = runtime.doing("start a runtime")?;
    refuse_bombs(worker);
    let mut number = 0_u32;
    while !worker.end.has_come() {
        let root = worker.order.folder.join("root");
        let cache = Cache::builder(&root).durability(Durability::Relaxed).lock_wait(PATIENCE).timeout(TIME_MAX).build();
        let (Ok(shelf), Ok(cache)) = (Shelf::open(&root, worker.order.sabotage), cache) else {
            worker.voice.count("roots under attack that were not opened");
            worker.end.pause(2_000);
            continue;
        };
        let open = Open { shelf, cache };
        for _ in 0..OPERATIONS {
            if worker.end.has_come() {
                break;
            }
            number += 1;
            let version = (u64::from(worker.order.id) << 32) | u64::from(number);
            if !one(worker, &runtime, &open, &corpus, version)? {
                worker.voice.count("operations that failed under attack");
            }
            worker.voice.count("operations under attack");
        }
    }
    Ok(())
}

/// One operation; whether it worked.
fn one(
    worker: &mut Worker,
    runtime: &Runtime,
    open: &Open,
    corpus: &Arc<Corpus>,
    version: u64,
) -> Result<bool, Failure> {
    let Open { shelf, cache } = open;
    let number = u32::try_from(worker.seed.below(u64::from(keys::KEYS))).unwrap_or(0);
    let (key, label) = (keys::key(number)?, keys::label(number));
    let made = document::make(corpus, &label, version);
    let store = shelf.store();
    Ok(match worker.seed.below(100) {
        0..40 => match shelf.get(&key) {
            Ok(body) => judged(worker, corpus, &label, body.as_deref()),
            Err(_) => false,
        },
        40..60 => match runtime.block_on(cache.get(&key)) {
            Ok(answer) => judged(worker, corpus, &label, answer.as_ref().map(|answer| &answer.body[..])),
            Err(_) => false,
        },
        60..80 => {
            shelf.put(&key, &made, Put::new().durability(Durability::Relaxed).wait(Wait::up_to(PATIENCE))).is_ok()
        }
        80..86 => {
            let fetch = |_: Context| async move { Ok::<_, Refusal>(Fetched::new(made)) };
            match runtime.block_on(cache.get_or_fetch_with(&key, &Terms::new().refresh(), fetch)) {
                Ok(answer) => judged(worker, corpus, &label, Some(&answer.body)),
                Err(_) => false,
            }
        }
        86..90 => {
            let scope = if worker.seed.chance(1, 8) { Scope::All } else { Scope::Key(key) };
            let invalidation = if worker.seed.chance(1, 2) { scope.soft() } else { scope.hard() };
            store.invalidate(&[invalidation]).is_ok()
        }
        90..94 => {
            let refresher = cache.refresher(|context: Context| async move {
                Err::<Fetched, _>(Refusal::new(Class::Refused, format!("nobody has {}", context.key)))
            });
            let work = async {
                refresher.add(&[key]).await?;
                refresher.run(2, pending()).await
            };
            runtime.block_on(async { tokio::time::timeout(TIME_MAX, work).await }).is_ok_and(|worked| worked.is_ok())
        }
        94..96 => views::index(store, &Wait::none()).is_ok() && views::metrics(store).is_ok(),
        96..98 => runtime.block_on(cache.evict()).is_ok() && runtime.block_on(cache.stats()).is_ok(),
        98 => store.list(&Prefix::everything()).is_ok_and(|mut listed| listed.all(|summary| summary.is_ok())),
        _ => store.verify(false).is_ok(),
    })
}

/// Whole, and from within the root; or absent.
fn judged(worker: &mut Worker, corpus: &Corpus, label: &str, body: Option<&[u8]>) -> bool {
    let Some(body) = body else { return true };
    worker.voice.count("documents read under attack");
    match document::judge(corpus, label, body) {
        Ok(version) => {
            worker.judge(Promise::Whole, label, Ok(()));
            let wrong = (version >> 32 == u64::from(OUTSIDE_WRITER)).then(|| document::name(version));
            let expected = "a document of this root, and not of another one that a link leads to";
            worker.judge(Promise::Inside, label, wrong.map_or(Ok(()), |seen| Err((expected.to_owned(), seen))));
        }
        Err(seen) => worker.judge(Promise::Whole, label, Err(("a whole document, or none".to_owned(), seen))),
    }
    true
}

fn refuse_bombs(worker: &mut Worker) {
    for (name, bomb) in bombs::all() {
        let verdict = match bombs::accepted(&bomb) {
            None => Ok(()),
            Some(taken_for) => Err(("it is refused".to_owned(), taken_for)),
        };
        worker.judge(Promise::Refused, name, verdict);
    }
}
