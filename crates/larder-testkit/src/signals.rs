//! Children that signals end, whatever this process was started to ignore.

use std::ffi::OsStr;
use std::process::Command;

/// SIGHUP, SIGINT, SIGQUIT and SIGTERM, as bits of a mask.
const ENDING: u64 = 1 | 1 << 1 | 1 << 2 | 1 << 14;

/// A command that begins with the usual answer to the signals that end a program.
///
/// What a process ignores its children ignore from the start: tests that run under `nohup`, or in the background of a
/// script, would wait for ever for a child that is to end by SIGHUP or SIGINT.
///
/// # Platform
/// Linux with the `env` of GNU coreutils; elsewhere the command is as it is.
pub fn with_default_signals(program: impl AsRef<OsStr>) -> Command {
    if !ignores_any(&std::fs::read_to_string("/proc/self/status").unwrap_or_default()) {
        return Command::new(program);
    }
    let mut command = Command::new("env");
    command.arg("--default-signal=HUP,INT,QUIT,TERM").arg(program);
    command
}

fn ignores_any(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & ENDING != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_is_read_from_the_mask() {
        assert!(ignores_any("Name:\tx\nSigIgn:\t0000000080001001\n"));
        assert!(ignores_any("SigIgn:\t0000000000004000\n"));
        assert!(!ignores_any("SigIgn:\t0000000000001000\n"));
        assert!(!ignores_any(""));
    }
}
