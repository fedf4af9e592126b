//! Fingerprints of files and folders: taken before a document is made, compared whenever it is asked for.
//!
//! A [`Dependency`] is a path, a digest of **all** that lies there, and a signature of its files' stamps. Unchanged is what
//! has the same signature, without a byte being read; otherwise contents are read and decide. So a touch is no change, and
//! a file that was rewritten and had its modification time set back is one.
//!
//! # What counts
//!
//! | change | counts |
//! |---|---|
//! | a file's bytes, or whether anybody may execute it | yes |
//! | a name below a folder: added, removed, renamed | yes |
//! | a path that appears, disappears, or becomes another kind (file, folder, link, …) | yes |
//! | the text of a symbolic link; links are never followed, also not a dependency that is one | yes |
//! | what lies at a link's target | no: name it as a dependency of its own |
//! | a pipe, a socket, a device: that it is there | yes; it is never opened |
//! | times, owners, other permissions, the order of names in a folder | no |
//!
//! # Why stamps may be believed
//!
//! A file's stamp is its size, inode, device, and times of last modification and change. No user can set back the time of
//! change (`ctime`), so that who writes a file changes its stamp, *unless* it is written twice within one tick of the file
//! system's clock and was read in between: what git calls racily clean (its `racy-git` document). Therefore a
//! signature is kept only if each stamp was older, when the fingerprint was taken, than that clock may be coarse:
//! 100 ms where times have a fraction of a second (the kernel's clock ticks at least each 10 ms, and exFAT counts those),
//! 2 s where they have not (FAT's modification times). Otherwise contents are read each time, until
//! [`Fingerprints::settle`] or the next fingerprint finds the files at rest. Nor is a file believed whose length is not what its stamp
//! says, as those of `/proc` are. Where there is no time of change (Windows), contents are read each time.

mod change;
mod dependency;
mod error;
mod limits;
mod paths;

mod digest;
mod folder;
mod stamp;
mod walk;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use larder_system::Clock;

pub use self::change::{Change, Why};
pub use self::dependency::Dependency;
pub use self::digest::Digest;
pub use self::error::Error;
pub use self::limits::Limits;
pub use self::paths::Paths;
use self::walk::{Excluded, Sums, Walk};

/// Takes fingerprints, and compares them.
///
/// ```
/// use std::sync::Arc;
/// use larder_system::SystemClock;
/// use larder_watch::fingerprint::{Fingerprints, Paths};
///
/// # let scratch = larder_testkit::Scratch::new("fingerprints");
/// # let folder = scratch.path();
/// std::fs::write(folder.join("a.rs"), "fn main() {}")?;
/// let fingerprints = Fingerprints::new(Arc::new(SystemClock::new()));
/// let paths = Paths::new([folder])?;
/// let dependencies = fingerprints.take(&paths)?; // before the document is made
/// assert!(fingerprints.check(&dependencies, &paths).is_none());
///
/// std::fs::write(folder.join("b.rs"), "")?;
/// let change = fingerprints.check(&dependencies, &paths).ok_or("a file was added")?;
/// assert!(change.to_string().ends_with("has changed"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Fingerprints {
    clock: Arc<dyn Clock>,
    limits: Limits,
    excluded: Option<Excluded>,
}

impl Fingerprints {
    /// By this clock, within the default [`Limits`].
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, limits: Limits::default(), excluded: None }
    }

    /// Within these limits.
    #[must_use]
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Leaves out this folder wherever it lies below a dependency: the cache's own, which each answer changes. A dependency
    /// that lies in it is refused. It need not exist.
    #[must_use]
    pub fn leaving_out(mut self, folder: &Path) -> Self {
        self.excluded = Some(Excluded::new(folder));
        self
    }

    /// The fingerprints of what lies at these paths now. To be taken before whatever reads the files is started, so that
    /// what changes meanwhile is noticed. A path at which there is nothing has a fingerprint too.
    ///
    /// It reads every file. It takes no longer than the limits allow, as long as the system's calls return.
    ///
    /// # Errors
    /// Something cannot be read or exceeds a limit, or a dependency lies in the folder that is left out; see [`Error`].
    pub fn take(&self, paths: &Paths) -> Result<Vec<Dependency>, Error> {
        let mut walk = self.walk();
        let taken = paths.iter().map(|path| {
            walk.refuse_excluded(path)?;
            let taken_ms = self.wall_ms();
            let Sums { content, signature, .. } = walk.read(path, taken_ms)?;
            Ok(Dependency { path: path.to_owned(), content, signature, taken_ms })
        });
        let taken = taken.collect::<Result<Vec<_>, _>>()?;
        Dependency::refuse_long(&taken)?;
        Ok(taken)
    }

    /// Takes those anew that can only be compared by reading, because a file had been written just before. Those that are
    /// still the same, and at rest by now, can be compared cheaply from now on; the others stay as they are. To be called
    /// when the document has been made.
    pub fn settle(&self, dependencies: &mut [Dependency]) {
        if !stamp::ARE_SOUND {
            return;
        }
        let mut walk = self.walk();
        for dependency in dependencies.iter_mut().filter(|dependency| dependency.signature.is_none()) {
            let taken_ms = self.wall_ms();
            let Ok(sums) = walk.read(&dependency.path, taken_ms) else { continue };
            if sums.content == dependency.content && sums.signature.is_some() {
                (dependency.signature, dependency.taken_ms) = (sums.signature, taken_ms);
            }
        }
    }

    /// What has changed since, if anything has: the first of these dependencies that is no longer what it was, or of the
    /// paths that this caller names and no fingerprint was taken of. What cannot be read counts as changed.
    pub fn check(&self, dependencies: &[Dependency], named: &Paths) -> Option<Change> {
        let is_known = |path| dependencies.iter().any(|dependency| dependency.path == path);
        if let Some(unknown) = named.iter().find(|path| !is_known(*path)) {
            return Some(Change::new(unknown.as_std_path(), Why::NeverTaken));
        }
        if dependencies.is_empty() {
            return None;
        }
        let mut walk = self.walk();
        dependencies.iter().find_map(|dependency| walk.check(dependency))
    }

    /// What tells by stamps alone whether anything has changed: equal for a path where nothing has. `None` when it cannot be told.
    pub(crate) fn stamp(&self, path: &camino::Utf8Path) -> Option<Digest<16>> {
        self.walk().sign(path)
    }

    /// Whether it lies in the folder that is left out.
    pub(crate) fn leaves_out(&self, path: &Path) -> bool {
        self.excluded.as_ref().is_some_and(|excluded| excluded.covers(path))
    }

    fn walk(&self) -> Walk<'_> {
        Walk::new(&*self.clock, &self.limits, self.excluded.as_ref())
    }

    fn wall_ms(&self) -> u64 {
        let since = self.clock.wall().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}
