//! `cargo xtask stress`: the command and the stress program, built with optimisation, and the latter run.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::process::{Command, ExitStatus};

use crate::Verdict;

/// The flags of `stress`, which the stress program reads itself.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// Flags of the stress; `--help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "FLAGS")]
    flags: Vec<OsString>,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    /// Cargo could not be started.
    #[error("{program} could not be started; run this through `cargo xtask stress`")]
    Start {
        /// The cargo that was tried.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The `larder` command was not built.
    #[error("the larder command was not built; what the compiler said stands above")]
    Unbuilt,
    /// The program was not built, was told something it does not know, was interrupted, or could not do its work.
    #[error("the stress did not run to its end; what it said stands above")]
    Unfinished,
}

/// The stress runs the real command beside processes of its own, so both are built, in one folder.
pub(crate) fn run(arguments: &Arguments) -> Result<Verdict, Error> {
    let program = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let cargo = |words: &[&str], flags: &[OsString]| -> Result<ExitStatus, Error> {
        let mut command = Command::new(&program);
        command.args(words).args(flags);
        command.status().map_err(|source| Error::Start { program: program.clone(), source })
    };
    if runs_processes(&arguments.flags) {
        let built = cargo(&["build", "--quiet", "--release", "--package", "larder-cli", "--bin", "larder"], &[])?;
        if !built.success() {
            return Err(Error::Unbuilt);
        }
    }
    let status = cargo(&["run", "--quiet", "--release", "--package", "larder-stress", "--"], &arguments.flags)?;
    match status.code() {
        Some(0) => Ok(Verdict::Clean),
        Some(1) => Ok(Verdict::Found),
        _ => Err(Error::Unfinished),
    }
}

/// Whether these flags ask for more than words.
fn runs_processes(flags: &[OsString]) -> bool {
    let words = ["--help", "-h", "--list-sabotage"].map(OsStr::new);
    !flags.iter().any(|flag| words.contains(&flag.as_os_str()))
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
    fn the_stress_programs_own_flags_reach_it_untouched() {
        let line = Line::try_parse_from(["stress", "--seed", "7", "--sabotage", "no-lock", "--help"]).unwrap();
        assert_eq!(line.arguments.flags, ["--seed", "7", "--sabotage", "no-lock", "--help"]);
    }

    #[test]
    fn the_command_is_not_built_for_words() {
        assert!(!runs_processes(&["--list-sabotage".into()]));
        assert!(runs_processes(&["--sabotage".into(), "no-lock".into()]));
    }
}
