//! Systems where a process has no say in it.

pub(super) fn withhold() -> bool {
    false
}
