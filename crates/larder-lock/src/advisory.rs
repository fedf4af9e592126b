//! Locks of the operating system.
//!
//! Uncontended, without kept descriptors and records: `open`, `try_lock`, `fstat`, and an unlock and a
//! `close` at the end.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use larder_system::{Handle, Kind, Metadata, Open, retry, write_all_at};

use crate::acquire::{Error, Failure};
use crate::backoff::Backoff;
use crate::guard::Hold;
use crate::helper::{Answer, Helper};
use crate::locks::Shared;
use crate::name::Name;
use crate::process::{self, Stamp};
use crate::waiting::Call;
use crate::{errno, holder};

/// How often a lock file may disappear under one caller's hands.
pub(crate) const ATTEMPTS_MAX: u32 = 100;

/// A held lock: its descriptor, and which file that is.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) file: Handle,
    pub(crate) found: Metadata,
    /// Somebody else has a copy of the descriptor: it is not used for another lock.
    pub(crate) lent: AtomicBool,
}

/// Takes the lock within the caller's terms.
pub(crate) fn take(call: &mut Call<'_>) -> Result<Hold, Failure> {
    let (shared, name) = (call.shared, call.name);
    for _ in 0..ATTEMPTS_MAX {
        let file = match shared.kept.take(name.hash()) {
            Some(file) => file,
            None => open(shared, name)?,
        };
        let granted = match retry(|| shared.disk.try_lock(&file, call.mode)) {
            Ok(granted) => granted,
            Err(source) => {
                shared.disk.close(file);
                return Err(refused(shared, name, source).into());
            }
        };
        let file = if granted { Some(file) } else { wait_for(call, file)? };
        if let Some(held) = file.map(|file| settle(shared, name, file)).transpose()?.flatten() {
            record(shared, &held.file);
            return Ok(Hold::Advisory(held));
        }
        // The file has lost its name. There may be time left to make it anew, even when there was none to wait.
        if call.waits() {
            call.still_wanted()?;
        }
    }
    Err(Error::Unstable { file: shared.path_of(&name.lock_file()), attempts: ATTEMPTS_MAX }.into())
}

/// Opens the lock file, making it if it is absent. A hostile umask makes a file that its own maker can use but nobody
/// can open until [`settle`] has given it its mode. A maker that is killed before that never does, so whoever finds the
/// file so does it in its place; any other refusal is final.
fn open(shared: &Shared, name: &Name) -> Result<Handle, Error> {
    let path = &name.lock_file();
    let open = || retry(|| shared.disk.open(&shared.folder, path, Open::CREATE_OR_OPEN));
    open()
        .or_else(|error| {
            if error.kind() == io::ErrorKind::PermissionDenied && is_unfinished(shared, path) {
                retry(|| shared.disk.set_mode_at(&shared.folder, path, 0o600))?;
                return open();
            }
            Err(error)
        })
        .map_err(|source| open_failed(shared, path, source))
}

fn is_unfinished(shared: &Shared, path: &Path) -> bool {
    cfg!(unix)
        && shared
            .disk
            .metadata_at(&shared.folder, path)
            .is_ok_and(|found| found.kind == Kind::File && found.mode & 0o600 != 0o600)
}

pub(crate) fn open_failed(shared: &Shared, path: &Path, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::NotFound => Error::FolderGone { folder: shared.place(), source },
        io::ErrorKind::PermissionDenied => Error::PermissionDenied { file: shared.path_of(path), source },
        io::ErrorKind::IsADirectory => Error::Foreign { file: shared.path_of(path) },
        _ => Error::Io { action: "open lock file", file: shared.path_of(path), source },
    }
}

/// An error of the lock call itself, never contention.
pub(crate) fn refused(shared: &Shared, name: &Name, source: io::Error) -> Error {
    let file = shared.path_of(&name.lock_file());
    if errno::says_no_locks(&source) {
        Error::Unsupported { file, source }
    } else if source.kind() == io::ErrorKind::PermissionDenied {
        Error::PermissionDenied { file, source }
    } else {
        Error::Io { action: "lock", file, source }
    }
}

/// After each grant: whether the locked file still has a name. One that has none is closed; the lock on it is nobody's.
fn settle(shared: &Shared, name: &Name, file: Handle) -> Result<Option<Held>, Error> {
    let path = || shared.path_of(&name.lock_file());
    let found = match shared.disk.metadata(&file) {
        Ok(found) => found,
        Err(source) => {
            shared.disk.close(file);
            return Err(Error::Io { action: "look at lock file", file: path(), source });
        }
    };
    if found.kind != Kind::File {
        shared.disk.close(file);
        return Err(Error::Foreign { file: path() });
    }
    if found.links == 0 {
        shared.disk.close(file);
        return Ok(None);
    }
    // Made under a umask that takes away its owner's rights; without this its next user would be shut out.
    if cfg!(unix)
        && found.mode & 0o600 != 0o600
        && let Err(source) = retry(|| shared.disk.set_mode(&file, 0o600))
    {
        shared.disk.close(file);
        return Err(Error::Io { action: "set the mode of lock file", file: path(), source });
    }
    Ok(Some(Held { file, found, lent: AtomicBool::new(false) }))
}

/// Waits until the lock is granted on some descriptor of the file. `None` when the file has lost its name, or the helper
/// went away: the caller starts over.
pub(crate) fn wait_for(call: &mut Call<'_>, file: Handle) -> Result<Option<Handle>, Failure> {
    let shared = call.shared;
    if !call.waits() {
        shared.disk.close(file);
        return Err(crate::waiting::Stop::TimedOut.into());
    }
    let latch = call.latch();
    let found = match shared.disk.metadata(&file) {
        Ok(found) if found.links > 0 => found,
        // Whoever holds a nameless file holds nothing that others see.
        _ => {
            shared.disk.close(file);
            return Ok(None);
        }
    };
    let key = shared.key(call.name);
    match Helper::hire(key, &shared.disk, file, &found, call.mode, &latch) {
        Ok(helper) => wait_with(call, &helper),
        Err(file) => poll(call, file),
    }
}

fn wait_with(call: &mut Call<'_>, helper: &Helper) -> Result<Option<Handle>, Failure> {
    loop {
        let (answer, stop) = match helper.ask() {
            Answer::Pending => match call.pause(None) {
                Ok(()) => continue,
                Err(stop) => (helper.leave(), Some(stop)),
            },
            answer => (answer, None),
        };
        return match (answer, stop) {
            (Answer::Back(Ok(file)), _) => Ok(Some(file)),
            (Answer::Back(Err(source)), _) => Err(refused(call.shared, call.name, source).into()),
            (_, Some(stop)) => Err(stop.into()),
            (Answer::Pending | Answer::Gone, None) => Ok(None),
        };
    }
}

/// The declared last resort, when there is no helper to be had.
fn poll(call: &mut Call<'_>, file: Handle) -> Result<Option<Handle>, Failure> {
    let shared = call.shared;
    let mut backoff = Backoff::new();
    let failure = loop {
        if let Err(stop) = call.pause(Some(backoff.next())) {
            break stop.into();
        }
        match retry(|| shared.disk.try_lock(&file, call.mode)) {
            Ok(true) => return Ok(Some(file)),
            Ok(false) => {}
            Err(source) => break Failure::Failed(refused(shared, call.name, source)),
        }
    };
    shared.disk.close(file);
    Err(failure)
}

/// Says in the file who holds it. Only people read it, so failing to must not fail the lock.
fn record(shared: &Shared, file: &Handle) {
    if !shared.options.record_holder {
        return;
    }
    let (disk, clock) = (shared.disk.as_ref(), shared.clock.as_ref());
    let stamp = || Stamp::now(clock, shared.options.label.as_deref());
    let template = shared.template.get_or_init(|| holder::Template::new(stamp()));
    let written = match template.as_ref().and_then(|template| template.at(process::wall_ms(clock))) {
        Some(record) => write_all_at(disk, file, &record, 0),
        None => holder::encode(stamp()).map_or(Ok(()), |record| write_all_at(disk, file, &record, 0)),
    };
    if let Err(error) = written {
        tracing::debug!(%error, "the holder of a lock could not be recorded");
    }
}

/// Lets go. Closing alone would not do: a child that another thread has forked, and that has not executed its program
/// yet, has a copy of the descriptor, and the lock would live until the last copy is closed.
pub(crate) fn release(shared: &Shared, name: &Name, held: Held) {
    let disk = shared.disk.as_ref();
    match disk.unlock(&held.file) {
        Ok(()) if !shared.kept.is_off() && !held.lent.load(Ordering::Relaxed) => {
            shared.kept.put(disk, name.hash(), held.file);
        }
        _ => disk.close(held.file),
    }
}

/// Lets go of a lock whose file has lost its name.
pub(crate) fn discard(shared: &Shared, held: Held) {
    let _ = shared.disk.unlock(&held.file);
    shared.disk.close(held.file);
}
