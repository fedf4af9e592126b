//! What must be true within one worker: keys, times, absence, outages.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use larder::{Cache, Class, Context, Failure, Fetched, Options, Terms, fetch};
use larder_testkit::VirtualClock;

use crate::criteria::{Outcome, check, same};
use crate::place::{Place, text};
use crate::requests::{Event, FRESH_SECONDS, NEGATIVE, Request};
use crate::worker::{ask, configured};

const MOMENT: Duration = Duration::from_millis(1);

/// Texts that a careless key takes apart, or puts together.
const PARTS: [&str; 17] =
    ["1", "10", "1/GET?", "GET?", "a b", "b a", "A", "a", "", ".", "..", "x&page=2", "x=1", "%", "%2F", "/", "é"];

fn scene(place: &Place) -> Outcome<(Cache, Arc<VirtualClock>)> {
    let clock = Arc::new(VirtualClock::new());
    Ok((configured(place.builder())?.store_options(Options::new().clock(clock.clone())).build()?, clock))
}

pub(crate) async fn keys(place: &Place) -> Outcome<String> {
    let (cache, _) = scene(place)?;
    let mut requests = Vec::new();
    for one in PARTS {
        requests.push(Request::get(&[one]));
        for other in PARTS {
            requests.push(Request::get(&[one, other]));
            requests.push(Request::get(&["search"]).with("q", one).with("to", other));
            requests.push(Request::get(&["search"]).with("q", one).with("q", other));
        }
    }
    let mut seen = BTreeMap::new();
    for request in &requests {
        let key = request.key()?.ok_or("reading has a key")?;
        if let Some(other) = seen.insert(key.clone(), request) {
            return Err(format!("{request:?} and {other:?} have the key {key}").into());
        }
    }
    // a part of them is stored, and comes back as it was
    for request in requests.iter().step_by(7) {
        let (first, again) =
            (ask(&cache, &place.upstream, request).await?, ask(&cache, &place.upstream, request).await?);
        check(first.body == again.body && again.outcome.is_hit(), || format!("{request:?}: {}", again.outcome))?;
    }
    let (one, other) = (
        Request::get(&["search"]).with("q", "x").with("page", "2"),
        Request::get(&["search"]).with("page", "2").with("q", "x"),
    );
    check(one.key()? == other.key()?, || "the order of parameters makes two keys of one request".to_owned())?;
    Ok(format!("{} requests, {} keys, {} calls", requests.len(), seen.len(), place.upstream.calls()))
}

pub(crate) async fn classes(place: &Place) -> Outcome<String> {
    let (cache, clock) = scene(place)?;
    let paths: [(&str, &[&str]); 5] = [
        ("book", &["books", "17"]),
        ("list", &["books"]),
        ("list", &["publishers", "7", "books"]),
        ("publisher", &["publishers", "7"]),
        ("link", &["links", "17", "cover.jpg"]),
    ];
    for (class, path) in paths {
        let seconds = FRESH_SECONDS.iter().find(|(name, ..)| *name == class).map(|(_, seconds, _)| *seconds);
        let fresh = Duration::from_secs(seconds.ok_or("there is no such class")?);
        let request = Request::get(path);
        let key = request.key()?.ok_or("reading has a key")?;
        ask(&cache, &place.upstream, &request).await?;
        clock.advance(fresh);
        check(cache.get(&key).await?.is_some(), || format!("{key} is stale after {fresh:?} already"))?;
        clock.advance(MOMENT);
        check(cache.get(&key).await?.is_none(), || format!("{key} is fresh after more than {fresh:?}"))?;
    }
    Ok(format!("{} answers, each to the millisecond", paths.len()))
}

pub(crate) async fn absent(place: &Place) -> Outcome<String> {
    let (cache, clock) = scene(place)?;
    let key = Request::get(&["books", "0"]).key()?.ok_or("reading has a key")?;
    let calls = Arc::new(AtomicUsize::new(0));
    let counting = || {
        let calls = Arc::clone(&calls);
        move |_: Context| async move {
            calls.fetch_add(1, Ordering::SeqCst);
            Err::<Fetched, _>(Failure::new(Class::Absent, "there is no such book"))
        }
    };
    for expected in [1, 2] {
        for _ in 0..5 {
            let Err(fetch::Error::Failed { failure, .. }) = cache.get_or_fetch(&key, counting()).await else {
                return Err("a book that there is not was answered".into());
            };
            same("its class", failure.class, Class::Absent)?;
        }
        same("calls", calls.load(Ordering::SeqCst), expected)?;
        clock.advance(NEGATIVE + MOMENT);
    }
    let terms = Terms::new().ttl(Duration::ZERO);
    let key = Request::get(&["books", "1"]).key()?.ok_or("reading has a key")?;
    for _ in 0..3 {
        crate::worker::ask_as(&cache, &place.upstream, &key, &terms).await?;
    }
    same("calls for what is fresh for nothing", place.upstream.calls(), 3)?;
    for method in ["POST", "PUT", "DELETE"] {
        same("the key of what changes something", Request::new(method, &["books", "1"]).key()?, None)?;
    }
    Ok("10 callers, 2 calls a minute apart; 0 s: each its own call".to_owned())
}

pub(crate) async fn outage(place: &Place) -> Outcome<String> {
    let (cache, clock) = scene(place)?;
    let request = Request::get(&["books", "17"]);
    ask(&cache, &place.upstream, &request).await?;
    place.upstream.fails("bad gateway");
    clock.advance(Duration::from_secs(301));
    let mut calls = 1;
    for event in [None, Some(Event::BookUpdated { book: "17" })] {
        if let Some(event) = event {
            cache.invalidate(&event.invalidations()?).await?;
        }
        for _ in 0..4 {
            let answer = ask(&cache, &place.upstream, &request).await?;
            same("the copy", text(&answer).as_str(), "books/17/GET?, call 1")?;
            same("its label", (answer.outcome.stale, answer.outcome.age), (true, Some(301)))?;
        }
        calls += 1;
        same("calls", place.upstream.calls(), calls)?;
    }
    cache.invalidate(&Event::BookDeleted { book: "17" }.invalidations()?).await?;
    check(ask(&cache, &place.upstream, &request).await.is_err(), || "a deleted book is still given".to_owned())?;
    Ok("8 callers, 2 calls; nothing once it is deleted".to_owned())
}
