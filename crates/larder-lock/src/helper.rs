//! Threads that wait in the operating system on behalf of callers with a deadline.
//!
//! A blocked `flock` cannot be given a deadline, so a thread that may be left behind waits in it. The caller waits for
//! that thread, and leaves when its own time is up. The thread stays, is used by the next caller that waits for the
//! same lock, and lets go at once of a lock that it gets when nobody wants it any more. Nothing ever joins it, and a
//! process that ends takes it along.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::sync::{Arc, Mutex, OnceLock};

use larder_system::{Disk, Handle, Metadata, retry};

use crate::Mode;
use crate::line::Key;
use crate::park::{Latch, locked};

/// The most helper threads that one process has at a time; further waits poll.
pub const HELPERS_MAX: usize = 64;

const STACK_BYTES: usize = 128 * 1_024;

/// One thread in one wait.
#[derive(Debug)]
pub(crate) struct Helper {
    mode: Mode,
    device: u64,
    inode: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// In the operating system; the caller to wake, if any.
    Waiting(Option<Arc<Latch>>),
    /// Back, with the lock or with what went wrong.
    Back(io::Result<Handle>),
    /// The answer was collected, or the lock let go because nobody wanted it.
    Over,
}

/// What a caller learns from its helper.
pub(crate) enum Answer {
    /// Not yet.
    Pending,
    /// The lock is on this handle, or an error in its place.
    Back(io::Result<Handle>),
    /// The helper had given up before it was asked; try again without it.
    Gone,
}

type Helpers = Mutex<HashMap<Key, Arc<Helper>>>;

/// All helpers of this process. Its size is the number of threads.
fn all() -> &'static Helpers {
    static ALL: OnceLock<Helpers> = OnceLock::new();
    ALL.get_or_init(Helpers::default)
}

/// How many helper threads this process has now.
pub fn helper_count() -> usize {
    locked(all()).len()
}

impl Helper {
    /// A helper for the lock of `file`: the one that lingers for this very file and mode, or else a new one that waits
    /// on `file`. `Err` gives the file back when there can be none: one lingers there for another mode or for a file
    /// that has lost its name, there are too many, or the system has no thread to give.
    pub(crate) fn hire(
        key: Key,
        disk: &Arc<dyn Disk>,
        file: Handle,
        found: &Metadata,
        mode: Mode,
        latch: &Arc<Latch>,
    ) -> Result<Arc<Self>, Handle> {
        let mut helpers = locked(all());
        let count = helpers.len();
        let vacant = match helpers.entry(key) {
            Entry::Occupied(lingering) => {
                let helper = Arc::clone(lingering.get());
                let fits = (helper.mode, helper.device, helper.inode) == (mode, found.device, found.inode);
                return if fits && helper.adopt(latch) { Ok(helper) } else { Err(file) };
            }
            Entry::Vacant(vacant) if count < HELPERS_MAX => vacant,
            Entry::Vacant(_) => return Err(file),
        };
        let helper = Arc::new(Self {
            mode,
            device: found.device,
            inode: found.inode,
            state: Mutex::new(State::Waiting(Some(Arc::clone(latch)))),
        });
        // A thread that cannot be started drops its closure; the file must outlive that.
        let luggage = Arc::new(Mutex::new(Some(file)));
        let (thread, disk, carried) = (Arc::clone(&helper), Arc::clone(disk), Arc::clone(&luggage));
        let started = std::thread::Builder::new()
            .name("larder-lock wait".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || thread.run(&key, disk.as_ref(), &carried));
        if let Err(error) = started {
            tracing::debug!(%error, "no thread to wait for a lock, polling instead");
            return match locked(&luggage).take() {
                Some(file) => Err(file),
                None => Ok(helper),
            };
        }
        vacant.insert(Arc::clone(&helper));
        Ok(helper)
    }

    /// False when it has nothing to wait for any more.
    fn adopt(&self, latch: &Arc<Latch>) -> bool {
        let mut state = locked(&self.state);
        let waiting = matches!(*state, State::Waiting(_));
        if waiting {
            *state = State::Waiting(Some(Arc::clone(latch)));
        }
        waiting
    }

    fn run(&self, key: &Key, disk: &dyn Disk, luggage: &Mutex<Option<Handle>>) {
        let Some(file) = locked(luggage).take() else { return };
        let mode = self.mode;
        let outcome = retry(|| disk.lock(&file, mode));
        // Off the list first: a caller that still finds this helper in it can count on an answer.
        locked(all()).remove(key);
        let mut state = locked(&self.state);
        let unwanted = match std::mem::replace(&mut *state, State::Over) {
            State::Waiting(Some(latch)) => {
                *state = State::Back(outcome.map(|()| file));
                latch.wake();
                None
            }
            State::Waiting(None) | State::Back(_) | State::Over => Some(file),
        };
        drop(state);
        if let Some(file) = unwanted {
            // a child that is just being forked may have a copy
            let _ = disk.unlock(&file);
            disk.close(file);
        }
    }

    pub(crate) fn ask(&self) -> Answer {
        let mut state = locked(&self.state);
        if matches!(*state, State::Waiting(_)) {
            return Answer::Pending;
        }
        match std::mem::replace(&mut *state, State::Over) {
            State::Back(outcome) => Answer::Back(outcome),
            State::Waiting(_) | State::Over => Answer::Gone,
        }
    }

    /// Leaves the helper to itself, unless it has an answer after all.
    pub(crate) fn leave(&self) -> Answer {
        if let State::Waiting(latch) = &mut *locked(&self.state) {
            *latch = None;
            return Answer::Pending;
        }
        self.ask()
    }
}
