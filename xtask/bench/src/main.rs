//! The benchmark program: measures, prints the report, and judges the exact numbers.
#![expect(clippy::print_stderr, reason = "a command line program speaks on its two streams")]
#![cfg_attr(unix, expect(clippy::print_stdout, reason = "a command line program speaks on its two streams"))]

#[cfg(unix)]
mod contender;
#[cfg(unix)]
mod machine;
#[cfg(unix)]
mod pairs;
#[cfg(unix)]
mod raw;
#[cfg(unix)]
mod report;
#[cfg(unix)]
mod rows;
#[cfg(unix)]
mod run;
#[cfg(unix)]
mod scratch;

use std::process::ExitCode;

#[cfg(unix)]
fn main() -> ExitCode {
    run::main()
}

#[cfg(not(unix))]
fn main() -> ExitCode {
    eprintln!("error: the limits are written in the system calls of Unix; run the benchmark there");
    ExitCode::from(2)
}
