//! Reading frames from a position on: what is whole, what is still being written, what is damaged.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use larder_system::{Disk, Handle, retry};

use super::layout::{self, FRAME_LENGTH_MAX, HEAD_LENGTH, HEADER_LENGTH, Head, Header, Kind, Origin, TRAILER_LENGTH};

/// The first look at a position: enough for a few small records, cheap when there is nothing.
const PROBE_LENGTH: usize = 512;
/// The first look at a file's end, which nearly always ends in a record.
const TAIL_LENGTH: usize = 4 * 1024;
/// How much is read at once when there is something.
const CHUNK_LENGTH: usize = 256 * 1024;
/// How far a search for the next frame goes: further than the longest frame, so that one damaged head hides no more
/// than its own frame.
const SEARCH_LENGTH_MAX: u64 = FRAME_LENGTH_MAX as u64 + 32 * 1024 * 1024;
/// How many zeros at a file's end are read backwards before the file is read from its start instead.
const ZEROS_LENGTH_MAX: u64 = 4 * 1024 * 1024;

/// What is at the reader's position.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A batch, now behind the reader; so many records before it or in it are lost to damage.
    Batch { lost: u64 },
    /// Damage, now behind the reader, with a frame after it.
    Skipped,
    /// The mark of a compaction.
    Closed,
    /// Nothing, as far as one look tells.
    Blank,
    /// Something that is no whole batch, and nothing after it that proves it damaged: still being written, or the
    /// leftover of a writer that died.
    Unfinished,
}

/// What a search for the next frame found.
#[derive(Debug, Default)]
struct Search {
    frame: Option<u64>,
    saw_bytes: bool,
}

enum Judged {
    Whole(Head),
    /// Sealed, but a record in it is not what was written.
    Partial(Head),
    Closed(Head),
    Blank,
    Unfinished,
}

/// A position in one journal file.
#[derive(Debug)]
pub(super) struct Reader {
    file: Arc<Handle>,
    seed: u64,
    offset: u64,
    sequence: u64,
    buffer: Vec<u8>,
    buffer_offset: u64,
    frame: Range<usize>,
    head: Option<Head>,
    verified: bool,
}

impl Reader {
    /// At the start of a journal.
    pub(super) fn at_start(file: Arc<Handle>, header: &Header) -> Self {
        Self::at(file, header.seed(), HEADER_LENGTH as u64, header.origin.first_sequence)
    }

    fn at(file: Arc<Handle>, seed: u64, offset: u64, sequence: u64) -> Self {
        let buffer = Vec::new();
        Self { file, seed, offset, sequence, buffer, buffer_offset: 0, frame: 0..0, head: None, verified: false }
    }

    /// At the end of a journal of `length` bytes, found from its end; `None` when its last bytes are no whole frame.
    pub(super) fn at_end(
        disk: &dyn Disk,
        file: &Arc<Handle>,
        header: &Header,
        length: u64,
    ) -> io::Result<Option<Self>> {
        let Some(end) = last_bytes(disk, file, length)? else { return Ok(None) };
        if end <= HEADER_LENGTH as u64 {
            return Ok(Some(Self::at_start(Arc::clone(file), header)));
        }
        let mut trailer = [0; TRAILER_LENGTH];
        let Some(trailer_offset) = end.checked_sub(TRAILER_LENGTH as u64) else { return Ok(None) };
        let got = larder_system::read_exact_at(disk, file, &mut trailer, trailer_offset)?;
        let frame_length = layout::length_from_trailer(trailer.get(..got).unwrap_or_default());
        let Some(start) = frame_length.and_then(|length| end.checked_sub(length as u64)) else { return Ok(None) };
        if start < HEADER_LENGTH as u64 {
            return Ok(None);
        }
        let mut reader = Self::at(Arc::clone(file), header.seed(), start, 0);
        match reader.judge(disk)? {
            Judged::Whole(head) if start + head.length as u64 == end => {
                reader.sequence = head.sequence;
                reader.pass(head);
                reader.forget();
                Ok(Some(reader))
            }
            Judged::Closed(head) => {
                reader.sequence = head.sequence;
                reader.forget();
                Ok(Some(reader))
            }
            _ => Ok(None),
        }
    }

    pub(super) fn file(&self) -> &Arc<Handle> {
        &self.file
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The sequence number of the next record.
    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Goes on behind frames that the caller knows, having written them.
    pub(super) fn jump(&mut self, offset: u64, sequence: u64) {
        self.offset = offset;
        self.sequence = sequence;
        self.forget();
    }

    /// Drops what was read ahead: it may have been written to since.
    pub(super) fn forget(&mut self) {
        self.head = None;
        self.buffer.clear();
        if self.buffer.capacity() > 4 * CHUNK_LENGTH {
            self.buffer = Vec::new();
        }
    }

    /// The records of the batch just stepped over; `None` for a damaged one.
    pub(super) fn records(&self) -> impl Iterator<Item = Option<&[u8]>> {
        let frame = self.buffer.get(self.frame.clone()).unwrap_or_default();
        let verified = self.verified;
        self.head.into_iter().flat_map(move |head| {
            let trusted = layout::slices(frame, head).map(|slice| slice.map(|(record, _)| record));
            let checked = layout::records(frame, head);
            let (trusted, checked) = if verified { (Some(trusted), None) } else { (None, Some(checked)) };
            trusted.into_iter().flatten().chain(checked.into_iter().flatten())
        })
    }

    /// The sequence number of the first record of the batch just stepped over.
    pub(super) fn first_sequence(&self) -> u64 {
        self.head.map_or(self.sequence, |head| head.sequence)
    }

    /// One step: over a whole batch, or none.
    pub(super) fn step(&mut self, disk: &dyn Disk) -> io::Result<Step> {
        let mut judged = self.judge(disk)?;
        // what was read ahead may be older than what is there now: only a fresh look may say that a frame is not whole
        if !matches!(judged, Judged::Whole(_)) && self.buffer_offset != self.offset {
            self.buffer.clear();
            judged = self.judge(disk)?;
        }
        Ok(match judged {
            Judged::Whole(head) => self.accept(head, true),
            Judged::Closed(_) => Step::Closed,
            Judged::Blank => Step::Blank,
            Judged::Partial(_) | Judged::Unfinished => Step::Unfinished,
        })
    }

    /// The same for what [`Reader::step`] called blank or unfinished, when the file goes on up to `until`: damage, if a
    /// frame follows. The flag says whether anything but zeros is there when none does.
    pub(super) fn settle(&mut self, disk: &dyn Disk, until: u64) -> io::Result<(Step, bool)> {
        self.buffer.clear();
        let from = match self.judge(disk)? {
            Judged::Whole(head) => return Ok((self.accept(head, true), true)),
            Judged::Closed(_) => return Ok((Step::Closed, true)),
            Judged::Partial(head) => self.offset + head.length as u64,
            Judged::Blank | Judged::Unfinished => self.offset,
        };
        let search = self.search(disk, from, until)?;
        let Some(next) = search.frame else {
            let saw_bytes = search.saw_bytes || from != self.offset;
            return Ok((if saw_bytes { Step::Unfinished } else { Step::Blank }, saw_bytes));
        };
        // The frame that follows was written after this one was complete, and has been seen: another look at this one
        // sees all that its writer wrote.
        self.buffer.clear();
        match self.judge(disk)? {
            Judged::Whole(head) => Ok((self.accept(head, true), true)),
            Judged::Partial(head) => Ok((self.accept(head, false), true)),
            Judged::Closed(_) | Judged::Blank | Judged::Unfinished => {
                self.offset = next;
                self.buffer.clear();
                Ok((Step::Skipped, true))
            }
        }
    }

    fn accept(&mut self, head: Head, verified: bool) -> Step {
        let skipped = head.sequence.checked_sub(self.sequence);
        let at = usize::try_from(self.offset - self.buffer_offset).unwrap_or(usize::MAX);
        self.frame = at..at.saturating_add(head.length);
        self.verified = verified;
        let Some(skipped) = skipped else {
            // a number that has been given out before: no writer of this journal wrote that here
            self.offset += head.length as u64;
            self.head = None;
            return Step::Skipped;
        };
        self.pass(head);
        let damaged = if verified { 0 } else { self.records().filter(Option::is_none).count() as u64 };
        Step::Batch { lost: skipped.saturating_add(damaged) }
    }

    fn pass(&mut self, head: Head) {
        self.offset += head.length as u64;
        self.sequence = head.sequence.saturating_add(u64::from(head.count));
        self.head = Some(head);
    }

    fn judge(&mut self, disk: &dyn Disk) -> io::Result<Judged> {
        let (seed, offset) = (self.seed, self.offset);
        let bytes = self.bytes(disk, HEAD_LENGTH)?;
        let Some(head) = Head::decode(bytes, seed, offset) else {
            let is_blank = bytes.iter().all(|byte| *byte == 0);
            return Ok(if is_blank { Judged::Blank } else { Judged::Unfinished });
        };
        if head.kind == Kind::Closed {
            return Ok(Judged::Closed(head));
        }
        let frame = self.bytes(disk, head.length)?;
        if frame.len() < head.length || !layout::is_sealed(frame, head) {
            return Ok(Judged::Unfinished);
        }
        let whole = layout::records(frame, head).all(|record| record.is_some());
        Ok(if whole { Judged::Whole(head) } else { Judged::Partial(head) })
    }

    /// `length` bytes from the position on, or as many as the file has.
    fn bytes(&mut self, disk: &dyn Disk, length: usize) -> io::Result<&[u8]> {
        let ahead = self.offset.checked_sub(self.buffer_offset).and_then(|at| usize::try_from(at).ok());
        let covered = ahead.is_some_and(|at| at.checked_add(length).is_some_and(|end| end <= self.buffer.len()));
        if !covered {
            let wanted = if self.buffer.is_empty() { PROBE_LENGTH } else { CHUNK_LENGTH };
            self.refill(disk, length, wanted.max(length))?;
        }
        let at = usize::try_from(self.offset - self.buffer_offset).unwrap_or(usize::MAX);
        let rest = self.buffer.get(at..).unwrap_or_default();
        Ok(rest.get(..length).unwrap_or(rest))
    }

    /// Reads at least `least` bytes from the position on, unless the file ends, and at most `wanted`.
    fn refill(&mut self, disk: &dyn Disk, least: usize, wanted: usize) -> io::Result<()> {
        self.buffer.clear();
        self.buffer_offset = self.offset;
        self.buffer.resize(wanted, 0);
        let mut filled = 0;
        while filled < least {
            let Some(rest) = self.buffer.get_mut(filled..) else { break };
            let read = retry(|| disk.read_at(&self.file, rest, self.offset.saturating_add(filled as u64)))?;
            if read == 0 {
                break;
            }
            filled += read;
        }
        self.buffer.truncate(filled);
        Ok(())
    }

    /// Whether the batch with this head has its end: a head alone proves nothing, its writer may have died, too.
    fn is_batch(&self, disk: &dyn Disk, head: Head, offset: u64) -> io::Result<bool> {
        let mut frame = vec![0; head.length];
        let got = larder_system::read_exact_at(disk, &self.file, &mut frame, offset)?;
        Ok(head.kind == Kind::Batch && got == head.length && layout::is_sealed(&frame, head))
    }

    /// The first sealed batch that begins in `from..until`.
    fn search(&self, disk: &dyn Disk, from: u64, until: u64) -> io::Result<Search> {
        let until = until.min(from.saturating_add(SEARCH_LENGTH_MAX));
        let mut search = Search::default();
        let mut chunk = vec![0; CHUNK_LENGTH];
        let mut at = from;
        while at < until {
            let got = larder_system::read_exact_at(disk, &self.file, &mut chunk, at)?;
            let bytes = chunk.get(..got).unwrap_or_default();
            search.saw_bytes |= bytes.iter().any(|byte| *byte != 0);
            if search.saw_bytes {
                for (index, _) in bytes.chunks(8).enumerate() {
                    let rest = bytes.get(index * 8..).unwrap_or_default();
                    let offset = at + index as u64 * 8;
                    let Some(head) = Head::decode(rest.get(..HEAD_LENGTH).unwrap_or_default(), self.seed, offset)
                    else {
                        continue;
                    };
                    if offset != self.offset && self.is_batch(disk, head, offset)? {
                        search.frame = Some(offset);
                        return Ok(search);
                    }
                }
            }
            if got < CHUNK_LENGTH {
                break;
            }
            at += (CHUNK_LENGTH - HEAD_LENGTH) as u64;
        }
        Ok(search)
    }
}

/// Where the bytes of a file end that are not zeros, rounded up to the grain of frames; `None` when there are too many
/// zeros to look behind them.
fn last_bytes(disk: &dyn Disk, file: &Handle, length: u64) -> io::Result<Option<u64>> {
    let mut chunk = Vec::new();
    let mut chunk_length = TAIL_LENGTH;
    let floor = length.saturating_sub(ZEROS_LENGTH_MAX).max(HEADER_LENGTH as u64);
    let mut end = length;
    while end > floor {
        let start = end.saturating_sub(chunk_length as u64).max(floor);
        chunk.resize(usize::try_from(end - start).unwrap_or(chunk_length), 0);
        let got = larder_system::read_exact_at(disk, file, &mut chunk, start)?;
        let bytes = chunk.get(..got).unwrap_or_default();
        if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
            return Ok(Some((start + last as u64 + 1).next_multiple_of(8)));
        }
        end = start;
        chunk_length = (chunk_length * 4).min(CHUNK_LENGTH / 4);
    }
    Ok((floor == HEADER_LENGTH as u64).then_some(floor))
}

/// Reads a journal's header.
pub(super) fn header_of(disk: &dyn Disk, file: &Handle) -> io::Result<Result<Header, layout::Unfit>> {
    let mut bytes = [0; HEADER_LENGTH];
    let got = larder_system::read_exact_at(disk, file, &mut bytes, 0)?;
    Ok(Header::decode(bytes.get(..got).unwrap_or_default()))
}

/// What a position stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) origin: Origin,
}

impl Place {
    pub(super) fn is(&self, metadata: &larder_system::Metadata) -> bool {
        (self.device, self.inode) == (metadata.device, metadata.inode)
    }
}
