//! What must be true when several workers ask, and one of them is told of an event.

use larder::{Cache, Level};
use larder_testkit::Child;

use crate::criteria::{Outcome, check, same};
use crate::place::{Place, text, until, until_calls};
use crate::requests::{Event, Request};
use crate::worker::{ask, configured};

const TASKS: usize = 8;
const WORKERS: usize = 3;
/// How many answers there are below the prefix that is invalidated.
const BELOW: usize = 200;

/// Another process that has opened the same root.
fn worker(place: &Place) -> Child {
    let mut worker = place.spawn("worker", &[]);
    worker.wait_for_line("ready");
    worker
}

/// What it answers.
fn hear(worker: &mut Child) -> Outcome<String> {
    worker.next_line().filter(|said| !said.starts_with("error")).ok_or_else(|| worker.printed().into())
}

fn asked(worker: &mut Child, path: &str) -> Outcome<String> {
    worker.send_line(&format!("ask {path}"));
    hear(worker)
}

/// Handles an event, in this process.
async fn handle(cache: &Cache, event: Event<'_>) -> Outcome {
    cache.invalidate(&event.invalidations()?).await?;
    Ok(())
}

pub(crate) async fn one_call(place: &Place) -> Outcome<String> {
    let hold = place.upstream.hold();
    let mut workers: Vec<_> = (0..WORKERS).map(|_| worker(place)).collect();
    for worker in &mut workers {
        worker.send_line(&format!("many {TASKS} books 17"));
    }
    for worker in &mut workers {
        worker.wait_for_line("waiting");
    }
    drop(hold);
    for worker in &mut workers {
        for _ in 0..TASKS {
            let said = hear(worker)?;
            check(said.starts_with("books/17/GET?, call 1 |"), || format!("a task got {said}"))?;
        }
    }
    same("calls", place.upstream.calls(), 1)?;
    Ok(format!("{} callers, 1 call", WORKERS * TASKS))
}

/// Asks until the worker has it in memory, which it needs a reading from the disk for.
fn into_memory(worker: &mut Child, path: &str) -> Outcome<String> {
    for _ in 0..4 {
        let said = asked(worker, path)?;
        if said.contains("hit") && said.contains("detail=memory") {
            return Ok(said);
        }
    }
    Err(format!("{path} does not come into the worker's memory").into())
}

pub(crate) async fn in_memory(place: &Place) -> Outcome<String> {
    let cache = configured(place.builder())?.build()?;
    let mut other = worker(place);
    let mut calls = 0;
    for event in [Event::BookUpdated { book: "17" }, Event::BookDeleted { book: "17" }] {
        calls += 1;
        let said = into_memory(&mut other, "books 17")?;
        check(said.starts_with(&format!("books/17/GET?, call {calls} |")), || said.clone())?;
        handle(&cache, event).await?;
        let said = asked(&mut other, "books 17")?;
        check(said.starts_with(&format!("books/17/GET?, call {} | larder; fwd=", calls + 1)), || {
            format!("after {event:?} another worker gives: {said}")
        })?;
    }
    same("calls", place.upstream.calls(), 3)?;
    Ok("2 events, each in force in the other process with the next question".to_owned())
}

pub(crate) async fn by_tag(place: &Place) -> Outcome<String> {
    let (cache, mut other) = (configured(place.builder())?.build()?, worker(place));
    // which books are in a list is known only when it comes
    let paths = [
        ("publishers 7 books", "1 10", true),
        ("publishers 8 books", "10", false),
        ("books 1", "1", true),
        ("books 10", "10", false),
    ];
    for (path, books, _) in paths {
        place.upstream.answers(&format!("call {{call}}, books: {books}"));
        into_memory(&mut other, path)?;
    }
    let before = place.upstream.calls();
    handle(&cache, Event::BookUpdated { book: "1" }).await?;
    for (path, _, is_covered) in paths {
        let said = asked(&mut other, path)?;
        same(&format!("whether {path} is fetched anew ({said})"), said.contains("fwd="), is_covered)?;
    }
    same("calls", place.upstream.calls() - before, 2)?;
    Ok("its list and itself; `10` and the list without it stay; 2 calls".to_owned())
}

pub(crate) async fn each(place: &Place) -> Outcome<String> {
    let cache = configured(place.builder())?.build()?;
    let paths: [&[&str]; 6] = [
        &["books", "1"],
        &["books"],
        &["publishers"],
        &["publishers", "7"],
        &["publishers", "7", "books"],
        &["links", "1"],
    ];
    // which of these an event is about
    let rows = [
        (Event::BookCreated, [false, true, false, false, true, false]),
        (Event::BookUpdated { book: "1" }, [true, true, false, false, true, false]),
        (Event::BookDeleted { book: "1" }, [true, true, false, false, true, false]),
        (Event::PublisherCreated, [false, false, true, false, false, false]),
        (Event::PublisherUpdated { publisher: "7" }, [false, false, true, true, true, false]),
        (Event::PublisherDeleted { publisher: "7" }, [false, true, true, true, true, false]),
    ];
    for (event, expected) in rows {
        for (at, path) in paths.into_iter().enumerate() {
            place.upstream.answers(if matches!(at, 2 | 3 | 5) { "no books" } else { "books: 1" });
            ask(&cache, &place.upstream, &Request::get(path)).await?;
        }
        handle(&cache, event).await?;
        let mut gone = [false; 6];
        for (path, gone) in paths.into_iter().zip(&mut gone) {
            let key = Request::get(path).key()?.ok_or("reading has a key")?;
            *gone = cache.get(&key).await?.is_none();
        }
        same(&format!("what {event:?} is about"), gone, expected)?;
    }
    Ok(format!("{} events on {} answers each", rows.len(), paths.len()))
}

pub(crate) async fn by_prefix(place: &Place) -> Outcome<String> {
    let (cache, mut other) = (configured(place.builder())?.build()?, worker(place));
    for page in 0..BELOW {
        ask(&cache, &place.upstream, &Request::get(&["publishers", "7"]).with("page", &page.to_string())).await?;
    }
    into_memory(&mut other, "publishers 7")?;
    into_memory(&mut other, "publishers 70")?;
    handle(&cache, Event::PublisherUpdated { publisher: "7" }).await?;
    let mut stale = 0;
    for page in 0..BELOW {
        let request = Request::get(&["publishers", "7"]).with("page", &page.to_string());
        let key = request.key()?.ok_or("it has a key")?;
        stale += usize::from(cache.get(&key).await?.is_none());
    }
    same("answers that are in force no more", stale, BELOW)?;
    check(asked(&mut other, "publishers 7")?.contains("fwd="), || "the other worker still has it".to_owned())?;
    check(asked(&mut other, "publishers 70")?.contains("hit"), || "70 was taken for a part of 7".to_owned())?;
    let steps = cache.stats().await?.totals.invalidations;
    same("invalidations: of the list of publishers, and of all below one", steps, 2)?;
    Ok(format!("{} answers, 1 invalidation; `70` stays", BELOW + 1))
}

pub(crate) async fn in_flight(place: &Place) -> Outcome<String> {
    let (cache, mut early) = (configured(place.builder())?.build()?, worker(place));
    let hold = place.upstream.hold();
    early.send_line("ask books 17");
    until_calls(&place.upstream, 1).await?;
    handle(&cache, Event::BookUpdated { book: "17" }).await?;
    let late = tokio::spawn({
        let (cache, upstream) = (cache.clone(), place.upstream.clone());
        async move { ask(&cache, &upstream, &Request::get(&["books", "17"])).await }
    });
    until("the late one waits", async || cache.stats().await.is_ok_and(|stats| stats.waiting == 1)).await?;
    drop(hold);
    let said = hear(&mut early)?;
    check(said.starts_with("books/17/GET?, call 1 |") && said.contains("stored=?0"), || {
        format!("who asked before the event got: {said}")
    })?;
    let late = late.await??;
    same("who asked after it", text(&late).as_str(), "books/17/GET?, call 2")?;
    let said = asked(&mut early, "books 17")?;
    check(said.starts_with("books/17/GET?, call 2 |"), || format!("what is stored in the end: {said}"))?;
    same("calls", place.upstream.calls(), 2)?;
    same("calls at the same time", place.upstream.in_flight_max(), 1)?;
    Ok("the older answer went to who had asked for it, and was not stored; 2 calls".to_owned())
}

pub(crate) async fn counters(place: &Place) -> Outcome<String> {
    let mut workers: Vec<_> = (0..WORKERS).map(|_| worker(place)).collect();
    let mut asked_in_all = 0;
    for round in 0..5 {
        for worker in &mut workers {
            for id in 0..=round {
                asked(worker, &format!("books {id}"))?;
                asked_in_all += 1;
            }
        }
    }
    for worker in &mut workers {
        worker.wait_for_success();
    }
    let cache = configured(place.builder())?.build()?;
    let totals = cache.stats().await?.totals;
    let (hits, misses) = (totals.hits_memory + totals.hits_disk, totals.misses);
    same("hits and misses", (hits, misses), (asked_in_all - 5, 5))?;
    same("calls", place.upstream.calls() as u64, misses)?;
    let answer = ask(&cache, &place.upstream, &Request::get(&["books", "0"])).await?;
    same("where the next comes from", answer.outcome.level, Level::Disk)?;
    Ok(format!("{WORKERS} workers, {asked_in_all} questions: {hits} hits, {misses} misses"))
}
