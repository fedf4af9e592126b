//! One process of the real command, with secrets around it: what it must end with, and what it may not say.

use std::io::{Read, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use larder_system::Clock as _;

use super::canary::{Canaries, Way};
use super::witness;
use crate::failure::{Doing as _, Failure};
use crate::stage::Stage;

/// The most that is read of what a command says.
const SAID_MAX: u64 = 4 * 1024 * 1024;

/// What is run, and what must come of it.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) words: Vec<String>,
    pub(crate) input: String,
    /// Its exit code; `None` where any will do.
    pub(crate) exit: Option<i32>,
    /// What a witness that it runs must see.
    pub(crate) sees: Option<Vec<Way>>,
}

/// What a command said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: Option<ExitStatus>,
    pub(crate) output: Vec<u8>,
    pub(crate) errors: Vec<u8>,
}

impl Step {
    fn new(words: &[&str]) -> Self {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Self { words, input: String::new(), exit: Some(0), sees: None }
    }

    fn ends(self, exit: i32) -> Self {
        Self { exit: Some(exit), ..self }
    }

    fn ends_somehow(self) -> Self {
        Self { exit: None, ..self }
    }

    fn reads(self, input: &str) -> Self {
        Self { input: input.to_owned(), ..self }
    }

    fn sees(self, ways: &[Way]) -> Self {
        Self { sees: Some(ways.to_vec()), ..self }
    }

    /// Everything that a user of credentials does, right and wrong, in an order in which it makes sense.
    pub(crate) fn all(program: &str, apart: &str, canaries: &Canaries) -> Vec<Self> {
        let step = Self::new;
        let text = |way| canaries.text(way);
        let (stored, rotated) = (text(Way::Stored), text(Way::Rotated));
        let inherits = [Way::Variable, Way::Unasked, Way::Malformed];
        let stray = step(&["auth", "set", "stored", text(Way::Argument)]).ends(2);
        let misnamed = format!("{}!", text(Way::Argument));
        vec![
            step(&["auth", "set", "stored"]).reads(stored),
            step(&["auth", "status", "stored"]),
            step(&["get", "stored/a", "--refresh"]).sees(&[Way::Stored]),
            step(&["auth", "set", "stored", "--json"]).reads(&format!("{rotated}\n")),
            step(&["get", "stored/a", "--refresh", "--status"]).sees(&[Way::Rotated]),
            step(&["auth", "set", "stored"]).reads(&format!("one line\n{}\n", text(Way::Refused))).ends(2),
            step(&["auth", "set", "malformed"]).reads(text(Way::Refused)).ends(4),
            stray,
            step(&["auth", "set", &misnamed]).ends(2),
            step(&["auth", "status"]).ends(4),
            step(&["auth", "status", "--json"]).ends(4),
            step(&["auth", "check", "variable"]),
            step(&["auth", "check", "command", "--json"]),
            step(&["auth", "check", "malformed"]).ends(4),
            step(&["get", "variable/a", "--refresh"]).sees(&[Way::Variable]),
            step(&["get", "command/a", "--refresh"]).sees(&[Way::Command]),
            step(&["get", "nothing/a", "--refresh"]).sees(&[]),
            step(&["get", "malformed/a", "--refresh"]).ends(4),
            step(&["get", "malformed/a", "--refresh", "--json"]).ends(4),
            step(&["get", "missing/a"]).ends(4),
            step(&["get", "failing/a"]).ends(4),
            step(&["get", "telling/a", "--refresh"]).ends(9),
            step(&["auth", "status", "failing", "--json"]).ends(4),
            step(&[
                "run",
                "--refresh",
                "--key",
                "run/a",
                "--env",
                Way::Unasked.variable(),
                "--",
                program,
                "witness",
                apart,
            ])
            .sees(&inherits),
            step(&["run", "--", "sh", "-c", "exit 3", text(Way::Argument)]).ends(3),
            step(&["run", "--refresh", "--", "sh", "-c", "echo x", text(Way::Argument)]),
            step(&["lock", "deploy", "--", "sh", "-c", "true", text(Way::Argument)]),
            step(&["locks", "--json"]),
            step(&["queue", "add", "variable/b", "malformed/b", "command/b", "telling/b"]),
            step(&["refresh", "--json"]).ends_somehow(),
            step(&["queue", "list", "--json"]),
            step(&["list", "--json"]),
            step(&["explain", "stored/a", "--json"]),
            step(&["stats", "--json"]),
            step(&["index"]),
            step(&["config", "show"]),
            step(&["config", "show", "--json"]),
            step(&["verify", "--json"]),
            step(&["doctor", "--json"]).ends_somehow(),
            step(&["doctor"]).ends_somehow(),
            // one that was killed may have done it
            step(&["auth", "remove", "stored"]).ends_somehow(),
            step(&["auth", "remove", "stored"]).ends(3),
        ]
    }

    /// Runs it; one that is to be killed, after so long.
    pub(crate) fn run(
        &self,
        stage: &Stage,
        larder: &Utf8Path,
        arena: &Utf8PathBuf,
        canaries: &Canaries,
        killed_after: Option<Duration>,
    ) -> Result<Said, Failure> {
        let mut command = Command::new(larder);
        command.args(["-v", "-v"]).args(&self.words).process_group(0).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", arena.join("searched/home")).env("XDG_CONFIG_HOME", arena.join("config"));
        command
            .env("LARDER_ROOT", arena.join("searched/root"))
            .env("LARDER_CONFIG", arena.join("searched/larder.yaml"));
        command.env("RUST_BACKTRACE", "1").current_dir(arena.join("searched"));
        for way in [Way::Variable, Way::Unasked, Way::Malformed] {
            command.env(way.variable(), canaries.text(way));
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().doing(format!("start {larder}"))?;
        stage.tally.counted("processes started", 1);
        let input = child.stdin.take();
        let readers = [take(child.stdout.take()), take(child.stderr.take())];
        // one that does not read is not told
        drop(input.map(|mut input| input.write_all(self.input.as_bytes())));
        if let Some(after) = killed_after {
            stage.clock.sleep(after);
            let _ = child.kill();
        }
        let status = child.wait().ok();
        if killed_after.is_some() && status.and_then(|status| status.signal()) == Some(9) {
            stage.tally.counted("processes killed", 1);
        }
        let [output, errors] = readers.map(|reader| reader.and_then(|reader| reader.join().ok()).unwrap_or_default());
        Ok(Said { status, output, errors })
    }

    /// What is wrong with how it ended, and with what its witness saw.
    pub(crate) fn objection(&self, said: &Said) -> Option<String> {
        let code = said.status.and_then(|status| status.code());
        if self.exit.is_some_and(|exit| code != Some(exit)) {
            return Some(format!("it ended with {code:?}, saying {}", String::from_utf8_lossy(&said.errors)));
        }
        let sees = witness::says(self.sees.as_ref()?);
        (said.output != sees.as_bytes()).then(|| format!("its command {}", String::from_utf8_lossy(&said.output)))
    }

    /// As it is told in a report: without its words, of which some may be secrets.
    pub(crate) fn name(&self) -> String {
        self.words.iter().take(2).cloned().collect::<Vec<_>>().join(" ")
    }
}

fn take(from: Option<impl Read + Send + 'static>) -> Option<std::thread::JoinHandle<Vec<u8>>> {
    let from = from?;
    Some(std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.take(SAID_MAX).read_to_end(&mut bytes);
        bytes
    }))
}
