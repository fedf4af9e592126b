//! `larder explain`: what is stored under a key, and why it is or is not given out.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::SystemTime;

use larder_storage::{Entry, Key, Standing};
use larder_upstream::{Flights, Life, UnderWay};
use serde::Serialize;

use crate::args::{Explain, Global};
use crate::exit::{Exit, Failed};
use crate::flights::{self, FlightObject};
use crate::output::Output;
use crate::text::{distance, plain, span, unix_ms};
use crate::{json, root};

/// What `explain --json` prints.
#[derive(Serialize)]
struct Answer<'a> {
    key: &'a Key,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stored: Option<Stored<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flight: Option<FlightObject<'a>>,
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are those of the JSON")]
struct Stored<'a> {
    bytes: usize,
    stored_ms: u64,
    fetched_ms: u64,
    fresh_until_ms: u64,
    fetch_ms: u64,
    age_s: i64,
    ttl_s: i64,
    durability: larder_storage::Durability,
    standing: &'static str,
    generation: String,
    tags: Vec<&'a str>,
}

pub(crate) fn run(global: &Global, terms: &Explain, output: Output) -> Result<Exit, Failed> {
    // for writing, because only then can it be told whether the leader of a flight lives; nothing is made
    let store = Arc::new(root::open(global)?);
    let found = store.get_with_invalidated(&terms.key)?;
    let now = store.clock().wall();
    let under_way = Flights::new(Arc::clone(&store)).under_way();
    let under_way = under_way.map_err(|error| Failed::new(Exit::INPUT_OUTPUT, error))?;
    let flight = under_way.iter().find(|flight| flight.key == terms.key);
    let (verdict, _) = verdict(found.as_ref(), now);
    if output.json {
        let stored = found.as_ref().map(|entry| stored(entry, now));
        output.object(&Answer { key: &terms.key, verdict, stored, flight: flight.map(FlightObject::from) })?;
    } else {
        output.data(words(&terms.key, found.as_ref(), flight, now).as_bytes())?;
    }
    Ok(if found.is_some() { Exit::OK } else { Exit::ABSENT })
}

/// The verdict as a word, and what it means.
fn verdict(found: Option<&Entry>, now: SystemTime) -> (&'static str, &'static str) {
    let Some(entry) = found else { return ("absent", "nothing is stored, or it was invalidated hard") };
    let life = Life::of_or_default(entry);
    if entry.standing() != Standing::Current {
        return ("invalidated", "it was invalidated after it was fetched; --offline gives it all the same");
    }
    if life.is_fresh(now) {
        return ("fresh", "it is given to whoever asks");
    }
    if life.age(now) < 0 {
        return ("stale", "it is from the future, so that some clock was wrong; --offline gives it all the same");
    }
    ("stale", "its time is over; --offline gives it all the same")
}

fn stored(entry: &Entry, now: SystemTime) -> Stored<'_> {
    let life = Life::of_or_default(entry);
    Stored {
        bytes: entry.body().len(),
        stored_ms: unix_ms(entry.stored_at()),
        fetched_ms: life.fetched_ms,
        fresh_until_ms: life.fresh_until_ms,
        fetch_ms: life.fetch_ms,
        age_s: life.age(now),
        ttl_s: life.ttl_left(now),
        durability: entry.durability(),
        standing: json::standing(entry.standing()),
        generation: entry.token().to_string(),
        tags: entry.metadata().tags().iter().map(larder_storage::Tag::as_str).collect(),
    }
}

fn words(key: &Key, found: Option<&Entry>, flight: Option<&UnderWay>, now: SystemTime) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<11} {value}");
    };
    line("key", &plain(key.as_str()));
    let (word, meaning) = verdict(found, now);
    line("verdict", &format!("{word}: {meaning}"));
    if let Some(entry) = found {
        let life = Life::of_or_default(entry);
        line("size", &format!("{} bytes", entry.body().len()));
        let took = span(std::time::Duration::from_millis(life.fetch_ms));
        line("fetched", &format!("{}; it took {took}", distance(-i128::from(life.age(now)))));
        line("fresh until", &distance(life.ttl_left(now).into()));
        line("durability", if entry.durability() == larder_storage::Durability::Full { "full" } else { "relaxed" });
        line("generation", &entry.token().to_string());
        let tags: Vec<&str> = entry.metadata().tags().iter().map(larder_storage::Tag::as_str).collect();
        if !tags.is_empty() {
            line("tags", &plain(&tags.join(", ")));
        }
        if Life::of(entry).is_none() {
            line("note", "stored without times, so that the default of 30d counts from when it was stored");
        }
    }
    line("flight", &flight.map_or_else(|| "none".to_owned(), flights::words));
    text
}
