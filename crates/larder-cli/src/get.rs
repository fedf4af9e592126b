//! `larder get`: a document as it is stored.

use std::sync::Arc;
use std::time::Duration;

use larder::counters::{Counter, Fold};
use larder_storage::{Entry, Key, Standing};
use larder_upstream::Life;
use serde::Serialize;

use crate::args::{Get, Global};
use crate::exit::{Exit, Failed};
use crate::json::Body;
use crate::output::Output;
use crate::{root, status, text};

/// There is no copy that may be given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
enum Absent {
    #[error("nothing is stored under {key:?}")]
    Nothing { key: Key },
    #[error("the copy of {key:?} was invalidated: --offline gives it all the same")]
    Invalidated { key: Key },
    #[error("the copy of {key:?} is not fresh any more: --offline gives it all the same")]
    Stale { key: Key },
    #[error("the copy of {key:?} is {age} old, and --max-age takes none over {bound}")]
    Old { key: Key, age: String, bound: String },
    #[error("nothing can fetch {key:?} anew: leave out --refresh for the stored copy, or use `larder run --refresh`")]
    NoSource { key: Key },
}

/// What `get --json` prints.
#[derive(Serialize)]
struct Answer<'a> {
    key: &'a Key,
    #[serde(flatten)]
    body: Body<'a>,
    tags: Vec<&'a str>,
    fetched_ms: u64,
    fresh_until_ms: u64,
    outcome: &'a larder::Outcome,
}

pub(crate) fn run(global: &Global, terms: &Get, output: Output) -> Result<Exit, Failed> {
    let store = Arc::new(root::open(global)?);
    let found = store.get_with_invalidated(&terms.key)?;
    let now = store.clock().wall();
    let (entry, life) = match judge(terms, found, now) {
        Ok(good) => good,
        Err(absent) => {
            status::count(&store, Fold::WhenPressing, &[(Counter::Misses, 1)]);
            return Err(Failed::new(Exit::ABSENT, absent));
        }
    };
    let mut outcome = status::hit(&life, now);
    if terms.offline && (entry.standing() != Standing::Current || !life.is_fresh(now)) {
        outcome.detail = Some("offline".into());
    }
    output.status(&outcome);
    let given = if output.json {
        output.object(&Answer {
            key: &terms.key,
            body: Body::of(entry.body()),
            tags: entry.metadata().tags().iter().map(larder_storage::Tag::as_str).collect(),
            fetched_ms: life.fetched_ms,
            fresh_until_ms: life.fresh_until_ms,
            outcome: &outcome,
        })
    } else {
        output.data(entry.body())
    };
    let counts = [(Counter::HitsDisk, 1), (Counter::BytesServed, entry.body().len() as u64)];
    status::count(&store, Fold::WhenPressing, &counts);
    given.map(|()| Exit::OK)
}

fn judge(terms: &Get, found: Option<Entry>, now: std::time::SystemTime) -> Result<(Entry, Life), Absent> {
    let key = terms.key.clone();
    if terms.refresh {
        return Err(Absent::NoSource { key });
    }
    let Some(entry) = found else { return Err(Absent::Nothing { key }) };
    let life = Life::of_or_default(&entry);
    if terms.offline {
        return Ok((entry, life));
    }
    if entry.standing() != Standing::Current {
        return Err(Absent::Invalidated { key });
    }
    if !life.is_fresh(now) {
        return Err(Absent::Stale { key });
    }
    match terms.max_age {
        Some(bound) if Duration::from_millis(age_ms(&life, now)) > bound.0 => {
            let age = text::span(Duration::from_millis(age_ms(&life, now)));
            Err(Absent::Old { key, age, bound: text::span(bound.0) })
        }
        _ => Ok((entry, life)),
    }
}

fn age_ms(life: &Life, now: std::time::SystemTime) -> u64 {
    text::unix_ms(now).saturating_sub(life.fetched_ms)
}
