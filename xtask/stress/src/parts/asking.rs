//! Asking for a document that has to be fetched, one fetch for all; or a broken way of it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use camino::Utf8Path;
use larder::{Cache, Durability, Key};
use larder_lock::{Bound, Wait};
use larder_staleness::{Life, Policy};
use larder_storage::{Put, Store};
use larder_system::{Clock as _, SystemClock};
use larder_upstream::{About, Class, Failure as Refusal, Flights, Terms, Turn};
use tokio::runtime::Runtime;

use crate::failure::{Doing as _, Failure, chain};
use crate::sabotage::Sabotage;

const TTL: Duration = Duration::from_secs(3_600);
/// How long an asker waits for others: beyond any round.
const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(20);

/// What an upstream gives: a document, or why not.
pub(crate) type Fetched = Result<Vec<u8>, String>;
/// One call of it.
pub(crate) type Fetch = Arc<dyn Fn() -> Fetched + Send + Sync>;

/// An answer, and whether somebody else's fetch brought it.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) fetched: Fetched,
    pub(crate) collapsed: bool,
}

/// Those who ask, in one process.
pub(crate) struct Asking {
    cache: Cache,
    runtime: Runtime,
    /// What the broken ways are made of.
    flights: Flights,
    clock: SystemClock,
    sabotage: Option<Sabotage>,
}

impl Asking {
    pub(crate) fn open(root: &Utf8Path, sabotage: Option<Sabotage>) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build();
        let runtime = runtime.doing("start a runtime")?;
        let cache = Cache::builder(root).durability(Durability::Relaxed).build().doing(format!("open {root}"))?;
        let store = Arc::new(Store::open(root).doing(format!("open the store {root}"))?);
        Ok(Self { cache, runtime, flights: Flights::new(store), clock: SystemClock::new(), sabotage })
    }

    /// The document, by `fetch` if need be.
    pub(crate) fn ask(&self, key: &Key, fetch: &Fetch) -> Asked {
        match self.sabotage {
            Some(Sabotage::ShareNothing) => self.ask_alone(key, fetch),
            Some(Sabotage::FallThrough) => self.ask_and_fall_through(key, fetch),
            Some(Sabotage::NoRecheck | Sabotage::FailureKept) => self.ask_forgetfully(key, fetch),
            _ => self.runtime.block_on(self.ask_cache(key, fetch)),
        }
    }

    /// As programs ask.
    async fn ask_cache(&self, key: &Key, fetch: &Fetch) -> Asked {
        let call = Arc::clone(fetch);
        let fetch = move |_| async move {
            let called = tokio::task::spawn_blocking(move || call()).await;
            let fetched = called.unwrap_or_else(|error| Err(chain(&error)));
            fetched.map(larder::Fetched::new).map_err(|message| Refusal::new(Class::Unavailable, message))
        };
        let terms = larder::Terms::new().ttl(TTL).wait(PATIENCE).timeout(PATIENCE);
        match self.cache.get_or_fetch_with(key, &terms, fetch).await {
            Ok(answer) => Asked { fetched: Ok(answer.body.to_vec()), collapsed: answer.outcome.collapsed },
            Err(larder::fetch::Error::Failed { failure, collapsed, .. }) => {
                Asked { fetched: Err(told(&failure)), collapsed }
            }
            Err(error) => Asked { fetched: Err(chain(&error)), collapsed: false },
        }
    }

    /// With a part of the flights left out.
    fn ask_forgetfully(&self, key: &Key, fetch: &Fetch) -> Asked {
        if let Some(body) = self.look(key) {
            return Asked { fetched: Ok(body), collapsed: false };
        }
        let look = || match self.sabotage {
            Some(Sabotage::NoRecheck) => Ok(None),
            _ => Ok(self.flights.store().get(key)?.map(larder_storage::Entry::into_body)),
        };
        let terms = Terms::new().wait(Wait::new(Bound::UpTo(PATIENCE)));
        match self.flights.begin(key, &terms, look) {
            Ok(Turn::Lead(flight)) => {
                let fetched = fetch();
                match &fetched {
                    Ok(body) => match self.put(key, body, Some(flight.token())) {
                        Ok(()) => flight.land(),
                        Err(message) => return Asked { fetched: Err(message), collapsed: false },
                    },
                    Err(message) => flight.fail(&Refusal::new(Class::Unavailable, message), None),
                }
                Asked { fetched, collapsed: false }
            }
            Ok(Turn::Failed { .. }) if self.sabotage == Some(Sabotage::FailureKept) => self.ask_alone(key, fetch),
            Ok(Turn::Found { found, waited }) => Asked { fetched: Ok(found), collapsed: waited.flights > 0 },
            Ok(Turn::Carried { document, .. }) => Asked { fetched: Ok(document.body), collapsed: true },
            Ok(Turn::Failed { failure, .. }) => Asked { fetched: Err(told(&failure)), collapsed: true },
            Ok(Turn::Alone { .. }) => self.ask_alone(key, fetch),
            Err(error) => Asked { fetched: Err(chain(&error)), collapsed: false },
        }
    }

    fn ask_alone(&self, key: &Key, fetch: &Fetch) -> Asked {
        if let Some(body) = self.look(key) {
            return Asked { fetched: Ok(body), collapsed: false };
        }
        let fetched = fetch();
        if let Ok(body) = &fetched {
            let _ = self.put(key, body, None);
        }
        Asked { fetched, collapsed: false }
    }

    /// Waits for the leader's end and, when that was its death, fetches, as all do who were waiting.
    fn ask_and_fall_through(&self, key: &Key, fetch: &Fetch) -> Asked {
        let look = || Ok(self.flights.store().get(key)?.map(larder_storage::Entry::into_body));
        match self.flights.begin(key, &Terms::new().wait(Wait::none()), look) {
            Err(error) if error.is_contention() => {}
            Ok(Turn::Lead(flight)) => {
                let fetched = fetch();
                if let Ok(body) = &fetched {
                    let _ = self.put(key, body, Some(flight.token()));
                }
                flight.land();
                return Asked { fetched, collapsed: false };
            }
            Ok(Turn::Found { found, .. }) => return Asked { fetched: Ok(found), collapsed: false },
            _ => return self.ask_alone(key, fetch),
        }
        let until = self.clock.monotonic() + PATIENCE;
        let is_flying = || {
            let flights = self.flights.under_way().unwrap_or_default();
            flights.iter().any(|flight| flight.key == *key && flight.alive == Some(true))
        };
        while is_flying() && self.clock.monotonic() < until {
            self.clock.sleep(POLL);
        }
        self.ask_alone(key, fetch)
    }

    fn look(&self, key: &Key) -> Option<Vec<u8>> {
        self.flights.store().get(key).ok().flatten().map(larder_storage::Entry::into_body)
    }

    fn put(&self, key: &Key, body: &[u8], token: Option<larder_storage::Token>) -> Result<(), String> {
        let now: SystemTime = self.clock.wall();
        let about = About::new(Life::new(now, &Policy::fresh_for(TTL), Duration::ZERO));
        let metadata = about.metadata(&[]).map_err(|error| chain(&error))?;
        let mut put = Put::new().metadata(metadata).durability(Durability::Relaxed);
        if let Some(token) = token {
            put = put.fetched_in(token);
        }
        self.flights.store().put(key, body, &put).map(|_| ()).map_err(|error| chain(&error))
    }
}

/// A failure as its caller sees it; a command says on its standard error what went wrong.
fn told(failure: &Refusal) -> String {
    format!("{} {}", failure.message, String::from_utf8_lossy(&failure.stderr))
}
