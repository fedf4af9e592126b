//! `larder gc`: what nobody needs is removed.

use std::sync::Arc;

use larder_storage::Bounds;
use larder_upstream::Flights;
use serde::Serialize;

use crate::args::{Gc, Global};
use crate::config::Loaded;
use crate::exit::{Exit, Failed};
use crate::lock::{self, FOLDER};
use crate::output::Output;
use crate::room::{self, Wanted};
use crate::root;

/// The most files of flights, and of named locks, that one sweep looks at.
const FILES_MAX: usize = 1_000_000;

/// What `gc --json` prints.
#[derive(Serialize)]
struct Answer {
    evicted: u64,
    evicted_bytes: u64,
    left: u64,
    left_bytes: u64,
    temporaries: u64,
    temporaries_in_use: u64,
    entries: u64,
    folders: u64,
    locks: u64,
    flights: u64,
}

pub(crate) fn run(global: &Global, terms: &Gc, output: Output) -> Result<Exit, Failed> {
    let loaded = Loaded::find(global)?;
    let options = loaded.options();
    let limits = loaded.config.limits();
    let bounds = Bounds {
        bytes: terms.bytes_max.unwrap_or(limits.bytes_max),
        entries: terms.entries_max.unwrap_or(limits.entries_max),
    };
    let store = Arc::new(options.bounds(bounds).open(root::path(global)?)?);
    if global.behind {
        room::evict(&store, Wanted::Room)?;
        return Ok(Exit::OK);
    }
    // before the files of flights: they tell which documents are the last good copies
    let evicted = room::evict(&store, Wanted::Tidiness)?;
    let flights = Flights::new(Arc::clone(&store)).sweep(FILES_MAX);
    let flights = flights.map_err(|error| Failed::new(Exit::INPUT_OUTPUT, error))?;
    let named = match store.annex_if_present(FOLDER)? {
        Some(annex) => {
            let locks = lock::locks(&store, annex.locks().backend(), "")?;
            locks.sweep(FILES_MAX).map_err(|error| Failed::new(Exit::INPUT_OUTPUT, error))?.removed
        }
        None => 0,
    };
    let swept = store.sweep()?;
    if let Err(error) = larder::views::metrics(&store) {
        output.warn(&format!("metrics.yaml is not up to date: {}", crate::exit::chain(&error)));
    }
    let answer = Answer {
        evicted: evicted.removed.entries,
        evicted_bytes: evicted.removed.bytes,
        left: evicted.left.entries,
        left_bytes: evicted.left.bytes,
        temporaries: swept.temporaries,
        temporaries_in_use: swept.in_use,
        entries: swept.entries,
        folders: swept.folders,
        locks: swept.locks.saturating_add(named as u64),
        flights: flights.removed as u64,
    };
    if output.json {
        output.object(&answer)?;
    } else {
        let Answer { evicted, evicted_bytes, left, left_bytes, .. } = answer;
        let Answer { temporaries, temporaries_in_use, entries, folders, locks, flights, .. } = answer;
        output.data(
            format!(
                "removed: {evicted} documents ({evicted_bytes} bytes), {temporaries} temporary files, {entries} invalidated documents, {folders} empty folders, \
                 {locks} lock files, {flights} files of past flights\n\
                 left: {left} documents ({left_bytes} bytes)\n"
            )
            .as_bytes(),
        )?;
        if temporaries_in_use > 0 {
            output.note(&format!("{temporaries_in_use} temporary files are in use, and were left alone"));
        }
    }
    Ok(Exit::OK)
}
