//! No signals: where there are none, what ends the console's programs ends this one and its child together.

use std::io;

/// Unused here.
pub(crate) const INTERRUPT: i32 = 2;
/// Ends a child.
pub(crate) const TERMINATE: i32 = 15;
/// Ends a child.
pub(crate) const KILL: i32 = 9;

/// There is no such signal.
pub(crate) fn outlive_file_limits() {}

/// Nor that one.
pub(crate) fn mind_children() {}

/// Hears nothing.
#[expect(clippy::unnecessary_wraps, reason = "its sibling for Unix can fail")]
pub(super) fn listen(_heard: impl Fn(i32) + Send + 'static) -> io::Result<()> {
    Ok(())
}
