//! The bytes of a stamp file: a header page, a table of pages, and the records appended since.
//!
//! docs/format.md draws it. All numbers are little-endian.

use twox_hash::{XxHash3_64, XxHash3_128};

use crate::entry::Tag;
use crate::key::Key;

pub(crate) const VERSION: u32 = 1;
pub(crate) const PAGE_BYTES: usize = 4096;
pub(crate) const ROWS: usize = 2;
pub(crate) const PAGES_PER_ROW: usize = 256;
pub(crate) const PAGES: usize = ROWS * PAGES_PER_ROW;
pub(crate) const SLOTS_PER_PAGE: usize = 255;
/// Where the appended records begin.
pub(crate) const RECORDS_AT: u64 = (PAGE_BYTES * (1 + PAGES)) as u64;
pub(crate) const RECORD_BYTES: usize = 64;
/// How many records make a file full: then it is folded into the next one. A fresh process reads at most this tail.
pub(crate) const RECORDS_MAX: u64 = 1_024;
/// How many earlier lineages a file remembers.
pub(crate) const ANCESTORS_MAX: usize = 64;
/// By how much generations leap when records that were seen may have been lost: more than a file can ever hold.
pub(crate) const LEAP: u64 = 1 << 32;

const MAGIC: &[u8; 16] = b"larder stamps\n\0\0";
const RECORD_MAGIC: u32 = u32::from_le_bytes(*b"LSt1");

/// The last invalidations of one name, softly and hard, as generation numbers; 0 for never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) soft: u64,
    pub(crate) hard: u64,
}

impl Marks {
    /// The later of each.
    pub(crate) fn max(self, other: Self) -> Self {
        Self { soft: self.soft.max(other.soft), hard: self.hard.max(other.hard) }
    }

    /// The earlier of each: what two rows both claim.
    pub(crate) fn min(self, other: Self) -> Self {
        Self { soft: self.soft.min(other.soft), hard: self.hard.min(other.hard) }
    }
}

/// The first page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileHeader {
    pub(crate) sequence: u64,
    pub(crate) lineage: u64,
    /// The generation number at the first byte of the records.
    pub(crate) base: u64,
    /// The file's own inode, so that a copy is known for one; 0 where the platform has none.
    pub(crate) inode: u64,
    /// When it was made, in nanoseconds since 1970; 0 where the platform does not tell.
    pub(crate) born: u64,
    /// The boot it was made in; 0 where the platform does not tell.
    pub(crate) boot: u128,
    /// The latest invalidation folded into the table.
    pub(crate) latest: u64,
    /// Invalidations of everything.
    pub(crate) all: Marks,
    /// Which pages of the table have content; the others are holes.
    pub(crate) filled: [u64; PAGES / 64],
    /// Earlier lineages whose entries still count, each up to a number.
    pub(crate) ancestors: Vec<(u64, u64)>,
}

/// Why a header page is not ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    Newer(u32),
    Damaged,
}

/// Bytes written one after the other.
struct Writer(Vec<u8>);

impl Writer {
    fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
}

/// Bytes read one after the other; zeros beyond the end, which no checksum passes.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        if let Some((head, rest)) = self.0.split_at_checked(N) {
            out.copy_from_slice(head);
            self.0 = rest;
        }
        out
    }
    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }
    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }
}

/// Fills up to one page less the checksum, which comes last.
fn seal_page(mut bytes: Vec<u8>, seed: u64) -> Vec<u8> {
    bytes.resize(PAGE_BYTES - 8, 0);
    let check = XxHash3_64::oneshot_with_seed(seed, &bytes);
    bytes.extend_from_slice(&check.to_le_bytes());
    bytes
}

fn page_is_sound(bytes: &[u8], seed: u64) -> bool {
    let Some((content, check)) = bytes.split_at_checked(PAGE_BYTES - 8) else { return false };
    XxHash3_64::oneshot_with_seed(seed, content).to_le_bytes() == *check
}

impl FileHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer(Vec::with_capacity(PAGE_BYTES));
        out.0.extend_from_slice(MAGIC);
        out.u32(VERSION);
        out.u32(u32::try_from(self.ancestors.len()).unwrap_or(0));
        for value in [self.sequence, self.lineage, self.base, self.inode, self.born] {
            out.u64(value);
        }
        out.0.extend_from_slice(&self.boot.to_le_bytes());
        for value in [self.latest, self.all.soft, self.all.hard] {
            out.u64(value);
        }
        for value in self.filled {
            out.u64(value);
        }
        for &(lineage, number) in self.ancestors.iter().take(ANCESTORS_MAX) {
            out.u64(lineage);
            out.u64(number);
        }
        seal_page(out.0, 0)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, HeaderFault> {
        if bytes.len() != PAGE_BYTES || !bytes.starts_with(MAGIC) || !page_is_sound(bytes, 0) {
            return Err(HeaderFault::Damaged);
        }
        let mut from = Reader(bytes.get(MAGIC.len()..).unwrap_or_default());
        let version = from.u32();
        if version > VERSION {
            return Err(HeaderFault::Newer(version));
        }
        let ancestors = (from.u32() as usize).min(ANCESTORS_MAX);
        let (sequence, lineage, base) = (from.u64(), from.u64(), from.u64());
        let (inode, born) = (from.u64(), from.u64());
        let boot = u128::from_le_bytes(from.take());
        let (latest, all) = (from.u64(), Marks { soft: from.u64(), hard: from.u64() });
        let filled = std::array::from_fn(|_| from.u64());
        let ancestors = (0..ancestors).map(|_| (from.u64(), from.u64())).collect();
        Ok(Self { sequence, lineage, base, inode, born, boot, latest, all, filled, ancestors })
    }

    pub(crate) fn has_page(&self, page: usize) -> bool {
        self.filled.get(page / 64).is_some_and(|bits| bits >> (page % 64) & 1 == 1)
    }

    pub(crate) fn set_page(&mut self, page: usize) {
        if let Some(bits) = self.filled.get_mut(page / 64) {
            *bits |= 1 << (page % 64);
        }
    }

    /// What sets this file's pages and records apart from any other's.
    fn seed(&self) -> u64 {
        self.lineage ^ self.sequence.rotate_left(32)
    }

    pub(crate) fn encode_page(&self, page: usize, slots: &[Marks]) -> Vec<u8> {
        let mut out = Writer(Vec::with_capacity(PAGE_BYTES));
        for marks in slots.iter().take(SLOTS_PER_PAGE) {
            out.u64(marks.soft);
            out.u64(marks.hard);
        }
        seal_page(out.0, self.seed() ^ (page as u64 + 1))
    }

    /// The slots of a page; `None` when it is damaged.
    pub(crate) fn decode_page(&self, page: usize, bytes: &[u8]) -> Option<Vec<Marks>> {
        if bytes.len() != PAGE_BYTES || !page_is_sound(bytes, self.seed() ^ (page as u64 + 1)) {
            return None;
        }
        let mut from = Reader(bytes);
        Some((0..SLOTS_PER_PAGE).map(|_| Marks { soft: from.u64(), hard: from.u64() }).collect())
    }

    /// A record, with how far its writer knows the records before it to be on stable storage.
    pub(crate) fn encode_record(&self, record: &Record, synced: u64) -> [u8; RECORD_BYTES] {
        let mut out = Writer(Vec::with_capacity(RECORD_BYTES));
        let (kind, digest, file) = match record {
            Record::Seal => (0_u32, 0, FileName::default()),
            Record::All { hard: false } => (1, 0, FileName::default()),
            Record::All { hard: true } => (2, 0, FileName::default()),
            Record::Name { digest, hard: false } => (3, *digest, FileName::default()),
            Record::Name { digest, hard: true } => (4, *digest, FileName::default()),
            Record::Publishing { digest, file } => (5, *digest, *file),
        };
        out.u32(RECORD_MAGIC);
        out.u32(kind);
        out.0.extend_from_slice(&digest.to_le_bytes());
        out.u64(synced);
        out.u64(file.session);
        out.u64(file.number);
        out.0.resize(RECORD_BYTES - 8, 0);
        let check = XxHash3_64::oneshot_with_seed(self.seed(), &out.0);
        out.u64(check);
        let mut bytes = [0; RECORD_BYTES];
        bytes.copy_from_slice(&out.0);
        bytes
    }

    /// The record at the beginning of `bytes`, if a sound one of this file is there, and how far its writer knew the
    /// records before it to be on stable storage.
    pub(crate) fn decode_record(&self, bytes: &[u8]) -> Option<(Record, u64)> {
        let bytes = bytes.get(..RECORD_BYTES)?;
        if !bytes.starts_with(&RECORD_MAGIC.to_le_bytes()) {
            return None;
        }
        let (content, check) = bytes.split_at_checked(RECORD_BYTES - 8)?;
        if XxHash3_64::oneshot_with_seed(self.seed(), content).to_le_bytes() != *check {
            return None;
        }
        let mut from = Reader(content.get(4..)?);
        let kind = from.u32();
        let digest = u128::from_le_bytes(from.take());
        let synced = from.u64();
        let file = FileName { session: from.u64(), number: from.u64() };
        let record = match kind {
            0 => Record::Seal,
            1 => Record::All { hard: false },
            2 => Record::All { hard: true },
            3 => Record::Name { digest, hard: false },
            4 => Record::Name { digest, hard: true },
            5 => Record::Publishing { digest, file },
            _ => return None,
        };
        Some((record, synced))
    }
}

/// One appended record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// Nothing behind it counts: the file that follows has everything before it.
    Seal,
    /// Everything was invalidated.
    All { hard: bool },
    /// A key, prefix or tag was.
    Name { digest: u128, hard: bool },
    /// What is stored under a key is about to be replaced, or removed: by then, this temporary file is gone. Says nothing
    /// of validity, is synced by nobody, and does not count as a generation.
    Publishing { digest: u128, file: FileName },
}

/// The name of a temporary file, as numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileName {
    pub(crate) session: u64,
    pub(crate) number: u64,
}

/// The digests of names, each kind apart from the others.
pub(crate) mod digest {
    use super::{Key, Tag, XxHash3_128};

    const KEY: u64 = 1;
    const PREFIX: u64 = 2;
    const TAG: u64 = 3;

    pub(crate) fn key(key: &Key) -> u128 {
        XxHash3_128::oneshot_with_seed(KEY, key.as_str().as_bytes())
    }

    pub(crate) fn prefix(prefix: &str) -> u128 {
        XxHash3_128::oneshot_with_seed(PREFIX, prefix.as_bytes())
    }

    pub(crate) fn tag(tag: &Tag) -> u128 {
        XxHash3_128::oneshot_with_seed(TAG, tag.as_str().as_bytes())
    }
}

/// Where a digest's marks are in each row: page and slot.
pub(crate) fn places(digest: u128) -> [(usize, usize); ROWS] {
    const SLOTS: u64 = (PAGES_PER_ROW * SLOTS_PER_PAGE) as u64;
    let mut row = 0;
    let bytes = digest.to_le_bytes();
    let mut from = Reader(&bytes);
    [from.u64(), from.u64()].map(|half| {
        // the remainder is below 65,280
        let slot = usize::try_from(half % SLOTS).unwrap_or(0);
        let place = (row * PAGES_PER_ROW + slot / SLOTS_PER_PAGE, slot % SLOTS_PER_PAGE);
        row += 1;
        place
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header() -> FileHeader {
        FileHeader {
            sequence: 7,
            lineage: 0x1122_3344_5566_7788,
            base: LEAP,
            inode: 42,
            born: 43,
            boot: 9,
            latest: LEAP - 64,
            all: Marks { soft: 1, hard: 2 },
            filled: [0; PAGES / 64],
            ancestors: vec![(5, 6), (7, 8)],
        }
    }

    #[test]
    fn the_bytes_of_format_1_do_not_change() {
        let record = header().encode_record(&Record::Name { digest: 0x0102_0304, hard: true }, 64);
        let expected = [&b"LSt1"[..], &[4, 0, 0, 0, 4, 3, 2, 1], &[0; 12], &[64], &[0; 31]].concat();
        assert_eq!(record[..56], expected);
        assert_eq!(header().encode().len(), PAGE_BYTES);
        assert_eq!(RECORDS_AT, 2_101_248);
        assert_eq!(places(0), [(0, 0), (256, 0)]);
        assert_eq!(digest::prefix("docs/"), 234_975_486_308_248_801_590_865_499_517_185_031_234);
    }

    #[test]
    fn a_header_page_comes_back_and_any_flipped_bit_is_damage() {
        let mut header = header();
        header.set_page(511);
        let page = header.encode();
        assert_eq!(FileHeader::decode(&page).unwrap(), header);
        assert!(header.has_page(511) && !header.has_page(0));
        for at in 0..page.len() {
            let mut damaged = page.clone();
            damaged[at] ^= 1 << (at % 8);
            assert!(FileHeader::decode(&damaged).is_err(), "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn records_are_sound_in_their_own_file_only(digest in any::<u128>(), kind in 0..3, at in 0..RECORD_BYTES) {
            let (one, mut other) = (header(), header());
            other.sequence += 1;
            let record = match kind {
                0 => Record::Publishing { digest, file: FileName { session: at as u64, number: 9 } },
                kind => Record::Name { digest, hard: kind == 1 },
            };
            let mut bytes = one.encode_record(&record, 128);
            prop_assert_eq!(one.decode_record(&bytes), Some((record, 128)));
            prop_assert_eq!(other.decode_record(&bytes), None);
            bytes[at] ^= 1;
            prop_assert_eq!(one.decode_record(&bytes), None);
        }

        #[test]
        fn pages_are_sound_in_their_own_place_only(soft in any::<u64>(), hard in any::<u64>(), slot in 0..SLOTS_PER_PAGE) {
            let mut slots = vec![Marks::default(); SLOTS_PER_PAGE];
            slots[slot] = Marks { soft, hard };
            let bytes = header().encode_page(3, &slots);
            prop_assert_eq!(header().decode_page(3, &bytes), Some(slots));
            prop_assert_eq!(header().decode_page(4, &bytes), None);
        }

        #[test]
        fn every_place_is_in_the_table(digest in any::<u128>()) {
            for (row, (page, slot)) in places(digest).into_iter().enumerate() {
                prop_assert!(page / PAGES_PER_ROW == row && slot < SLOTS_PER_PAGE);
            }
        }
    }
}
