//! What must be true of generating: once for all, failing, hanging, dying.

use std::future::pending;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use larder::{Cache, Context, Failure, Fetched, Key, Options, Terms, fetch};
use larder_testkit::child::{self, Args};
use larder_testkit::{Child, Upstream, VirtualClock};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::criteria::{Outcome, check, same};
use crate::place::{Fetching, Place, text, until, until_calls};
use crate::reports::{FALLBACK, KINDS, configured, key_of, report, report_with};

pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
const MOMENT: Duration = Duration::from_millis(1);
const TASKS: usize = 8;
const PROCESSES: usize = 4;
/// What a caller is willing to wait, in criteria in which it waits in vain.
const BOUND: Duration = Duration::from_millis(200);

pub(crate) fn key() -> Outcome<Key> {
    key_of("analysis", "what does the parser do")
}

/// Gives the place a folder of files to make reports from.
pub(crate) fn prepare(place: &Place) -> Outcome {
    place.upstream.answers("generation {call}");
    write(place, "one", "1")
}

/// Writes a file of the workspace, as its user would.
#[expect(clippy::disallowed_methods, reason = "the user's own files")]
pub(crate) fn write(place: &Place, name: &str, content: &str) -> Outcome {
    std::fs::create_dir_all(place.scratch.join("inputs"))?;
    Ok(std::fs::write(place.scratch.join("inputs").join(name), content)?)
}

/// Other programs, each with many tasks that all want the same report; they have begun to wait for it.
fn wanting(place: &Place) -> Vec<Child> {
    let inputs = place.scratch.utf8_path().join("inputs");
    let mut others: Vec<_> = (0..PROCESSES).map(|_| place.spawn("want", &[("inputs", inputs.as_str())])).collect();
    for other in &mut others {
        other.wait_for_line("waiting");
    }
    others
}

/// What a program's tasks got.
fn answers_of(other: &mut Child) -> Outcome<Vec<String>> {
    let said: Vec<_> = (0..TASKS).filter_map(|_| other.next_line()).collect();
    check(said.len() == TASKS, || other.printed())?;
    Ok(said)
}

pub(crate) async fn once(place: &Place) -> Outcome<String> {
    prepare(place)?;
    let hold = place.upstream.hold();
    let mut others = wanting(place);
    drop(hold);
    let mut generated = 0;
    for other in &mut others {
        for said in answers_of(other)? {
            check(said.starts_with("generation 1 from 1 |"), || format!("a task got {said}"))?;
            generated += usize::from(!said.contains("; collapsed"));
        }
    }
    same("callers that generated", generated, 1)?;
    same("generations", place.upstream.calls(), 1)?;
    Ok(format!("{} callers, 1 generation", PROCESSES * TASKS))
}

pub(crate) async fn failure(place: &Place) -> Outcome<String> {
    prepare(place)?;
    place.upstream.fails("out of tokens");
    let hold = place.upstream.hold();
    let mut others = wanting(place);
    drop(hold);
    for other in &mut others {
        for said in answers_of(other)? {
            check(said.contains("could not be fetched: out of tokens"), || format!("a task got {said}"))?;
        }
    }
    same("attempts", place.upstream.calls(), 1)?;
    Ok(format!("{} callers, 1 attempt", PROCESSES * TASKS))
}

pub(crate) async fn stale_fallback(place: &Place) -> Outcome<String> {
    prepare(place)?;
    let clock = Arc::new(VirtualClock::new());
    let open = || {
        configured(place.builder())
            .and_then(|builder| Ok(builder.store_options(Options::new().clock(clock.clone())).build()?))
    };
    let (cache, other, inputs) = (open()?, open()?, place.scratch.join("inputs"));
    report(&cache, &key()?, &inputs, &place.upstream).await?;
    place.upstream.fails("out of tokens");
    for (hours, expected) in [(2, 2), (3, 5)] {
        clock.advance(HOUR * hours);
        // who looks whether it is fresh takes nothing away from whoever comes after
        check(cache.get(&key()?).await?.is_none(), || "an old report is called fresh".to_owned())?;
        for cache in [&cache, &other, &cache] {
            let answer = report(cache, &key()?, &inputs, &place.upstream).await?;
            same("the report", text(&answer).as_str(), "generation 1 from 1")?;
            same("its label", (answer.outcome.stale, answer.outcome.age), (true, Some(expected * 3_600)))?;
        }
    }
    same("generations and attempts", place.upstream.calls(), 3)?;
    let error = cache.get_or_fetch_with(&key()?, &Terms::new().fresh_only(), failing).await;
    check(error.is_err(), || "who wants a fresh one is given an old one".to_owned())?;
    clock.advance(FALLBACK);
    let error = report(&cache, &key()?, &inputs, &place.upstream).await;
    check(error.is_err(), || "an old report is given out for ever".to_owned())?;
    Ok("6 callers, 2 attempts, ages 2 h and 5 h".to_owned())
}

fn failing(_: Context) -> Fetching {
    Box::pin(async { Err(Failure::new(larder::Class::Unavailable, "out of tokens")) })
}

pub(crate) async fn successor(place: &Place) -> Outcome<String> {
    prepare(place)?;
    let (cache, inputs) = (configured(place.builder())?.build()?, place.scratch.join("inputs"));
    let hold = place.upstream.hold();
    let mut first = place.spawn("want", &[("inputs", &inputs.to_string_lossy())]);
    until_calls(&place.upstream, 1).await?;
    let mut asking = JoinSet::new();
    for _ in 0..TASKS {
        let (cache, key, inputs, upstream) = (cache.clone(), key()?, inputs.clone(), place.upstream.clone());
        asking.spawn(async move { report(&cache, &key, &inputs, &upstream).await });
    }
    until("they wait", async || cache.stats().await.is_ok_and(|stats| stats.elsewhere == 1)).await?;
    first.kill();
    until_calls(&place.upstream, 2).await?;
    drop(hold);
    while let Some(answer) = asking.join_next().await {
        same("what a task got", text(&answer??).as_str(), "generation 2 from 1")?;
    }
    same("generations begun, that of the one that was killed among them", place.upstream.calls(), 2)?;
    one_that_panics(&cache, &inputs, &place.upstream).await?;
    Ok(format!("{TASKS} waiters, 1 successor of the killed one; 1 of the one that panicked"))
}

async fn one_that_panics(cache: &Cache, inputs: &Path, upstream: &Arc<Upstream>) -> Outcome {
    let (key, calls) = (key_of("analysis", "what makes it panic")?, upstream.calls());
    let (began, now) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let first = tokio::spawn({
        let (cache, key, generate) = (cache.clone(), key.clone(), panicking(Arc::clone(&began), Arc::clone(&now)));
        async move { report_with(&cache, &key, &Terms::new(), generate).await }
    });
    began.notified().await;
    let second = tokio::spawn({
        let (cache, inputs, upstream) = (cache.clone(), inputs.to_owned(), Arc::clone(upstream));
        async move { report(&cache, &key, &inputs, &upstream).await }
    });
    until("it waits", async || cache.stats().await.is_ok_and(|stats| stats.waiting == 2)).await?;
    now.notify_one();
    let first = first.await?;
    check(matches!(first, Err(fetch::Error::Panicked { .. })), || format!("whose generator panicked has {first:?}"))?;
    same("the other", text(&second.await??), format!("generation {} from 1", calls + 1))
}

/// A generator that tells that it has begun, and panics when it is told to.
fn panicking(began: Arc<Notify>, now: Arc<Notify>) -> impl FnOnce(Context) -> Fetching + Send {
    move |_| {
        Box::pin(async move {
            began.notify_one();
            now.notified().await;
            // without the message of a panic, which is no news here
            std::panic::resume_unwind(Box::new("the generator panics"))
        })
    }
}

pub(crate) async fn hanging(place: &Place) -> Outcome<String> {
    prepare(place)?;
    let clock = Arc::new(VirtualClock::new());
    let options = Options::new().clock(clock.clone());
    let cache = configured(place.builder())?.store_options(options).build()?;
    let inputs = place.scratch.join("inputs");
    report(&cache, &key()?, &inputs, &place.upstream).await?;
    clock.advance(HOUR * 2);
    let hangs = |_: Context| -> Fetching { Box::pin(pending::<Result<Fetched, Failure>>()) };
    let terms = crate::reports::terms(&inputs).soft_timeout(BOUND);
    let answer = report_with(&cache, &key()?, &terms, hangs).await?;
    same("with a copy in hand", (text(&answer).as_str(), answer.outcome.stale), ("generation 1 from 1", true))?;
    let other = key_of("analysis", "another")?;
    let error =
        report_with(&cache, &other, &Terms::new().timeout(BOUND), hangs).await.err().ok_or("it was answered")?;
    check(matches!(error, fetch::Error::Failed { .. }), || format!("without one: {error}"))?;
    Ok("the old report by the soft timeout; without one, an error by the hard one".to_owned())
}

pub(crate) async fn questions(place: &Place) -> Outcome<String> {
    prepare(place)?;
    let (cache, inputs) = (configured(place.builder())?.build()?, place.scratch.join("inputs"));
    let questions =
        ["from A to B", "from B to A", "from A to b", "from A to B?", "from A/B", "from A%2FB", "A to B from"];
    for (number, question) in (1..).zip(questions) {
        let answer = report(&cache, &key_of("analysis", question)?, &inputs, &place.upstream).await?;
        same(question, text(&answer), format!("generation {number} from 1"))?;
    }
    // spaces are none of the question
    let answer = report(&cache, &key_of("analysis", " from  A to B ")?, &inputs, &place.upstream).await?;
    same("the first again", text(&answer).as_str(), "generation 1 from 1")?;
    Ok(format!("{} questions, {} generations", questions.len() + 1, place.upstream.calls()))
}

pub(crate) async fn kinds(place: &Place) -> Outcome<String> {
    prepare(place)?;
    let clock = Arc::new(VirtualClock::new());
    let options = Options::new().clock(clock.clone());
    let cache = configured(place.builder())?.store_options(options).build()?;
    for (kind, seconds) in KINDS {
        let key = key_of(kind, "which files")?;
        report(&cache, &key, &place.scratch.join("inputs"), &place.upstream).await?;
        clock.advance(Duration::from_secs(seconds));
        check(cache.get(&key).await?.is_some(), || format!("{kind} is stale after {seconds} s already"))?;
        clock.advance(MOMENT);
        check(cache.get(&key).await?.is_none(), || format!("{kind} is fresh after more than {seconds} s"))?;
    }
    Ok("each to the millisecond".to_owned())
}

/// Another program: many tasks that want the same report.
pub(crate) fn child(_role: &str, args: &Args) -> Outcome {
    let upstream = Arc::new(Upstream::open(args.get("upstream")));
    let cache = configured(Cache::builder(args.get("root")))?.build()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut asking = JoinSet::new();
        for _ in 0..TASKS {
            let (cache, key, upstream) = (cache.clone(), key()?, Arc::clone(&upstream));
            let inputs = PathBuf::from(args.get("inputs"));
            asking.spawn(async move { report(&cache, &key, &inputs, &upstream).await });
        }
        until("all wait", async || cache.stats().await.is_ok_and(|stats| stats.waiting == TASKS)).await?;
        // its own flight has come to its call, or has met that of another process
        let has_met = async || upstream.calls() > 0 && cache.stats().await.is_ok_and(|stats| stats.elsewhere == 1);
        let leads = async || cache.flights().under_way().is_ok_and(|all| all.iter().any(is_ours));
        until("all are in line", async || leads().await || has_met().await).await?;
        child::say("waiting");
        while let Some(answered) = asking.join_next().await {
            match answered? {
                Ok(answer) => child::say(&format!("{} | {}", text(&answer), answer.outcome)),
                Err(error) => child::say(&error.to_string()),
            }
        }
        Ok(())
    })
}

/// Whether this process leads it.
fn is_ours(flight: &larder_upstream::UnderWay) -> bool {
    flight.holder.pid == Some(std::process::id())
}
