//! The paths that a caller names.

use std::path::{Path, PathBuf};

use camino::{Utf8Path, Utf8PathBuf};

use super::error::Error;

/// The paths that a document depends on: absolute, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paths(Vec<Utf8PathBuf>);

impl Paths {
    /// The most that a document may have.
    pub const COUNT_MAX: usize = 64;

    /// These paths; relative ones lie in the working folder of this moment. `.` and closing slashes go, `..` stays, because
    /// only the file system knows where it leads. Nothing is looked at.
    ///
    /// # Errors
    /// One is empty or not UTF-8, there are too many, or the working folder cannot be told.
    pub fn new<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Self, Error> {
        let mut all = Vec::new();
        for path in paths {
            let path = absolute(path.as_ref())?;
            if !all.contains(&path) {
                all.push(path);
            }
            if all.len() > Self::COUNT_MAX {
                return Err(Error::TooMany { count: all.len(), max: Self::COUNT_MAX });
            }
        }
        Ok(Self(all))
    }

    /// Them, in the order in which they were named.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Utf8Path> {
        self.0.iter().map(Utf8PathBuf::as_path)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn absolute(path: &Path) -> Result<Utf8PathBuf, Error> {
    let not_text = |path: &Path| Error::NotText { path: path.to_owned() };
    let text = Utf8Path::from_path(path).ok_or_else(|| not_text(path))?;
    if text.as_str().is_empty() {
        return Err(Error::Empty);
    }
    let from_root = std::path::absolute(path).map_err(|source| Error::NoFolder { path: text.to_owned(), source })?;
    // by its components, because a closing slash would follow a link
    let parts: PathBuf = from_root.components().collect();
    Utf8PathBuf::from_path_buf(parts).map_err(|path| not_text(&path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_absolute_and_each_comes_once() {
        let here = std::env::current_dir().unwrap();
        let paths = Paths::new(["a", "./a/", ".", "b/../c"]).unwrap();
        let found: Vec<_> = paths.iter().map(Utf8Path::as_std_path).collect();
        assert_eq!(found, [here.join("a"), here.clone(), here.join("b/../c")]);
    }

    #[test]
    fn what_is_no_path_is_refused() {
        assert!(matches!(Paths::new([""]), Err(Error::Empty)));
        let many = (0..=Paths::COUNT_MAX).map(|number| number.to_string());
        assert!(matches!(Paths::new(many), Err(Error::TooMany { count: 65, max: 64 })));
    }

    #[cfg(unix)]
    #[test]
    fn a_path_that_is_no_text_is_refused() {
        use std::os::unix::ffi::OsStrExt as _;
        let odd = std::ffi::OsStr::from_bytes(b"/\xff");
        assert!(matches!(Paths::new([odd]), Err(Error::NotText { .. })));
    }
}
