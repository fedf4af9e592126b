//! `cargo xtask tidy`: the rules of this repository that no compiler knows, as programs.

mod allowances;
mod arrows;
mod manifests;
mod markdown;
mod names;
mod purpose;
mod sizes;
mod source;
mod weights;
mod words;
mod workspace;

use std::fmt;

use camino::Utf8PathBuf;

use crate::Verdict;
pub(crate) use workspace::LoadError;
use workspace::Workspace;

/// The flags of `tidy`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Run this check alone (may be repeated)
    #[arg(long, value_name = "CHECK", value_parser = clap::builder::PossibleValuesParser::new(CHECKS.map(|check| check.name)))]
    only: Vec<String>,
}

/// One broken rule, at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Problem {
    path: Utf8PathBuf,
    /// Counted from 1.
    line: usize,
    what: String,
    remedy: &'static str,
}

impl Problem {
    fn new(path: impl Into<Utf8PathBuf>, line: usize, what: impl Into<String>, remedy: &'static str) -> Self {
        Self { path: path.into(), line, what: what.into(), remedy }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}\n    remedy: {}", self.path, self.line.max(1), self.what, self.remedy)
    }
}

/// A rule, and the program that checks it.
struct Check {
    name: &'static str,
    run: fn(&Workspace) -> Vec<Problem>,
}

const CHECKS: [Check; 7] = [
    Check { name: "arrows", run: arrows::problems },
    Check { name: "names", run: names::problems },
    Check { name: "sizes", run: sizes::problems },
    Check { name: "manifests", run: manifests::problems },
    Check { name: "purpose", run: purpose::problems },
    Check { name: "words", run: words::problems },
    Check { name: "weights", run: weights::problems },
];

/// Runs the checks and prints what they found, then how much they looked at.
pub(crate) fn run(arguments: &Arguments) -> Result<Verdict, LoadError> {
    let workspace = Workspace::load()?;
    let mut found = 0;
    let mut counts = Vec::new();
    for check in &CHECKS {
        if !arguments.only.is_empty() && !arguments.only.iter().any(|only| only == check.name) {
            continue;
        }
        let problems = (check.run)(&workspace);
        for problem in &problems {
            println!("{problem}");
        }
        found += problems.len();
        counts.push(format!("{} {}", check.name, problems.len()));
    }
    let rust = workspace.files.iter().filter(|file| file.source.is_some()).count();
    println!(
        "tidy: {found} problems ({}) in {} crates, {} files, {rust} of them Rust",
        counts.join(", "),
        workspace.crates.len(),
        workspace.files.len()
    );
    Ok(if found == 0 { Verdict::Clean } else { Verdict::Found })
}
