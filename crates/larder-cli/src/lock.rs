//! `larder lock`: a command run while a lock is held.

use larder_lock::{Cancellation, Event as WaitEvent, Guard, Locks, Mode, Observer, Options, Origin, Wait, file_name};
use larder_storage::{Store, annex};
use larder_system::{Disk as _, SystemClock, SystemDisk};
use std::sync::Arc;

use crate::args::{Global, Lock};
use crate::child::{self, Event};
use crate::config::Loaded;
use crate::exit::{Exit, Failed, chain};
use crate::group::Group;
use crate::output::Output;
use crate::root;
use crate::signals::{INTERRUPT, Signals, Target};

/// The annex of the locks that people name, apart from those that guard keys.
pub(crate) const FOLDER: &str = "named";

/// Why there is no lock to be asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    /// The root cannot be used.
    #[error(transparent)]
    Annex(#[from] annex::Error),
    /// Its folder of locks cannot be opened.
    #[error("cannot open the folder {path}")]
    Folder {
        /// The folder.
        path: camino::Utf8PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A lock without a name.
    #[error("a lock needs a name, without control characters")]
    Nameless,
    /// Signals cannot be caught.
    #[error("signals cannot be caught")]
    Signals {
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The command's end cannot be learnt.
    #[error("the command's end cannot be learnt")]
    Lost {
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        let exit = if matches!(error, Error::Nameless) { Exit::USAGE } else { Exit::INPUT_OUTPUT };
        Self::new(exit, error)
    }
}

/// Told how a wait goes, it tells the person.
struct Teller(Output);

impl Observer for Teller {
    fn observe(&self, name: &str, event: &WaitEvent<'_>) {
        if let WaitEvent::StillWaiting { holder, waited } = event {
            self.0.note(&format!("lock `{name}` is held by {holder}; waited for {waited:.0?}"));
        }
    }
}

pub(crate) fn run(global: &Global, terms: &Lock, output: Output) -> Result<Exit, Failed> {
    if terms.name.is_empty() || terms.name.contains(char::is_control) {
        return Err(Error::Nameless.into());
    }
    let wait = match terms.timeout {
        Some(bound) => Wait::new(bound).from(Origin::Flag("--timeout".to_owned())),
        None => root::wait(global, &Loaded::find(global)?)?,
    };
    let store = root::open(global)?;
    let locks = locks(&store, store.annex(FOLDER).map_err(Error::from)?.locks().backend(), &terms.name)?;
    let cancellation = Cancellation::new();
    let signals = Signals::catch(Target::Wait(cancellation.clone())).map_err(|source| Error::Signals { source })?;
    let wait = wait.cancelled_by(&cancellation).observed_by(Arc::new(Teller(output)));
    let mode = if terms.shared { Mode::Shared } else { Mode::Exclusive };
    let taken = locks.acquire(&terms.name, mode, &wait);
    signals.check()?;
    let guard = taken?;
    tracing::info!(name = terms.name, "the lock is held, and the command run");
    let (sender, events) = child::events();
    signals.aim(Target::Child(sender.clone()));
    // the lock's descriptor is closed in the command: the lock is this process's alone
    let inherited = |builder: &mut std::process::Command| {
        builder.stdin(std::process::Stdio::inherit());
    };
    let child = child::start(&terms.command, Group::Shared, inherited, &sender)?;
    loop {
        match events.recv() {
            Ok(Event::Ended) | Err(_) => break,
            // a terminal's Ctrl-C has reached the command already
            Ok(Event::Signal(signal)) if signal != INTERRUPT || !Group::is_terminals() => child.signal(signal),
            Ok(_) => {}
        }
    }
    let end = child.reap().map_err(|source| Error::Lost { source })?;
    warn_if_lost(&guard, output);
    Ok(end.exit())
}

/// The locks that people name, in the root's own kind.
pub(crate) fn locks(store: &Store, backend: larder_lock::Backend, label: &str) -> Result<Locks, Error> {
    let path = store.path().join(FOLDER);
    let disk = SystemDisk::new();
    let folder = disk.open_root(path.as_std_path()).map_err(|source| Error::Folder { path, source })?;
    let options = Options::new().backend(backend).label(label);
    Ok(Locks::in_folder(Arc::new(disk), Arc::new(SystemClock::new()), Arc::new(folder), options))
}

/// Whether the label that a holder gave is the name of the lock with this file.
pub(crate) fn is_name(label: &str, file: &str) -> bool {
    file_name(label).is_some_and(|named| named == file)
}

/// A lease may have expired, and a stranger may have removed the lock's file.
fn warn_if_lost(guard: &Guard, output: Output) {
    if let Err(error) = guard.check() {
        output.warn(&format!("the lock was lost while the command ran: {}", chain(&error)));
    }
}
