//! What is configured, with every default in its place.

use std::fs::File;
use std::io::{self, Read as _};
use std::time::Duration;

use camino::Utf8Path;
use larder_staleness::{Backoff, Classes};

use crate::advice::Advice;
use crate::credential::Credential;
use crate::error::Error;
use crate::file;
use crate::place::Place;
use crate::resolve;
use crate::setting::Setting;
use crate::source::Source;

/// The largest file that is read, in bytes.
pub const BYTES_MAX: u64 = 1024 * 1024;

/// What is configured.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) limits: Limits,
    pub(crate) switches: Switches,
    pub(crate) refresh: Refresh,
    pub(crate) views: Views,
    pub(crate) classes: Classes,
    pub(crate) credentials: Vec<Credential>,
    pub(crate) sources: Vec<Source>,
    pub(crate) settings: Vec<Setting>,
    pub(crate) advice: Vec<Advice>,
}

/// Bounds on what a cache may take, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The largest document, in bytes.
    pub body_bytes_max: u64,
    /// What all documents may take together on disk, in bytes, each in whole blocks of 4 KiB; `u64::MAX` for no bound.
    pub bytes_max: u64,
    /// How many documents there may be; likewise.
    pub entries_max: u64,
    /// Room for copies in memory, in bytes.
    pub memory_bytes_max: u64,
    /// How long to wait for what somebody else has; `None` for as long as it takes.
    pub lock_timeout: Option<Duration>,
    /// How long waiting and fetching may take together.
    pub timeout: Duration,
    /// How long somebody waits who has a stale copy that may be given out.
    pub soft_timeout: Duration,
    /// How long a failing upstream is left alone.
    pub backoff: Backoff,
}

/// Parts of a cache that can be switched off; reading goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
#[non_exhaustive]
pub struct Switches {
    /// Fetching once for all who ask. Off, each fetches for itself.
    pub locking: bool,
    /// Refreshing what somebody was given a stale copy of.
    pub refresh: bool,
    /// Storing, and reading what is stored.
    pub disk: bool,
    /// Asking any upstream.
    pub network: bool,
}

/// Files for people and other tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Views {
    /// Whether they are kept up to date.
    pub auto: bool,
}

/// What configurations of other programs say about refreshing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
#[non_exhaustive]
pub struct Refresh {
    /// Whether anything is refreshed behind a caller's back.
    pub enabled: bool,
    /// Whether a look at a document also looks whether it is due.
    pub check_on_access: bool,
    /// Whether what is due is queued.
    pub auto_queue: bool,
    /// Whether a program that starts works through the queue.
    pub auto_process_on_startup: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self::built_in()
    }
}

impl Config {
    /// That of a cache that has no file.
    pub fn built_in() -> Self {
        resolve::built_in()
    }

    /// What a text says that stands in `file`.
    ///
    /// # Errors
    /// [`Error`]: it makes no sense, or not all of it.
    pub fn parse(text: &str, file: &Utf8Path) -> Result<Self, Error> {
        if text.len() as u64 > BYTES_MAX {
            return Err(Error::TooLarge { file: file.to_owned(), bytes_max: BYTES_MAX });
        }
        resolve::resolve(&file::read(text, file)?, file)
    }

    /// The same of bytes, so that what was looked at before, as for trust, is what is used.
    ///
    /// # Errors
    /// [`Error`]: it is no text, or makes no sense.
    pub fn parse_bytes(bytes: &[u8], file: &Utf8Path) -> Result<Self, Error> {
        let text = std::str::from_utf8(bytes).map_err(|source| {
            let before = bytes.get(..source.valid_up_to()).unwrap_or_default();
            let lines = std::str::from_utf8(before).map_or(1, |text| text.split('\n').count());
            Error::NotUtf8 { place: Place::new(file, lines as u64, 1), source }
        })?;
        Self::parse(text, file)
    }

    /// Reads a file; `None` when there is none. Waits for no pipe, and reads no more than a configuration has.
    ///
    /// # Errors
    /// [`Error`]: it cannot be read, or makes no sense.
    pub fn read(path: &Utf8Path) -> Result<Option<Self>, Error> {
        match Self::bytes(path)? {
            Some(bytes) => Self::parse_bytes(&bytes, path).map(Some),
            None => Ok(None),
        }
    }

    /// The bytes of a file, without understanding them; `None` when there is none.
    ///
    /// # Errors
    /// [`Error`]: it cannot be read.
    pub fn bytes(path: &Utf8Path) -> Result<Option<Vec<u8>>, Error> {
        let (unreadable, file) = (|source| Error::Unreadable { file: path.to_owned(), source }, path.to_owned());
        // before it is opened, because opening a pipe waits for whoever writes to it
        match std::fs::metadata(path) {
            Ok(found) if !found.is_file() => return Err(Error::NotRegular { file }),
            Ok(found) if found.len() > BYTES_MAX => return Err(Error::TooLarge { file, bytes_max: BYTES_MAX }),
            Ok(_) => {}
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        }
        let opened = match File::open(path) {
            Ok(opened) => opened,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        };
        let mut bytes = Vec::new();
        opened.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > BYTES_MAX {
            return Err(Error::TooLarge { file, bytes_max: BYTES_MAX });
        }
        Ok(Some(bytes))
    }

    /// The bounds.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What is switched on.
    pub const fn switches(&self) -> Switches {
        self.switches
    }

    /// What is said about files for people.
    pub const fn views(&self) -> Views {
        self.views
    }

    /// What is said about refreshing.
    pub const fn refresh(&self) -> Refresh {
        self.refresh
    }

    /// How long which documents may be used. A rule that has values of its own is a class of the name `match:` and its
    /// pattern.
    pub const fn classes(&self) -> &Classes {
        &self.classes
    }

    /// The commands that fetch documents, in their order.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// The one for a key: the first whose pattern matches it.
    pub fn source_of(&self, key: &str) -> Option<&Source> {
        self.sources.iter().find(|source| source.pattern.matches(key))
    }

    /// The credentials that sources may ask for, by their names in alphabetical order.
    pub fn credentials(&self) -> &[Credential] {
        &self.credentials
    }

    /// The one of this name.
    pub fn credential(&self, name: &str) -> Option<&Credential> {
        self.credentials.iter().find(|credential| credential.name.as_str() == name)
    }

    /// Whether a command could ever be run, or a credential be given to somebody, because of this: what a file that nobody has
    /// looked at may not have.
    pub const fn defines_commands(&self) -> bool {
        !self.sources.is_empty() || !self.credentials.is_empty()
    }

    /// Every value that is in force, and where it comes from.
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// What can be used and is perhaps not meant so.
    pub fn advice(&self) -> &[Advice] {
        &self.advice
    }

    /// The JSON Schema of the file, for editors; draft 2020-12.
    pub fn schema() -> serde_json::Value {
        file::schema()
    }
}

/// Also where a part of the path is no folder: then there is nothing of that name.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
