//! On which terms a caller asks: how long it waits, and what it takes.

use std::time::Duration;

use larder_lock::{Bound, Origin, Wait};
use larder_storage::Tag;

/// How long a caller waits unless it says so.
const WAIT: Duration = Duration::from_secs(600);
/// How long the command of a dead leader is waited for unless a caller says so.
const ORPHAN_WAIT: Duration = Duration::from_secs(10);

/// A caller's terms for one [`begin`](crate::Flights::begin).
///
/// ```
/// use std::time::Duration;
/// use larder_lock::Wait;
/// use larder_upstream::Terms;
///
/// let terms = Terms::new().wait(Wait::up_to(Duration::from_secs(30))).accept_remembered_failure(false);
/// ```
#[derive(Clone, Debug)]
#[must_use = "terms do nothing until something is begun on them"]
pub struct Terms {
    pub(crate) wait: Wait,
    pub(crate) tags: Vec<Tag>,
    pub(crate) accept_remembered_failure: bool,
    pub(crate) orphan_wait: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            wait: Wait::new(Bound::UpTo(WAIT)).from(Origin::Default),
            tags: Vec::new(),
            accept_remembered_failure: true,
            orphan_wait: ORPHAN_WAIT,
        }
    }
}

impl Terms {
    /// Waits 10 minutes, knows no tags, takes failures that are still remembered, and waits 10 seconds for the command
    /// of a dead leader.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long it waits for others in all, what cancels it, and who is told. The observer hears the key as the name,
    /// and the leader of the flight as the holder.
    pub fn wait(mut self, wait: Wait) -> Self {
        self.wait = wait;
        self
    }

    /// The tags that the answer will have, as far as they are known: a flight that was begun before one of them was
    /// invalidated is not joined.
    pub fn tags(mut self, tags: impl IntoIterator<Item = Tag>) -> Self {
        self.tags = tags.into_iter().collect();
        self
    }

    /// Whether a failure that an earlier leader asked to be [remembered](crate::Flight::fail) is an answer.
    pub fn accept_remembered_failure(mut self, yes: bool) -> Self {
        self.accept_remembered_failure = yes;
        self
    }

    /// How long the [command](crate::Flight::lend) of a dead leader may live on before it is called again all the same.
    /// It counts within the wait.
    pub fn orphan_wait(mut self, at_most: Duration) -> Self {
        self.orphan_wait = at_most;
        self
    }
}
