//! What a look at a name tells without opening it.

/// Whether nobody can write a file and leave its stamp as it was, but for the file system's coarse clock.
pub(super) const ARE_SOUND: bool = cfg!(unix);

const SECOND_NS: i128 = 1_000_000_000;
/// How old a time with a fraction of a second must be for no later change to have the same: Linux takes times from the clock
/// of its last tick, 1 to 10 ms ago (`current_time` in `fs/inode.c`), and exFAT counts times of modification in 10 ms.
const FINE_NS: i128 = SECOND_NS / 10;
/// The same for whole seconds: FAT counts times of modification in 2 s, HFS+ in 1 s.
const COARSE_NS: i128 = 2 * SECOND_NS;
/// How much the clock of files may be behind the one that a fingerprint has its moment from.
pub(super) const TICK_NS: i128 = SECOND_NS / 100;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Absent,
    File,
    Folder,
    Link,
    Pipe,
    Socket,
    CharacterDevice,
    BlockDevice,
    Other,
}

impl Kind {
    /// The same on each platform and in each version, because it is hashed.
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Absent => 0,
            Self::File => 1,
            Self::Folder => 2,
            Self::Link => 3,
            Self::Pipe => 4,
            Self::Socket => 5,
            Self::CharacterDevice => 6,
            Self::BlockDevice => 7,
            Self::Other => 8,
        }
    }
}

/// What a look at a name tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) kind: Kind,
    pub(super) size: u64,
    /// Who may execute it: a bit each for its owner, its group and others.
    pub(super) executable: u8,
    pub(super) device: i128,
    pub(super) inode: i128,
    /// Nanoseconds since 1970.
    pub(super) modified_ns: i128,
    /// The same; where there is no time of change, that of modification.
    pub(super) changed_ns: i128,
}

impl Stamp {
    /// Of a name that nothing has.
    pub(super) const ABSENT: Self =
        Self { kind: Kind::Absent, size: 0, executable: 0, device: 0, inode: 0, modified_ns: 0, changed_ns: 0 };

    /// Whether whoever changes the file after this moment leaves another stamp.
    pub(super) fn is_settled(&self, at_ns: i128) -> bool {
        [self.modified_ns, self.changed_ns].iter().all(|time| {
            let margin = if time % SECOND_NS == 0 { COARSE_NS } else { FINE_NS };
            time.saturating_add(margin) < at_ns
        })
    }

    /// Puts it into a signature.
    pub(super) fn sign(&self, signature: &mut blake3::Hasher) {
        signature.update(&self.size.to_le_bytes());
        for number in [self.modified_ns, self.changed_ns, self.inode, self.device] {
            signature.update(&number.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_believed_when_the_clock_that_it_is_from_has_moved_on_for_sure() {
        let whole = 5 * SECOND_NS;
        let stamp = |modified_ns, changed_ns| Stamp { modified_ns, changed_ns, ..Stamp::ABSENT };
        assert!(!stamp(whole, whole).is_settled(whole + COARSE_NS));
        assert!(stamp(whole, whole).is_settled(whole + COARSE_NS + 1));
        assert!(!stamp(whole, whole + 1).is_settled(whole + 1 + FINE_NS));
        assert!(!stamp(whole - COARSE_NS, whole + 1).is_settled(whole + 1 + FINE_NS));
        assert!(stamp(whole - COARSE_NS, whole + 1).is_settled(whole + 2 + FINE_NS));
        // from the future
        assert!(!stamp(i128::MAX, 1).is_settled(whole));
    }
}
