//! The line in front of each lock inside this process: first come, first served.
//!
//! One thread of a process at a time goes to the operating system for a name; the others wait here, in order. When a
//! holder lets go, the operating system's lock is released *before* the next in line is woken, so that other processes
//! have their chance at each release: neither side can starve the other for ever, and neither is preferred.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::{Arc, Mutex, OnceLock};

use crate::Mode;
use crate::park::{Latch, locked};

/// One name in one folder, however many [`Locks`](crate::Locks) this process has made for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) hash: u128,
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // The name's own hash is uniform; equality still looks at all of it, and at the folder.
        state.write_u64(u64::try_from(self.hash & u128::from(u64::MAX)).unwrap_or_default());
    }
}

/// Passes on a number that is a hash already. Names are hashed by BLAKE3, so nobody can make them collide on purpose.
#[derive(Debug, Default)]
pub(crate) struct Uniform(u64);

impl Hasher for Uniform {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

#[derive(Debug, Default)]
struct Line {
    exclusive: u32,
    shared: u32,
    /// Somebody is at the operating system, and may stay there for as long as its wait allows.
    acquiring: bool,
    queue: VecDeque<(Arc<Latch>, Mode)>,
}

impl Line {
    const fn admits(&self, mode: Mode) -> bool {
        match mode {
            Mode::Shared => self.exclusive == 0,
            Mode::Exclusive => self.exclusive == 0 && self.shared == 0,
        }
    }

    /// The first in line, when it could go on. Anybody else would only wake to sleep again.
    fn next(&self) -> Option<&Latch> {
        let (latch, mode) = self.queue.front()?;
        (!self.acquiring && self.admits(*mode)).then_some(latch)
    }

    fn is_idle(&self) -> bool {
        self.exclusive == 0 && self.shared == 0 && !self.acquiring && self.queue.is_empty()
    }
}

type Lines = Mutex<HashMap<Key, Line, BuildHasherDefault<Uniform>>>;

const SHARDS: usize = 16;

fn shard(key: &Key) -> &'static Lines {
    static SHARDED: OnceLock<[Lines; SHARDS]> = OnceLock::new();
    let shards = SHARDED.get_or_init(Default::default);
    // The hash is uniform, so any four bits of it will do.
    let index = usize::try_from(key.hash % SHARDS as u128).unwrap_or(0);
    shards.get(index).unwrap_or(&shards[0])
}

fn change<T>(key: &Key, change: impl FnOnce(&mut Line) -> T) -> T {
    let mut lines = locked(shard(key));
    match lines.entry(*key) {
        Entry::Occupied(mut entry) => {
            let outcome = change(entry.get_mut());
            if entry.get().is_idle() {
                entry.remove();
            } else if let Some(next) = entry.get().next() {
                next.wake();
            }
            outcome
        }
        Entry::Vacant(entry) => {
            let mut line = Line::default();
            let outcome = change(&mut line);
            if !line.is_idle() {
                entry.insert(line);
            }
            outcome
        }
    }
}

/// Whether nobody in this process holds the name or waits for it.
pub(crate) fn is_idle(key: &Key) -> bool {
    !locked(shard(key)).contains_key(key)
}

/// The right to ask the operating system. Its drop gives the right back, so it is made only once the right is had.
#[derive(Debug)]
pub(crate) struct Turn {
    key: Key,
    /// Whether others wait until this is over. One look without a wait holds up nobody.
    alone: bool,
}

impl Turn {
    /// For a caller that will not wait: unless somebody here has the lock, or waits for it, it may look once.
    pub(crate) fn glance(key: Key, mode: Mode) -> Option<Self> {
        change(&key, |line| line.admits(mode) && line.queue.is_empty()).then(|| Self { key, alone: false })
    }

    /// At once, if nobody is before us.
    pub(crate) fn at_once(key: Key, mode: Mode) -> Option<Self> {
        change(&key, |line| {
            let free = line.admits(mode) && line.queue.is_empty() && !line.acquiring;
            line.acquiring |= free;
            free
        })
        .then(|| Self { key, alone: true })
    }

    /// The operating system has granted it.
    pub(crate) fn taken(mut self, mode: Mode) -> Seat {
        let alone = std::mem::take(&mut self.alone);
        change(&self.key, |line| {
            line.acquiring &= !alone;
            match mode {
                Mode::Shared => line.shared += 1,
                Mode::Exclusive => line.exclusive += 1,
            }
        });
        Seat { key: self.key, mode }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.alone {
            change(&self.key, |line| line.acquiring = false);
        }
    }
}

/// A place in the queue; dropping it leaves the queue.
#[derive(Debug)]
pub(crate) struct Place {
    key: Key,
    latch: Arc<Latch>,
}

impl Place {
    pub(crate) fn last(key: Key, mode: Mode, latch: &Arc<Latch>) -> Self {
        change(&key, |line| line.queue.push_back((Arc::clone(latch), mode)));
        Self { key, latch: Arc::clone(latch) }
    }

    /// The turn, if this is the first in line and the holders here allow it.
    pub(crate) fn turn(&self, mode: Mode) -> Option<Turn> {
        change(&self.key, |line| {
            let first = line.queue.front().is_some_and(|(front, _)| Arc::ptr_eq(front, &self.latch));
            let free = first && !line.acquiring && line.admits(mode);
            if free {
                line.queue.pop_front();
                line.acquiring = true;
            }
            free
        })
        .then(|| Turn { key: self.key, alone: true })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        change(&self.key, |line| line.queue.retain(|(latch, _)| !Arc::ptr_eq(latch, &self.latch)));
    }
}

/// A holder's place; dropping it, after the operating system's lock, lets the next one try.
#[derive(Debug)]
pub(crate) struct Seat {
    key: Key,
    mode: Mode,
}

impl Drop for Seat {
    fn drop(&mut self) {
        change(&self.key, |line| match self.mode {
            Mode::Shared => line.shared = line.shared.saturating_sub(1),
            Mode::Exclusive => line.exclusive = line.exclusive.saturating_sub(1),
        });
    }
}
