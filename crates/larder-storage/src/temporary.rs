//! Temporary files: unique names, owned by a session whose held lock says that its process lives.
//!
//! A session's name begins every temporary file it makes. Its lock is held from before the first of them until the
//! process ends, however it ends, so that a sweep can tell leftovers from work in progress without asking for age or pid.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};
use larder_lock::{Guard, Locks, Mode, Wait};
use larder_system::{Disk, Handle, Open, unique, write_all};

use crate::failure::{Context, Failure};
use crate::folder;
use crate::stamps::FileName;

/// How often a name may turn out to be taken or swept before the folder is given up.
const ATTEMPTS_MAX: u32 = 8;
/// How many sessions a process that begins its own looks at.
const SESSIONS_MAX: usize = 64;

/// The folder of temporary files, and this process's session in it.
#[derive(Debug)]
pub(crate) struct Temporaries {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) folder: Handle,
    pub(crate) path: Utf8PathBuf,
    locks: Locks,
    session: Mutex<Option<Arc<Session>>>,
    count: AtomicU64,
}

#[derive(Debug)]
struct Session {
    name: String,
    /// The umask takes bits away that files must have: they are set again after each creation.
    strict_mode: bool,
    /// Held as long as the session's files may be in use.
    alive: Option<Guard>,
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(alive) = self.alive.take() {
            // nobody will ask for this name again; what cannot be removed goes with the next sweep
            let _ = alive.retire();
        }
    }
}

/// What a sweep found.
#[derive(Debug, Default)]
pub(crate) struct Leftovers {
    /// Files of dead sessions that are gone now.
    pub(crate) removed: u64,
    /// Files of live sessions.
    pub(crate) in_use: u64,
}

/// An open temporary file. Unless it is renamed away and disarmed, its drop removes it.
pub(crate) struct Temporary<'a> {
    owner: &'a Temporaries,
    handle: Option<Handle>,
    name: String,
    /// How many bytes were written to it.
    length: u64,
}

/// The name of a session's lock.
pub(crate) fn session_lock(session: &str) -> String {
    // no key begins with a slash, so no key's lock has this name
    format!("//session/{session}")
}

/// The session that a temporary file's name tells of.
pub(crate) fn session_of(name: &str) -> Option<&str> {
    let (session, number) = name.split_once('.')?;
    let hexadecimal = session.len() == 16 && session.bytes().all(|byte| byte.is_ascii_hexdigit());
    (hexadecimal && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(session)
}

/// A temporary file's name as numbers.
pub(crate) fn number_of(name: &str) -> Option<FileName> {
    let session = u64::from_str_radix(session_of(name)?, 16).ok()?;
    let (_, number) = name.split_once('.')?;
    Some(FileName { session, number: number.parse().ok()? })
}

/// The name that these numbers stand for.
pub(crate) fn name_of(file: FileName) -> String {
    format!("{:016x}.{}", file.session, file.number)
}

impl Temporaries {
    pub(crate) fn new(disk: Arc<dyn Disk>, folder: Handle, path: Utf8PathBuf, locks: Locks) -> Self {
        Self { disk, folder, path, locks, session: Mutex::new(None), count: AtomicU64::new(0) }
    }

    /// Makes a new temporary file, open for reading and writing, mode 0600.
    pub(crate) fn create(&self) -> Result<Temporary<'_>, Failure> {
        let session = self.session()?;
        let name = format!("{}.{}", session.name, self.count.fetch_add(1, Ordering::Relaxed));
        let handle = larder_system::retry(|| self.disk.open(&self.folder, Path::new(&name), Open::CREATE_NEW))
            .context("create", self.path.join(&name))?;
        let temporary = Temporary { owner: self, handle: Some(handle), name, length: 0 };
        if session.strict_mode {
            self.disk.set_mode(temporary.handle()?, 0o600).context("set the mode of", temporary.path())?;
        }
        Ok(temporary)
    }

    /// This process's session, begun with the first temporary file.
    fn session(&self) -> Result<Arc<Session>, Failure> {
        let mut current = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = &*current {
            return Ok(Arc::clone(session));
        }
        let session = Arc::new(self.begin()?);
        *current = Some(Arc::clone(&session));
        Ok(session)
    }

    fn begin(&self) -> Result<Session, Failure> {
        for _ in 0..ATTEMPTS_MAX {
            let name = format!("{:016x}", unique().context("draw a name for a file in", &self.path)?);
            let alive = match self.locks.acquire(&session_lock(&name), Mode::Exclusive, &Wait::none()) {
                Ok(guard) => guard,
                // a sweep that looked at this very name: draw another
                Err(larder_lock::acquire::Error::Busy { .. }) => continue,
                Err(error) => {
                    let kind = match &error {
                        larder_lock::acquire::Error::Io { source, .. } => source.kind(),
                        _ => io::ErrorKind::Other,
                    };
                    return Err(Failure::new("lock a session in", &self.path, io::Error::new(kind, error)));
                }
            };
            let strict_mode = self.mask_is_strict(&name)?;
            // once in the life of a process, so that nobody has to do it by hand
            if let Err(error) = self.sweep(SESSIONS_MAX) {
                tracing::debug!(%error, "cannot look for what dead writers have left");
            }
            return Ok(Session { name, strict_mode, alive: Some(alive) });
        }
        Err(Failure::new("begin a session in", &self.path, io::ErrorKind::ResourceBusy.into()))
    }

    /// Removes the files of dead sessions, looking at no more than `sessions_max` of them.
    pub(crate) fn sweep(&self, sessions_max: usize) -> Result<Leftovers, Failure> {
        let names = folder::names(&*self.disk, &self.folder, Path::new(".")).context("list", &self.path)?;
        let mut sessions: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for name in names.into_iter().filter_map(|listed| listed.name.into_string().ok()) {
            if let Some(session) = session_of(&name) {
                sessions.entry(session.to_owned()).or_default().push(name);
            }
        }
        let mut leftovers = Leftovers::default();
        for (session, names) in sessions.into_iter().take(sessions_max) {
            // a held lock is a live writer; a lock that we get is a dead one's, and is nobody's again
            let Ok(guard) = self.locks.acquire(&session_lock(&session), Mode::Exclusive, &Wait::none()) else {
                leftovers.in_use += names.len() as u64;
                continue;
            };
            for name in names {
                if larder_system::retry(|| self.disk.remove_file(&self.folder, Path::new(&name))).is_ok() {
                    leftovers.removed += 1;
                }
            }
            let _ = guard.retire();
        }
        Ok(leftovers)
    }

    /// Whether files come out with less than mode 0600, as under a umask of 0277.
    fn mask_is_strict(&self, session: &str) -> Result<bool, Failure> {
        let name = format!("{session}.{}", self.count.fetch_add(1, Ordering::Relaxed));
        let path = self.path.join(&name);
        let trial = larder_system::retry(|| self.disk.open(&self.folder, Path::new(&name), Open::CREATE_NEW))
            .context("create", &path)?;
        let mode = self.disk.metadata(&trial).context("look at", &path).map(|metadata| metadata.mode);
        self.disk.close(trial);
        let removed = self.disk.remove_file(&self.folder, Path::new(&name)).context("remove", &path);
        let mode = mode?;
        removed?;
        Ok(cfg!(unix) && mode != 0o600)
    }
}

impl<'a> Temporary<'a> {
    pub(crate) fn handle(&self) -> Result<&Handle, Failure> {
        self.handle.as_ref().ok_or_else(|| Failure::new("use", self.path(), io::ErrorKind::NotFound.into()))
    }

    /// Writes all parts, one after the other.
    pub(crate) fn write(&mut self, parts: &[&[u8]]) -> Result<(), Failure> {
        write_all(&*self.owner.disk, self.handle()?, parts).context("write", self.path())?;
        self.length += parts.iter().map(|part| part.len() as u64).sum::<u64>();
        Ok(())
    }

    /// Content and metadata to stable storage.
    pub(crate) fn sync(&self) -> Result<(), Failure> {
        self.owner.disk.sync(self.handle()?).context("sync", self.path())
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    pub(crate) fn name(&self) -> &Path {
        Path::new(&self.name)
    }

    /// The name as an announcement has it.
    pub(crate) fn number(&self) -> FileName {
        number_of(&self.name).unwrap_or_default()
    }

    pub(crate) fn path(&self) -> Utf8PathBuf {
        self.owner.path.join(&self.name)
    }

    pub(crate) fn folder(&self) -> (&'a Handle, &'a Utf8Path) {
        (&self.owner.folder, &self.owner.path)
    }

    /// Hands out the open file; the name still goes when this is dropped.
    pub(crate) fn take_handle(&mut self) -> Option<Handle> {
        self.handle.take()
    }

    /// The name is gone: it was renamed. Hands back the open file.
    pub(crate) fn disarm(&mut self) -> Option<Handle> {
        self.name.clear();
        self.handle.take()
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            self.owner.disk.close(handle);
        }
        if !self.name.is_empty() {
            // what cannot be removed now goes with the next sweep
            let _ = larder_system::retry(|| self.owner.disk.remove_file(&self.owner.folder, Path::new(&self.name)));
        }
    }
}
