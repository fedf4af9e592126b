//! Publishing: written aside, synced, renamed under the key's own lock, the folder synced.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use larder_lock::{Mode, Wait};
use larder_system::{Handle, Metadata, Open, Replace, retry};

use super::get::Read;
use super::list::header_at;
use super::place::{Occupant, entry_path, folder_path, is_still_ours, named, named_in, occupant, open_parent, room_of};
use super::{ATTEMPTS_MAX, Store, announce};
use crate::entry::Entry;
use crate::failure::Failure;
use crate::generation::Standing;
use crate::header::{self, Header};
use crate::key::Key;
use crate::location::Location;
use crate::put::{Durability, Error, Published, Put};
use crate::room::Occupied;
use crate::root::{self, Kept, Root, Writing};
use crate::temporary::Temporary;

/// How long a rename is refused by a reader on Windows before it is given up, and the first and longest pause.
const SHARING_PAUSE_FIRST: Duration = Duration::from_millis(50);
const SHARING_PAUSE_MAX: Duration = Duration::from_secs(1);
const SHARING_ATTEMPTS_MAX: u32 = 8;

/// A document on its way: everything but the place.
struct Parcel<'a> {
    key: &'a Key,
    location: Location,
    header: Header,
    body: &'a [u8],
    wait: &'a Wait,
    /// Whether an invalidation since the header's token refuses it.
    fenced: bool,
    /// The file that must still be there when it is replaced.
    over: Option<Metadata>,
    /// No further attempt will be made.
    last: bool,
}

/// How one attempt ended.
enum Outcome {
    Published(Published),
    /// The root was replaced under it.
    Again,
}

impl Store {
    /// Stores `body` under `key`, in the place of what was there.
    ///
    /// At any moment, also when killed or when power is lost at any step, readers find what was there before or this
    /// document, whole.
    ///
    /// # Errors
    /// [`Error::NotDurable`] means that the document is published but its folder could not be synced. After every other
    /// error what was stored before is still there, and nothing is left behind.
    pub fn put(&self, key: &Key, body: &[u8], put: &Put) -> Result<Published, Error> {
        let bytes = body.len() as u64;
        if bytes > self.body_bytes_max {
            return Err(Error::TooLarge { key: key.clone(), bytes, limit: self.body_bytes_max });
        }
        let body_checksum = header::body_checksum(body);
        self.in_current_root(|root, writing, last| {
            let location = Location::of(key);
            let durability = match put.durability {
                Some(durability) => durability,
                // as before; fully, where nothing can be read
                None => header_at(root, location.path())
                    .map_err(Error::from)?
                    .filter(|header| header.key == *key)
                    .map_or(Durability::Full, |header| header.durability),
            };
            let token = match put.token {
                Some(token) => token,
                None => self.stamp(root, last)?,
            };
            let header = Header {
                key: key.clone(),
                token,
                stored_ms: self.wall_ms(),
                durability,
                metadata: put.metadata.clone(),
                length: bytes,
                body_checksum,
            };
            let fenced = put.token.is_some();
            let parcel = Parcel { key, location, header, body, wait: &put.wait, fenced, over: None, last };
            self.publish(root, writing, &parcel)
        })
    }

    /// Gives a stored document new metadata and a new generation, its body unchanged: what a `304 Not Modified` asks for.
    /// The body is copied, not hashed again: its old checksum keeps vouching for it.
    ///
    /// `entry` is what was read before; `put` as for [`Store::put`], its metadata replacing the old.
    ///
    /// # Errors
    /// [`Error::Changed`] when the key holds another document by now; otherwise as [`Store::put`].
    pub fn renew(&self, entry: &Entry, put: &Put) -> Result<Published, Error> {
        let key = entry.key();
        self.in_current_root(|root, writing, last| {
            let location = Location::of(key);
            let changed = || Error::Changed { key: key.clone() };
            let over = named(root, &location)?.ok_or_else(changed)?;
            let Read::Whole(now, _) = self.read(root, key, &location)? else { return Err(changed()) };
            let was = entry.header();
            if (now.header.body_checksum, now.header.token, now.header.stored_ms)
                != (was.body_checksum, was.token, was.stored_ms)
            {
                return Err(changed());
            }
            // what was invalidated hard since is absent, as if never stored: nothing brings it back
            let Some(stamps) = root.stamps()? else { return Err(changed()) };
            if stamps.standing(was.token, key, was.metadata.tags())? == Standing::Gone {
                return Err(changed());
            }
            let token = match put.token {
                Some(token) => token,
                None => self.stamp(root, last)?,
            };
            let header = Header {
                key: key.clone(),
                token,
                stored_ms: self.wall_ms(),
                durability: put.durability.unwrap_or(was.durability),
                metadata: put.metadata.clone(),
                length: was.length,
                body_checksum: was.body_checksum,
            };
            let fenced = put.token.is_some();
            let parcel =
                Parcel { key, location, header, body: entry.body(), wait: &put.wait, fenced, over: Some(over), last };
            self.publish(root, writing, &parcel)
        })
    }

    /// Removes what is stored under `key`, and its lock file; returns whether there was anything. With
    /// [`Durability::Full`] it stays removed after loss of power.
    ///
    /// An invalidation is the way to say that a document no longer counts; this frees its space. A fetch on its way is
    /// not fenced by it.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub fn remove(&self, key: &Key, durability: Durability, wait: &Wait) -> Result<bool, Error> {
        let Some(_) = self.reading()? else { return Ok(false) };
        let root = self.prepared_now()?;
        let writing = root.writing()?;
        let location = Location::of(key);
        let guard = match acquire(writing, key, &location, wait) {
            Ok(guard) => Some(guard),
            // no room for a lock file: who removes whatever is there needs none, and room is what is wanted
            Err(Error::Locked { source, .. }) if lacks_room(&source) => None,
            Err(error) => return Err(error),
        };
        let path = entry_path(&root, &location);
        let Some(entries) = root.entries().map_err(Error::from)? else { return Ok(false) };
        let parent = match retry(|| root.disk().open(entries, folder_path(&location), Open::FOLDER)) {
            Ok(parent) => parent,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return if durability == Durability::Full {
                    settle_absence(&root, entries, &location, key)
                } else {
                    Ok(false)
                };
            }
            Err(error) => return Err(Failure::new("open the folder of", path, error).into()),
        };
        let removed = announce::removal(&root, writing, key).and_then(|announced| {
            // an advisory lock was looked at when it was taken; a lease may have run out since
            if let Some(guard) = guard.as_ref().filter(|_| root.format.is_lease()) {
                guard.check().map_err(|source| Error::LockLost { key: key.clone(), source })?;
            }
            let occupied = room_of(&root, &parent, location.file());
            let removed = remove_in(&root, &parent, &location, key, durability);
            if matches!(removed, Ok(true) | Err(Error::NotDurable { .. })) {
                root.count(writing, occupied, None);
            }
            if announced.is_none() || root.format.is_lease() {
                // the temporary file that tells of it was not there, or may have been swept: whoever looked meanwhile
                // looks again
                let _ = announce::key(&root, writing, key);
            }
            removed
        });
        root.disk().close(parent);
        if let (Ok(true), Some(guard)) = (&removed, guard) {
            // nobody waits for a lock file that is gone: takers look again
            let _ = guard.retire();
        }
        removed
    }

    /// Runs `attempt` in the root that the path stands for, again when it was replaced meanwhile.
    fn in_current_root(
        &self,
        attempt: impl Fn(&Arc<Root>, &Writing, bool) -> Result<Outcome, Error>,
    ) -> Result<Published, Error> {
        for number in 1..=ATTEMPTS_MAX {
            let root = self.prepared()?;
            match attempt(&root, root.writing()?, number == ATTEMPTS_MAX) {
                Ok(Outcome::Published(published)) => return Ok(published),
                // it is published: whatever the folder is now, nothing is tried again
                Err(error @ Error::NotDurable { .. }) => return Err(error),
                // the wait was as long as it was to be
                Err(Error::Locked { key, source }) if source.is_contention() => {
                    return Err(Error::Locked { key, source });
                }
                // a vanished root fails in many ways: what counts is whether it is still there
                Err(error) if root.is_intact() => return Err(error),
                Ok(Outcome::Again) if root.is_intact() => {}
                Ok(Outcome::Again) | Err(_) => self.reopen(&root),
            }
        }
        Err(root::Error::Replaced { path: self.path.clone() }.into())
    }

    fn publish(&self, root: &Arc<Root>, writing: &Writing, parcel: &Parcel<'_>) -> Result<Outcome, Error> {
        let header = parcel.header.encode().map_err(|_| Error::HeaderTooLong { key: parcel.key.clone() })?;
        let mut temporary = writing.temporaries.create()?;
        temporary.write(&[&header, parcel.body])?;
        let durable = parcel.header.durability == Durability::Full;
        if durable {
            temporary.sync()?;
            if let Some(stamps) = root.stamps()? {
                stamps.keep()?;
            }
        }
        let mut attempts = 0;
        let (parent, moved) = loop {
            attempts += 1;
            let parent = open_parent(root, writing, &parcel.location, durable)?;
            let moved = self.move_in(root, writing, parcel, &mut temporary, &parent);
            // a sweep found the folder while it was still empty: make it again
            if attempts < ATTEMPTS_MAX && is_pruned(root, &parent, &moved) {
                root.disk().close(parent);
                continue;
            }
            break (parent, moved);
        };
        let published = match moved {
            Ok(true) if durable => settle(root, parcel, &parent).map(|()| true),
            other => other,
        };
        root.disk().close(parent);
        let (token, durability) = (parcel.header.token, parcel.header.durability);
        published.map(|done| if done { Outcome::Published(Published { token, durability }) } else { Outcome::Again })
    }

    /// Gives the finished file its name; false when the root was replaced.
    ///
    /// A new name needs no lock: whoever removes, moves or replaces a file does so under the key's lock, and only a file
    /// that it saw there; a name that nobody has cannot have been seen, and the rename takes it only if it is free.
    fn move_in(
        &self,
        root: &Arc<Root>,
        writing: &Writing,
        parcel: &Parcel<'_>,
        temporary: &mut Temporary<'_>,
        parent: &Handle,
    ) -> Result<bool, Error> {
        let (key, location) = (parcel.key, &parcel.location);
        let previous = root.take_kept(location.path());
        let mut announced = false;
        if previous.is_none() && parcel.over.is_none() {
            let looked = announce::put(root, writing, parcel.key, parcel.header.durability, temporary)?;
            announced = true;
            if !is_publishable(root, parcel, looked)? {
                return Ok(false);
            }
            match self.rename(root, temporary, (parent, location.file()), Replace::No) {
                Ok(()) => return Ok(finish(root, writing, parcel, temporary, (None, None))),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists || cannot_tell(&error) => {}
                Err(error) => return Err(Failure::new("publish", entry_path(root, location), error).into()),
            }
        }
        let guard = acquire(writing, key, location, parcel.wait)?;
        if let Some(over) = &parcel.over
            && named_in(root, parent, location)?.as_ref() != Some(over)
        {
            return Err(Error::Changed { key: key.clone() });
        }
        // an advisory lock was looked at when it was taken; a lease may have run out since
        if root.format.is_lease() {
            guard.check().map_err(|source| Error::LockLost { key: key.clone(), source })?;
        }
        // once is enough: what tells that it is done is that the temporary file is gone
        let mut ours = is_still_ours(root, parent, location, previous.as_ref());
        let mut looked = !announced && announce::put(root, writing, parcel.key, parcel.header.durability, temporary)?;
        for _ in 0..ATTEMPTS_MAX {
            // a free name is only taken, not replaced: whoever takes it first needs no lock, and may be a newer larder
            let replace = match if ours { Occupant::Replaceable } else { occupant(root, parent, location)? } {
                Occupant::Newer => {
                    return Err(Error::NewerFormat { key: key.clone(), path: location.path().to_owned() });
                }
                Occupant::Replaceable => Replace::Yes,
                Occupant::None => Replace::No,
            };
            let known = previous.as_ref().filter(|_| std::mem::take(&mut ours)).map(|kept| Occupied::by(kept.length));
            let replaced = known.or_else(|| room_of(root, parent, location.file()));
            // looked at last, an instant before the rename
            if !is_publishable(root, parcel, std::mem::take(&mut looked))? {
                return Ok(false);
            }
            let renamed = match self.rename(root, temporary, (parent, location.file()), replace) {
                Err(error) if replace == Replace::No && cannot_tell(&error) => {
                    self.rename(root, temporary, (parent, location.file()), Replace::Yes)
                }
                renamed => renamed,
            };
            match renamed {
                Ok(()) => return Ok(finish(root, writing, parcel, temporary, (previous, replaced))),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                    writing.quarantine.take(parent, location.file(), "a folder in an entry's place");
                }
                Err(error) => return Err(Failure::new("publish", entry_path(root, location), error).into()),
            }
        }
        Err(Failure::new("publish", entry_path(root, location), io::ErrorKind::ResourceBusy.into()).into())
    }

    /// Renames, patiently where a reader's open handle is in the way (Windows).
    fn rename(&self, root: &Root, from: &Temporary<'_>, to: (&Handle, &Path), replace: Replace) -> io::Result<()> {
        let (folder, _) = from.folder();
        let rename = || retry(|| root.disk().rename(folder, from.name(), to.0, to.1, replace));
        let mut pause = SHARING_PAUSE_FIRST;
        for _ in 1..SHARING_ATTEMPTS_MAX {
            match rename() {
                Err(error) if is_sharing_violation(&error) => {
                    self.around.clock.sleep(pause);
                    pause = (pause * 2).min(SHARING_PAUSE_MAX);
                }
                done => return done,
            }
        }
        rename()
    }

    /// The generation to date a put with: as last seen, because whether it was overtaken is looked at when it is
    /// published; as it is now, when it will be published whether or not.
    fn stamp(&self, root: &Root, last: bool) -> Result<crate::Token, Error> {
        let Some(stamps) = root.stamps()? else {
            return Err(root::Error::Replaced { path: self.path.clone() }.into());
        };
        match stamps.last_seen() {
            Some(seen) if !last => Ok(seen),
            _ => Ok(stamps.token()?),
        }
    }
}

/// Whether a document may be published now: not fenced, and into the folder that everybody else sees. A put without a
/// token counts from its own publication: one that was overtaken by an invalidation is dated anew.
///
/// `looked` says that the record of invalidations was looked at just now.
fn is_publishable(root: &Root, parcel: &Parcel<'_>, looked: bool) -> Result<bool, Error> {
    if is_fenced(root, parcel, looked)? {
        if parcel.fenced {
            return Err(Error::Fenced { key: parcel.key.clone() });
        }
        if !parcel.last {
            return Ok(false);
        }
    }
    Ok(root.is_current())
}

/// After the rename: the published file stays open for the next put of its key, the one it replaced does not; what that
/// took, and what this takes, is counted.
fn finish(
    root: &Root,
    writing: &Writing,
    parcel: &Parcel<'_>,
    temporary: &mut Temporary<'_>,
    (previous, replaced): (Option<Kept>, Option<Occupied>),
) -> bool {
    root.count(writing, replaced, Some(Occupied::by(temporary.length())));
    if let Some(previous) = previous {
        root.disk().close(previous.file);
    }
    let length = temporary.length();
    if let Some(file) = temporary.disarm() {
        root.keep(parcel.location.path(), file, length);
    }
    true
}

/// Whether a rename found its folder removed.
fn is_pruned(root: &Root, parent: &Handle, moved: &Result<bool, Error>) -> bool {
    let Err(Error::Failed(failure)) = moved else { return false };
    failure.system().kind() == io::ErrorKind::NotFound
        && root.disk().metadata(parent).is_ok_and(|folder| folder.links == 0)
}

/// Whether a lock was not got because its file could not be made on a full disk.
pub(super) fn lacks_room(error: &larder_lock::acquire::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(error, larder_lock::acquire::Error::Io { source, .. } if matches!(source.kind(), Kind::StorageFull | Kind::QuotaExceeded))
}

fn acquire(writing: &Writing, key: &Key, location: &Location, wait: &Wait) -> Result<larder_lock::Guard, Error> {
    let guard = writing.locks.acquire(location.lock_name(), Mode::Exclusive, wait);
    guard.map_err(|source| Error::Locked { key: key.clone(), source })
}

/// Whether a file system or kernel cannot rename without replacing (`EINVAL`, `ENOTSUP`, `ENOSYS`).
fn cannot_tell(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(error.kind(), Kind::InvalidInput | Kind::Unsupported)
        || (cfg!(target_os = "linux") && error.raw_os_error() == Some(38))
}

/// `ERROR_ACCESS_DENIED`, `ERROR_SHARING_VIOLATION`, `ERROR_LOCK_VIOLATION`: a reader, a scanner or an indexer has the
/// file open for a moment.
fn is_sharing_violation(error: &io::Error) -> bool {
    cfg!(windows) && matches!(error.raw_os_error(), Some(5 | 32 | 33))
}

/// Syncs the folder, together with whoever else is about to.
fn settle(root: &Root, parcel: &Parcel<'_>, parent: &Handle) -> Result<(), Error> {
    let synced = root.syncs.sync(root.disk(), parent);
    synced.map_err(|error| not_durable(root, parcel.key, &parcel.location, error))
}

fn is_fenced(root: &Root, parcel: &Parcel<'_>, looked: bool) -> Result<bool, Error> {
    let Some(stamps) = root.stamps()? else { return Ok(true) };
    let (token, key, tags) = (parcel.header.token, parcel.key, parcel.header.metadata.tags());
    let standing =
        if looked { stamps.standing_as_known(token, key, tags)? } else { stamps.standing(token, key, tags)? };
    Ok(standing != Standing::Current)
}

fn remove_in(
    root: &Arc<Root>,
    parent: &Handle,
    location: &Location,
    key: &Key,
    durability: Durability,
) -> Result<bool, Error> {
    let path = entry_path(root, location);
    if occupant(root, parent, location)? == Occupant::Newer {
        return Err(Error::NewerFormat { key: key.clone(), path: location.path().to_owned() });
    }
    let removed = match retry(|| root.disk().remove_file(parent, location.file())) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(Failure::new("remove", path, error).into()),
    };
    // also when it was gone: whoever removed it may not have come to this
    if durability == Durability::Full {
        let synced = root.syncs.sync(root.disk(), parent);
        synced.map_err(|error| not_durable(root, key, location, error))?;
    }
    Ok(removed)
}

/// Nothing is there, not even a folder; makes sure that it stays so. Returns false: there was nothing.
fn settle_absence(root: &Root, entries: &Handle, location: &Location, key: &Key) -> Result<bool, Error> {
    for folder in Path::new(location.folder()).ancestors().skip(1) {
        let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let Ok(opened) = retry(|| root.disk().open(entries, here, Open::FOLDER)) else { continue };
        let synced = root.disk().sync(&opened);
        root.disk().close(opened);
        return synced.map(|()| false).map_err(|error| not_durable(root, key, location, error));
    }
    Ok(false)
}

fn not_durable(root: &Root, key: &Key, location: &Location, error: io::Error) -> Error {
    let source = Failure::new("sync the folder of", entry_path(root, location), error);
    Error::NotDurable { key: key.clone(), source }
}
