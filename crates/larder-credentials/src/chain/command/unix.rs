//! Commands of Unix: their pipes read without blocking, their end seen before they are reaped, their group killed at once.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Child;
use std::time::Duration;

use larder_system::{Clock as _, SystemClock};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use zeroize::Zeroize as _;

use super::output::Output;
use super::{End, bury};

/// How much is read at a time.
const READ_BYTES: usize = 4 * 1024;
/// How many reads in a row one pipe gets: all that it can hold at once.
const READS_MAX: usize = 16;
/// How long the first pause is, and the longest: the end of a command whose children keep its pipes is not announced.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(10);

/// Makes it the leader of a process group of its own.
pub(super) fn lead_group(command: &mut std::process::Command) {
    command.process_group(0);
}

/// Takes its output until it ends, or its time does. What its children write afterwards is not waited for.
pub(super) fn watch(mut child: Child, timeout: Duration, output: &mut Output) -> End {
    let pid = Pid::from_child(&child);
    let mut printed = child.stdout.take().map(OwnedFd::from);
    let mut said = child.stderr.take().map(OwnedFd::from);
    let end = take(pid, timeout, [&mut printed, &mut said], output);
    match end {
        Ok(()) => child.wait().map_or_else(End::NotRead, End::Ended),
        Err(end) => {
            // an error means that it is gone, which is what was to be reached
            let _ = kill_process_group(pid, Signal::KILL);
            bury(child);
            end
        }
    }
}

/// Until it has ended, without reaping it: so its number stays its own.
fn take(pid: Pid, timeout: Duration, pipes: [&mut Option<OwnedFd>; 2], output: &mut Output) -> Result<(), End> {
    let clock = SystemClock::new();
    let deadline = clock.monotonic() + timeout;
    let [printed, said] = pipes;
    for pipe in [&*printed, &*said].into_iter().flatten() {
        rustix::io::ioctl_fionbio(pipe, true).map_err(|error| End::NotRead(error.into()))?;
    }
    let mut pause = PAUSE_MIN;
    loop {
        // looked at first: what it wrote before its end is in the pipes then
        let ended = has_ended(pid);
        drain(printed, |bytes| output.print(bytes))?;
        drain(said, |bytes| {
            output.say(bytes);
            true
        })?;
        if ended {
            return Ok(());
        }
        let left = deadline.saturating_sub(clock.monotonic());
        if left.is_zero() {
            return Err(End::TimedOut);
        }
        wait(&[&*printed, &*said], left.min(pause))?;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

fn has_ended(pid: Pid) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    match waitid(WaitId::Pid(pid), options) {
        Ok(status) => status.is_some(),
        Err(Errno::INTR) => false,
        // nothing to wait for
        Err(_) => true,
    }
}

/// Reads what is there; a pipe that has come to its end is closed.
fn drain(pipe: &mut Option<OwnedFd>, mut take: impl FnMut(&[u8]) -> bool) -> Result<(), End> {
    let mut buffer = [0; READ_BYTES];
    for _ in 0..READS_MAX {
        let Some(open) = pipe else { break };
        match rustix::io::read(open.as_fd(), &mut buffer) {
            Ok(0) => *pipe = None,
            Ok(count) => {
                let fits = take(buffer.get(..count).unwrap_or_default());
                buffer.zeroize();
                if !fits {
                    return Err(End::TooMuch);
                }
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => break,
            Err(error) => return Err(End::NotRead(error.into())),
        }
    }
    Ok(())
}

/// Until there is something to read, or the pause is over.
fn wait(pipes: &[&Option<OwnedFd>], pause: Duration) -> Result<(), End> {
    let open: Vec<BorrowedFd<'_>> = pipes.iter().filter_map(|pipe| pipe.as_ref().map(AsFd::as_fd)).collect();
    let mut asked: Vec<PollFd<'_>> = open.iter().map(|pipe| PollFd::new(pipe, PollFlags::IN)).collect();
    let timeout = Timespec::try_from(pause).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
    match poll(&mut asked, Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(End::NotRead(error.into())),
    }
}
