//! What a run has found: a table of promises for people, JSON for programs.

use std::fmt::Write as _;

use camino::Utf8Path;
use larder_system::{Access, Create, Disk as _, Open, SystemDisk, write_all};
use serde::Serialize;

use crate::failure::{Doing as _, Failure};
use crate::message::Violation;
use crate::promise::Promise;
use crate::stage::Stage;
use crate::tally::Sums;

/// Everything that is reported of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Of this form.
    version: u32,
    seed: String,
    replay: String,
    seconds: f64,
    processes: u32,
    payload: String,
    /// Whether the real command was among those who asked.
    with_command: bool,
    interrupted: bool,
    judgements: u64,
    violations: u64,
    promises: Vec<Row>,
    counts: std::collections::BTreeMap<String, u64>,
    evidence: Vec<Violation>,
}

#[derive(Debug, Serialize)]
struct Row {
    promise: Promise,
    number: &'static str,
    statement: &'static str,
    judged: u64,
    violated: u64,
}

impl Report {
    pub(crate) fn of(stage: &Stage, replay: String) -> Self {
        let sums: Sums = stage.tally.snapshot();
        let row = |promise: Promise| {
            let score = sums.of(promise);
            let (number, statement) = (promise.number(), promise.statement());
            Row { promise, number, statement, judged: score.judged, violated: score.violated }
        };
        Self {
            version: 1,
            seed: format!("{:#x}", stage.seed),
            replay,
            seconds: stage.elapsed().as_secs_f64(),
            processes: stage.processes,
            payload: stage.corpus.source.clone(),
            with_command: stage.larder.is_some(),
            interrupted: stage.interrupt.signal().is_some(),
            judgements: sums.judged(),
            violations: sums.violated(),
            promises: Promise::ALL.into_iter().map(row).collect(),
            counts: sums.counts,
            evidence: sums.evidence,
        }
    }

    /// For a person.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "{:<7} {:>10} {:>10}  promise", "", "judged", "violated");
        for row in self.promises.iter().filter(|row| row.judged > 0 || row.violated > 0) {
            let _ = writeln!(text, "{:<7} {:>10} {:>10}  {}", row.number, row.judged, row.violated, row.statement);
        }
        let counts: Vec<String> = self.counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
        let _ = writeln!(text, "\n{}", wrapped(&counts.join(", "), 110));
        let _ = writeln!(text, "payload: {}", self.payload);
        if !self.with_command {
            let _ =
                writeln!(text, "without the larder command: it is not beside this program, and --larder names none");
        }
        for violation in &self.evidence {
            let Violation { promise, key, expected, seen, by } = violation;
            let _ = writeln!(text, "\nviolation of {} ({})", promise.number(), promise.statement());
            let _ = writeln!(text, "  key       {key}\n  expected  {expected}\n  seen      {seen}\n  by        {by}");
        }
        let told = self.evidence.len() as u64;
        if self.violations > told {
            let _ = writeln!(text, "\nand {} more", self.violations - told);
        }
        let _ = writeln!(
            text,
            "\n{} judgements, {} violations in {:.1} s; seed {}",
            self.judgements, self.violations, self.seconds, self.seed
        );
        let _ = writeln!(text, "again: {}", self.replay);
        text
    }

    /// For a program.
    pub(crate) fn write(&self, path: &Utf8Path) -> Result<(), Failure> {
        let doing = || format!("write the report {path}");
        let mut json = serde_json::to_vec_pretty(self).doing(doing())?;
        json.push(b'\n');
        let folder = path.parent().filter(|parent| !parent.as_str().is_empty()).unwrap_or_else(|| Utf8Path::new("."));
        let name = path.file_name().unwrap_or_default();
        let disk = SystemDisk::new();
        let folder = disk.open_root(folder.as_std_path()).doing(doing())?;
        let how = Open { access: Access::ReadWrite, create: Create::IfAbsent };
        let file = disk.open(&folder, name.as_ref(), how).doing(doing())?;
        disk.set_length(&file, 0).doing(doing())?;
        write_all(&disk, &file, &[&json]).doing(doing())
    }
}

/// Breaks a list at its commas.
fn wrapped(text: &str, width: usize) -> String {
    let mut lines = vec![String::new()];
    for part in text.split_inclusive(", ") {
        let full = lines.last().is_some_and(|line| !line.is_empty() && line.len() + part.trim_end().len() > width);
        if full {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(part);
        }
    }
    lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n")
}
