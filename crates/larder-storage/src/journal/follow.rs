//! Following a journal: what is new, in order, without its lock.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use larder_system::{Open, retry};

use super::layout::Unfit;
use super::reach::Tail;
use super::reader::{Place, Reader, Step, header_of};
use super::{Appended, Origin, Shared};

/// How often an idle follower looks whether the journal's name still stands for its file. Compactions are noticed at
/// once; this finds what nobody announced: a file or folder removed by a stranger.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How many replaced files one poll goes through.
const OPENS_MAX: u32 = 4;
/// How many bytes of frames one poll goes through, so that a fast writer cannot keep a follower from returning.
const POLL_LENGTH_MAX: u64 = 256 * 1024 * 1024;

/// What a follower is told, in the journal's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// From here on it is another file: the first one, or what a compaction or a stranger put in the old one's place.
    /// What was learned from records before this no longer holds; all that does is told again.
    Reset(Origin),
    /// The journal that was followed is gone, and there is no other.
    Gone,
    /// A record.
    Record {
        /// Its number.
        sequence: u64,
        /// Its bytes.
        bytes: &'a [u8],
    },
    /// So many records at this place are damaged and cannot be read.
    Lost {
        /// How many.
        records: u64,
    },
}

/// What a poll has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Polled {
    /// Records given out.
    pub records: u64,
    /// Records lost to damage.
    pub lost: u64,
    /// Whether there was an [`Event::Reset`] or [`Event::Gone`].
    pub reset: bool,
    /// Whether the poll stopped at its own bound, with more to read.
    pub more: bool,
}

/// A journal could not be followed. The follower is where it was: poll again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A newer version made it, and says that this one cannot read it.
    #[error("journal `{journal}` is of format {version}, which this program cannot read; use a newer one")]
    Newer {
        /// The journal's name.
        journal: String,
        /// Its format version.
        version: u16,
    },
    /// It cannot be read at all. The next writer sets it aside.
    #[error("journal `{journal}` is unreadable; the next append sets it aside and begins an empty one")]
    Unreadable {
        /// The journal's name.
        journal: String,
    },
    /// The disk refused.
    #[error("could not {action} journal `{journal}`; see the cause")]
    Disk {
        /// The journal's name.
        journal: String,
        /// What was being done.
        action: &'static str,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Blank,
    Unfinished,
    Closed,
    Bound,
}

#[derive(Debug)]
struct Opened {
    reader: Reader,
    place: Place,
    /// Position, length and time of change at the last thorough look behind an end that is no frame.
    judged: Option<(u64, u64, i128)>,
}

/// A position in a journal that moves on with each poll.
///
/// It takes no lock, delays nobody, and makes no file. One descriptor is open while the journal exists.
#[derive(Debug)]
pub struct Follower {
    shared: Arc<Shared>,
    opened: Option<Opened>,
    has_followed: bool,
    looked: Option<Duration>,
}

impl Follower {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, opened: None, has_followed: false, looked: None }
    }

    /// Which file it is in; `None` before it found one.
    pub fn origin(&self) -> Option<Origin> {
        self.opened.as_ref().map(|opened| opened.place.origin)
    }

    /// The number that the next record will have at least; 0 before it found a journal.
    pub fn sequence(&self) -> u64 {
        self.opened.as_ref().map_or(0, |opened| opened.reader.sequence())
    }

    /// Gives everything new to `sink`, in order. When there is nothing, this is one `pread`, and twice a second two
    /// looks at metadata.
    ///
    /// A batch that is being written is given by a later poll, whole.
    pub fn poll(&mut self, mut sink: impl FnMut(Event<'_>)) -> Result<Polled, Error> {
        self.poll_into(&mut sink)
    }

    /// Goes behind what its caller has appended, without reading it back. False, and nothing changes, unless it stood
    /// exactly before it; then a poll will give the records.
    pub fn pass(&mut self, appended: &Appended) -> bool {
        let Some(opened) = self.opened.as_mut() else { return false };
        let is_before = opened.place.origin == appended.origin && opened.reader.offset() == appended.offset;
        if is_before {
            opened.reader.jump(appended.end, appended.first_sequence.saturating_add(appended.records));
        }
        is_before
    }

    fn poll_into(&mut self, sink: &mut dyn FnMut(Event<'_>)) -> Result<Polled, Error> {
        let mut polled = Polled::default();
        for _ in 0..OPENS_MAX {
            if self.opened.is_none() && !self.open(sink, &mut polled)? {
                return Ok(polled);
            }
            let end = self.drain(sink, &mut polled)?;
            polled.more = end == End::Bound;
            if polled.more || !self.is_replaced(end)? {
                return Ok(polled);
            }
            self.opened = None;
        }
        polled.more = true;
        Ok(polled)
    }

    /// To the very end that the holder of the lock knows.
    pub(super) fn catch_up_to(&mut self, tail: &Tail, sink: &mut dyn FnMut(Event<'_>)) -> Result<Polled, Error> {
        let mut total = Polled::default();
        let place = tail.log.place;
        if self.opened.as_ref().is_some_and(|opened| opened.place != place) {
            self.opened = None;
        }
        let is_there = |follower: &Self| {
            follower.opened.as_ref().is_some_and(|opened| opened.reader.offset() == tail.reader.offset())
        };
        while !is_there(self) {
            let polled = self.poll_into(sink)?;
            total.records += polled.records;
            total.lost += polled.lost;
            total.reset |= polled.reset;
            if !polled.more {
                break;
            }
        }
        if let Some(opened) = self.opened.as_mut()
            && opened.place == place
            && opened.reader.offset() != tail.reader.offset()
        {
            // The holder of the lock has judged what is between as damage.
            let records = tail.reader.sequence().saturating_sub(opened.reader.sequence());
            opened.reader.jump(tail.reader.offset(), tail.reader.sequence());
            if records > 0 {
                total.lost += records;
                sink(Event::Lost { records });
            }
        }
        Ok(total)
    }

    /// Opens the file under the journal's name; false when there is none.
    fn open(&mut self, sink: &mut dyn FnMut(Event<'_>), polled: &mut Polled) -> Result<bool, Error> {
        let (disk, names) = (&*self.shared.home.disk, &self.shared.names);
        let file = match retry(|| disk.open(&self.shared.home.folder, Path::new(&names.file), Open::READ)) {
            Ok(file) => Arc::new(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if std::mem::take(&mut self.has_followed) {
                    polled.reset = true;
                    sink(Event::Gone);
                }
                return Ok(false);
            }
            Err(error) => return Err(self.disk_error("open", error)),
        };
        let metadata = disk.metadata(&file).map_err(|error| self.disk_error("read", error))?;
        let header = match header_of(disk, &file).map_err(|error| self.disk_error("read", error))? {
            Ok(header) => header,
            Err(Unfit::Newer(version)) => return Err(Error::Newer { journal: names.journal.clone(), version }),
            Err(Unfit::Damaged) => return Err(Error::Unreadable { journal: names.journal.clone() }),
        };
        let place = Place { device: metadata.device, inode: metadata.inode, origin: header.origin };
        self.opened = Some(Opened { reader: Reader::at_start(file, &header), place, judged: None });
        self.has_followed = true;
        polled.reset = true;
        sink(Event::Reset(header.origin));
        Ok(true)
    }

    fn drain(&mut self, sink: &mut dyn FnMut(Event<'_>), polled: &mut Polled) -> Result<End, Error> {
        let is_due = self.is_due();
        let shared = Arc::clone(&self.shared);
        let Some(opened) = self.opened.as_mut() else { return Ok(End::Blank) };
        let drained = opened.drain(&*shared.home.disk, is_due, sink, polled);
        opened.reader.forget();
        drained.map_err(|error| self.disk_error("read", error))
    }

    /// Whether the name stands for another file, or none. Asked when the file's end says so, and now and then.
    fn is_replaced(&mut self, end: End) -> Result<bool, Error> {
        if end != End::Closed && !self.is_due() {
            return Ok(false);
        }
        let (home, names) = (&self.shared.home, &self.shared.names);
        let Some(opened) = self.opened.as_ref() else { return Ok(true) };
        let replaced = match retry(|| home.disk.glance_at(&home.folder, Path::new(&names.file))) {
            Ok(metadata) => !opened.place.is(&metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => return Err(self.disk_error("look for", error)),
        };
        self.looked = Some(self.shared.home.clock.monotonic());
        Ok(replaced)
    }

    fn is_due(&self) -> bool {
        let now = self.shared.home.clock.monotonic();
        self.looked.is_none_or(|looked| now.saturating_sub(looked) >= LOOK_EVERY)
    }

    fn disk_error(&self, action: &'static str, source: io::Error) -> Error {
        Error::Disk { journal: self.shared.names.journal.clone(), action, source }
    }
}

impl Opened {
    fn drain(
        &mut self,
        disk: &dyn larder_system::Disk,
        is_due: bool,
        sink: &mut dyn FnMut(Event<'_>),
        polled: &mut Polled,
    ) -> io::Result<End> {
        let start = self.reader.offset();
        loop {
            if self.reader.offset() - start > POLL_LENGTH_MAX {
                return Ok(End::Bound);
            }
            let step = self.reader.step(disk)?;
            let end = match step {
                Step::Batch { lost } => {
                    self.deliver(lost, sink, polled);
                    continue;
                }
                Step::Skipped => continue,
                Step::Closed => return Ok(End::Closed),
                // behind zeros there is nothing, unless what a writer lost was: looked at once per file, then seldom
                Step::Blank if self.judged.is_some() && !is_due => return Ok(End::Blank),
                Step::Blank => End::Blank,
                Step::Unfinished => End::Unfinished,
            };
            let metadata = disk.metadata(self.reader.file())?;
            let judged = Some((self.reader.offset(), metadata.length, metadata.modified_ns));
            if judged == self.judged && (end == End::Blank || !is_due) {
                return Ok(end);
            }
            match self.reader.settle(disk, metadata.length)?.0 {
                Step::Batch { lost } => self.deliver(lost, sink, polled),
                Step::Skipped => {}
                Step::Closed => return Ok(End::Closed),
                Step::Blank | Step::Unfinished => {
                    self.judged = judged;
                    return Ok(end);
                }
            }
        }
    }

    fn deliver(&self, lost: u64, sink: &mut dyn FnMut(Event<'_>), polled: &mut Polled) {
        if lost > 0 {
            polled.lost = polled.lost.saturating_add(lost);
            sink(Event::Lost { records: lost });
        }
        let first = self.reader.first_sequence();
        for (index, record) in self.reader.records().enumerate() {
            if let Some(bytes) = record {
                polled.records += 1;
                sink(Event::Record { sequence: first.saturating_add(index as u64), bytes });
            }
        }
    }
}
