//! What this program does as somebody else's child: ask, refresh, or write until it is killed.

use std::future::pending;
use std::sync::Arc;
use std::thread;

use larder::{Cache, Failure, Key, Terms};
use larder_lock::Cancellation;
use larder_testkit::Upstream;
use larder_testkit::child::{self, Args};

use crate::criteria::Outcome;
use crate::place::fetch_from;
use crate::releases::{Feedback, Said, index};

/// The length of what a writer writes, in bytes.
pub(crate) const BODY_BYTES: usize = 64 * 1_024;

pub(crate) fn child(role: &str, args: &Args) -> Outcome {
    let cache = Cache::builder(args.get("root")).build()?;
    match role {
        "ask" => ask(&cache, args),
        "refresh" => refresh(&cache, args),
        "write" => write(&cache, args),
        other => Err(format!("there is no role {other}").into()),
    }
}

/// Asks for the metadata of a distribution. Its parent hangs up, or sends a line, to cancel.
fn ask(cache: &Cache, args: &Args) -> Outcome {
    let upstream = Upstream::open(args.get("upstream"));
    let said = Said { flag: args.find("flag"), environment: args.find("environment"), config: args.find("config") };
    let (wait, cancellation) = (said.wait()?, Cancellation::new());
    let feedback = Feedback { bound: wait.bound(), origin: wait.origin().clone(), say: child::say };
    let wait = wait.observed_by(Arc::new(feedback)).cancelled_by(&cancellation);
    thread::spawn(move || {
        child::hear();
        cancellation.cancel();
    });
    let download = |key: &Key| {
        child::say("downloading");
        Ok::<_, Failure>(upstream.call(key.as_str())?.body)
    };
    let metadata = index(cache, args.get("distribution"), wait, download)?;
    child::say(&format!("answer {}", String::from_utf8_lossy(&metadata.body)));
    Ok(())
}

/// Works through the queue of what is to be refreshed.
fn refresh(cache: &Cache, args: &Args) -> Outcome {
    let upstream = Arc::new(Upstream::open(args.get("upstream")));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(cache.refresher(fetch_from(&upstream)).run(u64::MAX, pending()))?;
    child::say(&format!("refreshed {}, failed {}", report.refreshed, report.failed));
    Ok(())
}

/// Replaces one document again and again, each time with bytes that are all alike, until it is killed.
fn write(cache: &Cache, args: &Args) -> Outcome {
    let (key, runtime) = (Key::new(args.get("key"))?, tokio::runtime::Builder::new_current_thread().build()?);
    let terms = Terms::new();
    for letter in (b'a'..=b'z').cycle() {
        runtime.block_on(cache.put(&key, vec![letter; BODY_BYTES], &terms))?;
        child::say("written");
    }
    Ok(())
}
