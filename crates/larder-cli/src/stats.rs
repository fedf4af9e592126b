//! `larder stats`: how much is stored, and how it was used.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use larder::counters::{ClassTotals, Histogram, Totals};
use larder_storage::{Store, Usage};
use serde::Serialize;

use crate::args::Global;
use crate::exit::{Exit, Failed};
use crate::output::Output;
use crate::root;
use crate::text::plain;

/// What `stats --json` prints: every count as a number of its own.
#[derive(Serialize)]
struct Answer<'a> {
    root: &'a str,
    entries: u64,
    entry_bytes: u64,
    quarantined: u64,
    quarantined_bytes: u64,
    hits: u64,
    hits_memory: u64,
    hits_disk: u64,
    misses: u64,
    stale: u64,
    /// Hits among all that was asked; `null` when nothing was.
    hit_rate: Option<f64>,
    fetches: u64,
    errors: u64,
    collapsed: u64,
    stored: u64,
    not_stored: u64,
    fenced: u64,
    invalidations: u64,
    evictions: u64,
    corrupt: u64,
    lock_waits: u64,
    lock_timeouts: u64,
    bytes_served: u64,
    #[serde(flatten)]
    latencies: BTreeMap<String, Option<f64>>,
    classes: &'a BTreeMap<String, ClassTotals>,
}

/// The quantiles that are told.
const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)];

impl<'a> Answer<'a> {
    fn of(store: &'a Store, usage: &Usage, totals: &'a Totals) -> Self {
        let hits = totals.hits_disk.saturating_add(totals.hits_memory);
        let named = [("fetch_ms", &totals.fetch_us), ("lock_wait_ms", &totals.lock_wait_us)];
        let latencies = named.into_iter().flat_map(|(name, histogram)| {
            QUANTILES.map(|(part, quantile)| (format!("{name}_{part}"), quantile_ms(histogram, quantile)))
        });
        Self {
            root: store.path().as_str(),
            entries: usage.entries,
            entry_bytes: usage.entry_bytes,
            quarantined: usage.quarantined,
            quarantined_bytes: usage.quarantined_bytes,
            hits,
            hits_memory: totals.hits_memory,
            hits_disk: totals.hits_disk,
            misses: totals.misses,
            stale: totals.stale,
            hit_rate: rate(hits, hits.saturating_add(totals.misses)),
            fetches: totals.fetches,
            errors: totals.fetch_failures,
            collapsed: totals.collapsed,
            stored: totals.stored,
            not_stored: totals.not_stored,
            fenced: totals.fenced,
            invalidations: totals.invalidations,
            evictions: totals.evictions,
            corrupt: totals.corrupt,
            lock_waits: totals.lock_waits,
            lock_timeouts: totals.lock_timeouts,
            bytes_served: totals.bytes_served,
            latencies: latencies.collect(),
            classes: &totals.classes,
        }
    }

    fn words(&self) -> String {
        let mut text = String::new();
        for (name, value) in [
            ("documents", self.entries),
            ("bytes on disk", self.entry_bytes),
            ("quarantined", self.quarantined),
            ("hits", self.hits),
            ("misses", self.misses),
            ("stale answers", self.stale),
            ("fetches", self.fetches),
            ("failed fetches", self.errors),
            ("joined others", self.collapsed),
            ("stored", self.stored),
            ("not stored", self.not_stored),
            ("of these fenced", self.fenced),
            ("invalidations", self.invalidations),
            ("evicted", self.evictions),
            ("found damaged", self.corrupt),
            ("waits for others", self.lock_waits),
            ("waits in vain", self.lock_timeouts),
            ("bytes served", self.bytes_served),
        ] {
            let _ = writeln!(text, "{name:<20} {value}");
        }
        if let Some(rate) = self.hit_rate {
            let _ = writeln!(text, "{:<20} {:.1} %", "hit rate", rate * 100.0);
        }
        for (name, ms) in &self.latencies {
            if let Some(ms) = ms {
                let _ = writeln!(text, "{:<20} {ms} ms", name.replace('_', " ").replace(" ms ", " "));
            }
        }
        for (name, class) in self.classes {
            let ClassTotals { hits, misses, stale, fetches, errors, .. } = class;
            let _ = writeln!(
                text,
                "class {:<14} {hits} hits, {misses} misses, {stale} stale, {fetches} fetches, {errors} failed",
                plain(name)
            );
        }
        text
    }
}

pub(crate) fn run(global: &Global, output: Output) -> Result<Exit, Failed> {
    let store = root::open_read_only(global)?;
    let usage = store.usage()?;
    let totals = Totals::read(&store).map_err(|error| Failed::new(Exit::INPUT_OUTPUT, error))?;
    let answer = Answer::of(&store, &usage, &totals);
    if output.json {
        output.object(&answer)?;
    } else {
        output.data(answer.words().as_bytes())?;
    }
    Ok(Exit::OK)
}

#[expect(clippy::cast_precision_loss, reason = "a rate is told to a few digits")]
fn rate(part: u64, all: u64) -> Option<f64> {
    (all > 0).then(|| (part as f64 / all as f64 * 10_000.0).round() / 10_000.0)
}

/// In milliseconds, to a thousandth.
fn quantile_ms(histogram: &Histogram, quantile: f64) -> Option<f64> {
    histogram.quantile(quantile).map(|length| (length.as_secs_f64() * 1_000_000.0).round() / 1_000.0)
}
