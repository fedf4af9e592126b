//! How much room a root's entries take, counted without looking at them, and what they may take.
//!
//! Each process adds what it stores and removes to two numbers in its own memory, and settles them with the file
//! `ledger/room` of the root, under a lock for microseconds, whenever they come to a thousandth of the bounds. So every
//! writer knows the sum of all, a thousandth each behind, and no put lists or reads anything. What a killed process had
//! not settled is missing from the sum; each eviction looks at all entries anyway, and sets it right. A sum is not believed
//! when nobody has looked for an hour, nor when it was made in another boot: loss of power may have taken a part of what it
//! counts.

mod ledger;

pub(crate) use ledger::{Begun, Ledger, Reach};

/// Entries take whole blocks: sizes are counted in these, in bytes, as the usual file systems do.
pub(crate) const BLOCK: u64 = 4096;
/// Eviction ends at so many percent of a bound, so that not each put brings the next one about.
const LOW_WATER_PERCENT: u64 = 90;
/// Beyond so many percent of a bound a writer makes room itself instead of waiting for somebody else to.
const HIGH_WATER_PERCENT: u64 = 105;

/// The room that a file of `length` bytes takes.
pub(crate) const fn room_of(length: u64) -> u64 {
    match length.checked_next_multiple_of(BLOCK) {
        None => length,
        Some(0) => BLOCK,
        Some(room) => room,
    }
}

/// What the entries of a root may take together.
///
/// Bounds are what eviction works towards, not what a put is refused by: what is stored may be beyond them by a tenth,
/// and one entry for each process that writes at the moment.
///
/// ```
/// use larder_storage::Bounds;
/// let bounds = Bounds { bytes: 1024 * 1024 * 1024, ..Bounds::default() };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bounds {
    /// Bytes, each entry taking whole blocks of 4 KiB: 100 MiB unless told otherwise.
    pub bytes: u64,
    /// Entries: 10,000 unless told otherwise.
    pub entries: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { bytes: 100 * 1024 * 1024, entries: 10_000 }
    }
}

impl Bounds {
    /// None at all.
    pub const UNLIMITED: Self = Self { bytes: u64::MAX, entries: u64::MAX };

    /// Where eviction ends: 90 % of these.
    #[must_use]
    pub const fn low_water(&self) -> Self {
        let entries = percent(self.entries, LOW_WATER_PERCENT);
        // one that was just stored is not to go for a bound of one
        let entries = if entries == 0 && self.entries > 0 { 1 } else { entries };
        Self { bytes: percent(self.bytes, LOW_WATER_PERCENT), entries }
    }

    /// Where writers begin to make room themselves: 105 % of these.
    #[must_use]
    pub const fn high_water(&self) -> Self {
        Self { bytes: percent(self.bytes, HIGH_WATER_PERCENT), entries: percent(self.entries, HIGH_WATER_PERCENT) }
    }

    /// Whether that is more than these allow.
    pub const fn are_exceeded_by(&self, occupied: &Occupied) -> bool {
        occupied.bytes > self.bytes || occupied.entries > self.entries
    }

    /// What a process stores or removes before it tells the others: a thousandth.
    const fn grain(&self) -> Self {
        Self { bytes: self.bytes / 1024, entries: self.entries / 1024 }
    }
}

const fn percent(of: u64, percent: u64) -> u64 {
    match of.checked_mul(percent) {
        Some(product) => product / 100,
        // as exact as such numbers need
        None => (of / 100).saturating_mul(percent),
    }
}

/// The room that entries take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occupied {
    /// Bytes, each entry taking whole blocks of 4 KiB.
    pub bytes: u64,
    /// Entries.
    pub entries: u64,
}

impl Occupied {
    /// One file of `length` bytes.
    pub(crate) const fn by(length: u64) -> Self {
        Self { bytes: room_of(length), entries: 1 }
    }

    pub(crate) const fn plus(self, more: Self) -> Self {
        Self { bytes: self.bytes.saturating_add(more.bytes), entries: self.entries.saturating_add(more.entries) }
    }
}

/// How what is stored compares with the bounds, as far as this process knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pressure {
    /// Within the bounds.
    None,
    /// Nobody has looked at all entries in this boot, or for an hour: an eviction will.
    Unknown,
    /// Beyond the bounds: somebody should evict.
    Over,
    /// Beyond 105 % of them: whoever writes should evict before anything else.
    FarOver,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_take_whole_blocks() {
        assert_eq!([0, 1, 4096, 4097].map(room_of), [4096, 4096, 4096, 8192]);
        assert_eq!(room_of(u64::MAX), u64::MAX);
    }

    #[test]
    fn water_marks_lie_around_the_bounds() {
        let bounds = Bounds { bytes: 1_000, entries: 10 };
        assert_eq!(bounds.low_water(), Bounds { bytes: 900, entries: 9 });
        assert_eq!(bounds.high_water(), Bounds { bytes: 1_050, entries: 10 });
        assert!(!Bounds::UNLIMITED.are_exceeded_by(&Occupied { bytes: u64::MAX, entries: u64::MAX }));
        assert!(Bounds::UNLIMITED.low_water().bytes > u64::MAX / 100 * 89);
        assert!(bounds.are_exceeded_by(&Occupied { bytes: 0, entries: 11 }));
        assert!(bounds.are_exceeded_by(&Occupied { bytes: 1_001, entries: 0 }));
        assert!(!bounds.are_exceeded_by(&Occupied { bytes: 1_000, entries: 10 }));
    }
}
