//! One open journal file, and the syncs that its writers share.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use larder_system::{Disk, Handle};

use super::reader::Place;

/// A journal file opened for writing.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) file: Arc<Handle>,
    pub(super) place: Place,
    syncs: Mutex<Syncs>,
    turn: Condvar,
}

#[derive(Debug, Default)]
struct Syncs {
    running: bool,
    started: u64,
    completed: u64,
    /// The folder has been synced since this file was opened: its name survives power loss.
    named: bool,
    /// After a failed sync the descriptor may report success for what it lost, so that it is never synced again.
    failure: Option<Arc<io::Error>>,
}

impl Log {
    pub(super) fn new(file: Arc<Handle>, place: Place, named: bool) -> Self {
        let syncs = Mutex::new(Syncs { named, ..Syncs::default() });
        Self { file, place, syncs, turn: Condvar::new() }
    }

    /// Whether a sync has failed: then this file must be opened anew.
    pub(super) fn has_failed(&self) -> bool {
        self.locked().failure.is_some()
    }

    /// Makes durable what this thread has written, by a sync that starts after this call: its own, or one that another
    /// thread starts meanwhile, for all who came before.
    pub(super) fn sync(&self, disk: &dyn Disk, folder: &Handle) -> Result<(), Arc<io::Error>> {
        let mut syncs = self.locked();
        let target = syncs.started + 1;
        loop {
            if syncs.completed >= target {
                return Ok(());
            }
            if let Some(failure) = &syncs.failure {
                return Err(Arc::clone(failure));
            }
            if !syncs.running {
                syncs.running = true;
                syncs.started += 1;
                let (number, named) = (syncs.started, syncs.named);
                drop(syncs);
                let outcome = Round { log: self, number, outcome: None }.run(disk, folder, named);
                return outcome;
            }
            syncs = self.turn.wait(syncs).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn locked(&self) -> MutexGuard<'_, Syncs> {
        self.syncs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A sync under way. Its drop tells those who wait for it, also when it ends in a panic.
struct Round<'a> {
    log: &'a Log,
    number: u64,
    outcome: Option<Result<(), Arc<io::Error>>>,
}

impl Round<'_> {
    fn run(mut self, disk: &dyn Disk, folder: &Handle, named: bool) -> Result<(), Arc<io::Error>> {
        // A rename that a writer did not live to sync may be undone by power loss, together with all that was appended
        // to the file since: the first sync of an opened file includes its name.
        let synced = disk.sync_data(&self.log.file).and_then(|()| if named { Ok(()) } else { disk.sync(folder) });
        let outcome = synced.map_err(Arc::new);
        self.outcome = Some(outcome.clone());
        outcome
    }
}

impl Drop for Round<'_> {
    fn drop(&mut self) {
        let mut syncs = self.log.locked();
        syncs.running = false;
        match self.outcome.take() {
            Some(Ok(())) => {
                syncs.completed = self.number;
                syncs.named = true;
            }
            Some(Err(error)) => syncs.failure = Some(error),
            None => syncs.failure = Some(Arc::new(io::Error::other("the thread that synced for others panicked"))),
        }
        drop(syncs);
        self.log.turn.notify_all();
    }
}
