//! A folder of a test's own, gone when the test has passed and kept when it has not.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use camino::{Utf8Path, Utf8PathBuf};

/// A fresh folder on a real file system.
///
/// Dropped, it is removed with all that is in it; while its test panics, it is kept and its path printed.
///
/// # Platform
/// It lies in `CARGO_TARGET_TMPDIR` when that is set at run time, else in the `tmp` of the target folder that the test
/// runs from, else in the system's folder for temporary files.
///
/// ```
/// let scratch = larder_testkit::Scratch::new("example");
/// std::fs::write(scratch.join("a"), b"bytes")?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Scratch {
    path: Utf8PathBuf,
}

impl Scratch {
    /// A fresh folder, whose path contains `name`, for its owner alone.
    ///
    /// # Panics
    /// It cannot be made, or its path would not be UTF-8.
    pub fn new(name: &str) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let unique = larder_system::unique().expect("the system has random numbers");
        let path = place().join(format!("{name}-{}-{count}-{unique:016x}", std::process::id()));
        make(&path).unwrap_or_else(|error| panic!("cannot make {}: {error}", path.display()));
        // Tests compare paths with what the system answers, which knows no links.
        let path = path.canonicalize().unwrap_or_else(|error| panic!("cannot resolve {}: {error}", path.display()));
        Self { path: Utf8PathBuf::from_path_buf(path).expect("the target folder has a UTF-8 path") }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.path.as_std_path()
    }

    /// The folder, as text.
    pub fn utf8_path(&self) -> &Utf8Path {
        &self.path
    }

    /// A path in the folder.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path().join(name)
    }
}

impl AsRef<Path> for Scratch {
    fn as_ref(&self) -> &Path {
        self.path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "kept for a look: {}", self.path);
            return;
        }
        if std::fs::remove_dir_all(&self.path).is_err() {
            // A test may have taken permissions away below.
            allow_writing(self.path.as_std_path());
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

fn place() -> PathBuf {
    if let Some(folder) = std::env::var_os("CARGO_TARGET_TMPDIR") {
        return folder.into();
    }
    // target/<profile>/deps/<test>
    let program = std::env::current_exe().ok();
    let target = program.as_deref().and_then(|program| {
        let parts = program.ancestors().find(|folder| folder.ends_with("deps") || folder.ends_with("examples"))?;
        parts.parent()?.parent().map(|target| target.join("tmp"))
    });
    target.unwrap_or_else(std::env::temp_dir)
}

/// Makes the folder and its parents, with the mode of a cache's root.
fn make(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(unix)]
fn allow_writing(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let _ = std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700));
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            allow_writing(&entry.path());
        }
    }
}

#[cfg(not(unix))]
fn allow_writing(_folder: &Path) {}
