//! A folder of its own for each criterion, with a root and an upstream that counts its calls over all processes.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use camino::Utf8PathBuf;
use larder::{Answer, Builder, Cache, Context, Failure, Fetched};
use larder_testkit::{Child, Scratch, Upstream, child};

use crate::criteria::Outcome;

/// How often an event is looked for, and how long in all.
const LOOK: Duration = Duration::from_millis(1);
const LOOKS_MAX: u32 = 50_000;

pub(crate) type Fetching = Pin<Box<dyn Future<Output = Result<Fetched, Failure>> + Send>>;

/// Removed with all that is in it when it is dropped.
pub(crate) struct Place {
    pub(crate) scratch: Scratch,
    pub(crate) upstream: Arc<Upstream>,
}

impl Place {
    /// Its upstream answers with the key and the number of the call, which tells of every byte which call it came with.
    pub(crate) fn new(name: &str) -> Self {
        let scratch = Scratch::new(name);
        let upstream = Arc::new(Upstream::open(scratch.join("upstream")));
        upstream.answers("{key}, call {call}");
        Self { scratch, upstream }
    }

    pub(crate) fn root(&self) -> Utf8PathBuf {
        self.scratch.utf8_path().join("root")
    }

    pub(crate) fn builder(&self) -> Builder {
        Cache::builder(self.root())
    }

    /// This program again, in another process and role, with this root and upstream.
    pub(crate) fn spawn(&self, role: &str, more: &[(&str, &str)]) -> Child {
        let (root, upstream) = (self.root(), self.scratch.utf8_path().join("upstream"));
        let places = [("root", root.as_str()), ("upstream", upstream.as_str())];
        Child::spawn(role, &[&places[..], more].concat())
    }
}

/// A fetch that asks the upstream.
pub(crate) fn fetch_from(upstream: &Arc<Upstream>) -> impl Fn(Context) -> Fetching + Clone + Send + Sync + use<> {
    let upstream = Arc::clone(upstream);
    move |context| {
        let upstream = Arc::clone(&upstream);
        Box::pin(async move {
            let call = move || upstream.call(context.key.as_str());
            Ok(Fetched::new(tokio::task::spawn_blocking(call).await??.body))
        })
    }
}

/// Waits until it is so, for as long as a criterion may take.
pub(crate) async fn until(what: &str, is_so: impl AsyncFn() -> bool) -> Outcome {
    for _ in 0..LOOKS_MAX {
        if is_so().await {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
    Err(format!("it was waited in vain until {what}").into())
}

/// Waits until so many calls have begun, in all processes.
pub(crate) async fn until_calls(upstream: &Upstream, calls: usize) -> Outcome {
    until(&format!("call {calls} begins"), async || upstream.calls() >= calls).await
}

pub(crate) fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

/// Does the work of a child, if this process is one: whether it was. What went wrong is its last word.
pub(crate) fn is_child(work: impl FnOnce(&str, &child::Args) -> Outcome) -> bool {
    let mut was_one = false;
    child::run(|role, args| {
        was_one = true;
        if let Err(error) = work(role, args) {
            child::say(&format!("error {error}"));
        }
    });
    was_one
}
