//! What a person sees while it runs: bars on a terminal, a line now and then elsewhere. Only on standard error.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use larder_system::Clock as _;

use crate::stage::Stage;

const REFRESH: Duration = Duration::from_millis(100);
const LINE_EVERY: Duration = Duration::from_secs(5);

/// The lines below the bar, each with what it counts.
const ROWS: [(&str, &[&str]); 4] = [
    ("processes", &["processes started", "processes killed", "processes frozen"]),
    ("storm", &["puts", "reads", "reads from memory", "invalidations", "puts refused by the fence"]),
    ("locks", &["locks held", "holders that died inside", "locks not got within their bound"]),
    ("herd", &["rounds", "askers", "upstream calls", "leaders killed"]),
];

/// Shows how the run goes until it is over.
pub(crate) fn show(stage: &Stage, is_done: impl Fn() -> bool) {
    if std::io::stderr().is_terminal() {
        bars(stage, is_done);
    } else {
        lines(stage, is_done);
    }
}

fn bars(stage: &Stage, is_done: impl Fn() -> bool) {
    let all = MultiProgress::new();
    let total_ms = u64::try_from(stage.duration.as_millis()).unwrap_or(u64::MAX);
    let style =
        |template: &str| ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = all.add(ProgressBar::new(total_ms));
    bar.set_style(style("{bar:32.cyan/blue} {msg}"));
    let rows: Vec<ProgressBar> = ROWS
        .iter()
        .map(|(name, _)| {
            let row = all.add(ProgressBar::new_spinner());
            row.set_style(style("  {prefix:<10} {msg}"));
            row.set_prefix(*name);
            row
        })
        .collect();
    while !is_done() {
        let sums = stage.tally.snapshot();
        bar.set_position(u64::try_from(stage.elapsed().as_millis()).unwrap_or(u64::MAX).min(total_ms));
        bar.set_message(headline(stage));
        for (row, (_, counts)) in rows.iter().zip(ROWS) {
            let parts: Vec<String> = counts
                .iter()
                .filter_map(|what| Some((what, sums.count(what))).filter(|(_, count)| *count > 0))
                .map(|(what, count)| format!("{count} {what}"))
                .collect();
            row.set_message(parts.join(", "));
        }
        stage.clock.sleep(REFRESH);
    }
    let _ = all.clear();
}

fn lines(stage: &Stage, is_done: impl Fn() -> bool) {
    let mut next = LINE_EVERY;
    while !is_done() {
        if stage.elapsed() >= next {
            next += LINE_EVERY;
            let _ = writeln!(std::io::stderr(), "{}", headline(stage));
        }
        stage.clock.sleep(REFRESH);
    }
}

fn headline(stage: &Stage) -> String {
    let sums = stage.tally.snapshot();
    format!(
        "{:>3} of {} s  {} processes, {} judgements, {} violations",
        stage.elapsed().as_secs(),
        stage.duration.as_secs(),
        sums.count("processes started"),
        sums.judged(),
        sums.violated()
    )
}
