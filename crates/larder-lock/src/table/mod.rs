//! The system's own table of locks, where it has one.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub(crate) use linux::{held, is_held_by};

#[cfg(not(target_os = "linux"))]
mod other;
#[cfg(not(target_os = "linux"))]
pub(crate) use other::{held, is_held_by};

use crate::Mode;

/// One lock that is held, not waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) pid: u32,
    pub(crate) mode: Mode,
    pub(crate) device: u64,
    pub(crate) inode: u64,
}
