//! `cargo xtask bench`: the benchmark program, built with optimisation and run.

use std::env;
use std::ffi::OsString;
use std::io;
use std::process::Command;

use crate::Verdict;

/// The flags of `bench`, which the benchmark program reads itself.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// Flags of the benchmark; `--help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "FLAGS")]
    flags: Vec<OsString>,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    /// Cargo could not be started.
    #[error("{program} could not be started; run this through `cargo xtask bench`")]
    Start {
        /// The cargo that was tried.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The program was not built, or could not do its work.
    #[error("the benchmark did not run to its end; what it said stands above")]
    Unfinished,
}

/// A program of its own, so that tidy is built without the crates that it judges.
pub(crate) fn run(arguments: &Arguments) -> Result<Verdict, Error> {
    let program = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(&program);
    command.args(["run", "--quiet", "--release", "--package", "larder-bench", "--"]).args(&arguments.flags);
    let status = command.status().map_err(|source| Error::Start { program, source })?;
    match status.code() {
        Some(0) => Ok(Verdict::Clean),
        Some(1) => Ok(Verdict::Found),
        _ => Err(Error::Unfinished),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn the_benchmarks_own_flags_reach_it_untouched() {
        let line = Line::try_parse_from(["bench", "--quick", "--only", "hit", "--help"]).unwrap();
        assert_eq!(line.arguments.flags, ["--quick", "--only", "hit", "--help"]);
    }
}
