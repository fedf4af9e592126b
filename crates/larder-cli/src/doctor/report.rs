//! What was found, told to people and to programs.

use serde::Serialize;

use super::finding::{Finding, Seen, Severity, exit};
use super::scene::Scene;
use crate::exit::{Exit, Failed};
use crate::output::Output;

/// What `doctor --json` prints.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<&'a str>,
    errors: usize,
    warnings: usize,
    notes: usize,
    findings: &'a [Finding],
    facts: &'a [String],
}

pub(super) fn tell(scene: &Scene, seen: Seen, output: Output, is_verbose: bool) -> Result<Exit, Failed> {
    let Seen { mut findings, facts } = seen;
    // stable: what is as bad stays in the order of the checks
    findings.sort_by_key(|finding| finding.severity);
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    if output.json {
        output.object(&Report {
            root: scene.root.as_ref().ok().map(|root| root.as_str()),
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            notes: count(Severity::Note),
            findings: &findings,
            facts: &facts,
        })?;
    } else {
        let words: String = findings.iter().map(Finding::words).collect();
        if !words.is_empty() {
            output.data(words.as_bytes())?;
        }
        if is_verbose {
            for fact in &facts {
                output.note(fact);
            }
        }
    }
    Ok(exit(&findings))
}
