//! What a waiting caller can show to a person.

use std::time::Duration;

use crate::Holder;

/// Told how a wait goes. An acquisition that need not wait tells nothing.
///
/// Called on the waiting thread, between its waits: what it does adds to the wait, so it must be quick, and it must not
/// acquire locks of its own.
pub trait Observer: Send + Sync {
    /// Something happened to the wait for `name`.
    fn observe(&self, name: &str, event: &Event<'_>);
}

/// What happened to a wait.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The lock is not to be had at once; the wait has begun, and this caller has its place in it.
    Started {
        /// Who has it, as far as can be told.
        holder: &'a Holder,
    },
    /// The wait goes on: each time the interval of [`Options::report_every`](crate::Options::report_every) has passed.
    StillWaiting {
        /// Who has it now.
        holder: &'a Holder,
        /// Since the call.
        waited: Duration,
    },
    /// The lock was got.
    Acquired {
        /// Since the call.
        waited: Duration,
    },
    /// The bound has passed.
    TimedOut {
        /// Who has it.
        holder: &'a Holder,
        /// Since the call.
        waited: Duration,
    },
    /// The caller's cancellation happened.
    Cancelled {
        /// Since the call.
        waited: Duration,
    },
}
