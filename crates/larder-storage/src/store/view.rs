//! Views: files for people and other tools, made from entries and journals, never read back.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use larder_lock::{Guard, Mode, Wait};
use larder_system::{Handle, Kind, Open, Replace, retry};

use super::Store;
use crate::failure::Failure;
use crate::key::Prefix;
use crate::location;
use crate::put::Error;
use crate::root::{ENTRIES, Root};

/// The view of a library, in its folder of entries. No entry has such a name, and a folder that has it comes first.
pub(crate) const LIBRARY: &str = "meta.yaml";
/// Whoever holds it writes views; others leave it to him.
const LOCK: &str = "//views";

/// Which view.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum View<'a> {
    /// `index.yaml`: everything that is stored.
    Index,
    /// `metrics.yaml`: everything that was counted.
    Metrics,
    /// `meta.yaml` in the folder of a library, the prefix of one segment.
    Library(&'a Prefix),
}

/// The right to write views, which one process has at a time: what is written later was made later.
#[derive(Debug)]
#[must_use = "dropping this lets others write views"]
pub struct Views {
    root: Arc<Root>,
    _guard: Guard,
}

impl Store {
    /// Takes the right to write views, before what they are made of is read; `None` when another process has it beyond `wait`,
    /// or there is no root.
    ///
    /// # Errors
    /// The root cannot be written.
    pub fn views(&self, wait: &Wait) -> Result<Option<Views>, Error> {
        if self.reading()?.is_none() {
            return Ok(None);
        }
        let root = self.prepared_now()?;
        let guard = match root.writing()?.locks.acquire(LOCK, Mode::Exclusive, wait) {
            Ok(guard) => guard,
            Err(error) if error.is_contention() => return Ok(None),
            Err(error) => return Err(Failure::new("lock", root.path.join(LOCK), io::Error::other(error)).into()),
        };
        Ok(Some(Views { root, _guard: guard }))
    }
}

impl Views {
    /// Gives a view its content, whole from the moment it is seen; synced by nobody, because it can be made again. False, and
    /// nothing happens, when the library has no folder.
    ///
    /// # Errors
    /// The root cannot be written, or something else has the name.
    pub fn publish(&self, view: &View<'_>, content: &[u8]) -> Result<bool, Error> {
        let root = &self.root;
        let writing = root.writing()?;
        let Some((folder, name)) = view.place() else { return Ok(false) };
        let path = || root.path.join(folder.to_string_lossy().as_ref()).join(name);
        let parent = match retry(|| root.disk().open(&root.handle, &folder, Open::FOLDER)) {
            Ok(parent) => parent,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(Failure::new("open", path(), error).into()),
        };
        let mut temporary = writing.temporaries.create()?;
        temporary.write(&[content])?;
        let (from, _) = temporary.folder();
        let renamed = retry(|| root.disk().rename(from, temporary.name(), &parent, Path::new(name), Replace::Yes));
        root.disk().close(parent);
        renamed.map_err(|error| Failure::new("publish", path(), error))?;
        if let Some(file) = temporary.disarm() {
            root.disk().close(file);
        }
        Ok(true)
    }
}

impl Store {
    /// How long ago a view was written, by the wall clock; `None` when it is not there, or is from the future.
    pub fn view_age(&self, view: &View<'_>) -> Option<Duration> {
        let root = self.reading().ok()??;
        let (folder, name) = view.place()?;
        let parent = retry(|| root.disk().open(&root.handle, &folder, Open::FOLDER)).ok()?;
        let found = root.disk().metadata_at(&parent, Path::new(name));
        root.disk().close(parent);
        let written = UNIX_EPOCH.checked_add(Duration::from_nanos(u64::try_from(found.ok()?.modified_ns).ok()?))?;
        root.around.clock.wall().duration_since(written).ok()
    }
}

impl View<'_> {
    /// Its folder, from the root, and its name.
    fn place(&self) -> Option<(PathBuf, &'static str)> {
        match self {
            View::Index => Some((PathBuf::from("."), "index.yaml")),
            View::Metrics => Some((PathBuf::from("."), "metrics.yaml")),
            View::Library(prefix) => {
                let folder = location::folder_of(prefix).filter(|_| prefix.segments().count() == 1)?;
                Some((Path::new(ENTRIES).join(folder), LIBRARY))
            }
        }
    }
}

/// Whether a name in the folder of a library is that of its view.
pub(super) fn is_library(name: &std::ffi::OsStr, kind: Kind, depth: usize) -> bool {
    depth == 1 && name == LIBRARY && kind != Kind::Folder
}

/// Removes the view of a library that has nothing else in its folder; whether the folder is empty now.
pub(super) fn remove_lonely(root: &Root, parent: &Handle, folder: &Path) -> bool {
    let names = crate::folder::names(root.disk(), parent, folder).unwrap_or_default();
    let is_lonely = matches!(names.as_slice(), [only] if is_library(&only.name, only.kind, 1));
    if !is_lonely {
        return false;
    }
    let Ok(opened) = retry(|| root.disk().open(parent, folder, Open::FOLDER)) else { return false };
    let removed = retry(|| root.disk().remove_file(&opened, Path::new(LIBRARY))).is_ok();
    root.disk().close(opened);
    removed
}
