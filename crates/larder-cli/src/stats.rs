//! `larder stats`: how much is stored, and how it was used.

use std::fmt::Write as _;

use larder::counters::Totals;
use serde::Serialize;

use crate::args::Global;
use crate::exit::{Exit, Failed};
use crate::output::Output;
use crate::root;

/// What `stats --json` prints.
#[derive(Serialize)]
struct Answer<'a> {
    root: &'a str,
    entries: u64,
    entry_bytes: u64,
    quarantined: u64,
    quarantined_bytes: u64,
    counters: &'a Totals,
}

pub(crate) fn run(global: &Global, output: Output) -> Result<Exit, Failed> {
    let store = root::open_read_only(global)?;
    let usage = store.usage()?;
    let totals = Totals::read(&store).map_err(|error| Failed::new(Exit::INPUT_OUTPUT, error))?;
    if output.json {
        output.object(&Answer {
            root: store.path().as_str(),
            entries: usage.entries,
            entry_bytes: usage.entry_bytes,
            quarantined: usage.quarantined,
            quarantined_bytes: usage.quarantined_bytes,
            counters: &totals,
        })?;
        return Ok(Exit::OK);
    }
    let mut text = String::new();
    let mut line = |name: &str, value: u64| {
        let _ = writeln!(text, "{name:<20} {value}");
    };
    line("entries", usage.entries);
    line("bytes on disk", usage.entry_bytes);
    line("quarantined", usage.quarantined);
    line("hits", totals.hits_disk.saturating_add(totals.hits_memory));
    line("misses", totals.misses);
    line("fetches", totals.fetches);
    line("failed fetches", totals.fetch_failures);
    line("joined others", totals.collapsed);
    line("stored", totals.stored);
    line("not stored", totals.not_stored);
    line("of these fenced", totals.fenced);
    line("invalidations", totals.invalidations);
    line("bytes served", totals.bytes_served);
    output.data(text.as_bytes())?;
    Ok(Exit::OK)
}
