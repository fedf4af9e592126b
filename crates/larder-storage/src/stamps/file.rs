//! One stamp file, opened: its header, its table read page by page, and what was appended to it.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use larder_system::{Disk, Handle, read_exact_at};

use super::format::{
    FileHeader, FileName, HeaderFault, Marks, PAGE_BYTES, PAGES, RECORD_BYTES, RECORDS_AT, Record, places,
};
use crate::generation::{Standing, Token};

/// The most that is read of what was appended since the last look: 256 times what makes a file full.
const TAIL_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// An open stamp file.
#[derive(Debug)]
pub(crate) struct StampFile {
    disk: Arc<dyn Disk>,
    /// For looking: its own position is of no matter.
    pub(crate) handle: Handle,
    /// For appending: where its last write ended is its position. Opened by the first appender.
    pub(crate) appender: OnceLock<Handle>,
    /// The number the file has, whatever its header says.
    pub(crate) inode: u64,
    pub(crate) header: FileHeader,
    /// Whether records may be appended: it is of this boot, and no copy.
    pub(crate) fit: Fitness,
    /// Whether what was not synced may be lost or torn: it is of another boot.
    rebooted: bool,
    pages: Vec<OnceLock<Vec<Marks>>>,
    /// Where the first seal ends, counted from the first record.
    pub(crate) sealed_at: OnceLock<u64>,
    /// Whether this process knows the file's name to be on stable storage.
    pub(crate) named: AtomicBool,
    /// How far the records are known to be on stable storage, counted from the first.
    pub(crate) synced: AtomicU64,
    /// How far this process has had them synced for the sake of what it stored: torn ones among them stay torn, so this
    /// says nothing of whether anybody was told of them.
    pub(crate) kept: AtomicU64,
}

/// Whether records may be appended to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fitness {
    /// They may.
    Fit,
    /// It was begun in another boot: numbers that were seen may have been lost with power.
    OtherBoot,
    /// It is a copy: newer entries than it knows of may be around.
    Copy,
}

/// How much of a file is known, and what its records say.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) file: Arc<StampFile>,
    /// How far the records are parsed.
    parsed: u64,
    /// The length of the records when last looked at, parsed or not.
    pub(crate) length: u64,
    /// Where the last record that is more than an announcement ends.
    counted: u64,
    names: HashMap<u128, Marks>,
    /// What was announced to be published, in the order of the records.
    publishing: Vec<Publication>,
    all: Marks,
    latest: u64,
    /// Where damage that may be a power cut's begins and ends.
    torn: Option<(u64, u64)>,
    /// The file is longer than anything that larder writes.
    overlong: bool,
}

/// An announcement: where its record ends, of which name, and which temporary file is there until it is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Publication {
    pub(crate) end: u64,
    pub(crate) digest: u128,
    pub(crate) file: FileName,
}

/// Why a file cannot be opened.
#[derive(Debug)]
pub(crate) enum OpenFault {
    Io(io::Error),
    Header(HeaderFault),
}

impl StampFile {
    /// Reads the header of the open file. `boot` is this boot's number, 0 where it has none.
    pub(crate) fn open(disk: Arc<dyn Disk>, handle: Handle, boot: u128) -> Result<Self, OpenFault> {
        let mut page = vec![0; PAGE_BYTES];
        let read = read_exact_at(&*disk, &handle, &mut page, 0).map_err(OpenFault::Io)?;
        page.truncate(read);
        let header = FileHeader::decode(&page).map_err(OpenFault::Header)?;
        let metadata = disk.metadata(&handle).map_err(OpenFault::Io)?;
        if metadata.length < RECORDS_AT {
            // cut within its table: what that said is not known, and what is appended would be where no records are
            return Err(OpenFault::Header(HeaderFault::Damaged));
        }
        let inode = metadata.inode;
        let born = birth(&*disk, &handle).map_err(OpenFault::Io)?;
        let rebooted = header.boot != boot || boot == 0;
        let fit = match () {
            () if (header.inode, header.born) != (inode, born) => Fitness::Copy,
            () if rebooted => Fitness::OtherBoot,
            () => Fitness::Fit,
        };
        let pages = (0..PAGES).map(|_| OnceLock::new()).collect();
        let appender = OnceLock::new();
        Ok(Self {
            disk,
            handle,
            appender,
            inode,
            header,
            fit,
            rebooted,
            pages,
            sealed_at: OnceLock::new(),
            named: AtomicBool::new(false),
            synced: AtomicU64::new(0),
            kept: AtomicU64::new(0),
        })
    }

    /// Adopts a file that this process has made itself, where the platform tells neither boots nor inodes apart.
    pub(crate) fn made_here(mut self) -> Self {
        self.fit = Fitness::Fit;
        self.rebooted = false;
        self
    }

    /// The marks of a page. A damaged page claims everything up to this file's beginning.
    pub(crate) fn page(&self, page: usize) -> io::Result<Option<&Vec<Marks>>> {
        if !self.header.has_page(page) {
            return Ok(None);
        }
        let Some(cell) = self.pages.get(page) else { return Ok(None) };
        if let Some(marks) = cell.get() {
            return Ok(Some(marks));
        }
        let mut bytes = vec![0; PAGE_BYTES];
        let read = read_exact_at(&*self.disk, &self.handle, &mut bytes, (PAGE_BYTES * (1 + page)) as u64)?;
        bytes.truncate(read);
        let marks = self.header.decode_page(page, &bytes).unwrap_or_else(|| {
            tracing::warn!(page, "a page of the invalidation table is damaged: what it covered counts as invalidated");
            let everything = Marks { soft: self.header.base, hard: self.header.base };
            vec![everything; super::format::SLOTS_PER_PAGE]
        });
        Ok(Some(cell.get_or_init(|| marks)))
    }

    /// What the table says of a name: never less than the truth.
    fn marks(&self, digest: u128) -> io::Result<Marks> {
        let mut marks = Marks { soft: u64::MAX, hard: u64::MAX };
        for (page, slot) in places(digest) {
            let claimed = self.page(page)?.and_then(|marks| marks.get(slot)).copied().unwrap_or_default();
            marks = marks.min(claimed);
        }
        Ok(marks)
    }
}

/// When a file was made, as its header has it.
pub(crate) fn birth(disk: &dyn Disk, file: &Handle) -> io::Result<u64> {
    Ok(disk.born_ns(file)?.and_then(|born| u64::try_from(born).ok()).unwrap_or(0))
}

impl View {
    /// A file of which nothing but the header and table is known.
    pub(crate) fn of(file: Arc<StampFile>) -> Self {
        let (all, latest) = (file.header.all, file.header.latest);
        Self {
            file,
            parsed: 0,
            length: 0,
            counted: 0,
            names: HashMap::new(),
            publishing: Vec::new(),
            all,
            latest,
            torn: None,
            overlong: false,
        }
    }

    /// The generation at the end of what is known, for a token: as of the last record that says something of validity.
    /// What comes after it is on nobody's stable storage, and so must not be told of.
    pub(crate) fn token_number(&self) -> u64 {
        self.file.header.base.saturating_add(self.counted_end())
    }

    /// Where the last record that a token tells of ends.
    pub(crate) fn counted_end(&self) -> u64 {
        if self.is_sealed() || self.is_read() { self.counted } else { self.length }
    }

    /// Whether everything that was appended could be read.
    pub(crate) fn is_read(&self) -> bool {
        self.parsed == self.length
    }

    /// What was announced after `position`.
    pub(crate) fn publishing_after(&self, position: u64) -> &[Publication] {
        let first = self.publishing.partition_point(|publication| publication.end <= position);
        self.publishing.get(first..).unwrap_or_default()
    }

    /// Takes note of records that this process has appended itself, if nothing was appended between them and what is
    /// known already; returns whether.
    pub(crate) fn take_own(&mut self, start: u64, bytes: &[u8]) -> bool {
        let next = self.is_read() && !self.is_sealed() && self.length == start;
        if next {
            self.length += bytes.len() as u64;
            self.parse(bytes);
        }
        next
    }

    /// The generation at the end of what is known.
    pub(crate) fn number(&self) -> u64 {
        self.file.header.base.saturating_add(self.end())
    }

    /// Where what counts ends, from the first record on.
    pub(crate) fn end(&self) -> u64 {
        self.file.sealed_at.get().copied().unwrap_or(self.length)
    }

    /// How long the records are, up to the seal.
    pub(crate) fn is_sealed(&self) -> bool {
        self.file.sealed_at.get().is_some()
    }

    /// Invalidations of everything, for folding.
    pub(crate) fn all(&self) -> Marks {
        self.all.max(self.damage())
    }

    pub(crate) fn latest(&self) -> u64 {
        self.latest.max(self.damage().hard)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = (u128, Marks)> {
        self.names.iter().map(|(&digest, &marks)| (digest, marks))
    }

    /// An end that cannot be read covers everything that it might have said, except after a power cut: there a torn end
    /// is what no sync was waited for, and so nobody was told of.
    fn damage(&self) -> Marks {
        if self.is_sealed() || self.parsed == self.length || (self.file.rebooted && !self.overlong) {
            return Marks::default();
        }
        let number = self.file.header.base.saturating_add(self.length);
        Marks { soft: number, hard: number }
    }

    /// Reads what was appended since, up to `length` or a seal.
    pub(crate) fn follow(&mut self, length: u64) -> io::Result<()> {
        if self.is_sealed() || length == self.length {
            return Ok(());
        }
        // shorter than before: somebody cut it off, which larder never does; parse it all again
        if length < self.parsed {
            *self = Self::of(Arc::clone(&self.file));
        }
        // beyond any length that a fold leaves: what is there was not written by larder
        let wanted = usize::try_from(length.saturating_sub(self.parsed).min(TAIL_BYTES_MAX)).unwrap_or(0);
        self.overlong = length > self.parsed.saturating_add(TAIL_BYTES_MAX);
        let mut bytes = vec![0; wanted];
        let file = Arc::clone(&self.file);
        let read = read_exact_at(&*file.disk, &file.handle, &mut bytes, RECORDS_AT.saturating_add(self.parsed))?;
        bytes.truncate(read);
        self.length = if self.overlong { length } else { self.parsed.saturating_add(read as u64) };
        self.parse(&bytes);
        Ok(())
    }

    fn parse(&mut self, bytes: &[u8]) {
        let start = self.parsed;
        let mut at = 0;
        while at + RECORD_BYTES <= bytes.len() {
            let rest = bytes.get(at..).unwrap_or_default();
            let file = Arc::clone(&self.file);
            let Some((record, synced)) = file.header.decode_record(rest) else {
                // skip to the next sound record
                let found = (at + 1..=bytes.len() - RECORD_BYTES)
                    .find(|&next| bytes.get(next..).is_some_and(|rest| file.header.decode_record(rest).is_some()));
                let Some(next) = found else { return };
                self.note_damage(start + at as u64, start + next as u64);
                at = next;
                self.parsed = start + at as u64;
                continue;
            };
            at += RECORD_BYTES;
            self.parsed = start + at as u64;
            self.note_synced(synced);
            if record == Record::Seal {
                let _ = file.sealed_at.set(self.parsed);
                return;
            }
            self.apply(record, self.parsed);
        }
    }

    /// Damage between sound records covers everything that it might have said. After a power cut it is that, unless it
    /// is known to have been on stable storage, what was torn before anybody was told of it.
    fn note_damage(&mut self, from: u64, to: u64) {
        if self.file.rebooted && from >= self.file.synced.load(Ordering::Relaxed) {
            self.torn = Some((self.torn.map_or(from, |(first, _)| first), to));
            return;
        }
        let number = self.file.header.base.saturating_add(to);
        self.counted = self.counted.max(to);
        tracing::warn!(number, "a record of an invalidation is damaged: everything before it counts as invalidated");
        self.all = self.all.max(Marks { soft: number, hard: number });
        self.latest = self.latest.max(number);
    }

    fn note_synced(&mut self, synced: u64) {
        self.file.synced.fetch_max(synced, Ordering::Relaxed);
        if let Some((from, to)) = self.torn
            && from < synced
        {
            self.torn = None;
            self.note_damage(from, to);
        }
    }

    fn apply(&mut self, record: Record, end: u64) {
        let number = self.file.header.base.saturating_add(end);
        let marks = |hard| if hard { Marks { soft: 0, hard: number } } else { Marks { soft: number, hard: 0 } };
        match record {
            Record::Seal => return,
            Record::All { hard } => self.all = self.all.max(marks(hard)),
            Record::Name { digest, hard } => {
                let known = self.names.entry(digest).or_default();
                *known = known.max(marks(hard));
            }
            Record::Publishing { digest, file } => {
                self.publishing.push(Publication { end, digest, file });
                return;
            }
        }
        self.counted = end;
        self.latest = self.latest.max(number);
    }

    /// What has happened since `token` to something that goes by `names`. Call it on a view as long as the file was at
    /// some moment after the question came up.
    pub(crate) fn standing(&self, token: Token, names: impl Iterator<Item = u128>) -> io::Result<Standing> {
        let header = &self.file.header;
        let horizon = if token.lineage == header.lineage {
            self.number()
        } else {
            match header.ancestors.iter().find(|&&(lineage, _)| lineage == token.lineage) {
                Some(&(_, horizon)) => horizon,
                None => return Ok(Standing::Gone),
            }
        };
        // a token from beyond the history: the record it was taken from is lost, and with it what came after
        if token.number > horizon {
            return Ok(Standing::Gone);
        }
        let damage = self.damage();
        if token.number >= self.latest.max(damage.hard) {
            return Ok(Standing::Current);
        }
        let mut marks = self.all.max(damage);
        for digest in names {
            if marks.hard > token.number {
                break;
            }
            marks = marks.max(self.file.marks(digest)?);
            if let Some(&exact) = self.names.get(&digest) {
                marks = marks.max(exact);
            }
        }
        Ok(match marks {
            Marks { hard, .. } if hard > token.number => Standing::Gone,
            Marks { soft, .. } if soft > token.number => Standing::Invalidated,
            _ => Standing::Current,
        })
    }
}
