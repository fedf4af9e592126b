//! The folder of a run: new for each run, gone after it.

use camino::{Utf8Path, Utf8PathBuf};

use crate::run::Error;

/// A folder that is removed with all that is in it.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: Utf8PathBuf,
}

#[expect(clippy::disallowed_methods, reason = "the benchmark's own folder: nothing in it outlives the run")]
impl Scratch {
    /// A new folder in `parent`, which is made if it is not there.
    pub(crate) fn new(parent: &Utf8Path) -> Result<Self, Error> {
        let failed = |source| Error::io("make a folder in", parent, source);
        std::fs::create_dir_all(parent).map_err(failed)?;
        let parent = parent.canonicalize_utf8().map_err(failed)?;
        let path = parent.join(format!("bench-{}", std::process::id()));
        std::fs::create_dir(&path).map_err(|source| Error::io("make", &path, source))?;
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// A new folder in it.
    pub(crate) fn folder(&self, name: &str) -> Result<Utf8PathBuf, Error> {
        let path = self.path.join(name);
        std::fs::create_dir_all(&path).map_err(|source| Error::io("make", &path, source))?;
        Ok(path)
    }
}

#[expect(clippy::disallowed_methods, reason = "the benchmark's own folder: nothing in it outlives the run")]
impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            eprintln!("{} stays behind: {error}", self.path);
        }
    }
}
