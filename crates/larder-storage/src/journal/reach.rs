//! Getting to a journal's end under its lock: opened or made, followed by other writers' records, its torn tail cut off.

use std::io;
use std::path::Path;
use std::sync::Arc;

use larder_system::{Disk, Handle, Kind, Metadata, Open, Replace, retry};

use super::fresh::Fresh;
use super::layout::{Header, Origin, Unfit};
use super::log::Log;
use super::reader::{Place, Reader, Step, header_of};
use super::{Names, Shared};

/// How often the name may change its file between two looks before that is an error.
const ATTEMPTS_MAX: u32 = 4;
/// How many unreadable files are kept for a look by a person; the last place is reused.
const SET_ASIDE_MAX: u32 = 4;

/// The journal's end could not be reached; nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Its lock could not be had within the wait.
    #[error("journal `{journal}` could not be locked; see the cause")]
    Lock {
        /// The journal's name.
        journal: String,
        /// Why, and who holds it.
        #[source]
        source: Box<larder_lock::acquire::Error>,
    },
    /// Something else has the journal's file name.
    #[error("`{file}` is no regular file, so that journal `{journal}` cannot be kept in it; move it away")]
    NotAFile {
        /// The journal's name.
        journal: String,
        /// The file's name.
        file: String,
    },
    /// A newer version made it, and says that this one must not append.
    #[error("journal `{journal}` is of format {version}, which this program may not write; use a newer one")]
    Newer {
        /// The journal's name.
        journal: String,
        /// Its format version.
        version: u16,
    },
    /// It cannot be read at all. It was set aside; the next call begins a new one.
    #[error("journal `{journal}` is unreadable; it was kept as `{kept_as}`, and the next use begins an empty one")]
    Unreadable {
        /// The journal's name.
        journal: String,
        /// Where its bytes are now.
        kept_as: String,
    },
    /// Its file keeps being replaced by somebody who does not hold the lock.
    #[error("the file of journal `{journal}` was replaced {ATTEMPTS_MAX} times in a row; something else writes there")]
    Restless {
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

/// A journal's end, as of the last time its lock was held.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) log: Arc<Log>,
    pub(super) reader: Reader,
    pub(super) origin: Origin,
    /// The file's length: where this is beyond the reader's position, zeros are there for the next records.
    pub(super) length: u64,
}

impl Tail {
    /// Cuts off what is behind the last whole batch.
    pub(super) fn cut(&mut self, disk: &dyn Disk) -> io::Result<()> {
        let end = self.reader.offset();
        retry(|| disk.set_length(&self.log.file, end))?;
        self.length = end;
        Ok(())
    }

    /// Steps over what others have appended. `deep`: zeros are not taken for the end without a look behind them.
    fn catch_up(&mut self, disk: &dyn Disk, length: u64, deep: bool) -> io::Result<()> {
        self.length = length;
        if self.reader.offset() == length {
            return Ok(());
        }
        self.reader.forget();
        loop {
            match self.reader.step(disk)? {
                Step::Batch { .. } | Step::Skipped => continue,
                Step::Closed => break,
                Step::Blank if !deep => break,
                Step::Blank | Step::Unfinished => {}
            }
            match self.reader.settle(disk, length)? {
                (Step::Batch { .. } | Step::Skipped, _) => {}
                (Step::Closed, _) | (_, false) => break,
                (_, true) => {
                    self.cut(disk)?;
                    break;
                }
            }
        }
        self.reader.forget();
        Ok(())
    }
}

/// Brings `tail` to the journal's end. The caller holds the lock.
pub(super) fn reach(shared: &Shared, tail: &mut Option<Tail>) -> Result<(), Error> {
    let names = &shared.names;
    for _ in 0..ATTEMPTS_MAX {
        let found = retry(|| shared.home.disk.glance_at(&shared.home.folder, Path::new(&names.file)));
        let metadata = match found {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match make(shared) {
                    Ok(made) => *tail = Some(made),
                    // somebody who has the lock by now was first: it is his that counts
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                    Err(error) => return Err(names.disk_error("make", error)),
                }
                return Ok(());
            }
            Err(error) => return Err(names.disk_error("look for", error)),
        };
        if metadata.kind != Kind::File {
            return Err(Error::NotAFile { journal: names.journal.clone(), file: names.file.clone() });
        }
        if let Some(known) = tail.as_mut()
            && known.log.place.is(&metadata)
            && known.reader.offset() <= metadata.length
            && !known.log.has_failed()
        {
            let caught = known.catch_up(&*shared.home.disk, metadata.length, false);
            return caught.map_err(|error| {
                *tail = None;
                names.disk_error("read", error)
            });
        }
        *tail = open(shared)?;
        if tail.is_some() {
            return Ok(());
        }
    }
    Err(Error::Restless { journal: names.journal.clone() })
}

/// Makes an empty journal of a new lineage.
fn make(shared: &Shared) -> io::Result<Tail> {
    let lineage = (u128::from(larder_system::unique()?) << 64) | u128::from(larder_system::unique()?);
    let fresh = Fresh::begin(shared, Header::new(Origin { lineage, generation: 0, first_sequence: 0 }))?;
    fresh.publish(shared, |_| Ok(()))
}

/// Opens the file under the journal's name; `None` when it is gone again.
fn open(shared: &Shared) -> Result<Option<Tail>, Error> {
    let (disk, names) = (&*shared.home.disk, &shared.names);
    let opened = retry(|| disk.open(&shared.home.folder, Path::new(&names.file), Open::READ_WRITE));
    let file = match opened {
        Ok(file) => Arc::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(names.disk_error("open", error)),
    };
    let read = |error| names.disk_error("read", error);
    let metadata = disk.metadata(&file).map_err(read)?;
    let header = match header_of(disk, &file).map_err(read)? {
        Ok(header) if header.is_writable() => header,
        Ok(header) => return Err(Error::Newer { journal: names.journal.clone(), version: header.version }),
        Err(Unfit::Newer(version)) => return Err(Error::Newer { journal: names.journal.clone(), version }),
        Err(Unfit::Damaged) => return Err(set_aside(shared, &metadata)),
    };
    end_of(disk, file, header, &metadata).map(Some).map_err(read)
}

/// Finds the end of an opened journal, from its end if that is whole, else from its start.
fn end_of(disk: &dyn Disk, file: Arc<Handle>, header: Header, metadata: &Metadata) -> io::Result<Tail> {
    let place = Place { device: metadata.device, inode: metadata.inode, origin: header.origin };
    let from_end = Reader::at_end(disk, &file, &header, metadata.length)?;
    let is_found = from_end.is_some();
    let reader = from_end.unwrap_or_else(|| Reader::at_start(Arc::clone(&file), &header));
    let log = Arc::new(Log::new(file, place, false));
    let mut tail = Tail { log, reader, origin: header.origin, length: metadata.length };
    if !is_found {
        tail.catch_up(disk, metadata.length, true)?;
    }
    Ok(tail)
}

/// Moves an unreadable file out of the way, if the name still stands for the very file that was judged.
fn set_aside(shared: &Shared, judged: &Metadata) -> Error {
    let (disk, folder, names) = (&*shared.home.disk, &*shared.home.folder, &shared.names);
    let moved = (|| {
        let now = retry(|| disk.metadata_at(folder, Path::new(&names.file)))?;
        if !now.is_same_file(judged) {
            return Err(io::Error::other("it was replaced meanwhile"));
        }
        let mut kept_as = String::new();
        for number in 1..=SET_ASIDE_MAX {
            kept_as = format!("{}.damaged-{number}", names.file);
            match retry(|| disk.metadata_at(folder, Path::new(&kept_as))) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                _ => {}
            }
        }
        retry(|| disk.rename(folder, Path::new(&names.file), folder, Path::new(&kept_as), Replace::Yes))?;
        Ok(kept_as)
    })();
    match moved {
        Ok(kept_as) => Error::Unreadable { journal: names.journal.clone(), kept_as },
        Err(error) => names.disk_error("set aside the unreadable file of", error),
    }
}

impl Names {
    pub(super) fn disk_error(&self, action: &'static str, source: io::Error) -> Error {
        Error::Disk { journal: self.journal.clone(), action, source }
    }
}
