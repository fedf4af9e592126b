//! What the system says of a process.

use std::fs::read_to_string;

/// How a process fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It goes on, or waits for something.
    Running,
    /// Somebody has stopped it: SIGSTOP, Ctrl-Z, a debugger.
    Stopped,
    /// There is no such process here.
    Gone,
    /// The platform does not tell.
    Unknown,
}

/// The state of the process with this number on this machine.
pub(super) fn state(pid: u32) -> State {
    if !cfg!(target_os = "linux") {
        return State::Unknown;
    }
    match read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => parse(&stat),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => State::Gone,
        Err(_) => State::Unknown,
    }
}

/// The name of the program stands in parentheses, and may have any in it.
fn parse(stat: &str) -> State {
    match stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()) {
        Some('T' | 't') => State::Stopped,
        Some('Z' | 'X') => State::Gone,
        Some(_) => State::Running,
        None => State::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_read_behind_a_name_that_looks_like_one() {
        assert_eq!(parse("7 (a) T (b) S 1 7"), State::Running);
        assert_eq!(parse("7 (sleep) T 1 7"), State::Stopped);
        assert_eq!(parse("7 (x) Z 1"), State::Gone);
        assert_eq!(parse(""), State::Unknown);
    }

    #[test]
    fn this_process_runs() {
        let expected = if cfg!(target_os = "linux") { State::Running } else { State::Unknown };
        assert_eq!(state(std::process::id()), expected);
    }
}
