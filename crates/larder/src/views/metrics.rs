//! The view of what was counted, `metrics.yaml`.

use std::fmt::Write as _;

use larder_lock::Wait;
use larder_staleness::{format_date, ms_of};
use larder_storage::{Store, View};

use super::Error;
use super::yaml::{key, text};
use crate::counters::{Counter, Histogram, Totals};

/// The form of the file.
const VERSION: u32 = 1;
/// The quantiles that are told.
const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)];

pub(super) fn write(store: &Store) -> Result<bool, Error> {
    let Some(views) = store.views(&Wait::none())? else { return Ok(false) };
    let Some((totals, position)) = Totals::read_with_position(store)? else { return Ok(false) };
    let mut content = format!(
        "# what was counted, made by larder from ledger/counters.journal; never read back\nversion: {VERSION}\n\
         last_updated: {}\nfolded_to: {{lineage: \"{:032x}\", sequence: {}}}\n",
        text(&format_date(ms_of(store.clock().wall()))),
        position.lineage,
        position.sequence,
    );
    let hits = totals.hits_disk.saturating_add(totals.hits_memory);
    let _ = writeln!(content, "hits: {hits}");
    for &counter in Counter::ALL {
        let _ = writeln!(content, "{}: {}", counter.name(), totals.get(counter));
    }
    for (name, histogram) in [("fetch_ms", &totals.fetch_us), ("lock_wait_ms", &totals.lock_wait_us)] {
        let _ = writeln!(content, "{name}: {}", quantiles(histogram));
    }
    let _ = writeln!(content, "classes:{}", if totals.classes.is_empty() { " {}" } else { "" });
    for (name, class) in &totals.classes {
        let _ = writeln!(
            content,
            "  {} {{hits: {}, misses: {}, stale: {}, fetches: {}, errors: {}}}",
            key(name, "  "),
            class.hits,
            class.misses,
            class.stale,
            class.fetches,
            class.errors
        );
    }
    Ok(views.publish(&View::Metrics, content.as_bytes())?)
}

fn quantiles(histogram: &Histogram) -> String {
    let told = QUANTILES.iter().filter_map(|(name, quantile)| {
        let ms = histogram.quantile(*quantile)?.as_secs_f64() * 1_000.0;
        Some(format!("{name}: {ms:.3}"))
    });
    let told: Vec<_> = told.collect();
    if told.is_empty() {
        "{count: 0}".to_owned()
    } else {
        format!("{{count: {}, {}}}", histogram.len(), told.join(", "))
    }
}
