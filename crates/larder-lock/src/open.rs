//! Opening a folder of locks by its path, and agreeing with all others on the backend.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use larder_system::{Disk, Handle, Open, Replace, read_to_limit, retry, unique, write_all_at};
use serde::{Deserialize, Serialize};

use crate::options::{Backend, LEASE_DEFAULT, Options};
use crate::probe::{Finding, probe};

/// The file that says what all processes use in this folder.
pub(crate) const RECORD: &str = "backend.json";
/// How it is called before it is complete.
pub(crate) const RECORD_NEW_PREFIX: &str = "backend-";

const FORMAT: u32 = 1;
const RECORD_BYTES_MAX: usize = 4_096;
const ATTEMPTS_MAX: u32 = 10;

/// Why a folder of locks could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call on the folder failed.
    #[error("could not {action} {path}; see the cause")]
    Io {
        /// What was being done.
        action: &'static str,
        /// The folder.
        path: Utf8PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// Advisory locks were asked for where they cannot be believed.
    #[error("advisory locks cannot be used in {path}: {finding}; use the lease backend or a folder on a local disk")]
    Unsupported {
        /// The folder.
        path: Utf8PathBuf,
        /// What the probe found.
        finding: Finding,
    },
    /// All others use another backend here; two backends do not exclude each other.
    #[error(
        "{path} uses the {recorded} backend, not {asked}; ask for that one, or remove {RECORD} when nobody uses it"
    )]
    Mismatch {
        /// The folder.
        path: Utf8PathBuf,
        /// What the folder's record says.
        recorded: &'static str,
        /// What was asked for.
        asked: &'static str,
    },
    /// The record was written by a later version.
    #[error("{path}/{RECORD} has format {format}, and this version reads up to {FORMAT}; use the version that made it")]
    Newer {
        /// The folder.
        path: Utf8PathBuf,
        /// Its format.
        format: u32,
    },
    /// The record makes no sense.
    #[error("{path}/{RECORD} is damaged; remove it when nobody uses this folder")]
    Damaged {
        /// The folder.
        path: Utf8PathBuf,
    },
}

#[derive(Serialize, Deserialize)]
struct Record {
    format: u32,
    backend: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    length_ms: Option<u64>,
    /// For people: why this backend.
    #[serde(default)]
    reason: String,
}

const fn name_of(backend: Backend) -> &'static str {
    match backend {
        Backend::Auto => "auto",
        Backend::Advisory => "advisory",
        Backend::Lease { .. } => "lease",
    }
}

struct Opening<'a> {
    disk: &'a Arc<dyn Disk>,
    folder: Arc<Handle>,
    path: &'a Utf8Path,
}

/// The folder, made if absent, and the backend that all use in it.
pub(crate) fn folder(
    disk: &Arc<dyn Disk>,
    path: &Utf8Path,
    options: &Options,
) -> Result<(Arc<Handle>, Backend), Error> {
    let io = |action| move |source| Error::Io { action, path: path.to_owned(), source };
    match disk.make_root(path.as_std_path()) {
        Ok(()) => finish(disk.as_ref(), path).map_err(io("set the mode of folder"))?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(io("make folder")(error)),
    }
    let folder = Arc::new(retry(|| disk.open_root(path.as_std_path())).map_err(io("open folder"))?);
    let opening = Opening { disk, folder, path };
    let asked = options.backend.clamped();
    for _ in 0..ATTEMPTS_MAX {
        if let Some(recorded) = opening.recorded()? {
            return Ok((Arc::clone(&opening.folder), opening.agree(asked, recorded)?));
        }
        opening.record(asked, options.probe_bound)?;
    }
    Err(io("record the backend in folder")(io::ErrorKind::ResourceBusy.into()))
}

/// Gives a folder just made the mode that a hostile umask may have kept from it.
fn finish(disk: &dyn Disk, path: &Utf8Path) -> io::Result<()> {
    if !cfg!(unix) || disk.root_metadata(path.as_std_path())?.mode & 0o700 == 0o700 {
        return Ok(());
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let parent = if parent.as_str().is_empty() { Utf8Path::new(".") } else { parent };
    let parent = retry(|| disk.open_root(parent.as_std_path()))?;
    disk.set_mode_at(&parent, Path::new(name), 0o700)
}

impl Opening<'_> {
    fn io(&self, action: &'static str) -> impl FnOnce(io::Error) -> Error {
        let path = self.path.to_owned();
        move |source| Error::Io { action, path, source }
    }

    fn recorded(&self) -> Result<Option<Backend>, Error> {
        let file = match retry(|| self.disk.open(&self.folder, Path::new(RECORD), Open::READ)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.io("open backend.json in")(error)),
        };
        let mut bytes = Vec::new();
        let whole = read_to_limit(self.disk.as_ref(), &file, &mut bytes, RECORD_BYTES_MAX)
            .map_err(self.io("read backend.json in"))?;
        let damaged = || Error::Damaged { path: self.path.to_owned() };
        let record: Record = serde_json::from_slice(&bytes).ok().filter(|_| whole).ok_or_else(damaged)?;
        if record.format > FORMAT {
            return Err(Error::Newer { path: self.path.to_owned(), format: record.format });
        }
        match record.backend.as_str() {
            "advisory" => Ok(Some(Backend::Advisory)),
            "lease" => {
                let length = record.length_ms.map_or(LEASE_DEFAULT, Duration::from_millis);
                Ok(Some(Backend::Lease { length }.clamped()))
            }
            _ => Err(damaged()),
        }
    }

    fn agree(&self, asked: Backend, recorded: Backend) -> Result<Backend, Error> {
        match (asked, recorded) {
            (Backend::Auto, recorded) => Ok(recorded),
            (Backend::Advisory, Backend::Advisory) => Ok(Backend::Advisory),
            // Each lease carries its own length, so holders may differ in it.
            (Backend::Lease { length }, Backend::Lease { .. }) => Ok(Backend::Lease { length }),
            (asked, recorded) => {
                Err(Error::Mismatch { path: self.path.to_owned(), recorded: name_of(recorded), asked: name_of(asked) })
            }
        }
    }

    /// Writes the record, unless somebody else is first.
    fn record(&self, asked: Backend, bound: Duration) -> Result<(), Error> {
        let (backend, reason) = match asked {
            Backend::Lease { .. } => (asked, "as configured".to_owned()),
            asked => {
                let finding = probe(self.disk, &self.folder, bound).map_err(self.io("try the locks of folder"))?;
                match asked {
                    _ if finding.is_honest() => (Backend::Advisory, finding.to_string()),
                    // Somebody who asks by name knows of a remote file system what a probe cannot.
                    Backend::Advisory if matches!(finding, Finding::Remote { .. }) => {
                        (Backend::Advisory, format!("as configured, although {finding}"))
                    }
                    Backend::Advisory => return Err(Error::Unsupported { path: self.path.to_owned(), finding }),
                    _ => {
                        tracing::warn!(path = %self.path, %finding, "using leases instead of file locks");
                        (Backend::LEASE, finding.to_string())
                    }
                }
            }
        };
        let length_ms = match backend {
            Backend::Lease { length } => u64::try_from(length.as_millis()).ok(),
            _ => None,
        };
        let record = Record { format: FORMAT, backend: name_of(backend).to_owned(), length_ms, reason };
        self.publish(&record).map_err(self.io("record the backend in folder"))
    }

    fn publish(&self, record: &Record) -> io::Result<()> {
        let (disk, folder, to) = (self.disk.as_ref(), self.folder.as_ref(), Path::new(RECORD));
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        let new = PathBuf::from(format!("{RECORD_NEW_PREFIX}{:016x}", unique()?));
        let file = retry(|| disk.open(folder, &new, Open::CREATE_NEW))?;
        if cfg!(unix) {
            retry(|| disk.set_mode(&file, 0o600))?;
        }
        let written = write_all_at(disk, &file, &line, 0).and_then(|()| disk.sync(&file));
        disk.close(file);
        // Never over another's record: whoever comes second reads the first one's.
        let published = written.and_then(|()| match retry(|| disk.link(folder, &new, folder, to)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists && error.kind() != io::ErrorKind::NotFound => {
                retry(|| disk.rename(folder, &new, folder, to, Replace::No))
            }
            other => other,
        });
        let _ = disk.remove_file(folder, &new);
        match published {
            Err(error) if matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound) => Ok(()),
            Err(error) => Err(error),
            Ok(()) => disk.sync(folder),
        }
    }
}
