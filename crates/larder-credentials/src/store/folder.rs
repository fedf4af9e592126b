//! The folder of a private file, made with its parents when it is missing.

use std::io;
use std::path::Path;

use camino::Utf8Path;
use larder_system::{Disk, Handle, retry};

const FOLDER_MODE: u32 = 0o700;
/// How many folders are made on the way, far beyond any real path.
const PARENTS_MAX: usize = 64;

/// Opens the folder; what is missing of its path is made first, mode 0700 whatever the umask, and synced into its parent.
pub(super) fn open_or_make(disk: &dyn Disk, path: &Utf8Path) -> io::Result<Handle> {
    match retry(|| disk.open_root(path.as_std_path())) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => return opened,
    }
    let missing: Vec<&Utf8Path> = path
        .ancestors()
        .take(PARENTS_MAX)
        .take_while(|folder| !folder.as_str().is_empty() && is_missing(disk, folder))
        .collect();
    for folder in missing.into_iter().rev() {
        make(disk, folder)?;
    }
    retry(|| disk.open_root(path.as_std_path()))
}

fn is_missing(disk: &dyn Disk, path: &Utf8Path) -> bool {
    disk.root_metadata(path.as_std_path()).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Makes one folder; one that somebody else made a moment ago is as good.
fn make(disk: &dyn Disk, path: &Utf8Path) -> io::Result<()> {
    match retry(|| disk.make_root(path.as_std_path())) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(error),
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let parent = if parent.as_str().is_empty() { Utf8Path::new(".") } else { parent };
    let parent = retry(|| disk.open_root(parent.as_std_path()))?;
    if cfg!(unix) && disk.metadata_at(&parent, Path::new(name))?.mode & 0o777 != FOLDER_MODE {
        disk.set_mode_at(&parent, Path::new(name), FOLDER_MODE)?;
    }
    retry(|| disk.sync(&parent))
}
