//! Windows: processes that belong to no console.

use std::process::Command;

/// Without a console, and without the window of a new one.
#[cfg(windows)]
pub(super) fn detach(helper: &mut Command) {
    use std::os::windows::process::CommandExt as _;
    /// `DETACHED_PROCESS` and `CREATE_NEW_PROCESS_GROUP`, of the Windows API.
    const FLAGS: u32 = 0x0000_0008 | 0x0000_0200;
    helper.creation_flags(FLAGS);
}

#[cfg(not(windows))]
pub(super) fn detach(_helper: &mut Command) {}

/// What there is to do is done when it is started.
pub(super) const fn leave() {}
