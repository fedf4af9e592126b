//! The oracle: an append-only file of what was begun, acknowledged and over, in the one order that all processes share.
//!
//! What a record's place proves: whoever appended it had done what it says at that place, and had not done what a later
//! record of the same process says. A process that is killed between an act and its record leaves the act unsaid; the
//! record of its death closes whatever it had open.

use camino::Utf8Path;
use larder_system::{Access, Create, Disk as _, Handle, Open, SystemDisk, read_exact_at, write_all};

use crate::failure::{Doing as _, Failure};

/// A power of two, so that no record crosses a page.
const RECORD: usize = 32;
const NAME: &str = "facts";
/// How many records are read at once.
const BATCH: usize = 2_048;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A version is about to be put.
    Begin = 1,
    /// Its put was acknowledged.
    Acknowledged,
    /// Its put was refused or failed.
    Refused,
    /// Its token was taken: its fetch began before this.
    Token,
    /// An invalidation is about to be made; `extra` is its scope.
    Invalidating,
    /// It was acknowledged.
    Invalidated,
    /// A lock was got, `extra` is 1 if exclusively; or the task `version` was, by the claim `extra`.
    Enter,
    /// It is about to be let go, `extra` is what the counter says; or done, `extra` is 1 if the queue says so.
    Leave,
    /// A process is gone.
    Dead,
    /// Something is about to be counted.
    Counting,
    /// It is counted.
    Counted,
}

impl Kind {
    const ALL: [Self; 11] = [
        Self::Begin,
        Self::Acknowledged,
        Self::Refused,
        Self::Token,
        Self::Invalidating,
        Self::Invalidated,
        Self::Enter,
        Self::Leave,
        Self::Dead,
        Self::Counting,
        Self::Counted,
    ];
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fact {
    pub(crate) kind: Kind,
    /// Which process.
    pub(crate) worker: u32,
    /// Of which key or lock, by its place in the list of them.
    pub(crate) key: u32,
    pub(crate) version: u64,
    pub(crate) extra: u64,
}

impl Fact {
    fn to_bytes(self) -> [u8; RECORD] {
        let mut bytes = [0; RECORD];
        let (kind, rest) = bytes.split_at_mut(4);
        kind.copy_from_slice(&(self.kind as u32).to_le_bytes());
        let (worker, rest) = rest.split_at_mut(4);
        worker.copy_from_slice(&self.worker.to_le_bytes());
        let (key, rest) = rest.split_at_mut(8);
        key.copy_from_slice(&u64::from(self.key).to_le_bytes());
        let (version, extra) = rest.split_at_mut(8);
        version.copy_from_slice(&self.version.to_le_bytes());
        extra.copy_from_slice(&self.extra.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first_chunk::<4>()?;
        let (worker, rest) = rest.split_first_chunk::<4>()?;
        let (key, rest) = rest.split_first_chunk::<8>()?;
        let (version, rest) = rest.split_first_chunk::<8>()?;
        let (extra, _) = rest.split_first_chunk::<8>()?;
        let number = u32::from_le_bytes(*kind);
        Some(Self {
            kind: Kind::ALL.into_iter().find(|kind| *kind as u32 == number)?,
            worker: u32::from_le_bytes(*worker),
            key: u32::try_from(u64::from_le_bytes(*key)).ok()?,
            version: u64::from_le_bytes(*version),
            extra: u64::from_le_bytes(*extra),
        })
    }
}

/// Appends facts.
#[derive(Debug)]
pub(crate) struct Scribe {
    disk: SystemDisk,
    file: Handle,
}

impl Scribe {
    /// For the facts in `folder`, made if there are none.
    pub(crate) fn open(folder: &Utf8Path) -> Result<Self, Failure> {
        let disk = SystemDisk::new();
        let folder = disk.open_root(folder.as_std_path()).doing(format!("open {folder}"))?;
        let how = Open { access: Access::Append, create: Create::IfAbsent };
        let file = disk.open(&folder, NAME.as_ref(), how).doing("open the facts")?;
        Ok(Self { disk, file })
    }

    pub(crate) fn append(&self, fact: Fact) -> Result<(), Failure> {
        write_all(&self.disk, &self.file, &[&fact.to_bytes()]).doing("append a fact")
    }
}

/// Reads facts as they come.
#[derive(Debug)]
pub(crate) struct Follower {
    disk: SystemDisk,
    file: Handle,
    next: u64,
}

impl Follower {
    /// From the first fact on.
    pub(crate) fn open(folder: &Utf8Path) -> Result<Self, Failure> {
        let disk = SystemDisk::new();
        let folder = disk.open_root(folder.as_std_path()).doing(format!("open {folder}"))?;
        let file = disk.open(&folder, NAME.as_ref(), Open::READ).doing("open the facts")?;
        Ok(Self { disk, file, next: 0 })
    }

    /// How many facts there are at this moment.
    pub(crate) fn now(&self) -> Result<u64, Failure> {
        let length = self.disk.seek_end(&self.file).doing("look at the facts")?;
        Ok(length / RECORD as u64)
    }

    /// Hands over the facts before `end` that were not handed over yet, each with its place.
    pub(crate) fn follow(&mut self, end: u64, mut hear: impl FnMut(u64, Fact)) -> Result<(), Failure> {
        let mut buffer = vec![0; RECORD * BATCH];
        while self.next < end {
            let count = usize::try_from(end - self.next).unwrap_or(BATCH).min(BATCH);
            let Some(room) = buffer.get_mut(..count * RECORD) else { break };
            let read = read_exact_at(&self.disk, &self.file, room, self.next * RECORD as u64);
            let read = read.doing("read the facts")?;
            if read < RECORD {
                break;
            }
            for bytes in room.chunks_exact(RECORD).take(read / RECORD) {
                let fact = Fact::from_bytes(bytes).ok_or("a record is no fact").doing("read the facts")?;
                hear(self.next, fact);
                self.next += 1;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_comes_back_as_it_was_written() {
        for kind in Kind::ALL {
            let fact = Fact { kind, worker: 7, key: 3, version: u64::MAX, extra: 1 };
            assert_eq!(Fact::from_bytes(&fact.to_bytes()), Some(fact));
        }
    }

    #[test]
    fn facts_of_two_scribes_are_followed_in_one_order() {
        let scratch = larder_testkit::Scratch::new("stress-facts");
        let (one, other) = (Scribe::open(scratch.utf8_path()).unwrap(), Scribe::open(scratch.utf8_path()).unwrap());
        let mut follower = Follower::open(scratch.utf8_path()).unwrap();
        let fact = |version| Fact { kind: Kind::Begin, worker: 1, key: 1, version, extra: 0 };
        one.append(fact(1)).unwrap();
        other.append(fact(2)).unwrap();
        one.append(fact(3)).unwrap();
        assert_eq!(follower.now().unwrap(), 3);
        let mut heard = Vec::new();
        follower.follow(2, |at, fact| heard.push((at, fact.version))).unwrap();
        follower.follow(3, |at, fact| heard.push((at, fact.version))).unwrap();
        assert_eq!(heard, [(0, 1), (1, 2), (2, 3)]);
    }
}
