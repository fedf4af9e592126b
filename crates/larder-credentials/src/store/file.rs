//! One small file of its owner's alone: read whole without a lock, replaced whole under one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use larder_lock::{Guard, Locks, Mode, Options, Wait};
use larder_system::{Clock, Disk, Handle, Kind, Metadata, Open, Replace, read_to_limit, retry, unique, write_all};
use zeroize::Zeroizing;

use super::Error;
use super::folder;

/// The only right that anybody has on the file: its owner's to read and write.
const FILE_MODE: u32 = 0o600;
/// The rights that nobody but the owner may have on the file.
const OTHERS: u32 = 0o077;
/// The rights by which others could replace the file.
const OTHERS_WRITE: u32 = 0o022;
/// How a new file is called until it takes the old one's place, behind the file's own name.
const TEMPORARY: &str = ".new-";
/// The folder of the locks, behind the file's own name.
const LOCKS: &str = ".locks";
/// How many names beside the file are looked at for what dead writers left.
const NAMES_MAX: usize = 100_000;

/// The file, by its path, on its disk.
#[derive(Clone, Debug)]
pub(crate) struct PrivateFile {
    pub(crate) path: Utf8PathBuf,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) bytes_max: u64,
}

/// The bytes of the file, wiped when they are dropped.
pub(crate) type Bytes = Zeroizing<Vec<u8>>;

impl PrivateFile {
    /// What is in the file; `None` when there is none. Nothing is made, and no lock is taken: a file is only ever
    /// replaced as a whole.
    pub(crate) fn read(&self) -> Result<Option<Bytes>, Error> {
        let (parent, _) = self.parts()?;
        match retry(|| self.disk.open_root(parent.as_std_path())) {
            Ok(folder) => {
                self.judge_folder(&folder)?;
                self.read_in(&folder)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.io("open the folder of")(error)),
        }
    }

    /// Replaces what is in the file by what `change` makes of it, under the lock; `None` leaves it as it is. Waits for
    /// the lock no longer than `wait`. The folder is made when it is missing.
    pub(crate) fn update<T>(
        &self,
        wait: Duration,
        change: impl FnOnce(Option<Bytes>) -> Result<(Option<Bytes>, T), Error>,
    ) -> Result<T, Error> {
        let (parent, name) = self.parts()?;
        let folder = folder::open_or_make(self.disk.as_ref(), parent).map_err(self.io("make the folder of"))?;
        self.judge_folder(&folder)?;
        let guard = self.lock(parent, name, wait)?;
        self.sweep(&folder, name);
        let (new, answer) = change(self.read_in(&folder)?)?;
        if let Some(new) = new {
            self.replace(&folder, name, &new, &guard)?;
        }
        Ok(answer)
    }

    fn parts(&self) -> Result<(&Utf8Path, &str), Error> {
        let none = || Error::NoFileName { path: self.path.clone() };
        // `a/` and `a/.` have the name `a`, but mean a folder
        let name = self.path.file_name().filter(|name| self.path.as_str().ends_with(name)).ok_or_else(none)?;
        let parent = self.path.parent().ok_or_else(none)?;
        Ok((if parent.as_str().is_empty() { Utf8Path::new(".") } else { parent }, name))
    }

    fn io(&self, action: &'static str) -> impl FnOnce(io::Error) -> Error {
        let path = self.path.clone();
        move |source| Error::Io { action, path, source }
    }

    fn lock(&self, parent: &Utf8Path, name: &str, wait: Duration) -> Result<Guard, Error> {
        let place = parent.join(format!("{name}{LOCKS}"));
        let locks = Locks::open_with(Arc::clone(&self.disk), Arc::clone(&self.clock), &place, Options::new())
            .map_err(|source| Error::Locks { path: self.path.clone(), source })?;
        let terms = Wait::up_to(wait);
        locks.acquire(name, Mode::Exclusive, &terms).map_err(|source| Error::Lock { path: self.path.clone(), source })
    }

    /// Others who could write the folder could put another file in this one's place.
    fn judge_folder(&self, folder: &Handle) -> Result<(), Error> {
        let found = self.disk.metadata(folder).map_err(self.io("look at the folder of"))?;
        let path = self.parts()?.0;
        Self::judge_owner("the folder", path, &found)?;
        if found.mode & OTHERS_WRITE == 0 {
            return Ok(());
        }
        Err(Error::loose("the folder", path.to_owned(), found.mode, "go-w"))
    }

    fn judge_file(&self, found: &Metadata) -> Result<(), Error> {
        let what = match found.kind {
            Kind::File => None,
            Kind::Folder => Some("a folder"),
            Kind::Link => Some("a symbolic link"),
            Kind::Special | Kind::Unknown => Some("a device or pipe"),
        };
        if let Some(what) = what {
            return Err(Error::NotAFile { path: self.path.clone(), what });
        }
        Self::judge_owner("the file", &self.path, found)?;
        if found.mode & OTHERS != 0 {
            return Err(Error::loose("the file", self.path.clone(), found.mode, "600"));
        }
        if found.length > self.bytes_max {
            return Err(Error::TooLarge { path: self.path.clone(), bytes: found.length });
        }
        Ok(())
    }

    /// What is the super-user's is as good as one's own: nothing is safe from it anyway.
    #[cfg(unix)]
    fn judge_owner(what: &'static str, path: &Utf8Path, found: &Metadata) -> Result<(), Error> {
        let user = rustix::process::geteuid().as_raw();
        if found.owner == user || found.owner == 0 {
            return Ok(());
        }
        Err(Error::Foreign { what, path: path.to_owned(), owner: found.owner, user })
    }

    /// Owners and modes are not told here: access is what the folder's own list says.
    #[cfg(not(unix))]
    #[expect(clippy::unnecessary_wraps, reason = "the other platform's can fail")]
    fn judge_owner(_what: &'static str, _path: &Utf8Path, _found: &Metadata) -> Result<(), Error> {
        Ok(())
    }

    fn read_in(&self, folder: &Handle) -> Result<Option<Bytes>, Error> {
        let (_, name) = self.parts()?;
        let file = match retry(|| self.disk.open(folder, Path::new(name), Open::READ)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.not_opened(folder, name, error)),
        };
        let found = self.disk.metadata(&file).map_err(self.io("look at"))?;
        self.judge_file(&found)?;
        // room for all of it and a byte more: a buffer that grows leaves copies behind
        let length = usize::try_from(found.length).unwrap_or(usize::MAX).saturating_add(1);
        let mut bytes = Zeroizing::new(Vec::with_capacity(length));
        let whole = read_to_limit(self.disk.as_ref(), &file, &mut bytes, length - 1).map_err(self.io("read"))?;
        self.disk.close(file);
        if whole {
            return Ok(Some(bytes));
        }
        let what = "because somebody wrote to it while it was read";
        Err(Error::Malformed { path: self.path.clone(), what, line: 0, column: 0 })
    }

    /// A link is not followed, and a folder or socket cannot be opened: say so rather than what the system says.
    fn not_opened(&self, folder: &Handle, name: &str, error: io::Error) -> Error {
        match self.disk.metadata_at(folder, Path::new(name)) {
            Ok(found) if found.kind != Kind::File => {
                self.judge_file(&found).err().unwrap_or_else(|| self.io("open")(error))
            }
            _ => self.io("open")(error),
        }
    }

    /// Removes what writers left who were killed: whoever has a temporary file has the lock, and now we do. What cannot
    /// be listed or removed hinders nobody.
    fn sweep(&self, folder: &Handle, name: &str) {
        for found in self.temporaries(folder, name) {
            let removed = self.disk.remove_file(folder, &found);
            tracing::debug!(file = %found.display(), ok = removed.is_ok(), "removed what a killed writer left");
        }
    }

    /// The names that writers make up, and nobody else: behind the prefix, sixteen hexadecimal digits.
    fn temporaries(&self, folder: &Handle, name: &str) -> Vec<PathBuf> {
        let prefix = format!("{name}{TEMPORARY}");
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let is_number = |rest: &str| rest.len() == 16 && rest.bytes().all(is_digit);
        let mut names = Vec::new();
        let Ok(listing) = retry(|| self.disk.open(folder, Path::new("."), Open::FOLDER)) else { return Vec::new() };
        while names.len() < NAMES_MAX && matches!(retry(|| self.disk.list(&listing, &mut names)), Ok(true)) {}
        let is_temporary = |text: &std::ffi::OsString| {
            text.to_str().and_then(|text| text.strip_prefix(&prefix)).is_some_and(is_number)
        };
        names.into_iter().map(|found| found.name).filter(is_temporary).map(PathBuf::from).collect()
    }

    /// Whether killed writers, or living ones, have something beside the file.
    pub(crate) fn has_temporaries(&self) -> bool {
        let Ok((parent, name)) = self.parts() else { return false };
        let folder = retry(|| self.disk.open_root(parent.as_std_path()));
        folder.is_ok_and(|folder| !self.temporaries(&folder, name).is_empty())
    }

    fn replace(&self, folder: &Handle, name: &str, bytes: &[u8], guard: &Guard) -> Result<(), Error> {
        if bytes.len() as u64 > self.bytes_max {
            return Err(Error::TooLarge { path: self.path.clone(), bytes: bytes.len() as u64 });
        }
        let number = unique().map_err(self.io("draw a name for the new"))?;
        let temporary = PathBuf::from(format!("{name}{TEMPORARY}{number:016x}"));
        let published = self.write(folder, &temporary, bytes).map_err(self.io("write the new")).and_then(|()| {
            guard.check().map_err(|source| Error::LockLost { path: self.path.clone(), source })?;
            let (from, to) = (temporary.as_path(), Path::new(name));
            retry(|| self.disk.rename(folder, from, folder, to, Replace::Yes)).map_err(self.io("replace"))
        });
        if published.is_err() {
            // it holds secrets; if even this fails, the next writer removes it
            let _ = self.disk.remove_file(folder, &temporary);
            return published;
        }
        retry(|| self.disk.sync(folder)).map_err(|source| Error::NotDurable { path: self.path.clone(), source })
    }

    fn write(&self, folder: &Handle, temporary: &Path, bytes: &[u8]) -> io::Result<()> {
        let disk = self.disk.as_ref();
        let file = retry(|| disk.open(folder, temporary, Open::CREATE_NEW))?;
        // a umask may have taken the owner's rights; nothing gives others any, but this is the place to be sure
        let made = if cfg!(unix) { disk.metadata(&file).map(|found| found.mode) } else { Ok(FILE_MODE) };
        let written = made
            .and_then(|mode| if mode == FILE_MODE { Ok(()) } else { retry(|| disk.set_mode(&file, FILE_MODE)) })
            .and_then(|()| write_all(disk, &file, &[bytes]))
            .and_then(|()| retry(|| disk.sync(&file)));
        disk.close(file);
        written
    }
}
