//! Many answers at once: those that are there, and one call for all that are not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use larder::{Cache, Key};
use larder_staleness::Life;
use larder_storage::{Put, put};
use larder_testkit::Upstream;
use larder_upstream::About;

use crate::criteria::{Outcome, check, same};
use crate::place::{Place, text, until_calls};
use crate::requests::{Event, Request, classes, tags};
use crate::worker::{ask, configured};

/// What a batch came to.
struct Batch {
    bodies: BTreeMap<String, String>,
    /// How many of them are stored now that were not before.
    stored: usize,
}

/// The books of these numbers. Each that is missing is stored as if it had been asked for alone.
async fn books(cache: &Cache, upstream: &Arc<Upstream>, ids: &[&str]) -> Outcome<Batch> {
    let (mut batch, mut missing) = (Batch { bodies: BTreeMap::new(), stored: 0 }, Vec::new());
    for id in ids {
        let request = Request::get(&["books", id]);
        let key = request.key()?.ok_or("reading has a key")?;
        match cache.get(&key).await? {
            Some(answer) => _ = batch.bodies.insert((*id).to_owned(), text(&answer)),
            None => missing.push(((*id).to_owned(), key, tags(&request)?)),
        }
    }
    if missing.is_empty() {
        return Ok(batch);
    }
    let names: Vec<_> = missing.iter().map(|(id, ..)| id.as_str()).collect();
    let question = format!("books?ids={}", names.join(","));
    let (before, upstream) = (Arc::clone(cache.store()), Arc::clone(upstream));
    let (token, answer) = tokio::task::spawn_blocking(move || {
        // before the call: what an event makes invalid meanwhile must not be stored as if it came after
        let token = before.token();
        (token, upstream.call(&question))
    })
    .await?;
    let (token, answer, classes) = (token?, answer?, classes()?);
    for (id, key, tags) in missing {
        let body = format!("book {id} of call {}", answer.call);
        let life = Life::new(cache.store().clock().wall(), classes.of_key(key.as_str()).policy, Duration::ZERO);
        let put = Put::new().fetched_in(token).metadata(About::new(life).metadata(&tags)?);
        match store(cache, key, body.clone(), put).await? {
            Ok(_) => batch.stored += 1,
            // the caller asked before the event, and gets it all the same
            Err(put::Error::Fenced { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        batch.bodies.insert(id, body);
    }
    Ok(batch)
}

async fn store(cache: &Cache, key: Key, body: String, put: Put) -> Outcome<Result<larder::Published, put::Error>> {
    let store = Arc::clone(cache.store());
    Ok(tokio::task::spawn_blocking(move || store.put(&key, body.as_bytes(), &put)).await?)
}

pub(crate) async fn one_call(place: &Place) -> Outcome<String> {
    let cache = configured(place.builder())?.build()?;
    for id in ["2", "4"] {
        ask(&cache, &place.upstream, &Request::get(&["books", id])).await?;
    }
    let ids = ["1", "2", "3", "4", "5", "6"];
    let first = books(&cache, &place.upstream, &ids).await?;
    same("answers, and stored", (first.bodies.len(), first.stored), (6, 4))?;
    same("one that was there", first.bodies["2"].as_str(), "books/2/GET?, call 1")?;
    same("one that was not", first.bodies["3"].as_str(), "book 3 of call 3")?;
    let again = books(&cache, &place.upstream, &ids).await?;
    check(again.bodies == first.bodies && again.stored == 0, || format!("again: {:?}", again.bodies))?;
    let alone = ask(&cache, &place.upstream, &Request::get(&["books", "3"])).await?;
    same("asked for alone", text(&alone).as_str(), "book 3 of call 3")?;
    same("calls", place.upstream.calls(), 3)?;
    Ok("2 there, 4 fetched with 1 call, then none".to_owned())
}

pub(crate) async fn overtaken(place: &Place) -> Outcome<String> {
    let cache = configured(place.builder())?.build()?;
    let hold = place.upstream.hold();
    let batch = tokio::spawn({
        let (cache, upstream) = (cache.clone(), place.upstream.clone());
        async move { books(&cache, &upstream, &["1", "2"]).await }
    });
    until_calls(&place.upstream, 1).await?;
    cache.invalidate(&Event::BookUpdated { book: "1" }.invalidations()?).await?;
    drop(hold);
    let batch = batch.await??;
    same("answers, and stored", (batch.bodies.len(), batch.stored), (2, 1))?;
    for (id, call) in [("1", "books/1/GET?, call 2"), ("2", "book 2 of call 1")] {
        let answer = ask(&cache, &place.upstream, &Request::get(&["books", id])).await?;
        same("who asks after the event", text(&answer).as_str(), call)?;
    }
    same("calls", place.upstream.calls(), 2)?;
    Ok("1 of 2 not stored, and fetched anew by the next who asks".to_owned())
}
