//! `larder refresh`: the refresh worker. It finds what is due, queues it, and has each task done by a process of its own.

mod access;
mod due;
mod errand;
mod progress;
mod work;

use std::fmt::Write as _;
use std::sync::Arc;

use larder_lock::Cancellation;
use serde::Serialize;

use crate::args::{Global, Refresh};
use crate::config::Loaded;
use crate::exit::{Exit, Failed};
use crate::output::Output;
use crate::signals::{Signals, Target};
use crate::{queue, root};

pub(crate) use self::access::noticed;

/// The most failures that a report tells one by one; all are counted.
const TOLD_MAX: usize = 100;

/// What `refresh --json` prints.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// Documents that were found to be due, or named.
    found: u64,
    /// Tasks that were fetched for.
    refreshed: u64,
    /// Tasks whose documents others had refreshed since they were added.
    already: u64,
    /// Attempts that failed; the queue tries them again.
    failed: u64,
    /// Of these, those that are not tried again.
    dead: u64,
    /// Tasks that this worker had no longer when it was done.
    lost: u64,
    /// Tasks that were given back at the end.
    given_back: u64,
    /// Tasks that are still to be done.
    left: u64,
    /// Those of them that could be done now, and have no source in this configuration.
    unsourced: u64,
    failures: Vec<Told>,
}

#[derive(Debug, Serialize)]
struct Told {
    key: String,
    error: String,
}

impl Report {
    fn tell(&mut self, key: &str, error: &str) {
        if self.failures.len() < TOLD_MAX {
            self.failures.push(Told { key: key.to_owned(), error: error.to_owned() });
        }
    }
}

pub(crate) fn run(global: &Global, terms: &Refresh, output: Output) -> Result<Exit, Failed> {
    let loaded = Loaded::find(global)?;
    let mut report = Report::default();
    if !loaded.may_fetch_behind() {
        output.note("refreshing is switched off in the configuration: nothing is done");
        return finish(&report, output);
    }
    let store = Arc::new(loaded.options().open(root::path(global)?)?);
    // who has nothing to do makes nothing
    if terms.target.is_none() && !store.is_present()? && !terms.watch {
        return finish(&report, output);
    }
    let cancellation = Cancellation::new();
    let signals = Signals::catch(Target::Wait(cancellation.clone()))
        .map_err(|error| Failed::new(Exit::INPUT_OUTPUT, crate::ask::Unusable::Signals(error)))?;
    let work = work::Work::new(global, terms, &loaded, &store, queue::open(&store)?, &cancellation)?;
    let worked = work.run(&mut report, output);
    worked.and_then(|()| signals.check()).inspect_err(|_| {
        // whatever ended it, what was done is told
        let _ = finish(&report, output);
    })?;
    finish(&report, output)
}

fn finish(report: &Report, output: Output) -> Result<Exit, Failed> {
    if output.json {
        output.object(report)?;
    } else {
        let Report { found, refreshed, already, failed, dead, lost, given_back, left, unsourced, failures } = report;
        let mut text = format!("{found} found, {refreshed} refreshed, {failed} failed, {left} left");
        for (count, what) in [
            (already, "refreshed by others meanwhile"),
            (dead, "not tried again"),
            (lost, "taken over by others"),
            (given_back, "given back"),
            (unsourced, "without a source here"),
        ] {
            if *count > 0 {
                let _ = write!(text, ", {count} {what}");
            }
        }
        text.push('\n');
        output.data(text.as_bytes())?;
        for Told { key, error } in failures {
            output.note(&format!("{}: {}", crate::text::plain(key), crate::text::plain(error)));
        }
    }
    let is_well = report.failed == 0 && report.dead == 0;
    Ok(if is_well { Exit::OK } else { Exit::UNAVAILABLE })
}
