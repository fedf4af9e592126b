//! Asking for a document of which there may be a stale copy; or a broken way of it.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use camino::Utf8Path;
use larder::{Backoff, Cache, Class, Context, Durability, Failure as Refusal, Fetched, Key, Terms};
use larder_system::{Clock as _, SystemClock};
use larder_upstream::About;
use tokio::runtime::Runtime;

use super::Fetch;
use crate::failure::{Doing as _, Failure, chain};
use crate::message::Wish;
use crate::sabotage::Sabotage;

/// Stale after a moment, good for an hour if the upstream fails.
const TTL: Duration = Duration::from_millis(1);
const IF_ERROR: Duration = Duration::from_secs(3_600);
/// How long somebody waits who has a stale copy.
const SOFT: Duration = Duration::from_millis(50);
/// How long somebody waits who has none: beyond any round.
const PATIENCE: Duration = Duration::from_secs(120);

/// A document as one patron got it.
#[derive(Debug)]
pub(crate) struct Consulted {
    pub(crate) body: Result<Vec<u8>, String>,
    pub(crate) stale: bool,
    pub(crate) fetched_ms: u64,
    pub(crate) age_off_s: i64,
    pub(crate) status: String,
}

/// Those who ask, in one process.
pub(crate) struct Consulting {
    cache: Cache,
    runtime: Runtime,
    clock: SystemClock,
    sabotage: Option<Sabotage>,
}

impl Consulting {
    pub(crate) fn open(root: &Utf8Path, sabotage: Option<Sabotage>) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build();
        let mut builder = Cache::builder(root).durability(Durability::Relaxed);
        if sabotage == Some(Sabotage::FallThroughHerd) {
            builder = builder.backoff(Backoff::NONE).locking(false);
        }
        let cache = builder.build().doing(format!("open {root}"))?;
        Ok(Self { cache, runtime: runtime.doing("start a runtime")?, clock: SystemClock::new(), sabotage })
    }

    /// The document: new, or stale if the upstream does not give it.
    pub(crate) fn consult(&self, key: &Key, fetch: &Fetch, wish: Wish) -> Consulted {
        self.runtime.block_on(self.ask(key, fetch, wish))
    }

    async fn ask(&self, key: &Key, fetch: &Fetch, wish: Wish) -> Consulted {
        let (call, broken) = (Arc::clone(fetch), self.sabotage);
        let cache = self.cache.clone();
        let fetch = move |context: Context| async move {
            if let (Some(Sabotage::RefreshFromCache), Some(stale)) = (broken, &context.stale) {
                return Ok(Fetched::new(stale.body.clone()));
            }
            let called = tokio::task::spawn_blocking(move || call()).await;
            let fetched = called.unwrap_or_else(|error| Err(chain(&error)));
            if let (Some(Sabotage::AgeResetByError), Some(stale), Err(_)) = (broken, context.stale, &fetched) {
                let _ = cache.put(&context.key, stale.body, &terms(Wish::Soon)).await;
            }
            fetched.map(Fetched::new).map_err(|message| Refusal::new(Class::Unavailable, message))
        };
        let mut terms = terms(wish);
        if self.sabotage == Some(Sabotage::WaitForTheFrozen) {
            terms = terms.soft_timeout(PATIENCE);
        }
        match self.cache.get_or_fetch_with(key, &terms, fetch).await {
            Ok(answer) => {
                let life = About::in_metadata(&answer.metadata).unwrap_or_default().life;
                let now = self.clock.wall().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
                let age_ms = i64::try_from(now).unwrap_or(i64::MAX).saturating_sub_unsigned(life.fetched_ms);
                let age_off_s = answer.outcome.age.unwrap_or(i64::MIN).saturating_sub(age_ms.div_euclid(1_000));
                let (stale, fetched_ms) = (answer.outcome.stale, life.fetched_ms);
                Consulted {
                    body: Ok(answer.body.to_vec()),
                    stale,
                    fetched_ms,
                    age_off_s,
                    status: answer.outcome.to_string(),
                }
            }
            Err(error) => {
                let (stale, fetched_ms, age_off_s, status) = (false, 0, 0, String::new());
                Consulted { body: Err(chain(&error)), stale, fetched_ms, age_off_s, status }
            }
        }
    }
}

fn terms(wish: Wish) -> Terms {
    let terms = Terms::new().ttl(TTL).stale_if_error(IF_ERROR).wait(PATIENCE).timeout(PATIENCE);
    match wish {
        Wish::Soon => terms.soft_timeout(SOFT),
        Wish::Good => terms.soft_timeout(PATIENCE),
        Wish::New => terms.refresh(),
    }
}
