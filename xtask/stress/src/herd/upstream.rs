//! One call of the upstream, by a thread of an asker or as the command that `larder run` runs.

use std::io::Write as _;
use std::process::ExitCode;

use camino::Utf8Path;
use larder_testkit::Upstream;

use crate::corpus::Corpus;
use crate::document;
use crate::facts::{Fact, Kind, Scribe};
use crate::failure::Failure;

/// With what the command ends when the upstream fails.
pub(super) const FAILED: i32 = 9;
/// What a failing upstream says.
pub(super) const MESSAGE: &str = "the upstream is overloaded";

/// The document that call number `call` gives.
pub(crate) fn document(corpus: &Corpus, key: &str, call: u64) -> Vec<u8> {
    document::make(corpus, key, call)
}

/// Says that the process `leader` leads, in the facts, before the call begins; `caller` is the one that calls.
pub(crate) fn announce(scribe: &Scribe, round: u32, leader: u32, caller: u32) -> Result<(), Failure> {
    scribe.append(Fact { kind: Kind::Enter, worker: leader, key: round, version: u64::from(caller), extra: 0 })
}

/// The command: one call, its document on standard output.
pub(crate) fn main(arena: &Utf8Path, corpus: &Utf8Path, round: u32, key: &str) -> ExitCode {
    match call(arena, corpus, round, key) {
        Ok(Ok(document)) => {
            let mut out = std::io::stdout().lock();
            match out.write_all(&document).and_then(|()| out.flush()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::from(1),
            }
        }
        Ok(Err(message)) => {
            let _ = writeln!(std::io::stderr(), "{message}");
            ExitCode::from(u8::try_from(FAILED).unwrap_or(1))
        }
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "{}", crate::failure::chain(&failure));
            ExitCode::from(1)
        }
    }
}

fn call(arena: &Utf8Path, corpus: &Utf8Path, round: u32, key: &str) -> Result<Result<Vec<u8>, String>, Failure> {
    let corpus = Corpus::open(corpus)?;
    let leader = rustix::process::getppid().and_then(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok());
    announce(&Scribe::open(arena)?, round, leader.unwrap_or(0), std::process::id())?;
    let called = Upstream::open(arena.join("upstream")).call(key);
    Ok(called.map(|answer| document(&corpus, key, answer.call)).map_err(|failure| failure.message))
}
