//! A journal while this thread holds its lock: read to the end, append, sync, replace.

use std::io;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use larder_lock::Guard;
use larder_system::{Disk, retry, write_all_at};

use super::layout::{self, Body, Header};
use super::log::Log;
use super::reach::Tail;
use super::reader::Step;
use super::{Appended, Compacted, Durability, Event, Follower, Origin, Polled, Shared, append, compact, follow, reach};

/// Zeros are written ahead in steps of a quarter of what is there, within these bounds, in bytes.
const RESERVE_MIN: u64 = 64 * 1024;
const RESERVE_MAX: u64 = 256 * 1024;
/// How long ago the lock may have been taken, and so looked at, for a write not to look again. A look closes no gap that
/// is shorter: between it and the write there is always one.
const FRESH: Duration = Duration::from_millis(1);
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// The journal, locked: nobody else appends or compacts until this is dropped.
#[must_use = "dropping this lets go of the journal's lock"]
pub struct Exclusive<'a> {
    shared: &'a Shared,
    tail: MutexGuard<'a, Option<Tail>>,
    guard: Guard,
    /// When the lock was had, by the monotonic clock.
    locked: Duration,
}

impl std::fmt::Debug for Exclusive<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exclusive").field("journal", &self.shared.names.journal).finish_non_exhaustive()
    }
}

/// Records that are in the journal, seen by followers, and not yet durable.
#[must_use = "they may be lost with the power until this is synced"]
pub struct Ahead<'a> {
    shared: &'a Shared,
    log: Arc<Log>,
    appended: Appended,
}

impl Ahead<'_> {
    /// Where they are.
    pub const fn appended(&self) -> &Appended {
        &self.appended
    }

    /// Makes them durable, by a sync that other threads of this process may share. To be called when the lock was let go.
    /// After a compaction of the journal there is no need to: it has synced what it kept.
    ///
    /// # Errors
    /// [`append::Error::NotDurable`].
    pub fn sync(self) -> Result<Appended, append::Error> {
        append::sync(self.shared, &self.log, &self.appended)?;
        Ok(self.appended)
    }
}

impl std::fmt::Debug for Ahead<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ahead").field("appended", &self.appended).finish_non_exhaustive()
    }
}

impl<'a> Exclusive<'a> {
    pub(super) fn new(shared: &'a Shared, tail: MutexGuard<'a, Option<Tail>>, guard: Guard, locked: Duration) -> Self {
        Self { shared, tail, guard, locked }
    }

    /// The bytes that header and frames take; what compaction would save is up to the caller, who knows what is dead.
    pub fn length(&self) -> u64 {
        self.tail.as_ref().map_or(0, |tail| tail.reader.offset())
    }

    /// The number that the next record gets.
    pub fn next_sequence(&self) -> u64 {
        self.tail.as_ref().map_or(0, |tail| tail.reader.sequence())
    }

    /// Gives `follower` everything up to the journal's end. When it is there already, that costs no system call.
    pub fn catch_up(&self, follower: &mut Follower, mut sink: impl FnMut(Event<'_>)) -> Result<Polled, follow::Error> {
        match self.tail.as_ref() {
            Some(tail) => follower.catch_up_to(tail, &mut sink),
            None => follower.poll(&mut sink),
        }
    }

    /// Appends the records as one batch, synced before this returns if so asked; the lock stays held.
    ///
    /// A follower that had caught up can [`pass`](Follower::pass) them instead of reading them back.
    pub fn append<R: AsRef<[u8]>>(&mut self, records: &[R], durability: Durability) -> Result<Appended, append::Error> {
        let body = append::body_of(self.shared, records)?;
        let (appended, log) = self.write(body, durability, u64::MAX)?;
        if durability == Durability::Synced {
            append::sync(self.shared, &log, &appended)?;
        }
        Ok(appended)
    }

    /// The same, with the sync left for later: when the lock is let go, so that it delays no other process.
    pub fn append_ahead<R: AsRef<[u8]>>(&mut self, records: &[R]) -> Result<Ahead<'a>, append::Error> {
        let body = append::body_of(self.shared, records)?;
        let (appended, log) = self.write(body, Durability::Synced, u64::MAX)?;
        Ok(Ahead { shared: self.shared, log, appended })
    }

    /// Makes durable all that was appended so far, by whomever.
    pub fn sync(&mut self) -> Result<(), append::Error> {
        self.append::<&[u8]>(&[], Durability::Synced).map(|_| ())
    }

    /// Replaces the journal by one that holds `records` only, and lets go of the lock.
    ///
    /// The new file is written and synced, then takes the name in one rename, and the folder is synced: killed at any
    /// step, the journal is the old one or the new one. The records get new sequence numbers, beyond all old ones, and
    /// followers an [`Event::Reset`]. Old records that are not among `records` are gone: let a follower
    /// [`catch_up`](Self::catch_up) before deciding what to keep.
    ///
    /// # Errors
    /// [`compact::Error::NotDurable`] means that the journal has been replaced, and that power loss may bring the old one
    /// back. After every other error the old one is in place.
    pub fn compact<R: AsRef<[u8]>>(
        mut self,
        records: impl IntoIterator<Item = R>,
    ) -> Result<Compacted, compact::Error> {
        self.reached()?;
        let Self { shared, tail, guard, .. } = &mut self;
        compact::compact(shared, tail, guard, records)
    }

    /// The tail; found again when an earlier error left it unknown, or the file unfit.
    fn reached(&mut self) -> Result<&mut Tail, reach::Error> {
        if self.tail.as_ref().is_none_or(|tail| tail.log.has_failed()) {
            reach::reach(self.shared, &mut self.tail)?;
        }
        let journal = &self.shared.names.journal;
        self.tail.as_mut().ok_or_else(|| reach::Error::Restless { journal: journal.clone() })
    }

    pub(super) fn write(
        &mut self,
        body: Option<Body>,
        durability: Durability,
        length_max: u64,
    ) -> Result<(Appended, Arc<Log>), append::Error> {
        let shared = self.shared;
        if body.is_some() && shared.home.clock.monotonic().saturating_sub(self.locked) > FRESH {
            let journal = shared.names.journal.clone();
            self.guard.check().map_err(|source| append::Error::LockLost { journal, source })?;
        }
        let tail = self.reached()?;
        let (origin, offset, sequence) = (tail.origin, tail.reader.offset(), tail.reader.sequence());
        let log = Arc::clone(&tail.log);
        let Some(mut body) = body else {
            let appended = Appended { origin, first_sequence: sequence, records: 0, offset, end: offset };
            return Ok((appended, log));
        };
        let journal = || shared.names.journal.clone();
        let end = offset.saturating_add(body.len() as u64);
        let limit = shared.options.length_max.min(length_max);
        if end > limit {
            return Err(append::Error::Full { journal: journal(), length: end, limit });
        }
        if durability == Durability::Synced && shared.options.reserve && end > tail.length {
            reserve(&*shared.home.disk, tail, end, limit);
        }
        let records = u64::from(body.count());
        let frame = body.place(tail.reader.seed(), offset, sequence);
        let disk = &*shared.home.disk;
        if let Err(source) = write_all_at(disk, &log.file, frame, offset)
            && !self.is_written(disk)
        {
            return Err(append::Error::Write { journal: journal(), source });
        }
        if let Some(tail) = self.tail.as_mut() {
            tail.reader.jump(end, sequence.saturating_add(records));
            tail.length = tail.length.max(end);
        }
        Ok((Appended { origin, first_sequence: sequence, records, offset, end }, log))
    }

    /// Whether a write that failed has left the whole batch all the same: then followers may have seen it, and it
    /// stays. Anything less is cut off; when even that fails, the next writer finds it by itself.
    fn is_written(&mut self, disk: &dyn Disk) -> bool {
        let Some(tail) = self.tail.as_mut() else { return false };
        tail.reader.forget();
        if matches!(tail.reader.step(disk), Ok(Step::Batch { .. })) {
            return true;
        }
        if let Err(error) = tail.cut(disk) {
            tracing::debug!(journal = self.shared.names.journal, %error, "torn tail left for the next writer");
            *self.tail = None;
        }
        false
    }
}

/// Writes zeros behind `end`, so that the next synced appends change no metadata. Whatever fails here costs speed only.
fn reserve(disk: &dyn Disk, tail: &mut Tail, end: u64, limit: u64) {
    let target = end.saturating_add((end / 4).clamp(RESERVE_MIN, RESERVE_MAX)).next_multiple_of(4096).min(limit);
    let file = &tail.log.file;
    if target <= end {
        return;
    }
    let written = match retry(|| disk.allocate(file, target)) {
        Err(error) if is_full(&error) => Err(error),
        // zeros are written also where blocks cannot be asked for, and also where they were given: blocks that were
        // only asked for change the metadata when they are first written
        _ => fill(disk, tail, end.max(tail.length), target),
    };
    match written {
        Ok(()) => tail.length = target,
        Err(error) => {
            tracing::debug!(%error, "no room was reserved in a journal");
            // a full disk must not keep the room that the batch itself needs
            if let Err(error) = tail.cut(disk) {
                tracing::debug!(%error, "room reserved in a journal could not be given back");
            }
        }
    }
}

fn fill(disk: &dyn Disk, tail: &Tail, mut from: u64, target: u64) -> io::Result<()> {
    while from < target {
        let length = usize::try_from(target - from).map_or(ZEROS.len(), |length| length.min(ZEROS.len()));
        write_all_at(disk, &tail.log.file, ZEROS.get(..length).unwrap_or(&ZEROS), from)?;
        from += length as u64;
    }
    Ok(())
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

impl Tail {
    /// The header of the file that would follow this one.
    pub(super) fn next_header(&self) -> Header {
        let Origin { lineage, generation, .. } = self.origin;
        let first_sequence = self.reader.sequence();
        Header::new(Origin { lineage, generation: generation.saturating_add(1), first_sequence })
    }

    /// Marks this file as about to be replaced, for followers that look at nothing but its end.
    pub(super) fn close(&self, disk: &dyn Disk) {
        let mark = layout::closed(self.reader.seed(), self.reader.offset(), self.reader.sequence());
        if let Err(error) = write_all_at(disk, &self.log.file, &mark, self.reader.offset()) {
            tracing::debug!(%error, "followers will notice the compaction by the file's name");
        }
    }
}
