//! Folders wherever the standard library runs.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::super::stamp::{Kind, Stamp};

/// A folder by its path.
pub(in crate::fingerprint) struct Folder(PathBuf);

impl Folder {
    pub(in crate::fingerprint) fn top() -> Self {
        Self(PathBuf::new())
    }

    pub(in crate::fingerprint) fn stamp(&self, name: &OsStr) -> io::Result<Stamp> {
        match std::fs::symlink_metadata(self.0.join(name)) {
            Ok(metadata) => Ok(stamp(&metadata)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(Stamp::ABSENT)
            }
            Err(error) => Err(error),
        }
    }

    pub(in crate::fingerprint) fn folder(&self, name: &OsStr) -> io::Result<Self> {
        self.expect(name, Kind::Folder)?;
        Ok(Self(self.0.join(name)))
    }

    /// The names in it, in no order; `None` when there are more than `max`.
    pub(in crate::fingerprint) fn names(&self, max: usize) -> io::Result<Option<Vec<OsString>>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.0)? {
            if names.len() == max {
                return Ok(None);
            }
            names.push(entry?.file_name());
        }
        Ok(Some(names))
    }

    /// The text of a link.
    pub(in crate::fingerprint) fn target(&self, name: &OsStr) -> io::Result<Vec<u8>> {
        Ok(std::fs::read_link(self.0.join(name))?.into_os_string().into_encoded_bytes())
    }

    pub(in crate::fingerprint) fn file(&self, name: &OsStr) -> io::Result<File> {
        self.expect(name, Kind::File)?;
        File::open(self.0.join(name))
    }

    fn expect(&self, name: &OsStr, kind: Kind) -> io::Result<()> {
        if self.stamp(name)?.kind == kind {
            Ok(())
        } else {
            Err(io::Error::other("it was replaced while it was being read"))
        }
    }
}

fn stamp(metadata: &Metadata) -> Stamp {
    let kind = match metadata.file_type() {
        kind if kind.is_file() => Kind::File,
        kind if kind.is_dir() => Kind::Folder,
        kind if kind.is_symlink() => Kind::Link,
        _ => Kind::Other,
    };
    let ns = |time: SystemTime| match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i128::try_from(after.as_nanos()).unwrap_or(i128::MAX),
        Err(before) => i128::try_from(before.duration().as_nanos()).map_or(i128::MIN, |ns| -ns),
    };
    let modified_ns = metadata.modified().map_or(0, ns);
    let (size, changed_ns) = (metadata.len(), modified_ns);
    Stamp { kind, size, executable: 0, device: 0, inode: 0, modified_ns, changed_ns }
}

/// A folder, whatever it is called.
pub(in crate::fingerprint) struct Same(Option<PathBuf>);

impl Same {
    pub(in crate::fingerprint) fn of(path: &Path) -> Self {
        Self(path.canonicalize().ok())
    }

    /// Whether it is the one at `path`.
    pub(in crate::fingerprint) fn is(&self, _stamp: &Stamp, path: &Path) -> bool {
        // a look at the name first, because the rest costs several calls for each folder
        let name = |path: &Path| path.file_name().map(OsStr::to_ascii_lowercase);
        self.0
            .as_ref()
            .is_some_and(|same| name(path) == name(same) && path.canonicalize().is_ok_and(|path| path == *same))
    }
}

/// A name as it is hashed.
#[cfg_attr(unix, expect(dead_code, reason = "tested beside that of Unix, which is the one in use"))]
pub(in crate::fingerprint) fn bytes(name: &OsStr) -> &[u8] {
    name.as_encoded_bytes()
}
