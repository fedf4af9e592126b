//! `cargo xtask ci`: what must pass before a change is merged, each step with its time.

use std::env;
use std::io;
use std::process::{Command, Output};
use std::time::Duration;

use larder_system::{Clock as _, SystemClock};

use crate::Verdict;

/// The flags of `ci`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// End after the first step that fails
    #[arg(long)]
    fail_fast: bool,
}

/// Why the steps could not be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    /// A step's program could not be started.
    #[error("step {step}: {program} could not be started; install it and run again")]
    Start {
        /// The step.
        step: &'static str,
        /// Its program.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// One program to run.
struct Step {
    name: &'static str,
    arguments: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
    /// Whether a cargo without this subcommand passes over the step.
    optional: bool,
}

impl Step {
    const fn new(name: &'static str, arguments: &'static [&'static str]) -> Self {
        Self { name, arguments, environment: &[], optional: false }
    }
}

const STEPS: [Step; 5] = [
    Step::new("format", &["fmt", "--all", "--check"]),
    Step::new("lints", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    Step {
        environment: &[("RUSTDOCFLAGS", "-D warnings")],
        ..Step::new("documentation", &["doc", "--workspace", "--no-deps"])
    },
    Step::new("tidy", &["run", "--quiet", "--package", "xtask", "--", "tidy"]),
    // no network: advisories change without us, and are looked at when dependencies are
    Step { optional: true, ..Step::new("licences", &["deny", "--offline", "check", "bans", "licenses", "sources"]) },
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    /// The program is not installed.
    Skipped,
    /// An earlier step failed.
    NotRun,
}

impl Outcome {
    const fn word(self) -> &'static str {
        match self {
            Self::Passed => "ok",
            Self::Failed => "FAILED",
            Self::Skipped => "skipped: not installed",
            Self::NotRun => "not run",
        }
    }
}

/// Runs the steps, shows what the failing ones said, then prints the table.
pub(crate) fn run(arguments: &Arguments) -> Result<Verdict, Error> {
    let clock = SystemClock::new();
    let mut rows = Vec::new();
    for step in &STEPS {
        let failed_before = rows.iter().any(|(_, outcome, _)| *outcome == Outcome::Failed);
        if arguments.fail_fast && failed_before {
            rows.push((step.name, Outcome::NotRun, Duration::ZERO));
            continue;
        }
        eprintln!("ci: {} ...", step.name);
        let start = clock.monotonic();
        let output = execute(step)?;
        let outcome = judge(step, &output);
        rows.push((step.name, outcome, clock.monotonic().saturating_sub(start)));
        if outcome == Outcome::Failed {
            print!("{}", String::from_utf8_lossy(&output.stdout));
            eprint!("{}", String::from_utf8_lossy(&output.stderr));
        }
    }
    println!("{}", table(&rows));
    let failed = rows.iter().any(|(_, outcome, _)| *outcome == Outcome::Failed);
    Ok(if failed { Verdict::Found } else { Verdict::Clean })
}

fn execute(step: &Step) -> Result<Output, Error> {
    // cargo tells its children which cargo it is
    let program = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(&program);
    command.args(step.arguments).envs(step.environment.iter().copied());
    command.output().map_err(|source| Error::Start { step: step.name, program, source })
}

fn judge(step: &Step, output: &Output) -> Outcome {
    if output.status.success() {
        return Outcome::Passed;
    }
    let is_missing = String::from_utf8_lossy(&output.stderr).contains("no such command");
    if step.optional && is_missing { Outcome::Skipped } else { Outcome::Failed }
}

fn table(rows: &[(&str, Outcome, Duration)]) -> String {
    let mut lines = vec![format!("{:<14} {:>8}  result", "step", "seconds")];
    for (name, outcome, took) in rows {
        lines.push(format!("{name:<14} {:>8.1}  {}", took.as_secs_f64(), outcome.word()));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(program: &str, arguments: &[&str]) -> Output {
        Command::new(program).args(arguments).output().unwrap()
    }

    #[test]
    fn an_optional_step_is_skipped_only_when_cargo_does_not_know_it() {
        let optional = Step { optional: true, ..Step::new("x", &[]) };
        let cargo = env::var("CARGO").unwrap();
        let unknown = output(&cargo, &["a-subcommand-that-is-not-there"]);
        assert_eq!(judge(&optional, &unknown), Outcome::Skipped);
        assert_eq!(judge(&Step::new("x", &[]), &unknown), Outcome::Failed);
        assert_eq!(judge(&optional, &output(&cargo, &["--no-such-flag"])), Outcome::Failed);
        assert_eq!(judge(&optional, &output(&cargo, &["--version"])), Outcome::Passed);
    }

    #[test]
    fn the_table_has_a_line_for_each_step_with_its_seconds() {
        let rows =
            [("format", Outcome::Passed, Duration::from_millis(1_250)), ("tidy", Outcome::NotRun, Duration::ZERO)];
        let table = table(&rows);
        assert_eq!(table.lines().count(), 3);
        assert!(
            table.contains("format              1.2  ok") || table.contains("format              1.3  ok"),
            "{table}"
        );
        assert!(table.ends_with("not run"), "{table}");
    }
}
