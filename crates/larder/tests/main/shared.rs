//! What the tests share: short names for long calls, and a source that counts.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use larder::{Answer, Cache, Context, Durability, Failure, Fetched, Key, Terms};
use larder_testkit::{Scratch, Upstream};

/// A key that is allowed.
pub(crate) fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

/// A root and a source of its own for a test.
pub(crate) struct Place {
    pub(crate) scratch: Scratch,
    pub(crate) upstream: Arc<Upstream>,
}

impl Place {
    pub(crate) fn new(name: &str) -> Self {
        let scratch = Scratch::new(name);
        let upstream = Arc::new(Upstream::open(scratch.join("upstream")));
        upstream.answers("{key}, call {call}");
        Self { scratch, upstream }
    }

    pub(crate) fn root(&self) -> camino::Utf8PathBuf {
        self.scratch.utf8_path().join("root")
    }

    pub(crate) fn builder(&self) -> larder::Builder {
        Cache::builder(self.root()).durability(Durability::Relaxed)
    }

    pub(crate) fn cache(&self) -> Cache {
        self.builder().build().unwrap()
    }

    pub(crate) fn fetch(&self) -> impl FnOnce(Context) -> Fetching + Send + 'static {
        fetch_from(&self.upstream)
    }

    /// Asks, and expects an answer.
    pub(crate) async fn ask(&self, cache: &Cache, name: &str) -> Answer {
        cache.get_or_fetch(&key(name), self.fetch()).await.unwrap()
    }

    pub(crate) async fn ask_with(&self, cache: &Cache, name: &str, terms: &Terms) -> Answer {
        cache.get_or_fetch_with(&key(name), terms, self.fetch()).await.unwrap()
    }
}

pub(crate) type Fetching = Pin<Box<dyn Future<Output = Result<Fetched, Failure>> + Send>>;

/// A fetch that asks the counting source.
pub(crate) fn fetch_from(upstream: &Arc<Upstream>) -> impl FnOnce(Context) -> Fetching + Send + 'static {
    let upstream = Arc::clone(upstream);
    move |context| {
        Box::pin(async move {
            let call = move || upstream.call(context.key.as_str());
            Ok(Fetched::new(tokio::task::spawn_blocking(call).await??.body))
        })
    }
}

/// A fetch that must not be made.
pub(crate) async fn no_fetch(context: Context) -> Result<Fetched, Failure> {
    panic!("{} was fetched", context.key)
}

/// The answer's document as text.
pub(crate) fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

/// Waits until so many callers wait for a flight in this process.
pub(crate) async fn until_waiting(cache: &Cache, callers: usize) {
    until(async || cache.stats().await.unwrap().waiting == callers).await;
}

/// Waits until it is so.
pub(crate) async fn until(is_so: impl AsyncFn() -> bool) {
    for _ in 0..100_000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("it never came to be so");
}

/// Waits for a call without holding up the runtime.
pub(crate) async fn until_called(upstream: &Arc<Upstream>, calls: usize) {
    let upstream = Arc::clone(upstream);
    tokio::task::spawn_blocking(move || upstream.wait_for_calls(calls)).await.unwrap();
}
