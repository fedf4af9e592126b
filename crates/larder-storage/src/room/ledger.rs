//! The sum of all processes, in a file of 80 bytes, and what this one has not added to it yet.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `larder\nr` |
//! | 8 | 2 | format version, little-endian as all numbers |
//! | 10 | 1 | 1 while somebody counts for the first time: the sum is then 2^60 and what has come or gone since he began |
//! | 11 | 1 | zero |
//! | 12 | 4 | how often somebody has looked at all entries, modulo 2^32 |
//! | 16 | 16 | the boot in which it was counted; zero where boots cannot be told apart |
//! | 32 | 8 | bytes |
//! | 40 | 8 | entries |
//! | 48 | 8 | when somebody last looked at all entries, in milliseconds of that boot's monotonic clock |
//! | 56 | 8 | bytes where the last eviction could remove nothing more, and was above the bounds; else zero |
//! | 64 | 8 | entries, likewise |
//! | 72 | 8 | XXH3-64 of the 72 bytes before, at this place in every version |

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use larder_lock::{Locks, Mode, Wait};
use larder_system::{Clock, Disk, Handle, Open, retry, write_all_at};

use super::{Bounds, Occupied, Pressure};
use crate::folder;

/// The folder that the file shares with other ledgers of the root.
const FOLDER: &str = "ledger";
const FILE: &str = "room";
/// Whoever holds it adds to the file, for microseconds.
const LOCK: &str = "//room/sum";
const LENGTH: usize = 80;
const MAGIC: &[u8; 8] = b"larder\nr";
const VERSION: u16 = 1;
/// What stands for a sum that nobody has counted.
const UNKNOWN: u64 = u64::MAX;
/// Where a sum begins that is counted for the first time: more may go than comes meanwhile.
const BASE: Occupied = Occupied { bytes: 1 << 60, entries: 1 << 60 };

/// What all processes have stored, as last seen, and what this one has stored since.
#[derive(Debug)]
pub(crate) struct Ledger {
    bounds: Bounds,
    /// Stored and removed by this process, and not in the file yet.
    bytes: AtomicI64,
    entries: AtomicI64,
    /// As last read from the file, or [`UNKNOWN`].
    known_bytes: AtomicU64,
    known_entries: AtomicU64,
    stuck_bytes: AtomicU64,
    stuck_entries: AtomicU64,
    file: Mutex<Option<Handle>>,
}

/// By what the file is reached.
pub(crate) struct Reach<'a> {
    pub(crate) disk: &'a dyn Disk,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) root: &'a Handle,
    pub(crate) locks: &'a Locks,
}

impl Ledger {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            bytes: AtomicI64::new(0),
            entries: AtomicI64::new(0),
            known_bytes: AtomicU64::new(UNKNOWN),
            known_entries: AtomicU64::new(UNKNOWN),
            stuck_bytes: AtomicU64::new(0),
            stuck_entries: AtomicU64::new(0),
            file: Mutex::new(None),
        }
    }

    /// One file came in the place of what was there; returns whether it is time to [`settle`](Self::settle).
    pub(crate) fn replace(&self, old: Option<Occupied>, new: Option<Occupied>) -> bool {
        let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
        let bytes = signed(new.bytes) - signed(old.bytes);
        let entries = signed(new.entries) - signed(old.entries);
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        let entries = self.entries.fetch_add(entries, Ordering::Relaxed).saturating_add(entries);
        let grain = self.bounds.grain();
        bytes.unsigned_abs() > grain.bytes || entries.unsigned_abs() > grain.entries
    }

    /// Adds what this process has stored and removed to the sum of all, and learns that. Whatever fails, and a sum that
    /// somebody else is adding to beyond `wait`, leaves it for the next time. Where nobody counts or has counted, it is forgotten:
    /// whoever counts will see it.
    pub(crate) fn settle(&self, reach: &Reach<'_>, wait: &Wait) -> Option<Occupied> {
        let settled = self.with_changes(reach, wait, |sum, changes, _| sum.map(|sum| sum.changed(changes)));
        match settled {
            Ok(sum) => sum.and_then(Sum::counted),
            Err(error) => {
                tracing::debug!(%error, "what was stored will be added to the sum later");
                self.occupied()
            }
        }
    }

    /// The same, before looking at all entries: from now on what comes and goes is added up, also where nobody has counted.
    pub(crate) fn begin(&self, reach: &Reach<'_>) -> Option<Begun> {
        let begun = self.with_changes(reach, &Wait::up_to(CORRECT_WAIT), |sum, changes, now_ms| {
            let first =
                Sum { occupied: BASE, looked_ms: now_ms, looks: low_bits(now_ms), stuck: NOTHING, is_counting: true };
            // what this process has stored is there to be seen
            Some(sum.map_or(first, |sum| sum.changed(changes)))
        });
        let begun = begun.inspect_err(|error| tracing::debug!(%error, "what comes meanwhile may not be counted"));
        begun.ok().flatten().map(Begun)
    }

    /// Sets the sum right: `found` is what somebody has seen who looked at all entries since `begun`. What came since may have
    /// been seen or not: it counts, so that the sum is rather too large than too small. Where somebody else has set it
    /// right meanwhile, his counts: he may have removed since what was seen here.
    pub(crate) fn correct(&self, reach: &Reach<'_>, found: Occupied, begun: Option<Begun>) {
        let corrected = self.with_changes(reach, &Wait::up_to(CORRECT_WAIT), |sum, changes, now_ms| {
            let right = |occupied, looks: u32| {
                let looks = looks.wrapping_add(1);
                Sum { occupied, looked_ms: now_ms, looks, stuck: NOTHING, is_counting: false }.changed(changes)
            };
            Some(match (sum, begun) {
                (Some(sum), Some(Begun(begun))) if sum.looks == begun.looks => {
                    let since = Changes {
                        bytes: signed(sum.occupied.bytes) - signed(begun.occupied.bytes),
                        entries: signed(sum.occupied.entries) - signed(begun.occupied.entries),
                    };
                    right(since.of(found), begun.looks)
                }
                (Some(sum), _) if !sum.is_counting => sum.changed(changes),
                (_, begun) => right(found, begun.map_or(0, |Begun(begun)| begun.looks)),
            })
        });
        if let Err(error) = corrected {
            tracing::debug!(%error, "the sum of what is stored could not be set right");
            self.know(Some(Sum { occupied: found, looked_ms: 0, looks: 0, stuck: NOTHING, is_counting: false }));
        }
    }

    /// An eviction has come to its end. Where that is above the bounds, nothing more can go at the moment: nobody is to look
    /// at everything again before a hundredth more is there.
    pub(crate) fn end(&self, reach: &Reach<'_>) {
        let bounds = self.bounds;
        let ended = self.with_changes(reach, &Wait::up_to(CORRECT_WAIT), |sum, changes, _| {
            let sum = sum?.changed(changes);
            let is_stuck = !sum.is_counting && bounds.are_exceeded_by(&sum.occupied);
            Some(Sum { stuck: if is_stuck { sum.occupied } else { NOTHING }, ..sum })
        });
        if let Err(error) = ended {
            tracing::debug!(%error, "nobody is told how the eviction ended");
        }
    }

    /// What all processes have stored, as far as this one knows; `None` when nobody has counted.
    pub(crate) fn occupied(&self) -> Option<Occupied> {
        let (bytes, entries) = (self.known_bytes.load(Ordering::Relaxed), self.known_entries.load(Ordering::Relaxed));
        (bytes != UNKNOWN).then(|| Occupied {
            bytes: add(bytes, self.bytes.load(Ordering::Relaxed)),
            entries: add(entries, self.entries.load(Ordering::Relaxed)),
        })
    }

    /// What the file says, for whoever only looks: nothing is made, locked or added. The second is what was left when an
    /// eviction could remove nothing more.
    pub(crate) fn look(disk: &dyn Disk, clock: &dyn Clock, root: &Handle) -> io::Result<Option<(Occupied, Occupied)>> {
        let boot = clock.boot().map_or(0, larder_system::Boot::number);
        let now_ms = u64::try_from(clock.monotonic().as_millis()).unwrap_or(u64::MAX);
        let file = retry(|| disk.open(root, &Path::new(FOLDER).join(FILE), Open::READ))?;
        let found = read(disk, &file, boot);
        disk.close(file);
        let Found::Sum(sum) = found? else { return Ok(None) };
        Ok(sum.is_believed(now_ms).then(|| sum.counted()).flatten().map(|occupied| (occupied, sum.stuck)))
    }

    pub(crate) fn pressure(&self) -> Pressure {
        match self.occupied() {
            _ if self.bounds == Bounds::UNLIMITED => Pressure::None,
            None => Pressure::Unknown,
            Some(occupied) if self.is_stuck_at(occupied) => Pressure::None,
            Some(occupied) if self.bounds.high_water().are_exceeded_by(&occupied) => Pressure::FarOver,
            Some(occupied) if self.bounds.are_exceeded_by(&occupied) => Pressure::Over,
            Some(_) => Pressure::None,
        }
    }

    fn is_stuck_at(&self, occupied: Occupied) -> bool {
        let stuck = Occupied {
            bytes: self.stuck_bytes.load(Ordering::Relaxed),
            entries: self.stuck_entries.load(Ordering::Relaxed),
        };
        let more = Occupied { bytes: self.bounds.bytes / 100, entries: self.bounds.entries / 100 };
        let until = stuck.plus(more);
        stuck != NOTHING && occupied.bytes <= until.bytes && occupied.entries <= until.entries
    }

    /// Replaces the sum in the file by what `change` makes of it and of what this process has not added yet, under the lock;
    /// returns what is there then.
    fn with_changes(
        &self,
        reach: &Reach<'_>,
        wait: &Wait,
        change: impl FnOnce(Option<Sum>, Changes, u64) -> Option<Sum>,
    ) -> io::Result<Option<Sum>> {
        let changes =
            Changes { bytes: self.bytes.swap(0, Ordering::Relaxed), entries: self.entries.swap(0, Ordering::Relaxed) };
        self.with_sum(reach, wait, |sum, now_ms| change(sum, changes, now_ms)).inspect_err(|_| {
            self.bytes.fetch_add(changes.bytes, Ordering::Relaxed);
            self.entries.fetch_add(changes.entries, Ordering::Relaxed);
        })
    }

    fn with_sum(
        &self,
        reach: &Reach<'_>,
        wait: &Wait,
        change: impl FnOnce(Option<Sum>, u64) -> Option<Sum>,
    ) -> io::Result<Option<Sum>> {
        let _guard = reach.locks.acquire(LOCK, Mode::Exclusive, wait).map_err(io::Error::other)?;
        let mut slot = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match slot.take() {
            Some(file) => file,
            None => open(reach)?,
        };
        let boot = reach.clock.boot().map_or(0, larder_system::Boot::number);
        let now_ms = u64::try_from(reach.clock.monotonic().as_millis()).unwrap_or(u64::MAX);
        let changed = read(reach.disk, &file, boot).and_then(|read| {
            let sum = match read {
                Found::Newer => return Ok(None),
                Found::Sum(sum) if sum.is_believed(now_ms) => Some(sum),
                Found::Sum(_) | Found::Nothing => None,
            };
            let new = change(sum, now_ms);
            if new != sum
                && let Some(new) = new
            {
                write_all_at(reach.disk, &file, &encode(new, boot), 0)?;
            }
            Ok(new)
        });
        match changed {
            Ok(sum) => {
                *slot = Some(file);
                self.know(sum);
                Ok(sum)
            }
            Err(error) => {
                reach.disk.close(file);
                Err(error)
            }
        }
    }

    fn know(&self, sum: Option<Sum>) {
        let (bytes, entries) =
            sum.and_then(Sum::counted).map_or((UNKNOWN, UNKNOWN), |counted| (counted.bytes, counted.entries));
        let stuck = sum.map_or(NOTHING, |sum| sum.stuck);
        self.known_bytes.store(bytes, Ordering::Relaxed);
        self.known_entries.store(entries, Ordering::Relaxed);
        self.stuck_bytes.store(stuck.bytes, Ordering::Relaxed);
        self.stuck_entries.store(stuck.entries, Ordering::Relaxed);
    }
}

const NOTHING: Occupied = Occupied { bytes: 0, entries: 0 };

/// What came and went.
#[derive(Clone, Copy, Debug)]
struct Changes {
    bytes: i64,
    entries: i64,
}

impl Changes {
    fn of(self, occupied: Occupied) -> Occupied {
        Occupied { bytes: add(occupied.bytes, self.bytes), entries: add(occupied.entries, self.entries) }
    }
}

/// The sum as it was when somebody began to look at all entries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun(Sum);

impl Begun {
    /// What was stored then; `None` when nobody had counted.
    pub(crate) fn occupied(self) -> Option<Occupied> {
        self.0.counted()
    }
}

/// What tells one first count from another.
fn low_bits(ms: u64) -> u32 {
    let [a, b, c, d, ..] = ms.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// How long a sum is believed since somebody looked at all entries: what processes that were killed had not added is missing
/// from it, a thousandth of the bounds for each.
const BELIEVED_MS: u64 = 3_600_000;
/// How long whoever has looked at all entries waits for the lock.
const CORRECT_WAIT: std::time::Duration = std::time::Duration::from_millis(100);

fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// A sum never falls below nothing, whatever was counted twice.
fn add(sum: u64, change: i64) -> u64 {
    sum.saturating_add_signed(change).min(UNKNOWN - 1)
}

fn open(reach: &Reach<'_>) -> io::Result<Handle> {
    let folder = folder::open_or_make(reach.disk, reach.root, Path::new(FOLDER), false)?;
    let file = retry(|| reach.disk.open(&folder, Path::new(FILE), Open::CREATE_OR_OPEN));
    reach.disk.close(folder);
    file
}

/// What the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sum {
    occupied: Occupied,
    looked_ms: u64,
    looks: u32,
    stuck: Occupied,
    is_counting: bool,
}

impl Sum {
    fn counted(self) -> Option<Occupied> {
        (!self.is_counting).then_some(self.occupied)
    }

    fn changed(self, changes: Changes) -> Self {
        Self { occupied: changes.of(self.occupied), ..self }
    }

    /// A look that is in the future was in another boot.
    const fn is_believed(&self, now_ms: u64) -> bool {
        match now_ms.checked_sub(self.looked_ms) {
            Some(age) => age < BELIEVED_MS,
            None => false,
        }
    }
}

/// What is in the file.
enum Found {
    Sum(Sum),
    /// Nothing, or nothing that can be read.
    Nothing,
    /// What only a newer larder knows, which is left alone.
    Newer,
}

fn read(disk: &dyn Disk, file: &Handle, boot: u128) -> io::Result<Found> {
    let mut bytes = [0; LENGTH];
    let length = retry(|| disk.read_at(file, &mut bytes, 0))?;
    // a flipped bit is no newer version: the bounds would hold no more
    if length == LENGTH && bytes.starts_with(MAGIC) && version(&bytes) > VERSION && is_whole(&bytes) {
        return Ok(Found::Newer);
    }
    let sum = if length == LENGTH { decode(&bytes, boot) } else { None };
    Ok(sum.map_or(Found::Nothing, Found::Sum))
}

fn version(bytes: &[u8; LENGTH]) -> u16 {
    let [.., low, high] = bytes.first_chunk::<10>().copied().unwrap_or_default();
    u16::from_le_bytes([low, high])
}

fn is_whole(bytes: &[u8; LENGTH]) -> bool {
    let (content, checksum) = bytes.split_at(LENGTH - 8);
    twox_hash::XxHash3_64::oneshot(content).to_le_bytes() == *checksum
}

fn encode(sum: Sum, boot: u128) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    let mut put = |at: usize, part: &[u8]| {
        if let Some(place) = bytes.get_mut(at..at + part.len()) {
            place.copy_from_slice(part);
        }
    };
    put(0, MAGIC);
    put(8, &VERSION.to_le_bytes());
    put(10, &[u8::from(sum.is_counting)]);
    put(12, &sum.looks.to_le_bytes());
    put(16, &boot.to_le_bytes());
    put(32, &sum.occupied.bytes.to_le_bytes());
    put(40, &sum.occupied.entries.to_le_bytes());
    put(48, &sum.looked_ms.to_le_bytes());
    put(56, &sum.stuck.bytes.to_le_bytes());
    put(64, &sum.stuck.entries.to_le_bytes());
    let (content, checksum) = bytes.split_at_mut(LENGTH - 8);
    checksum.copy_from_slice(&twox_hash::XxHash3_64::oneshot(content).to_le_bytes());
    bytes
}

fn decode(bytes: &[u8; LENGTH], boot: u128) -> Option<Sum> {
    let number = |at: usize| {
        let part = bytes.get(at..at + 8).and_then(|part| part.try_into().ok());
        part.map(u64::from_le_bytes)
    };
    let looks = bytes.get(12..16).and_then(|part| part.try_into().ok()).map(u32::from_le_bytes)?;
    let sum = Sum {
        occupied: Occupied { bytes: number(32)?, entries: number(40)? },
        looked_ms: number(48)?,
        looks,
        stuck: Occupied { bytes: number(56)?, entries: number(64)? },
        is_counting: bytes.get(10) == Some(&1),
    };
    (sum.occupied.bytes != UNKNOWN && encode(sum, boot) == *bytes).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUM: Sum = Sum {
        occupied: Occupied { bytes: 8192, entries: 2 },
        looked_ms: 1_000,
        looks: 7,
        stuck: NOTHING,
        is_counting: false,
    };

    #[test]
    fn a_sum_comes_back_in_its_boot_only() {
        let bytes = encode(SUM, 7);
        assert_eq!(decode(&bytes, 7), Some(SUM));
        assert_eq!(decode(&bytes, 8), None);
    }

    #[test]
    fn a_sum_is_believed_for_an_hour_and_not_before_it_was_made() {
        for (now_ms, is_believed) in [(999, false), (1_000, true), (3_600_999, true), (3_601_000, false)] {
            assert_eq!(SUM.is_believed(now_ms), is_believed, "{now_ms}");
        }
    }

    #[test]
    fn a_flipped_bit_is_no_sum() {
        for bit in 0..LENGTH * 8 {
            let mut bytes = encode(SUM, 7);
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&bytes, 7), None, "bit {bit}");
        }
        assert_eq!(decode(&[0; LENGTH], 0), None);
    }

    #[test]
    fn where_nothing_more_can_go_nobody_looks_again_before_there_is_more() {
        let ledger = Ledger::new(Bounds { bytes: u64::MAX, entries: 1_000 });
        let stuck = Occupied { bytes: 4096, entries: 1_200 };
        ledger.know(Some(Sum { occupied: stuck, stuck, ..SUM }));
        assert_eq!(ledger.pressure(), Pressure::None);
        for _ in 0..10 {
            ledger.replace(None, Some(Occupied { bytes: 0, entries: 1 }));
        }
        assert_eq!(ledger.pressure(), Pressure::None);
        ledger.replace(None, Some(Occupied { bytes: 0, entries: 1 }));
        assert_eq!(ledger.pressure(), Pressure::FarOver);
    }

    #[test]
    fn what_was_removed_twice_does_not_become_immense() {
        assert_eq!(add(4096, -8192), 0);
        assert_eq!(add(u64::MAX - 1, 8192), UNKNOWN - 1);
    }

    #[test]
    fn pressure_is_told_by_the_sum_and_what_was_added_since() {
        let ledger = Ledger::new(Bounds { bytes: 100 * 4096, entries: 100 });
        assert_eq!(ledger.pressure(), Pressure::Unknown);
        ledger.know(Some(Sum { occupied: Occupied { bytes: 50 * 4096, entries: 99 }, ..SUM }));
        assert_eq!(ledger.pressure(), Pressure::None);
        assert!(ledger.replace(None, Some(Occupied::by(1))));
        assert_eq!(ledger.pressure(), Pressure::None);
        ledger.replace(None, Some(Occupied::by(1)));
        assert_eq!(ledger.pressure(), Pressure::Over);
        ledger.replace(None, Some(Occupied::by(60 * 4096)));
        assert_eq!(ledger.pressure(), Pressure::FarOver);
        ledger.replace(Some(Occupied::by(60 * 4096)), None);
        assert_eq!(ledger.pressure(), Pressure::Over);
    }
}
