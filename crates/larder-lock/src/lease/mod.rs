//! Locks of plain files, for file systems whose own locks lie or are missing.
//!
//! Each name has a folder with one file in it, whose own name carries the **token**:
//!
//! ```text
//! react_hooks-<hash>.lease/<epoch>.<token>      content: token, free or not, heartbeat, length, holder
//! ```
//!
//! - **Taking** is one `rename` of `<epoch>.<T>` to `<epoch>.<T+1>`. The source is there for one taker only, so each token
//!   has one holder ever, and nothing that is live is ever removed or replaced to make room. The holder then writes
//!   itself into the file. A file whose content has another token than its name is being taken: a holder without a name.
//! - **Letting go** writes "free" under the same token.
//! - **Being alive** is a content that changes: a thread rewrites it each third of the lease's length. An observer takes
//!   over when the content says free; when its holder is a process of this very boot and pid namespace that is gone for
//!   certain; or when the observer itself has seen one and the same content for the whole length, by its own monotonic
//!   clock. No clock of the holder and no time in a file is compared with anything.
//! - **A holder that wakes late** finds its file's name gone and knows that it lost. What it may still write into the
//!   file carries its old token and is therefore ignored, and overwritten by the next heartbeat.
//! - **The first** file of a name is made inside a new folder, which is then moved to its place. A move onto a folder that
//!   is not empty fails, so there is one beginning. The epoch is drawn at random, so that files of a name that was
//!   retired and made again never have a name that was used before.
//! - **Retiring** removes the file by its full name, which fails if it was taken meanwhile, then the folder, which fails
//!   unless it is empty.
//!
//! Not guaranteed: that a holder frozen between its check and its next step does nothing with a lease that it lost in
//! between; that is for the protected resource, which can compare tokens. Observers that give up before the length
//! has passed add up what they saw only within one process.

pub(crate) mod chain;
mod heart;
mod judge;
mod record;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub(crate) use judge::Seen;

use self::chain::{Link, Located};
use self::judge::Verdict;
use self::record::Record;
use crate::acquire::{Error, Failure};
use crate::backoff::Backoff;
use crate::guard::Hold;
use crate::locks::Shared;
use crate::name::Name;
use crate::process::Stamp;
use crate::waiting::{Call, Stop};
use crate::{Holder, check, errno};

/// How often one look may find everything changed since the last step, before it counts as contention.
const RACES_MAX: u32 = 100;

/// Each how many looks a waiter reads all that the system says of the holder, and not only whether it is there.
const THOROUGH_EVERY: u64 = 8;

/// A held lease.
#[derive(Debug)]
pub(crate) struct Held {
    beat: Arc<heart::Beat>,
}

/// Takes the lease within the caller's terms.
pub(crate) fn take(call: &mut Call<'_>, length: Duration) -> Result<Hold, Failure> {
    let (shared, path) = (call.shared, call.name.lease_folder());
    let mut backoff = Backoff::new();
    let mut races = 0;
    loop {
        match step(shared, call.name, &path, length)? {
            Step::Taken(held) => return Ok(Hold::Lease(held)),
            Step::Raced if races < RACES_MAX => races += 1,
            Step::Raced => return Err(Error::Unstable { file: shared.path_of(&path), attempts: RACES_MAX }.into()),
            Step::Held(link, look) => {
                races = 0;
                watch(call, &link, &look, &mut backoff)?;
            }
        }
    }
}

/// Waits until the lease is free, expired, retired or was never taken.
pub(crate) fn watch_until_free(call: &mut Call<'_>, length: Duration) -> Result<(), Failure> {
    let (shared, path) = (call.shared, call.name.lease_folder());
    let mut backoff = Backoff::new();
    let mut moves = 0;
    loop {
        let failed = |source| failure(shared, &path, source);
        match chain::locate(shared, &path).map_err(failed)? {
            Located::Nothing => return Ok(()),
            Located::Link(link) => {
                moves = 0;
                let look = match link.look(shared.disk.as_ref()) {
                    Ok(look) => look,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(failed(error).into()),
                };
                if judge::verdict(shared, call.name.hash(), &link, &look, length) != Verdict::Held {
                    return Ok(());
                }
                watch(call, &link, &look, &mut backoff)?;
            }
            Located::Moved if moves < RACES_MAX => moves += 1,
            Located::Moved => {
                return Err(Error::Unstable { file: shared.path_of(&path), attempts: RACES_MAX }.into());
            }
        }
    }
}

enum Step {
    Taken(Held),
    Held(Link, Vec<u8>),
    Raced,
}

fn step(shared: &Arc<Shared>, name: &Name, path: &Path, length: Duration) -> Result<Step, Error> {
    let failed = |source| failure(shared, path, source);
    let link = match chain::locate(shared, path).map_err(failed)? {
        Located::Link(link) => link,
        Located::Nothing => {
            chain::begin(shared, path, length).map_err(failed)?;
            return Ok(Step::Raced);
        }
        Located::Moved => return Ok(Step::Raced),
    };
    let look = link.look(shared.disk.as_ref()).map_err(failed)?;
    if judge::verdict(shared, name.hash(), &link, &look, length) == Verdict::Held {
        return Ok(Step::Held(link, look));
    }
    // Before the rename: whoever watches the new token cannot have begun earlier.
    let taken_at = shared.clock.monotonic();
    let Some(link) = link.advance(shared.disk.as_ref()).map_err(failed)? else { return Ok(Step::Raced) };
    let record = Record::held(&link, length, Stamp::now(shared.clock.as_ref(), shared.options.label.as_deref()));
    link.write(shared.disk.as_ref(), &record).map_err(failed)?;
    let beat = heart::start(shared, link, record, length, taken_at).map_err(failed)?;
    Ok(Step::Taken(Held { beat }))
}

/// Pauses until the lease looks different, its holder has died, or its length has passed without either.
fn watch(call: &mut Call<'_>, link: &Link, before: &[u8], backoff: &mut Backoff) -> Result<(), Failure> {
    if !call.waits() {
        return Err(Stop::TimedOut.into());
    }
    let disk = call.shared.disk.as_ref();
    let holder = Record::read(before, link).map(|record| record.holder);
    for looks in 1_u64.. {
        call.pause(Some(backoff.next()))?;
        let expired = judge::expires_in(call.shared, call.name.hash()).is_zero();
        let clock = call.shared.clock.as_ref();
        let dead = holder.as_ref().is_some_and(|holder| match looks % THOROUGH_EVERY {
            0 => holder.is_proven_dead(clock),
            _ => holder.has_vanished(clock),
        });
        if expired || dead || !link.is_current(disk) || link.look(disk).unwrap_or_default() != before {
            return Ok(());
        }
    }
    Ok(())
}

fn failure(shared: &Shared, path: &Path, source: io::Error) -> Error {
    let file = shared.path_of(path);
    match source.kind() {
        io::ErrorKind::NotFound => Error::FolderGone { folder: shared.place(), source },
        io::ErrorKind::PermissionDenied => Error::PermissionDenied { file, source },
        io::ErrorKind::NotADirectory => Error::Foreign { file },
        _ if errno::says_no_locks(&source) => Error::Unsupported { file, source },
        _ => Error::Io { action: "take the lease in", file, source },
    }
}

/// Who has the lease now.
pub(crate) fn holder_of(shared: &Shared, name: &Name) -> Holder {
    let Ok(Located::Link(link)) = chain::locate(shared, &name.lease_folder()) else { return Holder::unknown() };
    holder_in(shared, &link).unwrap_or_default()
}

/// The holder that a lease file names; `None` when it is free.
pub(crate) fn holder_in(shared: &Shared, link: &Link) -> Option<Holder> {
    let look = link.look(shared.disk.as_ref()).ok()?;
    match Record::read(&look, link) {
        Some(record) if record.free => None,
        Some(record) => Some(Holder::from_stamp(&record.holder)),
        None => Some(Holder::unknown()),
    }
}

/// Takes the lease in `path` if nobody has it, and removes it. True when it is gone.
pub(crate) fn remove_unheld(shared: &Shared, hash: u128, path: &Path, length: Duration) -> io::Result<bool> {
    let disk = shared.disk.as_ref();
    let link = match chain::locate(shared, path)? {
        Located::Link(link) => link,
        Located::Nothing => return chain::remove_folder(shared, path),
        Located::Moved => return Ok(false),
    };
    let look = link.look(disk)?;
    if judge::verdict(shared, hash, &link, &look, length) == Verdict::Held {
        return Ok(false);
    }
    let Some(link) = link.advance(disk)? else { return Ok(false) };
    link.remove(disk)?;
    judge::forget(shared, hash);
    chain::remove_folder(shared, path)
}

impl Held {
    pub(crate) fn token(&self) -> u64 {
        self.beat.link.token
    }

    pub(crate) fn check(&self, shared: &Shared, name: &Name) -> Result<(), check::Error> {
        let (text, token) = (name.text().to_owned(), self.token());
        let path: PathBuf = name.lease_folder();
        let silent = self.beat.silent_for();
        if self.beat.is_lost() {
            return Err(check::Error::Lost { name: text, token });
        }
        let in_place = chain::is_in_place(shared, &path, &self.beat.link).map_err(|source| check::Error::Io {
            name: text.clone(),
            file: shared.path_of(&path),
            source,
        })?;
        if !in_place {
            return Err(check::Error::Lost { name: text, token });
        }
        match silent.checked_sub(self.beat.length) {
            Some(_) => Err(check::Error::Expired { name: text, token, silent }),
            None => Ok(()),
        }
    }

    /// Removes the lease's own file, then its folder.
    pub(crate) fn remove(&self, shared: &Shared, name: &Name) -> io::Result<()> {
        // first the file: if that fails, the lease is as alive as before
        self.beat.link.remove(shared.disk.as_ref())?;
        heart::stop(&self.beat);
        // an empty folder is taken for no lease, and goes with the next sweep
        let _ = chain::remove_folder(shared, &name.lease_folder());
        Ok(())
    }

    pub(crate) fn release(self) {
        heart::stop(&self.beat);
        self.beat.set_free();
    }
}
