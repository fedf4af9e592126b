//! The command line: which rows, where, how thoroughly, and what the exit code means.

use std::error::Error as _;
use std::io;
use std::process::ExitCode;

use camino::{Utf8Path, Utf8PathBuf};
use clap::{Parser, ValueEnum};
use larder_system::{Clock as _, SystemClock};

use crate::contender::{self, Contend};
use crate::machine::Machine;
use crate::raw;
use crate::report::{Report, Row};
use crate::rows;
use crate::scratch::Scratch;

const JSON_FORMAT: u32 = 1;

/// Measure larder's hot paths beside the system calls they are made of.
#[derive(Debug, Parser)]
#[command(name = "bench", bin_name = "cargo xtask bench", args_conflicts_with_subcommands = true)]
#[command(
    after_help = "Exit codes: 0 exact counts are met (ratios may miss), 1 an exact count misses, 2 could not run."
)]
struct Arguments {
    /// Measure in a new folder below this one [default: the build's own target folder]
    #[arg(long, value_name = "DIR")]
    root: Option<Utf8PathBuf>,
    /// Fewer samples and smaller stores: a look, not a measurement
    #[arg(long)]
    quick: bool,
    /// Write the report as JSON, too
    #[arg(long, value_name = "FILE")]
    json: Option<Utf8PathBuf>,
    /// Measure this group of rows alone (may be repeated)
    #[arg(long, value_name = "GROUP")]
    only: Vec<Group>,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Debug, clap::Subcommand)]
enum Role {
    /// A process of the benchmark's own that takes a lock when told to
    #[command(hide = true)]
    Contend(Contend),
}

/// Rows that share a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Group {
    /// Verified reads from disk
    Hit,
    /// Puts, durable and not, and their exact calls
    Put,
    /// Puts into small stores and large ones
    Growth,
    /// Locks that nobody else wants
    Lock,
    /// Locks that other processes want
    Contention,
    /// What many invalidations cost those who come after
    Invalidation,
    /// Tasks added, claimed and completed
    Queue,
    /// Puts beside an eviction, and the first hit in a large store
    Bounds,
}

/// What every row is given.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) scratch: Scratch,
    pub(crate) quick: bool,
}

impl Context {
    /// How many pairs a row is the median of.
    pub(crate) fn samples(&self) -> usize {
        if self.quick { 300 } else { 1_000 }
    }

    /// Waits until what was written is on the disk, so that its write-back does not disturb what is measured next. A
    /// quick run does not: beside others that write, it would wait for all of theirs, too.
    pub(crate) fn settle(&self) -> Result<(), Error> {
        if self.quick {
            return Ok(());
        }
        let path = self.scratch.path();
        raw::folder(path.as_str())
            .and_then(|folder| raw::settle(&folder))
            .map_err(|source| Error::io("settle", path, source))
    }
}

/// Why the benchmark could not be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    /// A system call of the benchmark itself failed.
    #[error("could not {act} {path}; free what it needs or choose another --root")]
    Io {
        act: &'static str,
        path: Utf8PathBuf,
        #[source]
        source: io::Error,
    },
    /// What is measured failed.
    #[error("larder could not {act}; its own tests should say why")]
    Larder {
        act: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A contending process ended or said what it should not.
    #[error("a contending process said {said:?}; run the contention group alone to see its errors")]
    Contender { said: String },
}

impl Error {
    pub(crate) fn io(act: &'static str, path: &Utf8Path, source: io::Error) -> Self {
        Self::Io { act, path: path.to_owned(), source }
    }

    pub(crate) fn larder(act: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Larder { act, source: source.into() }
    }
}

/// Runs what the command line asks for.
pub(crate) fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  caused by: {error}");
                cause = error.source();
            }
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    if let Some(Role::Contend(contend)) = &arguments.role {
        contender::serve(contend)?;
        return Ok(ExitCode::SUCCESS);
    }
    if cfg!(debug_assertions) {
        eprintln!("warning: built without optimisation; `cargo xtask bench` builds with it");
    }
    let root = arguments.root.clone().unwrap_or_else(default_root);
    let context = Context { scratch: Scratch::new(&root)?, quick: arguments.quick };
    let machine = Machine::of(context.scratch.path());
    let clock = SystemClock::new();
    let mut rows = Vec::new();
    for group in Group::value_variants() {
        if arguments.only.is_empty() || arguments.only.contains(group) {
            context.settle()?;
            let start = clock.monotonic();
            rows.extend(measure(*group, &context)?);
            eprintln!("bench: {group:?} took {:.1} s", clock.monotonic().saturating_sub(start).as_secs_f64());
        }
    }
    let report = Report { format: JSON_FORMAT, machine, command: command(), rows };
    println!("{}", report.text());
    if let Some(path) = &arguments.json {
        write_json(path, &report)?;
    }
    Ok(if report.rows.iter().any(Row::is_broken_count) { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn measure(group: Group, context: &Context) -> Result<Vec<Row>, Error> {
    match group {
        Group::Hit => rows::hit::rows(context),
        Group::Put => rows::put::rows(context),
        Group::Growth => rows::growth::rows(context),
        Group::Lock => rows::lock::rows(context),
        Group::Contention => rows::contention::rows(context),
        Group::Invalidation => rows::invalidation::rows(context),
        Group::Queue => rows::queue::rows(context),
        Group::Bounds => rows::bounds::rows(context),
    }
}

/// Beside the program: the build's target folder, which nobody keeps.
fn default_root() -> Utf8PathBuf {
    let program = std::env::current_exe().ok().and_then(|path| Utf8PathBuf::from_path_buf(path).ok());
    let target = program.as_deref().and_then(Utf8Path::parent).and_then(Utf8Path::parent);
    target.unwrap_or(Utf8Path::new(".")).to_owned()
}

fn command() -> String {
    let arguments = std::env::args().skip(1);
    ["cargo xtask bench".to_owned()].into_iter().chain(arguments).collect::<Vec<_>>().join(" ")
}

#[expect(clippy::disallowed_methods, reason = "a report for people; nothing depends on its surviving")]
fn write_json(path: &Utf8Path, report: &Report) -> Result<(), Error> {
    let failed = |source| Error::io("write", path, source);
    let json = serde_json::to_vec_pretty(report).map_err(|error| failed(error.into()))?;
    std::fs::write(path, json).map_err(failed)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn groups_can_be_named_more_than_once() {
        let arguments = Arguments::try_parse_from(["bench", "--only", "hit", "--only", "lock"]).unwrap();
        assert_eq!(arguments.only, [Group::Hit, Group::Lock]);
    }
}
