//! The stress program: many processes against every promise, judged; or one of those processes, when run as a worker.

#[cfg(unix)]
mod arguments;
#[cfg(unix)]
mod bounds;
#[cfg(unix)]
mod children;
#[cfg(unix)]
mod corpus;
#[cfg(unix)]
mod crowd;
#[cfg(unix)]
mod document;
#[cfg(unix)]
mod facts;
#[cfg(unix)]
mod failure;
#[cfg(unix)]
mod herd;
#[cfg(unix)]
mod hostile;
#[cfg(unix)]
mod interrupt;
#[cfg(unix)]
mod locks;
#[cfg(unix)]
mod message;
#[cfg(unix)]
mod orphans;
#[cfg(unix)]
mod outage;
#[cfg(unix)]
mod parts;
#[cfg(unix)]
mod progress;
#[cfg(unix)]
mod promise;
#[cfg(unix)]
mod queue;
#[cfg(unix)]
mod report;
#[cfg(unix)]
mod run;
#[cfg(unix)]
mod sabotage;
#[cfg(unix)]
mod scratch;
#[cfg(unix)]
mod secrets;
#[cfg(unix)]
mod stage;
#[cfg(unix)]
mod storm;
#[cfg(unix)]
mod tally;
#[cfg(unix)]
mod worker;

use std::process::ExitCode;

#[cfg(unix)]
fn main() -> ExitCode {
    run::main()
}

#[cfg(not(unix))]
fn main() -> ExitCode {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "error: processes are frozen and killed by signals; run the stress on Unix");
    ExitCode::from(2)
}
