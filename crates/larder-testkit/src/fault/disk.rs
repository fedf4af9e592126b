//! The disk itself: another disk, with a script asked before each of its calls.

use std::fmt;
use std::io;
use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use larder_system::{Disk, FileSystem, Handle, Listed, LockMode, Metadata, Open, Replace};

use super::script::Script;
use super::{Action, Call, Operation};
use crate::errno::EBADF;

/// How often a process that stops itself looks whether it was stopped: far longer than that can take.
#[cfg(unix)]
const STOP_LOOKS_MAX: u32 = 10_000_000;

/// A disk over another one, which counts each call and does what the test says before it.
///
/// Clones share the other disk, the counts and the rules. A handle that is dropped without
/// [`Disk::close`] counts as closed there.
///
/// Rules are asked in this order, and the first that matches decides: [`before`](Self::before),
/// [`fail_at`](Self::fail_at), [`fail_from`](Self::fail_from), [`fail_operation`](Self::fail_operation),
/// [`interrupt_every`](Self::interrupt_every), [`shorten_writes_to`](Self::shorten_writes_to).
///
/// ```
/// use larder_system::{Disk, Open};
/// use larder_testkit::{FaultDisk, Operation, SimDisk, errno};
/// use std::{path::Path, sync::Arc};
///
/// let disk = FaultDisk::over(Arc::new(SimDisk::new()));
/// disk.fail_operation(Operation::Sync, errno::EIO, 1);
/// let root = disk.open_root(Path::new("/"))?;
/// let file = disk.open(&root, Path::new("a"), Open::CREATE_NEW)?;
/// assert_eq!(disk.sync(&file).unwrap_err().raw_os_error(), Some(errno::EIO));
/// disk.sync(&file)?;
/// assert_eq!(disk.count_of(Operation::Sync), 2);
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct FaultDisk {
    core: Arc<Core>,
}

struct Core {
    inner: Arc<dyn Disk>,
    script: Script,
}

/// A handle of the disk below, with the path it was opened by.
struct Watched {
    inner: Option<Handle>,
    path: PathBuf,
    core: Arc<Core>,
}

impl FaultDisk {
    /// A disk over `inner` that so far only counts.
    pub fn over(inner: Arc<dyn Disk>) -> Self {
        Self { core: Arc::new(Core { inner, script: Script::default() }) }
    }

    /// How many calls were made since the last reset, those that a rule failed included.
    pub fn count(&self) -> u64 {
        self.core.script.count()
    }

    /// How many of them were of this kind.
    pub fn count_of(&self, operation: Operation) -> u64 {
        self.core.script.count_of(operation)
    }

    /// Keeps each call from now on, at most a million, for [`calls`](Self::calls).
    pub fn record(&self) {
        self.core.script.record();
    }

    /// The calls kept since [`record`](Self::record) or the last reset; none without recording.
    pub fn calls(&self) -> Vec<Call> {
        self.core.script.calls()
    }

    /// Counts from 0 again and forgets the recorded calls; the rules stay.
    pub fn reset(&self) {
        self.core.script.reset();
    }

    /// Takes all rules away; the counts stay.
    pub fn heal(&self) {
        self.core.script.heal();
    }

    /// Fails the call of this index.
    pub fn fail_at(&self, index: u64, errno: i32) {
        self.core.script.fail_at(index, errno);
    }

    /// Fails the call of this index and all after it.
    pub fn fail_from(&self, index: u64, errno: i32) {
        self.core.script.fail_from(index, errno);
    }

    /// Fails the next `times` calls of this kind.
    pub fn fail_operation(&self, operation: Operation, errno: i32, times: u64) {
        self.core.script.fail_operation(operation, errno, times);
    }

    /// Lets no write take more than so many bytes.
    ///
    /// # Panics
    /// `bytes` is 0.
    pub fn shorten_writes_to(&self, bytes: usize) {
        self.core.script.shorten_writes_to(bytes);
    }

    /// Answers `EINTR` to each such call in turn that a signal can interrupt.
    ///
    /// # Panics
    /// `calls` is below 2: then no retry could ever succeed.
    pub fn interrupt_every(&self, calls: u64) {
        self.core.script.interrupt_every(calls);
    }

    /// Asks `script` before each call. It replaces the script before it.
    pub fn before(&self, script: impl Fn(&Call) -> Action + Send + Sync + 'static) {
        self.core.script.before(Arc::new(script));
    }

    fn watch(&self, inner: Handle, path: PathBuf) -> Handle {
        Handle::from_other(Watched { inner: Some(inner), path, core: Arc::clone(&self.core) })
    }
}

impl fmt::Debug for FaultDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultDisk").field("over", &self.core.inner).field("calls", &self.count()).finish()
    }
}

impl Core {
    /// Asks the script, then makes the call: with a bound on its bytes when it is to be short.
    fn call<T>(
        &self,
        operation: Operation,
        path: Option<PathBuf>,
        to: Option<PathBuf>,
        make: impl FnOnce(Option<usize>) -> io::Result<T>,
    ) -> io::Result<T> {
        match self.script.meet(operation, path, to) {
            Action::Proceed => make(None),
            Action::Fail(errno) => Err(io::Error::from_raw_os_error(errno)),
            Action::FailAfter(errno) => {
                make(None)?;
                Err(io::Error::from_raw_os_error(errno))
            }
            Action::Short(bytes) => make(Some(bytes)),
            Action::KillProcess => kill_this_process(),
            Action::StopProcess => {
                stop_this_process();
                make(None)
            }
            Action::Hold(gate) => {
                gate.pass();
                make(None)
            }
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take() else { return };
        let inner_disk = Arc::clone(&self.core.inner);
        let mut inner = Some(inner);
        // Whatever the script answers, a descriptor that was closed is gone.
        let _ = self.core.call(Operation::Close, Some(self.path.clone()), None, |_| {
            if let Some(inner) = inner.take() {
                inner_disk.close(inner);
            }
            Ok(())
        });
    }
}

fn watched(handle: &Handle) -> io::Result<(&Handle, &Path)> {
    let watched = handle.other::<Watched>().ok_or_else(|| io::Error::from_raw_os_error(EBADF))?;
    let inner = watched.inner.as_ref().ok_or_else(|| io::Error::from_raw_os_error(EBADF))?;
    Ok((inner, &watched.path))
}

#[cfg(unix)]
fn kill_this_process() -> ! {
    use rustix::process::{Signal, getpid, kill_process};
    kill_process(getpid(), Signal::KILL).expect("a process may always kill itself");
    loop {
        std::thread::park();
    }
}

#[cfg(not(unix))]
fn kill_this_process() -> ! {
    std::process::abort()
}

#[cfg(unix)]
fn stop_this_process() {
    use rustix::process::{Signal, getpid, kill_process};
    kill_process(getpid(), Signal::STOP).expect("a process may always stop itself");
    // Another thread may be the one that takes the signal, a moment later. Once it is no longer pending, all stop.
    for _ in 0..STOP_LOOKS_MAX {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:"));
        let pending = pending.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or(0);
        if pending >> (Signal::STOP.as_raw() - 1) & 1 == 0 {
            return;
        }
    }
    panic!("this process does not stop");
}

#[cfg(not(unix))]
fn stop_this_process() {
    panic!("this platform has no signal that stops a process");
}

/// The first `limit` bytes of `parts`.
fn cut<'a>(parts: &'a [IoSlice<'_>], limit: usize) -> Vec<IoSlice<'a>> {
    let mut room = limit;
    let mut kept = Vec::with_capacity(parts.len());
    for part in parts {
        let taken = part.len().min(room);
        kept.push(IoSlice::new(&part[..taken]));
        room -= taken;
    }
    kept
}

impl Disk for FaultDisk {
    fn open_root(&self, path: &Path) -> io::Result<Handle> {
        let make = |_| self.core.inner.open_root(path);
        let inner = self.core.call(Operation::OpenRoot, Some(path.to_owned()), None, make)?;
        Ok(self.watch(inner, path.to_owned()))
    }

    fn make_root(&self, path: &Path) -> io::Result<()> {
        self.core.call(Operation::MakeRoot, Some(path.to_owned()), None, |_| self.core.inner.make_root(path))
    }

    fn root_metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.core.call(Operation::RootMetadata, Some(path.to_owned()), None, |_| self.core.inner.root_metadata(path))
    }

    fn open(&self, at: &Handle, path: &Path, how: Open) -> io::Result<Handle> {
        let (at, folder) = watched(at)?;
        let whole = folder.join(path);
        let make = |_| self.core.inner.open(at, path, how);
        let inner = self.core.call(Operation::Open, Some(whole.clone()), None, make)?;
        Ok(self.watch(inner, whole))
    }

    fn read(&self, file: &Handle, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let (file, path) = watched(file)?;
        self.core.call(Operation::Read, Some(path.to_owned()), None, |limit| match limit {
            None => self.core.inner.read(file, buffer),
            Some(limit) => {
                let room = limit.min(buffer.capacity() - buffer.len());
                let mut part = vec![0; room].into_boxed_slice().into_vec();
                part.clear();
                let read = self.core.inner.read(file, &mut part)?;
                buffer.extend_from_slice(&part);
                Ok(read)
            }
        })
    }

    fn read_at(&self, file: &Handle, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let (file, path) = watched(file)?;
        self.core.call(Operation::ReadAt, Some(path.to_owned()), None, |limit| {
            let room = buffer.len().min(limit.unwrap_or(usize::MAX));
            self.core.inner.read_at(file, &mut buffer[..room], offset)
        })
    }

    fn write(&self, file: &Handle, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let (file, path) = watched(file)?;
        self.core.call(Operation::Write, Some(path.to_owned()), None, |limit| match limit {
            None => self.core.inner.write(file, parts),
            Some(limit) => self.core.inner.write(file, &cut(parts, limit)),
        })
    }

    fn write_at(&self, file: &Handle, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let (file, path) = watched(file)?;
        self.core.call(Operation::WriteAt, Some(path.to_owned()), None, |limit| {
            let room = bytes.len().min(limit.unwrap_or(usize::MAX));
            self.core.inner.write_at(file, &bytes[..room], offset)
        })
    }

    fn position(&self, file: &Handle) -> io::Result<u64> {
        let (file, path) = watched(file)?;
        self.core.call(Operation::Position, Some(path.to_owned()), None, |_| self.core.inner.position(file))
    }

    fn seek_end(&self, file: &Handle) -> io::Result<u64> {
        let (file, path) = watched(file)?;
        self.core.call(Operation::SeekEnd, Some(path.to_owned()), None, |_| self.core.inner.seek_end(file))
    }

    fn set_length(&self, file: &Handle, length: u64) -> io::Result<()> {
        let (file, path) = watched(file)?;
        self.core.call(Operation::SetLength, Some(path.to_owned()), None, |_| self.core.inner.set_length(file, length))
    }

    fn allocate(&self, file: &Handle, length: u64) -> io::Result<()> {
        let (file, path) = watched(file)?;
        self.core.call(Operation::Allocate, Some(path.to_owned()), None, |_| self.core.inner.allocate(file, length))
    }

    fn set_mode(&self, file: &Handle, mode: u32) -> io::Result<()> {
        let (file, path) = watched(file)?;
        self.core.call(Operation::SetMode, Some(path.to_owned()), None, |_| self.core.inner.set_mode(file, mode))
    }

    fn set_mode_at(&self, at: &Handle, name: &Path, mode: u32) -> io::Result<()> {
        let (at, folder) = watched(at)?;
        let make = |_| self.core.inner.set_mode_at(at, name, mode);
        self.core.call(Operation::SetModeAt, Some(folder.join(name)), None, make)
    }

    fn sync(&self, file: &Handle) -> io::Result<()> {
        let (file, path) = watched(file)?;
        self.core.call(Operation::Sync, Some(path.to_owned()), None, |_| self.core.inner.sync(file))
    }

    fn sync_data(&self, file: &Handle) -> io::Result<()> {
        let (file, path) = watched(file)?;
        self.core.call(Operation::SyncData, Some(path.to_owned()), None, |_| self.core.inner.sync_data(file))
    }

    fn metadata(&self, file: &Handle) -> io::Result<Metadata> {
        let (file, path) = watched(file)?;
        self.core.call(Operation::Metadata, Some(path.to_owned()), None, |_| self.core.inner.metadata(file))
    }

    fn born_ns(&self, file: &Handle) -> io::Result<Option<i128>> {
        let (file, path) = watched(file)?;
        self.core.call(Operation::Metadata, Some(path.to_owned()), None, |_| self.core.inner.born_ns(file))
    }

    fn metadata_at(&self, at: &Handle, name: &Path) -> io::Result<Metadata> {
        let (at, folder) = watched(at)?;
        let make = |_| self.core.inner.metadata_at(at, name);
        self.core.call(Operation::MetadataAt, Some(folder.join(name)), None, make)
    }

    fn glance_at(&self, at: &Handle, name: &Path) -> io::Result<Metadata> {
        let (at, folder) = watched(at)?;
        let make = |_| self.core.inner.glance_at(at, name);
        self.core.call(Operation::MetadataAt, Some(folder.join(name)), None, make)
    }

    fn used_at(&self, at: &Handle, name: &Path) -> io::Result<(Metadata, i128)> {
        let (at, folder) = watched(at)?;
        let make = |_| self.core.inner.used_at(at, name);
        self.core.call(Operation::MetadataAt, Some(folder.join(name)), None, make)
    }

    fn mark_used(&self, at: &Handle, name: &Path, used_ns: i128) -> io::Result<()> {
        let (at, folder) = watched(at)?;
        let make = |_| self.core.inner.mark_used(at, name, used_ns);
        self.core.call(Operation::MarkUsed, Some(folder.join(name)), None, make)
    }

    fn rename(&self, from_at: &Handle, from: &Path, to_at: &Handle, to: &Path, replace: Replace) -> io::Result<()> {
        let (from_at, from_folder) = watched(from_at)?;
        let (to_at, to_folder) = watched(to_at)?;
        let make = |_| self.core.inner.rename(from_at, from, to_at, to, replace);
        self.core.call(Operation::Rename, Some(from_folder.join(from)), Some(to_folder.join(to)), make)
    }

    fn link(&self, from_at: &Handle, from: &Path, to_at: &Handle, to: &Path) -> io::Result<()> {
        let (from_at, from_folder) = watched(from_at)?;
        let (to_at, to_folder) = watched(to_at)?;
        let make = |_| self.core.inner.link(from_at, from, to_at, to);
        self.core.call(Operation::Link, Some(from_folder.join(from)), Some(to_folder.join(to)), make)
    }

    fn remove_file(&self, at: &Handle, name: &Path) -> io::Result<()> {
        let (at, folder) = watched(at)?;
        let make = |_| self.core.inner.remove_file(at, name);
        self.core.call(Operation::RemoveFile, Some(folder.join(name)), None, make)
    }

    fn remove_folder(&self, at: &Handle, name: &Path) -> io::Result<()> {
        let (at, folder) = watched(at)?;
        let make = |_| self.core.inner.remove_folder(at, name);
        self.core.call(Operation::RemoveFolder, Some(folder.join(name)), None, make)
    }

    fn make_folder(&self, at: &Handle, name: &Path) -> io::Result<()> {
        let (at, folder) = watched(at)?;
        let make = |_| self.core.inner.make_folder(at, name);
        self.core.call(Operation::MakeFolder, Some(folder.join(name)), None, make)
    }

    fn list(&self, folder: &Handle, names: &mut Vec<Listed>) -> io::Result<bool> {
        let (folder, path) = watched(folder)?;
        self.core.call(Operation::List, Some(path.to_owned()), None, |_| self.core.inner.list(folder, names))
    }

    fn try_lock(&self, file: &Handle, mode: LockMode) -> io::Result<bool> {
        let (file, path) = watched(file)?;
        self.core.call(Operation::TryLock, Some(path.to_owned()), None, |_| self.core.inner.try_lock(file, mode))
    }

    fn lock(&self, file: &Handle, mode: LockMode) -> io::Result<()> {
        let (file, path) = watched(file)?;
        self.core.call(Operation::Lock, Some(path.to_owned()), None, |_| self.core.inner.lock(file, mode))
    }

    fn unlock(&self, file: &Handle) -> io::Result<()> {
        let (file, path) = watched(file)?;
        self.core.call(Operation::Unlock, Some(path.to_owned()), None, |_| self.core.inner.unlock(file))
    }

    fn file_system(&self, folder: &Handle) -> io::Result<FileSystem> {
        let (folder, path) = watched(folder)?;
        self.core.call(Operation::FileSystem, Some(path.to_owned()), None, |_| self.core.inner.file_system(folder))
    }
}
