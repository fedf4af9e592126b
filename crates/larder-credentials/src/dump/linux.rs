//! Linux marks the whole process as not to be dumped.

use rustix::process::{DumpableBehavior, dumpable_behavior, set_dumpable_behavior};

pub(super) fn withhold() -> bool {
    set_dumpable_behavior(DumpableBehavior::NotDumpable).is_ok()
        && dumpable_behavior().is_ok_and(|now| now == DumpableBehavior::NotDumpable)
}
