//! The folder of a run: gone after a clean one, kept after any other.

use camino::{Utf8Path, Utf8PathBuf};

use crate::failure::{Doing as _, Failure};

/// A folder that is removed with all that is in it, unless it is to be kept.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: Utf8PathBuf,
    kept: bool,
}

#[expect(clippy::disallowed_methods, reason = "the stress's own folder: nothing in it outlives a clean run")]
impl Scratch {
    /// A new folder in `parent`, which is made if it is not there.
    pub(crate) fn new(parent: &Utf8Path) -> Result<Self, Failure> {
        let what = || format!("make a folder in {parent}");
        std::fs::create_dir_all(parent).doing(what())?;
        let parent = parent.canonicalize_utf8().doing(what())?;
        let path = parent.join(format!("stress-{}", std::process::id()));
        std::fs::create_dir(&path).doing(what())?;
        Ok(Self { path, kept: false })
    }

    pub(crate) fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// For a look at what went wrong.
    pub(crate) fn keep(&mut self) -> &Utf8Path {
        self.kept = true;
        &self.path
    }
}

#[expect(clippy::disallowed_methods, reason = "the stress's own folder: nothing in it outlives a clean run")]
impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.kept {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// A new folder, with its parents.
#[expect(clippy::disallowed_methods, reason = "a folder of the stress's own, beside what it judges")]
pub(crate) fn make(path: &Utf8Path) -> Result<(), Failure> {
    std::fs::create_dir_all(path).doing(format!("make {path}"))
}

/// Removes a folder that a scene is done with; the run's end removes what cannot be removed now.
#[expect(clippy::disallowed_methods, reason = "a folder of the stress's own, beside what it judges")]
pub(crate) fn remove(path: &Utf8Path) {
    let _ = std::fs::remove_dir_all(path);
}
