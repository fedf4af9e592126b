//! What must be true of the knowledge base, each in a place of its own.

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use larder::{Cache, Class, Context, Failure, Fetched, Key, Level, Prefix, Terms, fetch, views};
use larder_lock::Wait;
use larder_queue::{Options, Queue, View};
use larder_staleness::{Advice, DAY};
use larder_testkit::{VirtualClock, child};

use crate::criteria::{Outcome, check, same};
use crate::knowledge::{DEFAULT_MAX_AGE_DAYS, FALLBACK, Knowledge, Source, key_of, notice};
use crate::place::{Place, fetch_from, text, until, until_calls};

const MOMENT: Duration = Duration::from_millis(1);
/// How many processes store at once, and how many topics each.
const WRITERS: usize = 4;
const TOPICS: usize = 25;
/// After how many topics one of them is killed.
const KILLED_AFTER: usize = 5;

/// Names that file systems, and caches before this one, took for something else.
const NAMES: [(&str, Option<&str>); 14] = [
    ("react", None),
    ("React", None),
    ("react", Some("hooks")),
    ("@types/node", None),
    ("@types_node", None),
    ("@types%2Fnode", None),
    ("@types", Some("node/overview")),
    ("..", None),
    ("../x", None),
    ("react", Some("../../outside")),
    ("CON", Some("aux.md")),
    ("index.yaml", None),
    ("tmp", Some("a:b*c?")),
    ("café", Some("cafe\u{301}")),
];

fn prefix() -> Prefix {
    Prefix::everything()
}

/// A knowledge base whose days pass by a clock that is moved.
fn scene(place: &Place, max_age_days: u32) -> Outcome<(Knowledge, Arc<VirtualClock>)> {
    let (clock, source) = (Arc::new(VirtualClock::new()), Arc::new(fetch_from(&place.upstream)));
    Ok((Knowledge::open(place, clock.clone(), max_age_days, source)?, clock))
}

pub(crate) async fn names(place: &Place) -> Outcome<String> {
    let (knowledge, _) = scene(place, DEFAULT_MAX_AGE_DAYS)?;
    let mut bodies = BTreeSet::new();
    for (library, topic) in NAMES {
        bodies.insert(text(&knowledge.lookup(library, topic).await?));
    }
    same("documents", bodies.len(), NAMES.len())?;
    // another process, with nothing in memory
    let (again, _) = scene(place, DEFAULT_MAX_AGE_DAYS)?;
    for (library, topic) in NAMES {
        let answer = again.lookup(library, topic).await?;
        check(bodies.contains(&text(&answer)) && answer.outcome.level == Level::Disk, || {
            format!("{library} {topic:?} is now {:?}; {}", text(&answer), answer.outcome)
        })?;
    }
    same("the topic when none is given", key_of("react", None)?.as_str(), "react/overview")?;
    let beside = std::fs::read_dir(place.scratch.path())?.count();
    same("what is beside the root", beside, 2)?;
    same("calls", place.upstream.calls(), NAMES.len())?;
    Ok(format!("{} documents, {} calls, nothing outside", bodies.len(), place.upstream.calls()))
}

pub(crate) async fn classes(place: &Place) -> Outcome<String> {
    // 21: the configured default must reach the policy
    let (knowledge, clock) = scene(place, 21)?;
    let stable = Terms::new().class("stable");
    let rows = [("jwt-decode", 7, Terms::new()), ("MyTests", 14, Terms::new()), ("react", 21, Terms::new())];
    let mut passed = 0;
    for (library, days, terms) in rows.into_iter().chain([("jwt-explicit", 30, stable)]) {
        knowledge.lookup_as(library, None, terms).await?;
        let key = key_of(library, None)?;
        clock.advance(DAY * days);
        check(knowledge.cache.get(&key).await?.is_some(), || format!("{library} is stale after {days} days already"))?;
        clock.advance(MOMENT);
        check(knowledge.cache.get(&key).await?.is_none(), || {
            format!("{library} is fresh after more than {days} days")
        })?;
        passed += days;
    }
    Ok(format!("7, 14, 21 as configured, 30 as told; {passed} days by the clock"))
}

pub(crate) async fn stale_at_once(place: &Place) -> Outcome<String> {
    let (knowledge, clock) = scene(place, DEFAULT_MAX_AGE_DAYS)?;
    knowledge.lookup("react", None).await?;
    clock.advance(DAY * 31);
    let hold = place.upstream.hold();
    let answer = knowledge.lookup("react", None).await?;
    same("what is answered while the upstream is asked", text(&answer).as_str(), "react/overview, call 1")?;
    check(answer.outcome.stale, || format!("it is not called stale: {}", answer.outcome))?;
    same("its age", answer.outcome.age, Some(31 * 86_400))?;
    same("its notice", notice(&answer).as_deref(), Some("cached 31 days ago; consider refreshing"))?;
    until_calls(&place.upstream, 2).await?;
    drop(hold);
    let is_new = async || knowledge.cache.get(&key_of("react", None).ok()?).await.ok()?;
    until("the new one is there", async || is_new().await.is_some()).await?;
    let answer = knowledge.lookup("react", None).await?;
    same("what is answered afterwards", text(&answer).as_str(), "react/overview, call 2")?;
    check(notice(&answer).is_none(), || format!("it is called stale: {}", answer.outcome))?;
    same("calls", place.upstream.calls(), 2)?;
    Ok("1 call, not waited for".to_owned())
}

pub(crate) async fn outage(place: &Place) -> Outcome<String> {
    let (knowledge, clock) = scene(place, DEFAULT_MAX_AGE_DAYS)?;
    knowledge.lookup("react", None).await?;
    clock.advance(DAY * 40);
    place.upstream.fails("overloaded");
    for calls in [2, 3] {
        for _ in 0..5 {
            let answer = knowledge.lookup("react", None).await?;
            same("the copy", text(&answer).as_str(), "react/overview, call 1")?;
            check(answer.outcome.stale && answer.outcome.age.is_some_and(|age| age / 86_400 == 40), || {
                format!("its label: {}", answer.outcome)
            })?;
        }
        same("calls in this step of the back-off", place.upstream.calls(), calls)?;
        // the first step
        clock.advance(Duration::from_secs(30));
    }
    // the minute of the back-off is more than the window
    clock.advance(FALLBACK.saturating_sub(DAY * 10));
    let error = knowledge.lookup("react", None).await.err().ok_or("a copy older than all windows was given out")?;
    let is_failure = matches!(error.downcast_ref(), Some(fetch::Error::Failed { .. }));
    check(is_failure, || format!("not the upstream's failure but: {error}"))?;
    place.upstream.answers("well again");
    clock.advance(DAY);
    same("afterwards", text(&knowledge.lookup("react", None).await?).as_str(), "well again")?;
    Ok("10 callers, 2 calls: one a back-off step".to_owned())
}

pub(crate) async fn recommendations(place: &Place) -> Outcome<String> {
    let (knowledge, clock) = scene(place, DEFAULT_MAX_AGE_DAYS)?;
    knowledge.lookup("react", None).await?;
    let mut said = Vec::new();
    for (days, advice, left) in
        [(0, Advice::Keep, 30), (22, Advice::Keep, 8), (1, Advice::Consider, 7), (8, Advice::Refresh, -1)]
    {
        clock.advance(DAY * days);
        let recommended = knowledge.recommend("react").await?;
        let (_, recommendation) = recommended.first().ok_or("nothing is recommended")?;
        same("the advice", (recommendation.advice, recommendation.days_left), (advice, left))?;
        said.push(format!("{advice:?} {left}"));
    }
    Ok(said.join(", "))
}

fn tasks(cache: &Cache) -> Outcome<Vec<View>> {
    let home = cache.store().annex("queue")?.home();
    Ok(Queue::in_home(home, Options::new())?.snapshot()?.tasks)
}

/// What was asked for, in the order in which it was.
type Order = Arc<Mutex<Vec<String>>>;

/// A source that writes down what it is asked for, and fails for one library.
fn recording(order: &Order, failing: &'static str) -> Source {
    let order = Arc::clone(order);
    Arc::new(move |context: Context| {
        let name = context.key.to_string();
        let mut order = order.lock().unwrap_or_else(PoisonError::into_inner);
        order.push(name.clone());
        let number = order.len();
        Box::pin(async move {
            if name.starts_with(failing) && number > 4 {
                return Err(Failure::new(Class::Unavailable, "overloaded"));
            }
            Ok(Fetched::new(format!("{name}, call {number}")))
        })
    })
}

/// Four libraries, fetched at times from which they are overdue for long, overdue, near their end, and fresh. `failing` fails
/// from then on.
async fn aged(place: &Place, failing: &'static str) -> Outcome<(Knowledge, Arc<VirtualClock>, Order)> {
    let (clock, order) = (Arc::new(VirtualClock::new()), Order::default());
    let knowledge = Knowledge::open(place, clock.clone(), DEFAULT_MAX_AGE_DAYS, recording(&order, failing))?;
    for (library, days) in [("long", 5), ("over", 7), ("near", 25), ("fresh", 1)] {
        knowledge.lookup(library, None).await?;
        clock.advance(DAY * days);
    }
    Ok((knowledge, clock, order))
}

fn take(order: &Order) -> Vec<String> {
    std::mem::take(&mut *order.lock().unwrap_or_else(PoisonError::into_inner))
}

pub(crate) async fn priorities(place: &Place) -> Outcome<String> {
    let (knowledge, clock, order) = aged(place, "nobody").await?;
    let refresher = knowledge.refresher().jobs(1);
    let due = refresher.add_due(&prefix()).await?;
    same("due", due, 3)?;
    let priorities = |tasks: &[View]| -> Vec<u8> { tasks.iter().map(|task| task.priority.number()).collect() };
    same("by age", priorities(&tasks(&knowledge.cache)?), vec![9, 7, 3])?;
    // by name: one that is not there yet, one that is with more, one that is with less
    refresher.add(&[key_of("fresh", None)?, key_of("long", None)?, key_of("near", None)?]).await?;
    let queued = tasks(&knowledge.cache)?;
    same("with those asked for by name", priorities(&queued), vec![9, 8, 8, 7])?;
    take(&order);
    clock.advance(MOMENT);
    let report = refresher.run(u64::MAX, pending()).await?;
    same("refreshed", report.refreshed, 4)?;
    let done = take(&order);
    let expected: Vec<String> = queued.into_iter().map(|task| task.key).collect();
    check(done == expected, || format!("done in the order {done:?}, queued as {expected:?}"))?;
    Ok(format!("4 calls: {}", done.join(", ").replace("/overview", "")))
}

pub(crate) async fn really_fetched(place: &Place) -> Outcome<String> {
    // the most urgent one fails
    let (knowledge, clock, order) = aged(place, "long").await?;
    let refresher = knowledge.refresher().jobs(1);
    refresher.add_due(&prefix()).await?;
    clock.advance(MOMENT);
    let report = refresher.run(u64::MAX, pending()).await?;
    same("refreshed and failed", (report.refreshed, report.failed), (2, 1))?;
    same("calls since the beginning", take(&order).len(), 4 + 3)?;
    for library in ["over", "near"] {
        let answer = knowledge.cache.get(&key_of(library, None)?).await?.ok_or("a refreshed document is not there")?;
        check(answer.outcome.age == Some(0), || format!("{library} was not fetched: {}", answer.outcome))?;
    }
    let left = tasks(&knowledge.cache)?;
    let [failed] = left.as_slice() else { return Err(format!("left in the queue: {left:?}").into()) };
    same("the one that failed", (failed.key.as_str(), failed.attempts), ("long/overview", 1))?;
    check(failed.error.as_deref().is_some_and(|error| error.contains("overloaded")), || format!("{failed:?}"))?;
    same("due again", refresher.add_due(&prefix()).await?, 0)?;
    Ok("2 done behind 1 that failed and is kept with its error".to_owned())
}

pub(crate) async fn many_writers(place: &Place) -> Outcome<String> {
    let mut writers: Vec<_> =
        (0..WRITERS).map(|writer| place.spawn("writer", &[("writer", &writer.to_string())])).collect();
    for _ in 0..=KILLED_AFTER {
        writers[0].next_line();
    }
    writers[0].kill();
    let mut acknowledged = Vec::new();
    for writer in &mut writers {
        while let Some(said) = writer.next_line() {
            check(!said.starts_with("error"), || said.clone())?;
        }
        acknowledged.extend(writer.said());
    }
    let at_least = (WRITERS - 1) * TOPICS + KILLED_AFTER;
    check(acknowledged.len() >= at_least, || format!("{} topics were stored", acknowledged.len()))?;
    let (knowledge, _) = scene(place, DEFAULT_MAX_AGE_DAYS)?;
    let stored = knowledge.cache.list(&prefix(), usize::MAX).await?.len();
    // of the one that was killed, one more may be there that it did not come to tell of
    check((acknowledged.len()..=acknowledged.len() + 1).contains(&stored), || {
        format!("{stored} are stored of {} that were acknowledged", acknowledged.len())
    })?;
    let indexed = views::index(knowledge.cache.store(), &Wait::up_to(Duration::from_secs(10)))?;
    same("in the index", indexed.entries, stored as u64)?;
    let index = std::fs::read_to_string(place.root().join("index.yaml"))?;
    for topic in &acknowledged {
        let key = Key::new(format!("react/{topic}"))?;
        let body = knowledge.cache.store().get(&key)?.ok_or_else(|| format!("{key} was acknowledged and is lost"))?;
        same("the body", body.body(), format!("docs of {topic}").as_bytes())?;
        check(index.contains(&format!("\"{topic}\"")), || format!("the index does not name {topic}"))?;
    }
    Ok(format!("{} acknowledged, {stored} stored and indexed", acknowledged.len()))
}

/// One of the processes that store topics of the same library.
pub(crate) fn child(_role: &str, args: &child::Args) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let cache = Cache::builder(args.get("root")).build()?;
    for number in 0..TOPICS {
        let topic = format!("topic-{}-{number}", args.get("writer"));
        let key = key_of("react", Some(&topic))?;
        runtime.block_on(cache.put(&key, format!("docs of {topic}"), &Terms::new()))?;
        child::say(&topic);
    }
    Ok(())
}
