//! Folders: listed whole, made with their parents, synced by groups.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use larder_system::{Disk, Handle, Kind, Listed, Open, retry};

/// The most names read from one folder at once: a bound on memory, far beyond any folder that larder fills.
const NAMES_MAX: usize = 10_000_000;

/// All names in the folder `path` below `at`.
pub(crate) fn names(disk: &dyn Disk, at: &Handle, path: &Path) -> io::Result<Vec<Listed>> {
    let folder = retry(|| disk.open(at, path, Open::FOLDER))?;
    let mut names = Vec::new();
    let listed = loop {
        match retry(|| disk.list(&folder, &mut names)) {
            Ok(true) if names.len() < NAMES_MAX => {}
            Ok(_) => break Ok(names),
            Err(error) => break Err(error),
        }
    };
    disk.close(folder);
    listed
}

/// Opens the folder `path` below `at`, making what is missing. With `durable`, every folder on the way is synced into its
/// parent before it returns, also those that were there: whoever made them may not have come to it, or not have wanted to.
pub(crate) fn open_or_make(disk: &dyn Disk, at: &Handle, path: &Path, durable: bool) -> io::Result<Handle> {
    if path.as_os_str().is_empty() {
        return retry(|| disk.open(at, Path::new("."), Open::FOLDER));
    }
    if !durable {
        match retry(|| disk.open(at, path, Open::FOLDER)) {
            // a folder on the way may be closed to its owner: see `open_own`
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => {}
            opened => return opened,
        }
    }
    let mut parent: Option<Handle> = None;
    for component in path.components() {
        let name = Path::new(component.as_os_str());
        let here = parent.as_ref().unwrap_or(at);
        let made = make(disk, here, name, durable);
        let opened = made.and_then(|()| open_own(disk, here, name));
        if let Some(done) = parent.take() {
            disk.close(done);
        }
        parent = Some(opened?);
    }
    parent.ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Opens a folder. One made under a strict umask by somebody who was killed before he gave its owner the rights back, or
/// has not come to it yet, is given them here.
fn open_own(disk: &dyn Disk, at: &Handle, name: &Path) -> io::Result<Handle> {
    match retry(|| disk.open(at, name, Open::FOLDER)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let found = disk.metadata_at(at, name)?;
            if !cfg!(unix) || found.kind != Kind::Folder || found.mode & 0o700 == 0o700 {
                return Err(error);
            }
            disk.set_mode_at(at, name, 0o700)?;
            retry(|| disk.open(at, name, Open::FOLDER))
        }
        opened => opened,
    }
}

/// Makes one folder, mode 0700 whatever the umask; one that is there already is as good.
fn make(disk: &dyn Disk, at: &Handle, name: &Path, durable: bool) -> io::Result<()> {
    match retry(|| disk.make_folder(at, name)) {
        Ok(()) => fix_mode(disk, at, name)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    if durable { sync(disk, at) } else { Ok(()) }
}

/// Syncs a folder whose handle is kept, through a handle of its own: one whose sync has failed is not to be believed
/// again.
pub(crate) fn sync(disk: &dyn Disk, at: &Handle) -> io::Result<()> {
    let own = retry(|| disk.open(at, Path::new("."), Open::FOLDER))?;
    let synced = disk.sync(&own);
    disk.close(own);
    synced
}

/// Gives the owner back what a strict umask took.
pub(crate) fn fix_mode(disk: &dyn Disk, at: &Handle, name: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    let made = disk.metadata_at(at, name)?;
    if made.kind != Kind::Folder || made.mode & 0o777 == 0o700 { Ok(()) } else { disk.set_mode_at(at, name, 0o700) }
}

/// Syncs of folders, shared: whoever waits for a sync that began after its own rename is served by it, so that many
/// durable puts into one folder cost a few syncs.
#[derive(Debug, Default)]
pub(crate) struct Syncs {
    /// By device and inode: a path may stand for another folder a moment later.
    folders: Mutex<HashMap<(u64, u64), Arc<Group>>>,
}

/// The syncs of one folder.
#[derive(Debug, Default)]
struct Group {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// How many have begun; the next has this number.
    begun: u64,
    running: bool,
    /// The last that ended, and how; one past its number.
    ended: u64,
    /// The raw error of the last failed sync, and one past its number.
    failed: Option<(u64, Option<i32>)>,
    waiting: usize,
}

impl Syncs {
    /// Returns when a sync of the folder that began after this call has ended, and how it ended.
    pub(crate) fn sync(&self, disk: &dyn Disk, folder: &Handle) -> io::Result<()> {
        let now = disk.metadata(folder)?;
        let folder_is = (now.device, now.inode);
        let group = {
            let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
            let group = Arc::clone(folders.entry(folder_is).or_default());
            // counted under the map's lock, so that nobody drops a group that somebody is about to wait in
            group.lock().waiting += 1;
            group
        };
        let result = group.sync(disk, folder);
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = group.lock();
        state.waiting -= 1;
        if state.waiting == 0 {
            folders.remove(&folder_is);
        }
        result
    }
}

impl Group {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sync(&self, disk: &dyn Disk, folder: &Handle) -> io::Result<()> {
        let mut state = self.lock();
        // a sync that is running may have begun before our rename: the next one counts
        let ours = state.begun;
        loop {
            if state.ended > ours {
                return match state.failed {
                    Some((number, raw)) if number > ours => {
                        Err(raw.map_or_else(|| io::ErrorKind::Other.into(), io::Error::from_raw_os_error))
                    }
                    _ => Ok(()),
                };
            }
            if state.running {
                state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.running = true;
            state.begun += 1;
            let number = state.begun;
            drop(state);
            let result = disk.sync(folder);
            state = self.lock();
            state.running = false;
            state.ended = number;
            if let Err(error) = &result {
                state.failed = Some((number, error.raw_os_error()));
            }
            self.ended.notify_all();
            drop(state);
            return result;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use larder_system::SystemDisk;
    use larder_testkit::{Action, FaultDisk, Gate, Operation, Scratch};

    use super::*;

    #[test]
    fn a_sync_serves_those_who_waited_for_it_in_its_own_folder_and_nobody_in_another() {
        let scratch = Scratch::new("syncs");
        let disk = FaultDisk::over(Arc::new(SystemDisk::new()));
        let root = disk.open_root(scratch.path()).unwrap();
        let open = |name: &str| open_or_make(&disk, &root, Path::new(name), false).unwrap();
        let (one, same, other) = (open("one"), open("one"), open("other"));
        let gate = Gate::new();
        let synced = AtomicUsize::new(0);
        let first = {
            let (gate, count) = (Arc::clone(&gate), AtomicUsize::new(0));
            move |call: &larder_testkit::Call| {
                let held = call.operation == Operation::Sync && count.fetch_add(1, Ordering::SeqCst) == 0;
                if held { Action::Hold(Arc::clone(&gate)) } else { Action::Proceed }
            }
        };
        disk.before(first);
        let syncs = Syncs::default();
        std::thread::scope(|scope| {
            scope.spawn(|| syncs.sync(&disk, &one).unwrap());
            gate.wait_until_held(1);
            // began after the one that is held: must have one of its own
            let waiting = scope.spawn(|| {
                syncs.sync(&disk, &same).unwrap();
                synced.fetch_add(1, Ordering::SeqCst);
            });
            syncs.sync(&disk, &other).unwrap();
            assert_eq!(synced.load(Ordering::SeqCst), 0, "the running sync began too early for the second");
            gate.open();
            waiting.join().unwrap();
        });
        assert_eq!(disk.count_of(Operation::Sync), 3);
        assert!(syncs.folders.lock().unwrap().is_empty(), "nothing is kept for folders that nobody syncs");
    }

    #[test]
    fn a_failed_sync_fails_all_that_waited_for_it_and_none_that_came_later() {
        let scratch = Scratch::new("failed");
        let disk = FaultDisk::over(Arc::new(SystemDisk::new()));
        let root = disk.open_root(scratch.path()).unwrap();
        let syncs = Syncs::default();
        disk.fail_operation(Operation::Sync, 5, 1);
        assert_eq!(syncs.sync(&disk, &root).unwrap_err().raw_os_error(), Some(5));
        assert!(syncs.sync(&disk, &root).is_ok());
    }
}
