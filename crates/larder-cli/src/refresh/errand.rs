//! One task, in a process of its own: this command's `get`, which asks the source whatever is stored.

use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use larder_queue::Claim;

use crate::args::Global;
use crate::exit::Exit;
use crate::{config, root};

/// How much of the end of what went wrong is kept.
const ERROR_BYTES_MAX: usize = 4 * 1024;
/// How much is read at all; beyond, its writer is told that nobody reads.
const ERRORS_READ_MAX: usize = 16 * 1024 * 1024;
/// How long after its end more of what it said may come.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How an errand ended.
pub(super) enum End {
    /// The document was fetched anew.
    Refreshed,
    /// Trying again later may help.
    Failed(String),
}

/// An errand under way.
pub(super) struct Errand {
    pub(super) claim: Claim,
    pid: u32,
}

/// What is told when one has ended, by its number.
pub(super) struct Ended {
    pub(super) number: u64,
    pub(super) end: End,
}

impl Errand {
    /// Begins it; its end is told to `ended`.
    pub(super) fn begin(
        number: u64,
        claim: Claim,
        mut command: Command,
        ended: &Sender<Ended>,
    ) -> Result<Self, Box<(Claim, io::Error)>> {
        let (ended, (begun, pid)) = (ended.clone(), channel());
        // it is begun on the thread that waits for it: without that thread it is not begun
        let attend = move || {
            let child = command.spawn();
            let told = begun
                .send(child.as_ref().map(Child::id).map_err(|error| io::Error::new(error.kind(), error.to_string())));
            if let (Ok(child), Ok(())) = (child, told) {
                let end = attend(child);
                // whoever listens no longer has given the task back
                let _ = ended.send(Ended { number, end });
            }
        };
        let thread = std::thread::Builder::new().name("errand".to_owned()).spawn(attend);
        let begun = thread.and_then(|_| pid.recv().unwrap_or_else(|gone| Err(io::Error::other(gone))));
        match begun {
            Ok(pid) => Ok(Self { claim, pid }),
            Err(error) => Err(Box::new((claim, error))),
        }
    }

    /// Asks it to end.
    #[cfg(unix)]
    pub(super) fn interrupt(&self) {
        use rustix::process::{Pid, Signal, kill_process};
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // gone is as good as ended
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// There is no gentle way here: it comes to its end by itself, and its claim is given back.
    #[cfg(not(unix))]
    pub(super) fn interrupt(&self) {
        tracing::debug!(pid = self.pid, "it is left to end by itself");
    }
}

/// What does it, by this program.
pub(super) fn command(program: &Path, global: &Global, root: &str, key: &str, timeout: Option<&str>) -> Command {
    let mut command = Command::new(program);
    command.args(["--root", root, "--errand", "--quiet"]);
    if let Some(config) = &global.config {
        command.arg("--config").arg(config);
    }
    command.args(["get", "--refresh", "--fail-on-stale"]);
    if let Some(timeout) = timeout {
        command.args(["--timeout", timeout]);
    }
    // a key may look like a flag
    command.args(["--", key]);
    for name in [root::LOCK_TIMEOUT, config::VARIABLE] {
        if let Some(value) = root::variable(name) {
            command.env(name, value);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    apart(&mut command);
    command
}

/// What a terminal's keys send to the worker is not for it: the worker tells it to end, and knows why it ended.
#[cfg(unix)]
fn apart(command: &mut Command) {
    std::os::unix::process::CommandExt::process_group(command, 0);
}

#[cfg(not(unix))]
const fn apart(_command: &mut Command) {}

/// Waits for its end, reading what it says of errors. What its source leaves in the background may keep that open for as
/// long as it likes.
fn attend(mut child: Child) -> End {
    let (tell, told) = channel();
    if let Some(errors) = child.stderr.take() {
        // without a thread to read it, it is told that nobody does
        let _ = std::thread::Builder::new().name("errand-errors".to_owned()).spawn(move || read(errors, &tell));
    }
    let ended = child.wait();
    let mut tail = Vec::new();
    while let Ok(chunk) = told.recv_timeout(LAST_WORDS) {
        tail.extend_from_slice(&chunk);
        let excess = tail.len().saturating_sub(ERROR_BYTES_MAX);
        tail.drain(..excess);
    }
    match ended {
        Ok(status) => judge(status, &String::from_utf8_lossy(&tail)),
        Err(error) => End::Failed(format!("its process could not be waited for: {error}")),
    }
}

/// Passes on the last of what is there, until the end or until nobody listens.
fn read(mut errors: ChildStderr, tell: &Sender<Vec<u8>>) {
    let mut chunk = [0; ERROR_BYTES_MAX];
    let mut bytes = 0;
    while let Ok(length) = errors.read(&mut chunk) {
        bytes += length;
        if length == 0
            || bytes > ERRORS_READ_MAX
            || tell.send(chunk.get(..length).unwrap_or_default().to_vec()).is_err()
        {
            return;
        }
    }
}

fn judge(status: ExitStatus, errors: &str) -> End {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    let said = errors.trim();
    let because = |otherwise: &str| if said.is_empty() { otherwise.to_owned() } else { said.to_owned() };
    match code {
        Some(0) => End::Refreshed,
        Some(code) if code == Exit::STALE.code() => {
            End::Failed(because("its source failed, and an old copy was given"))
        }
        // also when it is the configuration, which somebody may be at work on
        Some(code) if code == Exit::USAGE.code() => End::Failed(because("its source cannot be used")),
        Some(code) => End::Failed(because(&format!("its source failed with exit code {code}"))),
        None => End::Failed(because("its process was killed")),
    }
}
