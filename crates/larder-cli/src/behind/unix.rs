//! Processes of Unix that belong to no session but their own.

use std::process::Command;

/// The first descriptor that is no standard stream.
const FIRST: i32 = 3;

/// What the shell has opened beside the standard streams (`exec 3>file`, a lock, a job server) is its own, and whoever waits
/// for its end must not wait for the helper.
pub(super) fn detach(_helper: &mut Command) {
    close_fds::set_fds_cloexec_threadsafe(FIRST, &[]);
}

/// A session of its own: no terminal, no job control, no group that anybody else signals.
pub(super) fn leave() {
    // refused only to the leader of a group, which has what it wants already
    let _ = rustix::process::setsid();
}
