//! Secrets in a file of their owner's alone: `credentials.json`.

mod content;
mod error;
pub(crate) mod file;
mod folder;
mod place;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use camino::{Utf8Path, Utf8PathBuf};
use larder_system::{Clock, Disk, SystemClock, SystemDisk};

use crate::{Fingerprint, Name, Secret};
use content::{Bad, Content, Unfit};
use file::{Bytes, PrivateFile};

pub use error::Error;
pub use place::NoPlace;

/// The most bytes that the file may have.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// How long a change waits for other writers unless told otherwise: each takes milliseconds.
pub const LOCK_WAIT: Duration = Duration::from_secs(10);

/// A file with the secrets of one user.
///
/// Any number of processes may use one file. Who reads takes no lock, makes nothing, and sees one whole file; who changes
/// it waits for other writers, then replaces it as a whole: `kill -9` at any instruction and loss of power leave the old
/// or the new content. A change that returned survives both.
///
/// The file has mode 0600 and its folder, when it is made here, 0700, whatever the umask. A file or folder that others may
/// use, that is another user's, or that is a link is refused, with what to run. A damaged file and one of a later version
/// are refused and never overwritten.
///
/// # Platform
/// On Windows files have no mode; the file is as private as its folder, which in a user's profile is for that user alone.
///
/// ```
/// use larder_credentials::{Secret, Store};
///
/// # let scratch = larder_testkit::Scratch::new("store-doc");
/// # let path = scratch.utf8_path().join("tool/credentials.json");
/// let store = Store::at(path);
/// store.set(&"docs".parse()?, &Secret::new("sk-1234")?)?;
/// assert_eq!(store.get(&"docs".parse()?)?.unwrap().secret.expose(), "sk-1234");
/// assert_eq!(store.list()?[0].name.as_str(), "docs");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Store {
    file: PrivateFile,
    wait: Duration,
}

/// What is stored under a name.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The secret.
    pub secret: Secret,
    /// When it was stored, by the wall clock of that moment.
    pub stored: SystemTime,
}

/// One name of a [`Store`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The name.
    pub name: Name,
    /// The fingerprint of its secret.
    pub fingerprint: Fingerprint,
    /// When it was stored, by the wall clock of that moment.
    pub stored: SystemTime,
}

/// What a [`Store::set`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// The name is new.
    New,
    /// Another secret had the name, and is gone.
    Replaced,
}

/// What a [`Store::remove`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// The name and its secret are gone.
    Removed,
    /// There was no such name.
    Absent,
}

impl Store {
    /// The store in this file. Nothing is looked at or made yet.
    pub fn at(path: impl Into<Utf8PathBuf>) -> Self {
        let (disk, clock) = (Arc::new(SystemDisk::new()), Arc::new(SystemClock::new()));
        Self { file: PrivateFile { path: path.into(), disk, clock, bytes_max: FILE_BYTES_MAX }, wait: LOCK_WAIT }
    }

    /// Where a program of this name keeps its secrets: `<configuration folder>/<program>/credentials.json`, the folder being
    /// `XDG_CONFIG_HOME`, else `.config` in `HOME`; on Windows `APPDATA`. `environment` tells the values of variables, as
    /// `|name| std::env::var_os(name)` does.
    ///
    /// # Errors
    /// No such variable is set, or none to an absolute path that is text.
    ///
    /// ```
    /// use larder_credentials::Store;
    ///
    /// let path = Store::default_path("larder", |name| (name == "XDG_CONFIG_HOME").then(|| "/x".into()));
    /// # #[cfg(unix)]
    /// assert_eq!(path?, "/x/larder/credentials.json");
    /// # Ok::<(), larder_credentials::store::NoPlace>(())
    /// ```
    pub fn default_path(
        program: &str,
        environment: impl Fn(&str) -> Option<std::ffi::OsString>,
    ) -> Result<Utf8PathBuf, NoPlace> {
        place::find(program, environment)
    }

    /// On another disk, by another clock.
    #[must_use]
    pub fn system(mut self, disk: Arc<dyn Disk>, clock: Arc<dyn Clock>) -> Self {
        self.file = PrivateFile { disk, clock, ..self.file };
        self
    }

    /// Waits at most so long for other writers; 10 seconds unless set, and zero does not wait.
    #[must_use]
    pub const fn lock_wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// The file.
    pub fn path(&self) -> &Utf8Path {
        &self.file.path
    }

    /// The secret of this name; `None` when there is no such name or no file. Makes nothing.
    ///
    /// # Errors
    /// The file cannot be read, is not private, or makes no sense; or what is stored under this name is no secret.
    pub fn get(&self, name: &Name) -> Result<Option<Stored>, Error> {
        let Some(bytes) = self.file.read()? else { return Ok(None) };
        self.stored(&self.parse(&bytes)?, name)
    }

    /// All names, in order, with what tells their secrets apart. Makes nothing.
    ///
    /// # Errors
    /// As [`get`](Self::get), for any of the names.
    pub fn list(&self) -> Result<Vec<Listed>, Error> {
        let Some(bytes) = self.file.read()? else { return Ok(Vec::new()) };
        let content = self.parse(&bytes)?;
        let mut listed = Vec::new();
        for name in content.names() {
            if let Some(Stored { secret, stored }) = self.stored(&content, name)? {
                listed.push(Listed { name: name.clone(), fingerprint: secret.fingerprint(), stored });
            }
        }
        Ok(listed)
    }

    /// Stores the secret under this name, in place of what is there.
    ///
    /// # Errors
    /// The file cannot be read or written, is not private, makes no sense, would become larger than 1 MiB, or others kept
    /// its lock for too long. Nothing has changed then, except after [`Error::NotDurable`].
    pub fn set(&self, name: &Name, secret: &Secret) -> Result<Set, Error> {
        let now = self.file.clock.wall().duration_since(UNIX_EPOCH).unwrap_or_default();
        let stored_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.file.update(self.wait, |old| {
            let content = self.parse_if_any(old.as_ref())?;
            let done = if content.has(name) { Set::Replaced } else { Set::New };
            Ok((Some(self.compose(&content, Some((name, secret, stored_ms)))?), done))
        })
    }

    /// Removes the name and its secret. Makes nothing when there is no file.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn remove(&self, name: &Name) -> Result<Removed, Error> {
        match self.file.read()? {
            Some(bytes) if self.parse(&bytes)?.has(name) => {}
            // what a killed writer left may have it, and goes with the change
            _ if self.file.has_temporaries() => {}
            _ => return Ok(Removed::Absent),
        }
        self.file.update(self.wait, |old| {
            let mut content = self.parse_if_any(old.as_ref())?;
            if !content.has(name) {
                return Ok((None, Removed::Absent));
            }
            content.remove(name);
            Ok((Some(self.compose(&content, None)?), Removed::Removed))
        })
    }

    fn parse_if_any<'a>(&self, bytes: Option<&'a Bytes>) -> Result<Content<'a>, Error> {
        bytes.map_or_else(|| Ok(Content::default()), |bytes| self.parse(bytes))
    }

    fn parse<'a>(&self, bytes: &'a Bytes) -> Result<Content<'a>, Error> {
        Content::parse(bytes).map_err(|unfit| match unfit {
            Unfit::Newer(version) => Error::Newer { path: self.file.path.clone(), version },
            Unfit::Malformed(what, line, column) => self.malformed(what, line, column),
        })
    }

    fn malformed(&self, what: &'static str, line: usize, column: usize) -> Error {
        Error::Malformed { path: self.file.path.clone(), what, line, column }
    }

    fn stored(&self, content: &Content<'_>, name: &Name) -> Result<Option<Stored>, Error> {
        match content.get(name) {
            None => Ok(None),
            Some(Ok((secret, stored))) => Ok(Some(Stored { secret, stored })),
            Some(Err(Bad::Malformed(what))) => Err(self.malformed(what, 0, 0)),
            Some(Err(Bad::Value(source))) => {
                Err(Error::Value { path: self.file.path.clone(), name: name.clone(), source })
            }
        }
    }

    fn compose(&self, content: &Content<'_>, set: Option<(&Name, &Secret, u64)>) -> Result<Bytes, Error> {
        content.compose(set).map_err(|error| Error::Io {
            action: "compose the new content of",
            path: self.file.path.clone(),
            source: error.into(),
        })
    }
}

/// A path as one word of a shell's command line.
pub(crate) fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%".contains(c);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(is_plain) {
        return text.to_owned();
    }
    let word = format!("'{}'", text.replace('\'', r"'\''"));
    if text.starts_with('-') { format!("-- {word}") } else { word }
}
