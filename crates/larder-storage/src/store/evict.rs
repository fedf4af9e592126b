//! Eviction: what was not used for longest goes first, until what is left is within the bounds.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use larder_lock::{Mode, Wait};
use larder_system::{Handle, Metadata, Open, retry};

use super::Store;
use super::list::{Summary, summary_of};
use super::sweep::{open_parent, remove_if_empty};
use super::verify::Damage;
use super::walk::{Found, Walk};
use crate::failure::Context;
use crate::generation::Standing;
use crate::header::Fault;
use crate::location::Location;
use crate::put::Error;
use crate::room::{Begun, Bounds, Occupied, Pressure, room_of};
use crate::root::{ENTRIES, Root, Writing};

/// Whoever holds it evicts; others leave it to him.
const LOCK: &str = "//room/eviction";
/// The most entries that one eviction puts in order. With more, those used longest ago among these many at a time.
const CANDIDATES_MAX: usize = 1_000_000;

/// What an entry is worth to whoever stored it: what goes first when room is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Worth {
    /// Nobody needs it any more.
    Expendable,
    /// It is to be kept as long as there is room.
    Kept,
    /// It cannot be had again at the moment: it goes last, and only for the bound on bytes.
    Precious,
}

/// The terms of an eviction.
#[must_use = "terms do nothing until an eviction is made with them"]
pub struct Eviction<'a> {
    judge: &'a dyn Fn(&Summary) -> Worth,
    stop: &'a dyn Fn() -> bool,
    wait: Wait,
    in_any_case: bool,
    all_expendable: bool,
}

impl std::fmt::Debug for Eviction<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { wait, in_any_case, all_expendable, .. } = self;
        f.debug_struct("Eviction")
            .field("wait", wait)
            .field("in_any_case", in_any_case)
            .field("all_expendable", all_expendable)
            .finish_non_exhaustive()
    }
}

impl<'a> Eviction<'a> {
    /// Asks `judge` what each entry is worth that could go. Leaves it to another process that is evicting already.
    pub fn new(judge: &'a dyn Fn(&Summary) -> Worth) -> Self {
        Self { judge, stop: &|| false, wait: Wait::none(), in_any_case: false, all_expendable: false }
    }

    /// Ends early, between two entries, when `stop` says so.
    pub fn until(mut self, stop: &'a dyn Fn() -> bool) -> Self {
        self.stop = stop;
        self
    }

    /// How long to wait for another process that is evicting.
    pub fn wait(mut self, wait: Wait) -> Self {
        self.wait = wait;
        self
    }

    /// After that wait, evicts all the same: whoever has the lock may be frozen. Two that evict at once look at everything
    /// twice, and may remove an entry more than one alone would.
    pub fn in_any_case(mut self) -> Self {
        self.in_any_case = true;
        self
    }

    /// Removes all that is [`Worth::Expendable`], also where there is room.
    pub fn all_expendable(mut self) -> Self {
        self.all_expendable = true;
        self
    }
}

/// What an eviction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Evicted {
    /// What was removed.
    pub removed: Occupied,
    /// What is left, with what others have stored meanwhile as far as that is known.
    pub left: Occupied,
    /// Whether another process was at it, so that nothing was done.
    pub elsewhere: bool,
    /// Whether it was stopped before its end.
    pub stopped: bool,
}

/// An entry that could go.
struct Candidate {
    used_ns: i128,
    path: PathBuf,
    judged: Metadata,
}

/// What the file of a candidate turned out to be.
enum Look {
    /// Not there, of a newer format, or unreadable at the moment: not to be judged.
    Nothing,
    Damaged(&'static str),
    Worth(Worth),
}

impl Store {
    /// What all processes have stored in this root, as far as this one knows, without looking at any entry; `None` when
    /// nobody has counted in this boot or for an hour, or there is no root. Adds what this process has stored to what others know.
    ///
    /// # Errors
    /// The root cannot be opened.
    pub fn occupied(&self) -> Result<Option<Occupied>, Error> {
        let Some(root) = self.reading()? else { return Ok(None) };
        match root.locks_if_present() {
            Ok(Some((locks, _))) => Ok(root.room.settle(&root.reach(&locks), &Wait::none())),
            _ => Ok(root.room.occupied()),
        }
    }

    /// How what is stored compares with the [bounds](super::Options::bounds), as far as this process knows: two loads,
    /// no system call.
    pub fn pressure(&self) -> Pressure {
        let root = self.root.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        root.as_ref().map_or(Pressure::None, |root| root.room.pressure())
    }

    /// Whether somebody evicts at this moment, as far as a held lock tells.
    pub fn is_evicting(&self) -> bool {
        let locks = self.reading().ok().flatten().and_then(|root| root.locks_if_present().ok().flatten());
        let free = locks.map(|(locks, _)| locks.wait_until_free(LOCK, &Wait::none().without_holder()));
        matches!(free, Some(Err(error)) if error.is_contention())
    }

    /// The bounds that evictions work towards.
    pub const fn bounds(&self) -> Bounds {
        self.around.bounds
    }

    /// Where what is stored is beyond the bounds, or nobody knows how much that is, looks at all entries, sets the count
    /// right, and removes entries until it is at 90 % of the bounds: first what is [`Worth::Expendable`], then what is [`Worth::Kept`], each in the order
    /// of their last use. What is [`Worth::Precious`] goes after all else, and only until the bytes are within their
    /// bound.
    ///
    /// Each entry goes under its key's lock, if nobody has that at the moment, and only if it is still the file that was
    /// judged. Readers that have it open read it to its end. It costs some microseconds for each entry that is there,
    /// and memory for their names: for a background thread, or a process of its own.
    ///
    /// # Errors
    /// The root cannot be opened or listed. What cannot be removed is left for the next time.
    pub fn evict(&self, terms: &Eviction<'_>) -> Result<Evicted, Error> {
        let Some(_) = self.reading()? else { return Ok(Evicted::default()) };
        let root = self.prepared_now()?;
        let writing = root.writing()?;
        let _guard = match writing.locks.acquire(LOCK, Mode::Exclusive, &terms.wait) {
            Ok(guard) => Some(guard),
            Err(error) if error.is_contention() && !terms.in_any_case => {
                return Ok(Evicted { elsewhere: true, ..Evicted::default() });
            }
            // whoever is frozen with the lock, or a disk without room for its file, keeps nobody from making room
            Err(_) => None,
        };
        let mut pass =
            Pass { store: self, root: &root, writing, terms, evicted: Evicted::default(), seen: Occupied::default() };
        let begun = root.room.begin(&root.reach(&writing.locks));
        // whoever had the lock before has made room
        if let Some(occupied) =
            begun.and_then(Begun::occupied).filter(|occupied| !self.around.bounds.are_exceeded_by(occupied))
            && !terms.all_expendable
        {
            return Ok(Evicted { left: occupied, ..Evicted::default() });
        }
        let Some((mut candidates, found)) = pass.candidates()? else { return Ok(pass.evicted) };
        pass.seen = found;
        root.room.correct(&root.reach(&writing.locks), found, begun);
        if terms.all_expendable || self.around.bounds.are_exceeded_by(&pass.occupied()) {
            // what is larger than all may be together cannot be kept, and takes no others with it
            let bounds = self.around.bounds;
            let order = |one: &Candidate| (room_of(one.judged.length) <= bounds.bytes, one.used_ns);
            candidates.sort_unstable_by(|one, other| (order(one), &one.path).cmp(&(order(other), &other.path)));
            pass.run(candidates)?;
        }
        if pass.evicted.stopped {
            root.room.settle(&root.reach(&writing.locks), &Wait::none());
        } else {
            root.room.end(&root.reach(&writing.locks));
        }
        pass.evicted.left = pass.occupied();
        Ok(pass.evicted)
    }
}

/// One eviction under way.
struct Pass<'a> {
    store: &'a Store,
    root: &'a Arc<Root>,
    writing: &'a Writing,
    terms: &'a Eviction<'a>,
    evicted: Evicted,
    /// What the look at all entries has found, less what was removed since: where there is no sum of all, it has to do.
    seen: Occupied,
}

impl Pass<'_> {
    fn occupied(&self) -> Occupied {
        self.root.room.occupied().unwrap_or(self.seen)
    }

    /// All entries, and the room that they take; `None` when it was stopped.
    fn candidates(&mut self) -> Result<Option<(Vec<Candidate>, Occupied)>, Error> {
        let (root, disk) = (self.root, self.root.disk());
        let (mut candidates, mut found) = (Vec::new(), Occupied::default());
        let Some(entries) = root.entries()? else { return Ok(Some((candidates, found))) };
        let now = root.around.clock.wall().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now_ns = i128::try_from(now.as_nanos()).unwrap_or(i128::MAX);
        let listing = || root.path.join(ENTRIES);
        let mut walk = Walk::below(disk, entries, Path::new("")).context("list", listing())?.passing_over();
        let mut folders = Folders::new(root, entries);
        while let Some(next) = walk.next(disk, entries).context("list", listing())? {
            if (self.terms.stop)() {
                self.evicted.stopped = true;
                return Ok(None);
            }
            let Found::Entry(path) = next else { continue };
            let Some(looked) = folders.with(&path, |folder, name| disk.used_at(folder, name)) else { continue };
            let Ok((judged, used_ns)) = looked else { continue };
            found = found.plus(Occupied::by(judged.length));
            // a time from the future is no reason to keep something for ever
            candidates.push(Candidate { used_ns: used_ns.min(now_ns), path, judged });
            if candidates.len() >= CANDIDATES_MAX * 2 {
                candidates.select_nth_unstable_by_key(CANDIDATES_MAX, |candidate| candidate.used_ns);
                candidates.truncate(CANDIDATES_MAX);
            }
        }
        Ok(Some((candidates, found)))
    }

    /// Removes what goes first, then what goes next.
    fn run(&mut self, candidates: Vec<Candidate>) -> Result<(), Error> {
        let bounds = self.store.around.bounds;
        let low = bounds.low_water();
        let must_go = bounds.are_exceeded_by(&self.occupied());
        let (mut kept, mut precious, mut touched) = (Vec::new(), Vec::new(), BTreeSet::new());
        for candidate in candidates {
            let is_enough = !must_go || !low.are_exceeded_by(&self.occupied());
            if self.must_stop() || (is_enough && !self.terms.all_expendable) {
                break;
            }
            match self.look(&candidate)? {
                Look::Nothing => {}
                Look::Damaged(reason) => self.set_aside(candidate, reason),
                Look::Worth(Worth::Expendable) => self.remove(candidate, &mut touched),
                Look::Worth(Worth::Kept) => kept.push(candidate),
                Look::Worth(Worth::Precious) => precious.push(candidate),
            }
        }
        for candidate in kept {
            let occupied = self.occupied();
            if self.must_stop() || !must_go || !low.are_exceeded_by(&occupied) {
                break;
            }
            // one that is most of what is there stays where the bounds are kept: without it little would be left
            let is_large = room_of(candidate.judged.length) > bounds.bytes / 2;
            if is_large && !bounds.are_exceeded_by(&occupied) {
                continue;
            }
            self.remove(candidate, &mut touched);
        }
        for candidate in precious {
            if self.must_stop() || self.occupied().bytes <= bounds.bytes {
                break;
            }
            self.remove(candidate, &mut touched);
        }
        // a folder for each key that ever was would be a cache that grows
        for folder in touched.iter().rev() {
            let mut folder: &Path = folder;
            while !folder.as_os_str().is_empty() && remove_if_empty(self.root, folder) {
                folder = folder.parent().unwrap_or(Path::new(""));
            }
        }
        Ok(())
    }

    fn must_stop(&mut self) -> bool {
        self.evicted.stopped |= (self.terms.stop)();
        self.evicted.stopped
    }

    /// What the candidate is worth, by its header.
    fn look(&self, candidate: &Candidate) -> Result<Look, Error> {
        let root = self.root;
        let header = match super::list::decoded_at(root, &candidate.path).map_err(Error::from)? {
            Some(Ok(header)) => header,
            Some(Err(Fault::Damaged(reason))) => return Ok(Look::Damaged(reason)),
            Some(Err(Fault::Newer(_))) | None => return Ok(Look::Nothing),
        };
        if Location::of(&header.key).path() != candidate.path {
            return Ok(Look::Damaged("it is another key's entry"));
        }
        let standing = match root.stamps()? {
            Some(stamps) => stamps.standing(header.token, &header.key, header.metadata.tags()),
            None => Ok(Standing::Gone),
        };
        let Ok(standing) = standing else { return Ok(Look::Nothing) };
        if standing == Standing::Gone {
            return Ok(Look::Worth(Worth::Expendable));
        }
        Ok(Look::Worth((self.terms.judge)(&summary_of(header, standing))))
    }

    fn set_aside(&mut self, candidate: Candidate, reason: &'static str) {
        let length = candidate.judged.length;
        if self.store.set_aside_found(self.root, &Damage { path: candidate.path, key: None, reason }) {
            self.count(length);
        }
    }

    /// Removes the entry, if it is still the file that was judged and nobody is at work on its key.
    fn remove(&mut self, candidate: Candidate, touched: &mut BTreeSet<PathBuf>) {
        let Candidate { path, judged, .. } = candidate;
        let Some(name) = path.to_str() else { return };
        let guard = self.writing.locks.acquire(name, Mode::Exclusive, &Wait::none());
        let guard = match guard {
            Ok(guard) => Some(guard),
            // no room for a lock file: it is for want of room that this is here
            Err(error) if super::publish::lacks_room(&error) => None,
            Err(_) => return,
        };
        let Some((parent, file)) = open_parent(self.root, &path) else { return };
        let disk = self.root.disk();
        let is_same = disk.metadata_at(&parent, &file).is_ok_and(|now| {
            now.is_same_file(&judged) && now.length == judged.length && now.modified_ns == judged.modified_ns
        });
        let is_ours = guard.as_ref().is_none_or(|guard| !self.root.format.is_lease() || guard.check().is_ok());
        let removed = is_same && is_ours && retry(|| disk.remove_file(&parent, &file)).is_ok();
        disk.close(parent);
        if !removed {
            return;
        }
        if let Some(guard) = guard {
            let _ = guard.retire();
        }
        self.root.room.replace(Some(Occupied::by(judged.length)), None);
        self.count(judged.length);
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            touched.insert(folder.to_owned());
        }
    }

    fn count(&mut self, length: u64) {
        let gone = Occupied::by(length);
        self.evicted.removed = self.evicted.removed.plus(gone);
        self.seen = Occupied {
            bytes: self.seen.bytes.saturating_sub(gone.bytes),
            entries: self.seen.entries.saturating_sub(gone.entries),
        };
        // each time, so that two that evict at once do not both remove what one has to
        self.root.room.settle(&self.root.reach(&self.writing.locks), &Wait::none());
    }
}

/// The folder looked into last, kept open: entries come folder by folder.
struct Folders<'a> {
    root: &'a Root,
    entries: &'a Handle,
    last: Option<(PathBuf, Handle)>,
}

impl<'a> Folders<'a> {
    fn new(root: &'a Root, entries: &'a Handle) -> Self {
        Self { root, entries, last: None }
    }

    /// Runs `look` in the folder of the entry at `path`; `None` when that is gone.
    fn with<T>(&mut self, path: &Path, look: impl FnOnce(&Handle, &Path) -> T) -> Option<T> {
        let (folder, name) = (path.parent().unwrap_or(Path::new("")), Path::new(path.file_name()?));
        if self.last.as_ref().is_none_or(|(last, _)| last != folder) {
            self.close();
            let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            let opened = retry(|| self.root.disk().open(self.entries, here, Open::FOLDER)).ok()?;
            self.last = Some((folder.to_owned(), opened));
        }
        self.last.as_ref().map(|(_, handle)| look(handle, name))
    }

    fn close(&mut self) {
        if let Some((_, handle)) = self.last.take() {
            self.root.disk().close(handle);
        }
    }
}

impl Drop for Folders<'_> {
    fn drop(&mut self) {
        self.close();
    }
}
