//! Reading: three system calls and a look at the record of invalidations.

use std::cell::{Cell, RefCell};
use std::io;
use std::path::Path;
use std::sync::Arc;

use larder_lock::{Mode, Wait};
use larder_system::{Disk, Handle, Open, read_to_limit, retry};

use super::Store;
use crate::entry::Entry;
use crate::failure::Failure;
use crate::generation::Standing;
use crate::header::{self, Decoded, Fault, HEADER_BYTES_MAX};
use crate::key::Key;
use crate::location::Location;
use crate::room::Occupied;
use crate::root::{self, ENTRIES, Root};
use crate::stamps;

/// Room for a header and 64 KiB of body: most documents come in one read, whose short count says that it was all.
const BUFFER_BYTES: usize = 68 * 1024;
/// A smaller document is copied out of the buffer, a larger one takes the buffer along.
const COPIED_BYTES_MAX: usize = 16 * 1024;
/// The longest length remembered: what is allocated on a guess.
const HINTED_BYTES_MAX: u32 = 1024 * 1024;

/// How many lengths a thread remembers.
const HINTS: usize = 256;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// The lengths of files read lately, by their paths: a file that is as long as last time is read into a buffer of
    /// its own size, and not copied. A wrong hint costs a second read.
    static LENGTHS: [Cell<u32>; HINTS] = const { [const { Cell::new(0) }; HINTS] };
}

/// Why a read has no answer. What is damaged is no error but absent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The root cannot be opened.
    #[error(transparent)]
    Root(#[from] root::Error),
    /// The record of invalidations cannot be read.
    #[error(transparent)]
    Stamps(#[from] stamps::Error),
    /// A system call failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// What a file turned out to be.
#[derive(Debug)]
pub(super) enum Read {
    Absent,
    /// Verified, header and body. Its standing is not known yet.
    Whole(Decoded, Vec<u8>),
    /// A format that only newer versions know.
    Newer,
    /// Larger than this store may read.
    TooLarge,
    Damaged(&'static str),
}

impl Read {
    /// The same, with the bytes that were judged.
    fn with(self, bytes: impl FnOnce() -> Vec<u8>) -> Self {
        match self {
            Self::Whole(decoded, _) => Self::Whole(decoded, bytes()),
            other => other,
        }
    }
}

/// Where the length of the file at `path` is remembered.
fn hint_of(path: &Path) -> usize {
    let hash = twox_hash::XxHash3_64::oneshot(path.as_os_str().as_encoded_bytes());
    usize::from(hash.to_le_bytes()[0])
}

impl Store {
    /// The document under `key`, whole and verified, unless it is absent, invalidated or damaged.
    ///
    /// A damaged file is set aside in `quarantine/` if nobody else is writing the key at the moment.
    ///
    /// # Errors
    /// The root is unusable, or the system refuses a call: too many open files, no permission, a failing disk.
    pub fn get(&self, key: &Key) -> Result<Option<Entry>, Error> {
        let entry = self.get_with_invalidated(key)?;
        Ok(entry.filter(|entry| entry.standing() == Standing::Current))
    }

    /// Like [`Store::get`], but also with a document that was invalidated softly, which its
    /// [`standing`](Entry::standing) tells: a fallback when its upstream is down, or the base of a conditional request.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn get_with_invalidated(&self, key: &Key) -> Result<Option<Entry>, Error> {
        let Some(root) = self.reading()? else { return Ok(None) };
        let location = Location::of(key);
        let (decoded, bytes) = match self.read(&root, key, &location)? {
            Read::Whole(decoded, bytes) => (decoded, bytes),
            Read::Absent | Read::Newer | Read::TooLarge => return Ok(None),
            Read::Damaged(reason) => {
                self.set_aside(&root, key, &location, reason);
                return Ok(None);
            }
        };
        let Decoded { header, body_at } = decoded;
        let standing = match root.stamps()? {
            Some(stamps) => stamps.standing(header.token, key, header.metadata.tags())?,
            None => Standing::Gone,
        };
        if standing == Standing::Gone {
            return Ok(None);
        }
        let end = bytes.len();
        Ok(Some(Entry::new(header, bytes, body_at..end, standing)))
    }

    /// Reads and judges the file at `location`.
    pub(super) fn read(&self, root: &Root, key: &Key, location: &Location) -> Result<Read, Failure> {
        let Some(entries) = root.entries()? else { return Ok(Read::Absent) };
        let read = self.read_below(root.disk(), entries, location.path(), Some(key));
        let read =
            read.map_err(|error| Failure::new("read", root.path.join(ENTRIES).join(display(location)), error))?;
        Ok(match read {
            // the digest of another key, or a file that a stranger moved here
            Read::Whole(decoded, _) if decoded.header.key != *key => {
                if location.path().starts_with(crate::location::HASHED)
                    && Location::of(&decoded.header.key) == *location
                {
                    Read::Absent
                } else {
                    Read::Damaged("it is another key's entry")
                }
            }
            read => read,
        })
    }

    pub(super) fn read_below(
        &self,
        disk: &dyn Disk,
        at: &Handle,
        path: &Path,
        expected: Option<&Key>,
    ) -> io::Result<Read> {
        // a use is recorded by whoever gives the document out, once in a while; the system would record its own
        let file = match retry(|| disk.open(at, path, Open::PEEK)) {
            Ok(file) => file,
            Err(error) => return unopened(error),
        };
        let hint = hint_of(path);
        let length = LENGTHS.with(|lengths| lengths.get(hint).map_or(0, Cell::get)) as usize;
        let read = if length == 0 {
            BUFFER.with_borrow_mut(|buffer| {
                buffer.clear();
                buffer.reserve(BUFFER_BYTES);
                let read = self.read_file(disk, &file, buffer, expected);
                if !matches!(read, Ok(Read::Whole(..))) {
                    // whatever it was, it may have been large
                    buffer.clear();
                    buffer.shrink_to(BUFFER_BYTES);
                }
                Ok(read?
                    .with(|| if buffer.len() <= COPIED_BYTES_MAX { buffer.clone() } else { std::mem::take(buffer) }))
            })
        } else {
            // one byte more: a read that does not fill it was the whole file
            let mut buffer = Vec::with_capacity(length + 1);
            self.read_file(disk, &file, &mut buffer, expected).map(|read| read.with(|| buffer))
        };
        if let Ok(Read::Whole(_, bytes)) = &read
            && bytes.len() != length
        {
            let length = u32::try_from(bytes.len()).ok().filter(|&length| length <= HINTED_BYTES_MAX).unwrap_or(0);
            LENGTHS.with(|lengths| lengths.get(hint).map(|known| known.set(length)));
        }
        disk.close(file);
        read
    }

    fn read_file(
        &self,
        disk: &dyn Disk,
        file: &Handle,
        buffer: &mut Vec<u8>,
        expected: Option<&Key>,
    ) -> io::Result<Read> {
        let mut full = match retry(|| disk.read(file, buffer)) {
            Ok(count) => count == buffer.capacity(),
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => return Ok(Read::Damaged("it is a folder")),
            // a FIFO that somebody holds open for writing
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Ok(Read::Damaged("it is not a regular file"));
            }
            Err(error) => return Err(error),
        };
        let mut decoded = header::decode(buffer, expected);
        if full && decoded.is_err() && buffer.len() < BUFFER_BYTES {
            // the buffer was sized for what was there last time, and is too short for this header
            buffer.reserve_exact(BUFFER_BYTES - buffer.len());
            let room = buffer.capacity() - buffer.len();
            full = retry(|| disk.read(file, buffer))? == room;
            decoded = header::decode(buffer, expected);
        }
        let decoded = match decoded {
            Ok(decoded) => decoded,
            Err(Fault::Newer(version)) => {
                tracing::debug!(version, "an entry of a newer format is left alone");
                return Ok(Read::Newer);
            }
            Err(Fault::Damaged(reason)) => return Ok(Read::Damaged(reason)),
        };
        if decoded.header.length > self.body_bytes_max {
            return Ok(Read::TooLarge);
        }
        let Some(total) =
            usize::try_from(decoded.header.length).ok().and_then(|length| length.checked_add(decoded.body_at))
        else {
            return Ok(Read::TooLarge);
        };
        // a short read is nearly always the end of the file; where more is expected, it must be asked for
        if !full && buffer.len() < total {
            let more = total - buffer.len();
            buffer.reserve_exact(more + 1);
            full = !read_to_limit(disk, file, buffer, more)?;
            if full {
                return Ok(Read::Damaged("it is longer than its header says"));
            }
        }
        // only a full buffer leaves a question
        if full {
            let more = total.saturating_sub(buffer.len());
            buffer.reserve_exact(more + 1);
            if !read_to_limit(disk, file, buffer, more)? {
                return Ok(Read::Damaged("it is longer than its header says"));
            }
        }
        if buffer.len() != total {
            return Ok(Read::Damaged("its length is not what its header says"));
        }
        let body = buffer.get(decoded.body_at..).unwrap_or_default();
        if header::body_checksum(body) != decoded.header.body_checksum {
            return Ok(Read::Damaged("its body's checksum is wrong"));
        }
        Ok(Read::Whole(decoded, Vec::new()))
    }

    /// Moves a damaged file out of the way, under its key's lock, and only if the name still holds the file that is
    /// damaged. What cannot be done now is left to the next reader: the file stays a miss.
    pub(super) fn set_aside(&self, root: &Arc<Root>, key: &Key, location: &Location, reason: &'static str) {
        let Ok(writing) = root.writing() else { return };
        let Ok(_guard) = writing.locks.acquire(location.lock_name(), Mode::Exclusive, &Wait::none()) else { return };
        let Ok(Some(entries)) = root.entries() else { return };
        let folder = if location.folder().is_empty() { "." } else { location.folder() };
        let Ok(parent) = retry(|| root.disk().open(entries, Path::new(folder), Open::FOLDER)) else { return };
        // the lock keeps writers out: what is judged between two equal looks is what is moved
        let before = root.disk().metadata_at(&parent, location.file());
        let judged = self.read(root, key, location);
        let after = root.disk().metadata_at(&parent, location.file());
        if let (Ok(before), Ok(Read::Damaged(_)), Ok(after)) = (before, judged, after)
            && before == after
            && writing.quarantine.take(&parent, location.file(), reason)
        {
            root.count(writing, Some(Occupied::by(before.length)), None);
        }
        root.disk().close(parent);
    }
}

/// What a refused open means.
fn unopened(error: io::Error) -> io::Result<Read> {
    match error.kind() {
        // or a file stands where the key's folder would be
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(Read::Absent),
        _ if is_link(&error) => Ok(Read::Damaged("it is a symbolic link, or reached through one")),
        // a socket, or a device without a driver
        _ if is_no_device(&error) => Ok(Read::Damaged("it is not a regular file")),
        _ => Err(error),
    }
}

/// Whether an open was refused because of a symbolic link (`ELOOP`).
pub(super) fn is_link(error: &io::Error) -> bool {
    let number = if cfg!(target_os = "linux") { 40 } else { 62 };
    cfg!(unix) && error.raw_os_error() == Some(number)
}

/// Whether an open was refused because nothing answers at that socket or device (`ENXIO`).
pub(super) fn is_no_device(error: &io::Error) -> bool {
    cfg!(unix) && error.raw_os_error() == Some(6)
}

fn display(location: &Location) -> String {
    location.path().display().to_string()
}

/// Bound on what a header alone may take, for those that read no bodies.
pub(super) const HEADER_READ_BYTES: usize = HEADER_BYTES_MAX;
