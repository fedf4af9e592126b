//! Processes that workers started and left: this program adopts them, so that none is missed at the end.

use std::time::Duration;

use larder_system::{Clock as _, SystemClock};
use rustix::process::{Pid, Signal, WaitOptions};

const LOOK_EVERY: Duration = Duration::from_millis(5);

/// From now on an orphan of this program's children becomes its own child.
pub(crate) fn adopt() {
    // where the system cannot, it is nobody's, and is not seen
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
}

/// Waits until no child is left, at most so long; then kills the rest, and names them. To be called when nobody else
/// waits for a child.
pub(crate) fn wait(clock: &SystemClock, at_most: Duration) -> Vec<String> {
    let until = clock.monotonic() + at_most;
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some(_)) => {}
            Ok(None) if clock.monotonic() < until => clock.sleep(LOOK_EVERY),
            Ok(None) => break,
            Err(_) => return Vec::new(),
        }
    }
    let left = children();
    for (pid, _) in &left {
        let _ = rustix::process::kill_process(*pid, Signal::KILL);
    }
    left.into_iter().map(|(pid, name)| format!("{name} ({})", pid.as_raw_nonzero())).collect()
}

/// The children of this process and their names, where the system lists them.
fn children() -> Vec<(Pid, String)> {
    let mut found = Vec::new();
    let own = std::process::id().to_string();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((head, fields)) = stat.rsplit_once(')') else { continue };
        if fields.split_whitespace().nth(1) != Some(own.as_str()) {
            continue;
        }
        let name = head.split_once('(').map(|(_, name)| name.to_owned()).unwrap_or_default();
        let pid = entry.file_name().to_string_lossy().parse().ok().and_then(Pid::from_raw);
        found.extend(pid.map(|pid| (pid, name)));
    }
    found
}
