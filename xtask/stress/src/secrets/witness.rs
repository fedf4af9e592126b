//! What sources and other commands are in this scene: a process that tells which canaries it can see, by their names.

use std::io::Write as _;
use std::process::ExitCode;

use camino::Utf8Path;

use super::canary::{Canaries, Way};

/// What a witness says before the names.
pub(crate) const SEES: &str = "sees:";

/// Tells what is in its own environment and command line, and in the command line of whoever has started it.
pub(crate) fn main(folder: &Utf8Path) -> ExitCode {
    let Ok(canaries) = Canaries::read(folder) else { return ExitCode::from(2) };
    let mut seen = Vec::new();
    for (name, value) in std::env::vars_os() {
        let variable = name.to_string_lossy().into_owned();
        for way in canaries.seen_in(value.as_encoded_bytes()) {
            // one that is in a variable of another name is more than was asked for
            seen.push(if variable == way.variable() { way.name().to_owned() } else { format!("{variable}!") });
        }
    }
    let words = std::env::args_os().fold(Vec::new(), |all, word| [&all[..], word.as_encoded_bytes(), b"\0"].concat());
    let parent = rustix::process::getppid().map(|pid| format!("/proc/{}/cmdline", pid.as_raw_nonzero()));
    let words_of_parent = parent.and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
    for (whose, words) in [("own command line", words), ("command line of its parent", words_of_parent)] {
        seen.extend(canaries.seen_in(&words).into_iter().map(|way| format!("{} in the {whose}!", way.name())));
    }
    seen.sort();
    seen.dedup();
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{SEES} {}", seen.join(" ")).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(1),
    }
}

/// What a witness says that sees these, and no others.
pub(crate) fn says(ways: &[Way]) -> String {
    let mut names: Vec<_> = ways.iter().map(|way| way.name()).collect();
    names.sort_unstable();
    format!("{SEES} {}\n", names.join(" "))
}
