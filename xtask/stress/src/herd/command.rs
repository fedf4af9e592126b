//! One `larder run` of a round: a process of the real command, that runs the upstream when it leads.

use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;

use camino::Utf8Path;

use crate::failure::{Doing as _, Failure};
use crate::stage::Stage;

/// The most that is read of what a command says on its standard error.
const ERRORS_MAX: u64 = 64 * 1024;
/// And on its standard output.
const OUTPUT_MAX: u64 = 1024 * 1024;

/// A running `larder run`. Dropped, it is killed, and waited for.
#[derive(Debug)]
pub(super) struct Run {
    child: Child,
    output: Option<JoinHandle<Vec<u8>>>,
    errors: Option<JoinHandle<Vec<u8>>>,
}

/// How one ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: Option<ExitStatus>,
    pub(super) output: Vec<u8>,
    pub(super) errors: String,
}

impl Run {
    pub(super) fn start(
        stage: &Stage,
        larder: &Utf8Path,
        arena: &Utf8Path,
        round: u32,
        key: &str,
    ) -> Result<Self, Failure> {
        let mut command = Command::new(larder);
        command.arg("--root").arg(arena.join("root")).args(["run", "--key", key, "--durability", "relaxed", "--"]);
        command.arg(&stage.program).arg("upstream").arg(arena).arg(stage.folder.join("corpus"));
        command.arg(round.to_string()).arg(key);
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().doing(format!("start {larder}"))?;
        let (output, errors) = (child.stdout.take(), child.stderr.take());
        let read = |from: Box<dyn std::io::Read + Send>, most| {
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                let _ = from.take(most).read_to_end(&mut bytes);
                bytes
            })
        };
        let output = output.map(|from| read(Box::new(from), OUTPUT_MAX));
        let errors = errors.map(|from| read(Box::new(from), ERRORS_MAX));
        stage.tally.counted("processes started", 1);
        Ok(Self { child, output, errors })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// What it came to, once it has ended.
    pub(super) fn result(mut self) -> Ended {
        let status = self.child.wait().ok();
        let join =
            |thread: Option<JoinHandle<Vec<u8>>>| thread.and_then(|thread| thread.join().ok()).unwrap_or_default();
        let (output, errors) = (join(self.output.take()), join(self.errors.take()));
        Ended { status, output, errors: String::from_utf8_lossy(&errors).into_owned() }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.kill();
    }
}
