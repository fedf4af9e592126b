//! Signals of Unix, as values on a thread.

use std::io;
use std::sync::Arc;

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGKILL, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

/// What a terminal sends for Ctrl-C.
pub(crate) const INTERRUPT: i32 = SIGINT;
/// What asks a program to end.
pub(crate) const TERMINATE: i32 = SIGTERM;
/// What ends a program unasked.
pub(crate) const KILL: i32 = SIGKILL;

/// Tells `heard` each signal, for as long as this process lives.
pub(super) fn listen(heard: impl Fn(i32) + Send + 'static) -> io::Result<()> {
    let ignored = ignored();
    let wanted = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0);
    let mut signals = Signals::new(wanted)?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || signals.forever().for_each(heard))?;
    Ok(())
}

/// A write beyond a limit of file sizes (`ulimit -f`) fails from now on, as any other does, instead of ending this process:
/// the command that it attends runs all the same. The command itself gets the signal's default back.
pub(crate) fn outlive_file_limits() {
    // without it, all that is lost is what was so before
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
}

/// Whoever started this process may ignore the end of children, and then nobody could wait for any: from now on it is only
/// passed over. Children get the signal's default back.
pub(crate) fn mind_children() {
    // without it, all that is lost is what was so before
    let _ = signal_hook::flag::register(SIGCHLD, Arc::default());
}

/// The signals that this process was started to ignore, as bits; the child is to ignore them too. Only Linux tells.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
