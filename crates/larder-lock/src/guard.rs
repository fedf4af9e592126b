//! A held lock.

use std::fmt;
use std::sync::Arc;

use crate::line::Seat;
use crate::locks::Shared;
use crate::name::Name;
use crate::{Mode, advisory, check, lease, retire};

/// A held lock; dropping it lets go.
///
/// Its descriptor is closed when a program is executed, so no child started with `std::process::Command` keeps the lock.
/// It is unlocked before it is closed, so that a copy which a child has between `fork` and `exec` delays no release; when
/// this process is killed in that instant, the lock is free once the child has executed its program.
///
/// It may be sent to another thread and dropped there.
#[must_use = "the lock is let go when its guard is dropped: bind it to a name for as long as it must be held"]
pub struct Guard {
    pub(crate) shared: Arc<Shared>,
    pub(crate) name: Name,
    mode: Mode,
    /// Taken out only on the way to letting go.
    pub(crate) hold: Option<Hold>,
    // Dropped after `drop` has let go of the lock itself: only then may the next thread of this process try.
    _seat: Seat,
}

/// What stands behind a guard.
#[derive(Debug)]
pub(crate) enum Hold {
    Advisory(advisory::Held),
    Lease(lease::Held),
}

impl Guard {
    pub(crate) fn new(shared: Arc<Shared>, name: Name, mode: Mode, hold: Hold, seat: Seat) -> Self {
        Self { shared, name, mode, hold: Some(hold), _seat: seat }
    }

    /// The lock's name.
    pub fn name(&self) -> &str {
        self.name.text()
    }

    /// How it is held.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// The fencing token: grows with each holder of a lease, so that whatever the lock protects can refuse the word of an
    /// earlier holder. `None` for an advisory lock, which no frozen holder can lose and which therefore needs none.
    ///
    /// Tokens of a name start again at 1 after its files were removed by [`retire`](Self::retire) or a sweep.
    pub fn token(&self) -> Option<u64> {
        match &self.hold {
            Some(Hold::Lease(held)) => Some(held.token()),
            Some(Hold::Advisory(_)) | None => None,
        }
    }

    /// A copy of the lock's descriptor, to be handed to a child (for instance as its standard input): the lock is held
    /// until this guard is dropped, and also, if this process dies before that, until the child and whoever has
    /// inherited the copy from it have closed it. `None` for a lease, which no descriptor carries.
    ///
    /// Reading from the copy gives the record of the holder, nothing where [none is kept](crate::Options::record_holder).
    ///
    /// # Errors
    /// The descriptor cannot be duplicated.
    ///
    /// # Platform
    /// On Windows a lock dies with the process that took it, whoever has the handle.
    pub fn lend(&self) -> std::io::Result<Option<std::fs::File>> {
        match &self.hold {
            Some(Hold::Advisory(held)) => {
                held.lent.store(true, std::sync::atomic::Ordering::Relaxed);
                held.file.file().map(std::fs::File::try_clone).transpose()
            }
            Some(Hold::Lease(_)) | None => Ok(None),
        }
    }

    /// Gives the lock away: whoever has the file holds it, with all who inherit the file from it, until the last of them has
    /// closed it or ended. To be handed to a child process that outlives this one. `None` for a lease, which no descriptor
    /// carries: that one is let go.
    ///
    /// # Errors
    /// The descriptor cannot be duplicated. The lock is let go then.
    ///
    /// # Platform
    /// On Windows a lock dies with the process that took it, whoever has the handle.
    pub fn hand_over(mut self) -> std::io::Result<Option<std::fs::File>> {
        let Some(hold) = self.hold.take() else { return Ok(None) };
        match hold {
            Hold::Advisory(held) => match held.file.file().map(std::fs::File::try_clone).transpose() {
                Ok(file) => {
                    // closed, and not unlocked: the lock belongs to what the descriptors stand for, and lives in the copy
                    self.shared.disk.close(held.file);
                    Ok(file)
                }
                Err(error) => {
                    advisory::release(&self.shared, &self.name, held);
                    Err(error)
                }
            },
            Hold::Lease(held) => {
                held.release();
                Ok(None)
            }
        }
    }

    /// Whether this still excludes others: the lock file is the one under its name, and a lease has neither expired nor
    /// been taken over. To be called right before what the lock protects is made visible.
    ///
    /// One system call; two or three with leases. A lease that passes can still be lost the moment after, if this
    /// process is frozen then: only a resource that compares [`token`](Self::token) closes that gap. Whether the
    /// *folder* is still the one under its name is for its owner to know.
    pub fn check(&self) -> Result<(), check::Error> {
        check::run(self)
    }

    /// Lets go and removes the lock's file, for a name that will not be used again soon.
    ///
    /// Whoever waits for the lock notices and makes a new file. Only an exclusive holder may; on an error the lock is
    /// still held, by the guard in the error.
    pub fn retire(self) -> Result<(), retire::Error> {
        retire::run(self)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        match self.hold.take() {
            Some(Hold::Advisory(held)) => advisory::release(&self.shared, &self.name, held),
            Some(Hold::Lease(held)) => held.release(),
            None => {}
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("name", &self.name.text()).field("mode", &self.mode).finish_non_exhaustive()
    }
}
