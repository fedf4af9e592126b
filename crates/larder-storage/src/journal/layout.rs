//! The bytes of a journal: header, frames, checksums. Nothing here touches the disk; `docs/format-journal.md` is its text.

use twox_hash::XxHash3_64;

/// The version this code writes.
pub(super) const VERSION: u16 = 1;
/// Both copies of the header; the first frame begins here.
pub(super) const HEADER_LENGTH: usize = 2 * HEADER_COPY;
const HEADER_COPY: usize = 64;
const HEADER_MAGIC: [u8; 8] = *b"larder\nj";

/// A frame's fixed start.
pub(super) const HEAD_LENGTH: usize = 32;
/// A frame's fixed end: the seal, the frame's length again, and a word that is never zero.
pub(super) const TRAILER_LENGTH: usize = 16;
const ENTRY_LENGTH: usize = 16;
const HEAD_MAGIC: u32 = 0x6c6a_7231;
const TRAILER_MAGIC: u32 = 0x656e_6431;
const KIND_BATCH: u32 = 1;
const KIND_CLOSED: u32 = 2;

/// The longest record, in bytes.
pub const RECORD_LENGTH_MAX: usize = 1024 * 1024;
/// The most bytes of records in one batch.
pub const BATCH_LENGTH_MAX: usize = 64 * 1024 * 1024;
/// The most records in one batch.
pub const BATCH_RECORDS_MAX: usize = 1024 * 1024;
/// The longest frame there can be: all records of a batch, each padded, their table, head and trailer.
pub(super) const FRAME_LENGTH_MAX: usize =
    HEAD_LENGTH + BATCH_RECORDS_MAX * (ENTRY_LENGTH + 7) + BATCH_LENGTH_MAX + TRAILER_LENGTH;
/// How long the mark is that says "this journal may have been replaced". Shorter than any batch, so that a batch
/// written in its place covers it.
pub(super) const CLOSED_LENGTH: usize = HEAD_LENGTH + TRAILER_LENGTH;

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at.checked_add(2)?)?.try_into().ok().map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at.checked_add(8)?)?.try_into().ok().map(u64::from_le_bytes)
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(slot) = at.checked_add(value.len()).and_then(|end| bytes.get_mut(at..end)) {
        slot.copy_from_slice(value);
    }
}

const fn padded(length: usize) -> usize {
    length.next_multiple_of(8)
}

/// Which journal a file is: the same lineage through all compactions, the next generation after each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Drawn at random when the journal was made from nothing.
    pub lineage: u128,
    /// How many compactions it has been through.
    pub generation: u64,
    /// The sequence number of its first record: those of earlier generations are all smaller.
    pub first_sequence: u64,
}

/// Why a header cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// No copy of it is whole.
    Damaged,
    /// Written by a version that says this one cannot read it.
    Newer(u16),
}

/// What a file's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) origin: Origin,
    pub(super) version: u16,
    /// The oldest version that may append.
    write_from: u16,
}

impl Header {
    pub(super) const fn new(origin: Origin) -> Self {
        Self { origin, version: VERSION, write_from: 1 }
    }

    pub(super) const fn is_writable(&self) -> bool {
        self.write_from <= VERSION
    }

    pub(super) fn encode(&self) -> [u8; HEADER_LENGTH] {
        let mut bytes = [0; HEADER_LENGTH];
        for copy in bytes.chunks_exact_mut(HEADER_COPY) {
            put(copy, 0, &HEADER_MAGIC);
            put(copy, 8, &self.version.to_le_bytes());
            put(copy, 10, &1_u16.to_le_bytes());
            put(copy, 12, &self.write_from.to_le_bytes());
            put(copy, 16, &self.origin.lineage.to_le_bytes());
            put(copy, 32, &self.origin.generation.to_le_bytes());
            put(copy, 40, &self.origin.first_sequence.to_le_bytes());
            let check = XxHash3_64::oneshot(copy.get(..56).unwrap_or_default());
            put(copy, 56, &check.to_le_bytes());
        }
        bytes
    }

    /// Reads the first copy that is whole.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Unfit> {
        let mut copies = bytes.chunks_exact(HEADER_COPY).take(2);
        copies.find_map(Self::decode_copy).unwrap_or(Err(Unfit::Damaged))
    }

    fn decode_copy(copy: &[u8]) -> Option<Result<Self, Unfit>> {
        if !copy.starts_with(&HEADER_MAGIC) || u64_at(copy, 56)? != XxHash3_64::oneshot(copy.get(..56)?) {
            return None;
        }
        let (version, read_from, write_from) = (u16_at(copy, 8)?, u16_at(copy, 10)?, u16_at(copy, 12)?);
        if read_from > VERSION {
            return Some(Err(Unfit::Newer(version)));
        }
        let lineage = u128::from_le_bytes(copy.get(16..32)?.try_into().ok()?);
        let origin = Origin { lineage, generation: u64_at(copy, 32)?, first_sequence: u64_at(copy, 40)? };
        Some(Ok(Self { origin, version, write_from }))
    }

    /// What makes a frame of this file different from the same frame in any other, or in another generation.
    pub(super) fn seed(&self) -> u64 {
        XxHash3_64::oneshot(self.encode().get(16..48).unwrap_or_default())
    }
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Records, whole or absent together.
    Batch,
    /// The mark of a compaction: whoever reads it looks at what the name stands for now.
    Closed,
}

/// A frame's start, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) length: usize,
    pub(super) count: u32,
    pub(super) sequence: u64,
}

impl Head {
    /// Reads the head of a frame that begins at `offset`; `None` when there is none.
    pub(super) fn decode(bytes: &[u8], seed: u64, offset: u64) -> Option<Self> {
        if u32_at(bytes, 0)? != HEAD_MAGIC {
            return None;
        }
        let check = XxHash3_64::oneshot_with_seed(seed.wrapping_add(offset), bytes.get(..24)?);
        if u64_at(bytes, 24)? != check {
            return None;
        }
        let kind = match u32_at(bytes, 4)? {
            KIND_BATCH => Kind::Batch,
            KIND_CLOSED => Kind::Closed,
            _ => return None,
        };
        let (length, count) = (usize::try_from(u32_at(bytes, 8)?).ok()?, u32_at(bytes, 12)?);
        let least = HEAD_LENGTH + usize::try_from(count).ok()?.checked_mul(ENTRY_LENGTH)? + TRAILER_LENGTH;
        let fits = length >= least && length <= FRAME_LENGTH_MAX && length.is_multiple_of(8);
        fits.then_some(Self { kind, length, count, sequence: u64_at(bytes, 16)? })
    }

    fn encode(self, bytes: &mut [u8], seed: u64, offset: u64) {
        let kind = match self.kind {
            Kind::Batch => KIND_BATCH,
            Kind::Closed => KIND_CLOSED,
        };
        put(bytes, 0, &HEAD_MAGIC.to_le_bytes());
        put(bytes, 4, &kind.to_le_bytes());
        put(bytes, 8, &length_word(self.length).to_le_bytes());
        put(bytes, 12, &self.count.to_le_bytes());
        put(bytes, 16, &self.sequence.to_le_bytes());
        let check = XxHash3_64::oneshot_with_seed(seed.wrapping_add(offset), bytes.get(..24).unwrap_or_default());
        put(bytes, 24, &check.to_le_bytes());
    }

    fn table_end(self) -> usize {
        HEAD_LENGTH + usize::try_from(self.count).unwrap_or(usize::MAX / 32) * ENTRY_LENGTH
    }
}

/// A frame's length as it is stored; every caller has checked it against a limit far below 4 GiB.
fn length_word(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Head and table together: what a batch's seal vouches for.
fn seal_of(bytes: &[u8], head: Head) -> u64 {
    XxHash3_64::oneshot(bytes.get(..head.table_end()).unwrap_or_default())
}

/// How long the frame is that ends in `trailer`; `None` when it is not a frame's end.
pub(super) fn length_from_trailer(trailer: &[u8]) -> Option<usize> {
    let length = usize::try_from(u32_at(trailer, 8)?).ok()?;
    (u32_at(trailer, 12)? == TRAILER_MAGIC && length <= FRAME_LENGTH_MAX).then_some(length)
}

/// A batch on its way into a journal: everything but its place.
#[derive(Debug)]
pub(super) struct Body {
    bytes: Vec<u8>,
    count: u32,
}

/// Why records make no batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Oversize {
    /// One record is longer than [`RECORD_LENGTH_MAX`]: its index and length.
    Record(usize, usize),
    /// Together they are longer than [`BATCH_LENGTH_MAX`].
    Batch(usize),
    /// They are more than [`BATCH_RECORDS_MAX`].
    Count(usize),
}

impl Body {
    pub(super) fn of<R: AsRef<[u8]>>(records: &[R]) -> Result<Self, Oversize> {
        if records.len() > BATCH_RECORDS_MAX {
            return Err(Oversize::Count(records.len()));
        }
        let (mut total, mut space) = (0_usize, 0_usize);
        for (index, record) in records.iter().enumerate() {
            let length = record.as_ref().len();
            if length > RECORD_LENGTH_MAX {
                return Err(Oversize::Record(index, length));
            }
            total += length;
            space += padded(length);
        }
        if total > BATCH_LENGTH_MAX {
            return Err(Oversize::Batch(total));
        }
        let table_end = HEAD_LENGTH + records.len() * ENTRY_LENGTH;
        let mut bytes = Vec::with_capacity(table_end + space + TRAILER_LENGTH);
        bytes.resize(HEAD_LENGTH, 0);
        for record in records {
            let record = record.as_ref();
            bytes.extend_from_slice(&u64::from(length_word(record.len())).to_le_bytes());
            bytes.extend_from_slice(&XxHash3_64::oneshot(record).to_le_bytes());
        }
        for record in records {
            bytes.extend_from_slice(record.as_ref());
            bytes.resize(padded(bytes.len()), 0);
        }
        bytes.resize(bytes.len() + TRAILER_LENGTH, 0);
        Ok(Self { bytes, count: length_word(records.len()) })
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// The frame, for this place and no other.
    pub(super) fn place(&mut self, seed: u64, offset: u64, sequence: u64) -> &[u8] {
        let head = Head { kind: Kind::Batch, length: self.bytes.len(), count: self.count, sequence };
        finish(&mut self.bytes, head, seed, offset);
        &self.bytes
    }
}

/// The mark of a compaction, for the place `offset`.
pub(super) fn closed(seed: u64, offset: u64, sequence: u64) -> [u8; CLOSED_LENGTH] {
    let mut bytes = [0; CLOSED_LENGTH];
    finish(&mut bytes, Head { kind: Kind::Closed, length: CLOSED_LENGTH, count: 0, sequence }, seed, offset);
    bytes
}

fn finish(bytes: &mut [u8], head: Head, seed: u64, offset: u64) {
    head.encode(bytes, seed, offset);
    let seal = seal_of(bytes, head);
    let trailer = bytes.len().saturating_sub(TRAILER_LENGTH);
    put(bytes, trailer, &seal.to_le_bytes());
    put(bytes, trailer + 8, &length_word(head.length).to_le_bytes());
    put(bytes, trailer + 12, &TRAILER_MAGIC.to_le_bytes());
}

/// Whether the frame's table and end are what its head promised: its write got to the end, somewhere in between included
/// only as far as [`records`] finds each record whole.
pub(super) fn is_sealed(frame: &[u8], head: Head) -> bool {
    let Some(at) = head.length.checked_sub(TRAILER_LENGTH) else { return false };
    let Some(trailer) = frame.get(at..head.length) else { return false };
    length_from_trailer(trailer) == Some(head.length) && u64_at(trailer, 0) == Some(seal_of(frame, head))
}

/// The records of a sealed frame in order, unverified, each with the checksum it must have.
pub(super) fn slices(frame: &[u8], head: Head) -> impl Iterator<Item = Option<(&[u8], u64)>> {
    let table = frame.get(HEAD_LENGTH..head.table_end()).unwrap_or_default();
    let space = frame.get(head.table_end()..head.length.saturating_sub(TRAILER_LENGTH)).unwrap_or_default();
    let mut at = 0_usize;
    table.chunks_exact(ENTRY_LENGTH).map(move |entry| {
        let length = usize::try_from(u64_at(entry, 0)?).ok()?;
        let record = at.checked_add(length).and_then(|end| space.get(at..end))?;
        at = padded(at + length);
        Some((record, u64_at(entry, 8)?))
    })
}

/// The records of a sealed frame in order; `None` for one whose bytes are not those that were written.
pub(super) fn records(frame: &[u8], head: Head) -> impl Iterator<Item = Option<&[u8]>> {
    slices(frame, head)
        .map(|slice| slice.and_then(|(record, check)| (XxHash3_64::oneshot(record) == check).then_some(record)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: Origin = Origin { lineage: 7, generation: 3, first_sequence: 11 };

    #[test]
    fn a_header_reads_back_from_either_copy() {
        let header = Header::new(ORIGIN);
        let whole = header.encode();
        assert_eq!(Header::decode(&whole), Ok(header));
        for at in 0..HEADER_LENGTH {
            let mut bytes = whole;
            bytes[at] ^= 0x10;
            assert_eq!(Header::decode(&bytes), Ok(header), "byte {at} damaged in one copy only");
        }
        assert_eq!(Header::decode(&[0; HEADER_LENGTH]), Err(Unfit::Damaged));
        assert_eq!(Header::decode(&whole[..40]), Err(Unfit::Damaged));
    }

    #[test]
    fn a_newer_version_is_read_if_it_allows_that_and_written_only_if_it_allows_that() {
        let stamp = |version: u16, read_from: u16, write_from: u16| {
            let mut bytes = Header::new(ORIGIN).encode();
            for copy in bytes.chunks_exact_mut(HEADER_COPY) {
                put(copy, 8, &version.to_le_bytes());
                put(copy, 10, &read_from.to_le_bytes());
                put(copy, 12, &write_from.to_le_bytes());
                let check = XxHash3_64::oneshot(&copy[..56]);
                put(copy, 56, &check.to_le_bytes());
            }
            Header::decode(&bytes)
        };
        assert_eq!(stamp(9, 2, 2), Err(Unfit::Newer(9)));
        assert!(!stamp(9, 1, 2).unwrap().is_writable());
        assert!(stamp(9, 1, 1).unwrap().is_writable());
    }

    #[test]
    fn a_frame_is_valid_in_its_own_place_only() {
        let seed = Header::new(ORIGIN).seed();
        let mut body = Body::of(&[b"one".as_slice(), b"", b"three"]).unwrap();
        let frame = body.place(seed, 128, 11).to_vec();
        let head = Head::decode(&frame, seed, 128).unwrap();
        assert!(is_sealed(&frame, head));
        let read: Vec<_> = records(&frame, head).collect();
        assert_eq!(read, [Some(b"one".as_slice()), Some(b"".as_slice()), Some(b"three".as_slice())]);
        assert_eq!(Head::decode(&frame, seed, 136), None);
        assert_eq!(Head::decode(&frame, seed ^ 1, 128), None);
        assert_eq!(length_from_trailer(&frame[frame.len() - TRAILER_LENGTH..]), Some(frame.len()));
    }

    #[test]
    fn the_smallest_batch_covers_the_mark_of_a_compaction() {
        assert!(Body::of(&[b""]).unwrap().len() > CLOSED_LENGTH);
    }

    #[test]
    fn records_beyond_the_limits_make_no_batch() {
        let long = vec![0; RECORD_LENGTH_MAX + 1];
        assert_eq!(Body::of(&[&[][..], &long]).unwrap_err(), Oversize::Record(1, RECORD_LENGTH_MAX + 1));
        let full = vec![0; RECORD_LENGTH_MAX];
        let many = vec![full.as_slice(); BATCH_LENGTH_MAX / RECORD_LENGTH_MAX + 1];
        assert_eq!(Body::of(&many).unwrap_err(), Oversize::Batch(BATCH_LENGTH_MAX + RECORD_LENGTH_MAX));
        let count = BATCH_RECORDS_MAX + 1;
        assert_eq!(Body::of(&vec![b""; count]).unwrap_err(), Oversize::Count(count));
    }
}
