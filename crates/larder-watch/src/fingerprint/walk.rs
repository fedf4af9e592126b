//! The way through all that lies below a dependency, name by name, in an order that is always the same.

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use camino::Utf8Path;
use larder_system::Clock;

use super::change::{Change, Why};
use super::dependency::Dependency;
use super::digest::Digest;
use super::error::Error;
use super::folder::{self, Folder, Same};
use super::limits::Limits;
use super::stamp::{ARE_SOUND, Kind, Stamp, TICK_NS};

/// How much is read at once.
const BUFFER_BYTES: usize = 128 * 1024;

/// The folder that is left out.
#[derive(Clone, Debug)]
pub(super) struct Excluded(PathBuf);

impl Excluded {
    pub(super) fn new(folder: &Path) -> Self {
        Self(std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()))
    }

    pub(super) fn covers(&self, path: &Path) -> bool {
        path.starts_with(&self.0)
    }
}

/// What a way through a dependency comes to.
pub(super) struct Sums {
    pub(super) content: Digest<32>,
    /// `None` where stamps prove nothing.
    pub(super) signature: Option<Digest<16>>,
    /// What was written since the moment that was asked about.
    written: Option<PathBuf>,
}

/// Ways through several dependencies, within limits that they share.
pub(super) struct Walk<'a> {
    clock: &'a dyn Clock,
    limits: &'a Limits,
    excluded: Option<&'a Excluded>,
    /// Where the excluded folder really is.
    resolved: OnceCell<PathBuf>,
    same: OnceCell<Same>,
    deadline: Duration,
    files: u64,
    bytes: u64,
    buffer: Vec<u8>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(clock: &'a dyn Clock, limits: &'a Limits, excluded: Option<&'a Excluded>) -> Self {
        let deadline = clock.monotonic().saturating_add(limits.time_max);
        let (files, bytes, buffer) = (0, 0, Vec::new());
        let (resolved, same) = (OnceCell::new(), OnceCell::new());
        Self { clock, limits, excluded, resolved, same, deadline, files, bytes, buffer }
    }

    /// Refuses a dependency in the folder that is left out.
    pub(super) fn refuse_excluded(&self, path: &Utf8Path) -> Result<(), Error> {
        let Some(Excluded(folder)) = self.excluded else { return Ok(()) };
        let resolved = self.resolved.get_or_init(|| really(folder));
        if really(path.as_std_path()).starts_with(resolved) {
            return Err(Error::OwnFolder { path: path.to_owned(), folder: folder.clone() });
        }
        Ok(())
    }

    /// Reads all that lies at the path, its stamps before its bytes.
    pub(super) fn read(&mut self, path: &Utf8Path, taken_ms: u64) -> Result<Sums, Error> {
        self.pass(path, taken_ms, true)
    }

    /// Only looks at it.
    pub(super) fn sign(&mut self, path: &Utf8Path) -> Option<Digest<16>> {
        self.pass(path, 0, false).ok()?.signature
    }

    /// How the dependency has changed, if it has.
    pub(super) fn check(&mut self, dependency: &Dependency) -> Option<Change> {
        let Dependency { path, content, signature, taken_ms } = dependency;
        let unknown = |error: Error| {
            let at = match &error {
                Error::Unreadable { path, .. } | Error::TooDeep { path, .. } => path.clone(),
                _ => path.clone().into_std_path_buf(),
            };
            Some(Change::new(&at, Why::Unknown(error)))
        };
        if ARE_SOUND && let Some(signature) = signature {
            let files = self.files;
            match self.pass(path, *taken_ms, false) {
                Ok(sums) if sums.signature == Some(*signature) => return None,
                Ok(_) => self.files = files,
                Err(error) => return unknown(error),
            }
        }
        match self.pass(path, *taken_ms, true) {
            Ok(sums) if sums.content == *content => None,
            Ok(sums) => Some(Change::new(sums.written.as_deref().unwrap_or(path.as_std_path()), Why::Changed)),
            Err(error) => unknown(error),
        }
    }

    fn pass(&mut self, dependency: &Utf8Path, taken_ms: u64, reads: bool) -> Result<Sums, Error> {
        let mut pass = Pass {
            dependency,
            reads,
            taken_ns: i128::from(taken_ms) * 1_000_000,
            path: PathBuf::new(),
            content: blake3::Hasher::new(),
            signature: blake3::Hasher::new(),
            proves: ARE_SOUND,
            file: None,
            list: None,
            walk: self,
        };
        pass.visit(&Folder::top(), dependency.as_std_path().as_os_str(), 0)?;
        let signature = Digest::of(&pass.signature);
        // one that was only signed was settled when it was first taken
        let signature = (pass.proves || !reads).then_some(signature);
        Ok(Sums { content: Digest::of(&pass.content), signature, written: pass.file.or(pass.list) })
    }
}

/// One way through one dependency.
struct Pass<'p, 'a> {
    walk: &'p mut Walk<'a>,
    dependency: &'p Utf8Path,
    /// Whether files are read, and not only looked at.
    reads: bool,
    taken_ns: i128,
    /// Where it is.
    path: PathBuf,
    content: blake3::Hasher,
    signature: blake3::Hasher,
    /// Whether the signature proves that nothing has changed.
    proves: bool,
    /// The first file that was changed after that moment.
    file: Option<PathBuf>,
    /// The first folder whose list of names was.
    list: Option<PathBuf>,
}

impl Pass<'_, '_> {
    fn visit(&mut self, folder: &Folder, name: &OsStr, depth: usize) -> Result<(), Error> {
        self.path.push(name);
        self.tick()?;
        let stamp = folder.stamp(name).map_err(|source| self.unreadable(source))?;
        if stamp.kind == Kind::Folder && depth > 0 && self.is_excluded(&stamp) {
            // as if it was not there: it may be made later
            self.path.pop();
            return Ok(());
        }
        self.note(&stamp);
        // a name below a dependency, with how deep it is, says where it is: each folder comes right before what is in it
        let bytes = if depth == 0 { &[][..] } else { folder::bytes(name) };
        for hasher in [&mut self.content, &mut self.signature] {
            hasher.update(&(depth as u64).to_le_bytes());
            part(hasher, bytes);
            hasher.update(&[stamp.kind.code(), if stamp.kind == Kind::File { stamp.executable } else { 0 }]);
        }
        match stamp.kind {
            Kind::Folder => self.folder(folder, name, depth)?,
            Kind::Link => {
                let target = folder.target(name).map_err(|source| self.unreadable(source))?;
                part(&mut self.content, &target);
                part(&mut self.signature, &target);
            }
            Kind::File => {
                stamp.sign(&mut self.signature);
                if self.reads {
                    self.proves &= stamp.is_settled(self.taken_ns);
                    let length = self.file(folder, name)?;
                    self.proves &= length == stamp.size;
                }
            }
            _ => {}
        }
        self.path.pop();
        Ok(())
    }

    fn folder(&mut self, folder: &Folder, name: &OsStr, depth: usize) -> Result<(), Error> {
        let Limits { depth_max: max, files_max, .. } = *self.walk.limits;
        let dependency = || self.dependency.to_owned();
        if depth >= max {
            return Err(Error::TooDeep { path: self.path.clone(), dependency: dependency(), max });
        }
        let left = usize::try_from(files_max.saturating_sub(self.walk.files)).unwrap_or(usize::MAX);
        let folder = folder.folder(name).map_err(|source| self.unreadable(source))?;
        let Some(mut names) = folder.names(left).map_err(|source| self.unreadable(source))? else {
            return Err(Error::TooManyFiles { dependency: dependency(), max: files_max });
        };
        names.sort_unstable();
        names.iter().try_for_each(|name| self.visit(&folder, name, depth + 1))
    }

    /// Hashes a file by itself, so that where it ends cannot be mistaken; and tells how long it was.
    fn file(&mut self, folder: &Folder, name: &OsStr) -> Result<u64, Error> {
        let mut file = folder.file(name).map_err(|source| self.unreadable(source))?;
        let (mut hasher, mut length) = (blake3::Hasher::new(), 0_u64);
        self.walk.buffer.resize(BUFFER_BYTES, 0);
        loop {
            let read = match file.read(&mut self.walk.buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                Err(error) => return Err(self.unreadable(error)),
            };
            hasher.update(self.walk.buffer.get(..read).unwrap_or_default());
            length = length.saturating_add(read as u64);
            self.walk.bytes = self.walk.bytes.saturating_add(read as u64);
            if self.walk.bytes > self.walk.limits.bytes_max {
                let (dependency, max) = (self.dependency.to_owned(), self.walk.limits.bytes_max);
                return Err(Error::TooManyBytes { dependency, max });
            }
            self.in_time()?;
        }
        self.content.update(hasher.finalize().as_bytes());
        Ok(length)
    }

    /// Counts a name.
    fn tick(&mut self) -> Result<(), Error> {
        self.walk.files = self.walk.files.saturating_add(1);
        let max = self.walk.limits.files_max;
        if self.walk.files > max {
            return Err(Error::TooManyFiles { dependency: self.dependency.to_owned(), max });
        }
        self.in_time()
    }

    fn in_time(&self) -> Result<(), Error> {
        if self.walk.clock.monotonic() < self.walk.deadline {
            return Ok(());
        }
        Err(Error::TooSlow { dependency: self.dependency.to_owned(), after: self.walk.limits.time_max })
    }

    /// Remembers what was written after the moment in question.
    fn note(&mut self, stamp: &Stamp) {
        if stamp.changed_ns.saturating_add(TICK_NS) <= self.taken_ns {
            return;
        }
        let first = if stamp.kind == Kind::Folder { &mut self.list } else { &mut self.file };
        if first.is_none() {
            *first = Some(self.path.clone());
        }
    }

    fn is_excluded(&self, stamp: &Stamp) -> bool {
        let Some(Excluded(folder)) = self.walk.excluded else { return false };
        self.walk.same.get_or_init(|| Same::of(folder)).is(stamp, &self.path)
    }

    fn unreadable(&self, source: io::Error) -> Error {
        Error::Unreadable { path: self.path.clone(), dependency: self.dependency.to_owned(), source }
    }
}

/// A part with its length, so that no two lists of parts read the same.
fn part(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

/// Where a path leads, as far as there is anything; links are followed.
fn really(path: &Path) -> PathBuf {
    let there = path.ancestors().find_map(|ancestor| Some((ancestor, ancestor.canonicalize().ok()?)));
    let Some((ancestor, really)) = there else { return path.to_owned() };
    path.strip_prefix(ancestor).map_or_else(|_| path.to_owned(), |rest| really.join(rest))
}
