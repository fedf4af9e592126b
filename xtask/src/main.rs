//! The dispatcher of the repository's chores: one verb, one module.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program speaks on its two streams")]

mod bench;
mod ci;
mod stress;
mod tidy;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The chores of the larder repository.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    after_help = "Exit codes: 0 nothing wrong, 1 something found, 2 could not run."
)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Check what no compiler checks: arrows, names in documents, sizes, manifests, words
    Tidy(tidy::Arguments),
    /// Run format, lints, documentation and tidy as the continuous integration does
    Ci(ci::Arguments),
    /// Measure the hot paths beside the system calls they are made of
    Bench(bench::Arguments),
    /// Let many processes, some killed and some frozen, loose on every promise, and judge what they see
    Stress(stress::Arguments),
}

/// How a chore that could run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Nothing is wrong.
    Clean,
    /// Something is, and has been printed.
    Found,
}

fn main() -> ExitCode {
    match run(&Arguments::parse().verb) {
        Ok(Verdict::Clean) => ExitCode::SUCCESS,
        Ok(Verdict::Found) => ExitCode::from(1),
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

fn run(verb: &Verb) -> Result<Verdict, Box<dyn Error>> {
    Ok(match verb {
        Verb::Tidy(arguments) => tidy::run(arguments)?,
        Verb::Ci(arguments) => ci::run(arguments)?,
        Verb::Bench(arguments) => bench::run(arguments)?,
        Verb::Stress(arguments) => stress::run(arguments)?,
    })
}
