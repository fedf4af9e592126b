//! Locks between processes, or ones that are broken.

use std::path::PathBuf;
use std::time::Duration;

use camino::Utf8Path;
use larder_lock::{Backend, Guard, Locks, Mode, Options, Wait, acquire, file_name};
use larder_system::{Clock as _, Disk as _, Handle, Open, SystemClock, SystemDisk};

use crate::failure::{Doing as _, Failure, chain};
use crate::sabotage::Sabotage;

/// After how long the broken lock counts its holder as gone.
const ABANDONED: Duration = Duration::from_millis(15);
/// How long the broken release leaves the lock file of a lock that is free.
const UNLINKED_AFTER: Duration = Duration::from_millis(2);
const POLL: Duration = Duration::from_millis(1);

/// A folder of locks.
#[derive(Debug)]
pub(crate) struct Locking {
    locks: Locks,
    disk: SystemDisk,
    clock: SystemClock,
    folder: Handle,
    sabotage: Option<Sabotage>,
}

/// A lock that was got; to be given back to [`Locking::release`].
#[derive(Debug)]
pub(crate) struct Held {
    guard: Option<Guard>,
    file: PathBuf,
}

/// Why a lock was not got.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// Somebody has it; anything else is a failure.
    pub(crate) is_contention: bool,
    pub(crate) holder: Option<u32>,
    pub(crate) message: String,
}

impl Locking {
    pub(crate) fn open(path: &Utf8Path, sabotage: Option<Sabotage>) -> Result<Self, Failure> {
        let options = Options::new().backend(Backend::Advisory);
        let locks = Locks::open(path, options).doing(format!("open the locks {path}"))?;
        let disk = SystemDisk::new();
        let folder = disk.open_root(path.as_std_path()).doing(format!("open {path}"))?;
        Ok(Self { locks, disk, clock: SystemClock::new(), folder, sabotage })
    }

    pub(crate) fn acquire(&self, name: &str, mode: Mode, bound: Duration) -> Result<Held, Refusal> {
        let file = PathBuf::from(file_name(name).unwrap_or_default());
        match self.sabotage {
            Some(Sabotage::NoLock) => Ok(Held { guard: None, file }),
            Some(Sabotage::LockFileLeft) => self.make_lock_file(file, bound),
            Some(Sabotage::StealFromFrozen) if bound > ABANDONED => self.acquire_or_steal(name, mode, file),
            _ => self.take(name, mode, file, bound),
        }
    }

    /// Lets go.
    pub(crate) fn release(&self, held: Held) {
        drop(held.guard);
        if self.sabotage == Some(Sabotage::UnlinkAfterRelease) {
            self.clock.sleep(UNLINKED_AFTER);
            let _ = self.disk.remove_file(&self.folder, &held.file);
        }
        if self.sabotage == Some(Sabotage::LockFileLeft) {
            let _ = self.disk.remove_file(&self.folder, &held.file);
        }
    }

    fn take(&self, name: &str, mode: Mode, file: PathBuf, bound: Duration) -> Result<Held, Refusal> {
        let wait = if bound.is_zero() { Wait::none() } else { Wait::up_to(bound) };
        let guard = self.locks.acquire(name, mode, &wait).map_err(|error| refusal(&error))?;
        Ok(Held { guard: Some(guard), file })
    }

    fn acquire_or_steal(&self, name: &str, mode: Mode, file: PathBuf) -> Result<Held, Refusal> {
        match self.take(name, mode, file.clone(), ABANDONED) {
            Err(refusal) if refusal.is_contention => {
                let _ = self.disk.remove_file(&self.folder, &file);
                self.take(name, mode, file, ABANDONED)
            }
            taken => taken,
        }
    }

    fn make_lock_file(&self, file: PathBuf, bound: Duration) -> Result<Held, Refusal> {
        let until = self.clock.monotonic() + bound;
        loop {
            if self.disk.open(&self.folder, &file, Open::CREATE_NEW).is_ok() {
                return Ok(Held { guard: None, file });
            }
            if self.clock.monotonic() >= until {
                let message = "the lock file exists".to_owned();
                return Err(Refusal { is_contention: true, holder: None, message });
            }
            self.clock.sleep(POLL);
        }
    }
}

fn refusal(error: &acquire::Error) -> Refusal {
    let holder = error.holder().and_then(|holder| holder.pid);
    Refusal { is_contention: error.is_contention(), holder, message: chain(error) }
}
