//! Processes of Unix that belong to no session but their own.

use std::process::Command;

/// What there is to do is done by the helper itself.
pub(super) const fn detach(_helper: &mut Command) {}

/// A session of its own: no terminal, no job control, no group that anybody else signals.
pub(super) fn leave() {
    // refused only to the leader of a group, which has what it wants already
    let _ = rustix::process::setsid();
}
