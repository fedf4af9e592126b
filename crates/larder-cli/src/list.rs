//! `larder list`: what is stored.

use std::io::{self, Write};

use larder_staleness::Life;
use larder_storage::{Standing, Summary};
use larder_upstream::About;
use serde::Serialize;

use crate::args::{Global, List};
use crate::exit::{Exit, Failed};
use crate::output::{Output, unwritten};
use crate::text::{distance, plain, unix_ms};
use crate::{json, root};

/// An entry of `list --json`.
#[derive(Serialize)]
struct Item<'a> {
    key: &'a larder_storage::Key,
    bytes: u64,
    stored_ms: u64,
    fetched_ms: u64,
    fresh_until_ms: u64,
    fresh: bool,
    standing: &'static str,
    tags: Vec<&'a str>,
}

pub(crate) fn run(global: &Global, terms: &List, output: Output) -> Result<Exit, Failed> {
    let store = root::open_read_only(global)?;
    let now = store.clock().wall();
    // written as it is found: there may be millions
    let mut out = io::BufWriter::new(io::stdout().lock());
    if output.json {
        out.write_all(b"{\"version\":1,\"entries\":[").map_err(unwritten)?;
    }
    let mut is_first = true;
    for summary in store.list(&terms.prefix)? {
        let summary = summary?;
        let life = life_of(&summary);
        let written = if output.json {
            let comma = if is_first { "" } else { "," };
            let item = serde_json::to_string(&item(&summary, &life, now)).unwrap_or_default();
            write!(out, "{comma}{item}")
        } else {
            writeln!(out, "{}\t{}\t{}", plain(summary.key.as_str()), summary.length, state(&summary, &life, now))
        };
        written.map_err(unwritten)?;
        is_first = false;
    }
    if output.json {
        out.write_all(b"]}\n").map_err(unwritten)?;
    }
    out.flush().map_err(unwritten)?;
    Ok(Exit::OK)
}

fn life_of(summary: &Summary) -> Life {
    About::in_metadata_or_default(&summary.metadata, summary.stored_at).life
}

fn state(summary: &Summary, life: &Life, now: std::time::SystemTime) -> String {
    if summary.standing != Standing::Current {
        return "invalidated".to_owned();
    }
    let until = distance(life.ttl_left(now).into());
    if life.is_fresh(now) { format!("fresh, stale {until}") } else { format!("stale since {until}") }
}

fn item<'a>(summary: &'a Summary, life: &Life, now: std::time::SystemTime) -> Item<'a> {
    Item {
        key: &summary.key,
        bytes: summary.length,
        stored_ms: unix_ms(summary.stored_at),
        fetched_ms: life.fetched_ms,
        fresh_until_ms: life.fresh_until_ms,
        fresh: summary.standing == Standing::Current && life.is_fresh(now),
        standing: json::standing(summary.standing),
        tags: summary.metadata.tags().iter().map(larder_storage::Tag::as_str).collect(),
    }
}
