//! A journal file in the making: written under a name of its own, synced, then renamed over the old one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use larder_system::{Disk, Handle, Open, Replace, retry, write_all_at};

use super::Shared;
use super::layout::{BATCH_RECORDS_MAX, Body, HEADER_LENGTH, Header, Oversize};
use super::log::Log;
use super::reach::Tail;
use super::reader::{Place, Reader};

/// How many bytes of records go into one write.
const CHUNK_LENGTH: usize = 1024 * 1024;

/// A file that no name that matters stands for yet. The caller holds the journal's lock, so that there is one at a time
/// and a leftover is a dead writer's.
#[derive(Debug)]
pub(super) struct Fresh {
    /// Its own, so that a writer that wakes up late cannot publish what another is writing.
    name: PathBuf,
    file: Arc<Handle>,
    header: Header,
    offset: u64,
    sequence: u64,
}

impl Fresh {
    pub(super) fn begin(shared: &Shared, header: Header) -> io::Result<Self> {
        let (disk, folder) = (&*shared.home.disk, &*shared.home.folder);
        sweep(shared)?;
        let name = PathBuf::from(format!("{}-{:016x}", shared.names.fresh, larder_system::unique()?));
        let file = Arc::new(retry(|| disk.open(folder, &name, Open::CREATE_NEW))?);
        let fresh = Self { name, file, header, offset: HEADER_LENGTH as u64, sequence: header.origin.first_sequence };
        let written = (|| {
            // the creator's umask must not lock out the next process
            retry(|| disk.set_mode(&fresh.file, 0o600))?;
            write_all_at(disk, &fresh.file, &header.encode(), 0)
        })();
        match written {
            Ok(()) => Ok(fresh),
            Err(error) => {
                fresh.discard(shared);
                Err(error)
            }
        }
    }

    /// Removes the unfinished file, as far as the disk lets it be removed; the next attempt removes what is left.
    pub(super) fn discard(&self, shared: &Shared) {
        remove(shared, &self.name);
    }

    pub(super) fn length(&self) -> u64 {
        self.offset
    }

    /// Appends records, in batches of bounded size; `limit` bounds the file.
    pub(super) fn fill<R: AsRef<[u8]>>(
        &mut self,
        disk: &dyn Disk,
        records: impl IntoIterator<Item = R>,
        limit: u64,
    ) -> Result<u64, Fill> {
        let (mut chunk, mut bytes, mut total) = (Vec::new(), 0, 0_u64);
        for record in records {
            bytes += record.as_ref().len();
            total += 1;
            chunk.push(record);
            if bytes >= CHUNK_LENGTH || chunk.len() >= BATCH_RECORDS_MAX / 16 {
                self.write(disk, &chunk, limit)?;
                chunk.clear();
                bytes = 0;
            }
        }
        if !chunk.is_empty() {
            self.write(disk, &chunk, limit)?;
        }
        Ok(total)
    }

    fn write<R: AsRef<[u8]>>(&mut self, disk: &dyn Disk, records: &[R], limit: u64) -> Result<(), Fill> {
        let mut body = Body::of(records).map_err(|oversize| match oversize {
            Oversize::Record(_, length) | Oversize::Batch(length) | Oversize::Count(length) => Fill::TooLong(length),
        })?;
        let end = self.offset.saturating_add(body.len() as u64);
        if end > limit {
            return Err(Fill::Full(end));
        }
        let frame = body.place(self.header.seed(), self.offset, self.sequence);
        write_all_at(disk, &self.file, frame, self.offset).map_err(Fill::Disk)?;
        self.offset = end;
        self.sequence += u64::from(body.count());
        Ok(())
    }

    /// Syncs the file and gives it the journal's name; `before_rename` runs between the two. The name itself is not
    /// durable yet.
    pub(super) fn publish(
        self,
        shared: &Shared,
        before_rename: impl FnOnce(&dyn Disk) -> io::Result<()>,
    ) -> io::Result<Tail> {
        let (disk, folder, names) = (&*shared.home.disk, &*shared.home.folder, &shared.names);
        let published = (|| {
            disk.sync(&self.file)?;
            let metadata = disk.metadata(&self.file)?;
            before_rename(disk)?;
            // the first file of a journal takes a free name only: who made another meanwhile has made the journal
            let is_first = self.header.origin.generation == 0;
            let renamed =
                if is_first { take_free(shared, &self.name) } else { rename(shared, &self.name, Replace::Yes) };
            // a rename may happen and its answer be lost
            let is_there = |metadata| {
                disk.metadata_at(folder, Path::new(&names.file)).is_ok_and(|found| found.is_same_file(metadata))
            };
            match renamed {
                Err(error) if !is_there(&metadata) => return Err(error),
                _ => {}
            }
            Ok(metadata)
        })();
        let metadata = match published {
            Ok(metadata) => metadata,
            Err(error) => {
                self.discard(shared);
                return Err(error);
            }
        };
        let origin = self.header.origin;
        let place = Place { device: metadata.device, inode: metadata.inode, origin };
        let mut reader = Reader::at_start(Arc::clone(&self.file), &self.header);
        reader.jump(self.offset, self.sequence);
        Ok(Tail { log: Arc::new(Log::new(self.file, place, false)), reader, origin, length: self.offset })
    }
}

fn rename(shared: &Shared, fresh: &Path, replace: Replace) -> io::Result<()> {
    let (disk, folder, names) = (&*shared.home.disk, &*shared.home.folder, &shared.names);
    retry(|| disk.rename(folder, fresh, folder, Path::new(&names.file), replace))
}

/// Gives the file the journal's name if nothing has it; `AlreadyExists` otherwise.
fn take_free(shared: &Shared, fresh: &Path) -> io::Result<()> {
    match rename(shared, fresh, Replace::No) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {}
        taken => return taken,
    }
    // not every file system can rename so; where the rename failed for another reason, this does, too
    let (disk, folder, names) = (&*shared.home.disk, &*shared.home.folder, &shared.names);
    retry(|| disk.link(folder, fresh, folder, Path::new(&names.file)))?;
    remove(shared, fresh);
    Ok(())
}

/// Removes what dead writers left unfinished. A writer that only slept finds its file gone, and fails.
fn sweep(shared: &Shared) -> io::Result<()> {
    let (disk, folder) = (&*shared.home.disk, &*shared.home.folder);
    for listed in crate::folder::names(disk, folder, Path::new("."))? {
        if listed.name.to_str().is_some_and(|name| name.starts_with(&shared.names.fresh)) {
            match retry(|| disk.remove_file(folder, Path::new(&listed.name))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

fn remove(shared: &Shared, fresh: &Path) {
    if let Err(error) = retry(|| shared.home.disk.remove_file(&shared.home.folder, fresh)) {
        tracing::debug!(file = %fresh.display(), %error, "unfinished journal left for the next writer to remove");
    }
}

/// Why records did not go into a fresh file.
#[derive(Debug)]
pub(super) enum Fill {
    /// A record is too long, by its length: chunks are far below the limits of a batch.
    TooLong(usize),
    Full(u64),
    Disk(io::Error),
}
