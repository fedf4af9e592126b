//! Keeping the memory of this process out of files that the system writes when it crashes.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(unix))]
mod other;
#[cfg(all(unix, not(target_os = "linux")))]
mod unix;

#[cfg(target_os = "linux")]
use linux as system;
#[cfg(not(unix))]
use other as system;
#[cfg(all(unix, not(target_os = "linux")))]
use unix as system;

/// Keeps the memory of this process out of core dumps, and tells whether that worked.
///
/// Call it before the first secret is read. It does not keep memory from being swapped out, and does not keep the
/// super-user out.
///
/// # Platform
/// - Linux: the process is marked as not dumpable (`PR_SET_DUMPABLE`). Other processes of the same user can then neither
///   attach to it (`ptrace`) nor read its memory, and its files in `/proc` belong to the super-user, so that some
///   debuggers and profilers no longer work. Programs that it starts are dumpable again.
/// - Other Unix systems: the limit on the size of core dumps is set to zero. Programs that it starts inherit that.
/// - Elsewhere there is nothing to set, and the answer is false: on Windows, what is dumped is the administrator's choice.
///
/// ```
/// # #[cfg(unix)]
/// assert!(larder_credentials::withhold_from_core_dumps());
/// ```
pub fn withhold_from_core_dumps() -> bool {
    system::withhold()
}
