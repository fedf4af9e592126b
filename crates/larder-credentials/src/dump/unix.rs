//! Other Unix systems limit the size of a core dump.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The hard limit, too: nothing in this process can raise it again.
pub(super) fn withhold() -> bool {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).is_ok() && getrlimit(Resource::Core).current == Some(0)
}
