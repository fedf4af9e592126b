//! Folders of locks to test on, as this process or another one sees them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use camino::Utf8Path;
use larder_lock::{Backend, Event, Locks, Mode, Observer, Options, Wait};
use larder_system::{Clock, Disk, SystemClock, SystemDisk};
use larder_testkit::{Child, FaultDisk, Scratch};

/// Long enough that only a broken test waits so long.
pub(crate) const LONG: Duration = Duration::from_secs(60);
/// Too short for anything to happen but the end of the wait.
pub(crate) const SHORT: Duration = Duration::from_millis(30);
pub(crate) const LEASE: Backend = Backend::Lease { length: Duration::from_millis(300) };
pub(crate) const BOTH: [Backend; 2] = [Backend::Advisory, LEASE];

pub(crate) fn patient() -> Wait {
    Wait::up_to(LONG)
}

pub(crate) fn name_of(backend: Backend) -> &'static str {
    if backend == Backend::Advisory { "advisory" } else { "lease" }
}

pub(crate) fn backend_of(name: &str) -> Backend {
    if name == "advisory" { Backend::Advisory } else { LEASE }
}

pub(crate) fn open(folder: &Utf8Path, backend: Backend) -> Locks {
    Locks::open(folder, Options::new().backend(backend)).unwrap()
}

/// Locks of a disk of its own, so that they share no line with others of this process: what another process would see.
pub(crate) struct Elsewhere {
    pub(crate) disk: FaultDisk,
    pub(crate) locks: Locks,
}

pub(crate) fn elsewhere(scratch: &Scratch, options: Options) -> Elsewhere {
    elsewhere_at(scratch, options, Arc::new(SystemClock::new()))
}

pub(crate) fn elsewhere_at(scratch: &Scratch, options: Options, clock: Arc<dyn Clock>) -> Elsewhere {
    let disk = FaultDisk::over(Arc::new(SystemDisk::new()));
    let folder = Arc::new(disk.open_root(scratch.path()).unwrap());
    let locks = Locks::in_folder(Arc::new(disk.clone()), clock, folder, options);
    disk.reset();
    Elsewhere { disk, locks }
}

/// Another process that holds `name`.
pub(crate) fn holder(scratch: &Scratch, backend: Backend, name: &str) -> Child {
    let mut child = spawn(scratch, "hold", backend, name, Mode::Exclusive);
    child.wait_for_line("held");
    child
}

pub(crate) fn spawn(scratch: &Scratch, role: &str, backend: Backend, name: &str, mode: Mode) -> Child {
    let mode = if mode == Mode::Shared { "shared" } else { "exclusive" };
    let folder = scratch.utf8_path().as_str();
    Child::spawn(role, &[("folder", folder), ("backend", name_of(backend)), ("name", name), ("mode", mode)])
}

/// Remembers what it is told.
#[derive(Default)]
pub(crate) struct Diary(Mutex<Vec<String>>);

impl Diary {
    pub(crate) fn entries(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Observer for Diary {
    fn observe(&self, _name: &str, event: &Event<'_>) {
        let entry = match event {
            Event::Started { holder } => format!("started {}", holder.pid.unwrap_or(0)),
            Event::StillWaiting { holder, .. } => format!("still {}", holder.pid.unwrap_or(0)),
            Event::Acquired { .. } => "acquired".to_owned(),
            Event::TimedOut { holder, .. } => format!("timed out {}", holder.pid.unwrap_or(0)),
            Event::Cancelled { .. } => "cancelled".to_owned(),
            _ => "unknown".to_owned(),
        };
        self.0.lock().unwrap().push(entry);
    }
}

/// Calls a function when a wait begins.
pub(crate) struct OnStart<F: Fn() + Send + Sync>(pub(crate) F);

impl<F: Fn() + Send + Sync> Observer for OnStart<F> {
    fn observe(&self, _name: &str, event: &Event<'_>) {
        if matches!(event, Event::Started { .. }) {
            (self.0)();
        }
    }
}
