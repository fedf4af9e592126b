//! Processes as Linux shows them: `/proc` for what they are, `kill(pid, 0)` for whether they are.

use rustix::io::Errno;
use rustix::process::Pid;

/// The pid namespace of this process.
pub(super) fn own_space() -> Option<u64> {
    let link = std::fs::read_link("/proc/self/ns/pid").ok()?;
    link.to_str()?.strip_prefix("pid:[")?.strip_suffix(']')?.parse().ok()
}

/// When `pid` started, in ticks since boot.
pub(super) fn start_of(pid: u32) -> Option<u64> {
    read(pid).map(|(_, start)| start)
}

/// Whether no process has `pid`. A `/proc` mounted with `hidepid` hides processes of others, so absence there would prove
/// nothing; this does.
pub(super) fn has_vanished(pid: u32) -> bool {
    let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
    number.is_some_and(|number| rustix::process::test_kill_process(number) == Err(Errno::SRCH))
}

/// Whether the process that had `pid` and began at `start` is certainly gone.
pub(super) fn is_gone(pid: u32, start: u64) -> bool {
    if has_vanished(pid) {
        return true;
    }
    match read(pid) {
        Some((_, now)) if now != start => true,
        // A zombie's leader thread has ended; it is gone only when no other thread of it goes on.
        Some(('Z' | 'X', _)) => {
            std::fs::read_dir(format!("/proc/{pid}/task")).is_ok_and(|tasks| tasks.take(2).count() < 2)
        }
        _ => false,
    }
}

/// State and start time from `/proc/<pid>/stat`. The command between parentheses may hold anything, parentheses too.
fn read(pid: u32) -> Option<(char, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_command) = text.rsplit_once(") ")?;
    let mut fields = after_command.split(' ');
    let state = fields.next()?.chars().next()?;
    // Field 22 of the line; the state is field 3.
    let start = fields.nth(18)?.parse().ok()?;
    Some((state, start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_not_gone_and_has_a_start() {
        let pid = std::process::id();
        assert!(!is_gone(pid, start_of(pid).unwrap()));
    }

    #[test]
    fn a_pid_that_began_at_another_time_is_another_process() {
        let pid = std::process::id();
        assert!(is_gone(pid, start_of(pid).unwrap() + 1));
    }

    #[test]
    fn a_killed_child_is_gone_before_and_after_it_is_reaped() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let start = start_of(child.id()).unwrap();
        assert!(!is_gone(child.id(), start));
        child.kill().unwrap();
        // Waits for the exit without reaping it.
        let id = rustix::process::WaitId::Pid(Pid::from_child(&child));
        rustix::process::waitid(id, rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT)
            .unwrap();
        assert!(is_gone(child.id(), start), "a zombie holds nothing");
        child.wait().unwrap();
        assert!(is_gone(child.id(), start));
    }

    #[test]
    fn pids_that_no_process_can_have_prove_nothing() {
        assert!(!is_gone(0, 1));
        assert!(!is_gone(u32::MAX, 1));
    }
}
