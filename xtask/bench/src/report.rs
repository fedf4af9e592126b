//! What was found: rows with their targets, as a table for people and as JSON for programs.

use std::fmt::Write as _;

use serde::Serialize;

use crate::machine::Machine;
use crate::pairs::Pairs;

/// What a row is held to.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Finding {
    /// Ours beside an act that cannot be beaten, in the same run.
    Ratio {
        /// What the limit does.
        limit: &'static str,
        limit_ns: u64,
        ours_ns: u64,
        ratio: f64,
        ratio_max: f64,
        samples: usize,
    },
    /// A time by the clock.
    Time { ours_ns: u64, ours_ns_max: u64, samples: usize },
    /// An exact number: no noise excuses it.
    Count { count: u64, count_max: u64 },
}

/// One line of the report.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    /// Which act, and at which size.
    pub(crate) name: String,
    /// Whether it meets its target.
    pub(crate) met: bool,
    #[serde(flatten)]
    pub(crate) finding: Finding,
    /// What went into the number, where it needs explaining.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<String>,
}

impl Row {
    pub(crate) fn ratio(name: impl Into<String>, limit: &'static str, pairs: Pairs, ratio_max: f64) -> Self {
        let Pairs { limit_ns, ours_ns, ratio, samples } = pairs;
        let finding = Finding::Ratio { limit, limit_ns, ours_ns, ratio, ratio_max, samples };
        Self { name: name.into(), met: ratio <= ratio_max, finding, note: None }
    }

    pub(crate) fn time(name: impl Into<String>, ours_ns: u64, ours_ns_max: u64, samples: usize) -> Self {
        let finding = Finding::Time { ours_ns, ours_ns_max, samples };
        Self { name: name.into(), met: ours_ns <= ours_ns_max, finding, note: None }
    }

    pub(crate) fn count(name: impl Into<String>, count: u64, count_max: u64) -> Self {
        Self { name: name.into(), met: count <= count_max, finding: Finding::Count { count, count_max }, note: None }
    }

    pub(crate) fn with_note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// Whether it is an exact number that misses its target.
    pub(crate) fn is_broken_count(&self) -> bool {
        !self.met && matches!(self.finding, Finding::Count { .. })
    }

    fn line(&self) -> String {
        let verdict = if self.met { "ok" } else { "MISS" };
        let numbers = match &self.finding {
            Finding::Ratio { limit, limit_ns, ours_ns, ratio, ratio_max, samples } => format!(
                "{:>9} / {:>9} = {ratio:>5.2}  (<= {ratio_max:.2}; {limit}; {samples} pairs)",
                duration(*ours_ns),
                duration(*limit_ns)
            ),
            Finding::Time { ours_ns, ours_ns_max, samples } => {
                format!("{:>9} {:>20}(<= {}; median of {samples})", duration(*ours_ns), "", duration(*ours_ns_max))
            }
            Finding::Count { count, count_max } => format!("{count:>9} {:>20}(<= {count_max}; exact)", ""),
        };
        let note = self.note.as_ref().map(|note| format!("\n{:>48} {note}", "")).unwrap_or_default();
        format!("{verdict:<5}{:<42} {numbers}{note}", self.name)
    }
}

/// A whole run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// The version of this JSON.
    pub(crate) format: u32,
    pub(crate) machine: Machine,
    /// What to type to run the same again.
    pub(crate) command: String,
    pub(crate) rows: Vec<Row>,
}

impl Report {
    /// The table.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{}\nours / limit = ratio (target)\n\n", self.machine);
        for row in &self.rows {
            text.push_str(&row.line());
            text.push('\n');
        }
        let missed = self.rows.iter().filter(|row| !row.met).count();
        let broken = self.rows.iter().filter(|row| row.is_broken_count()).count();
        let _ = writeln!(text, "\n{} rows, {missed} missed, {broken} of them exact", self.rows.len());
        let _ = write!(text, "repeat: {}", self.command);
        text
    }
}

/// A time with three digits and the unit that fits.
pub(crate) fn duration(nanoseconds: u64) -> String {
    let value = crate::pairs::as_float(nanoseconds);
    match nanoseconds {
        0..=999 => format!("{nanoseconds} ns"),
        1_000..=999_999 => format!("{:.2} us", value / 1e3),
        1_000_000..=999_999_999 => format!("{:.2} ms", value / 1e6),
        _ => format!("{:.2} s", value / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(ratio: f64) -> Pairs {
        Pairs { limit_ns: 1_000, ours_ns: 2_500, ratio, samples: 300 }
    }

    #[test]
    fn a_ratio_beyond_its_target_is_shown_as_missed_with_its_numbers() {
        let row = Row::ratio("hit", "openat+read+close", pairs(2.5), 1.25);
        assert!(!row.met);
        let line = row.line();
        assert!(line.starts_with("MISS ") && line.contains("2.50 us") && line.contains("1.00 us"), "{line}");
    }

    #[test]
    fn a_ratio_at_its_target_is_met() {
        assert!(Row::ratio("hit", "openat+read+close", pairs(1.25), 1.25).met);
    }

    #[test]
    fn only_exact_numbers_can_be_broken() {
        assert!(Row::count("flushes", 3, 2).is_broken_count());
        assert!(!Row::count("flushes", 2, 2).is_broken_count());
        assert!(!Row::ratio("hit", "read", pairs(9.0), 1.0).is_broken_count());
        assert!(!Row::time("hand-off", 200, 100, 300).is_broken_count());
    }

    #[test]
    fn times_are_shown_in_the_unit_that_fits() {
        assert_eq!([duration(999), duration(1_500), duration(2_000_000)], ["999 ns", "1.50 us", "2.00 ms"]);
    }

    #[test]
    fn the_json_of_a_row_says_what_kind_it_is_and_whether_it_met() {
        let json = serde_json::to_value(Row::count("flushes", 3, 2)).unwrap();
        assert_eq!(
            (json["kind"].as_str(), json["met"].as_bool(), json["count"].as_u64()),
            (Some("count"), Some(false), Some(3))
        );
    }
}
