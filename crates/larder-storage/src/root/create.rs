//! Making a root: safe against another process making the same one, and against a crash at any step.

use std::io;
use std::path::Path;

use camino::Utf8Path;
use larder_lock::Backend;
use larder_system::{retry, unique};

use super::format::Format;
use super::{Error, FORMAT, LOCKS, Root, Surroundings, open_folder};
use crate::failure::{Context, Failure};

/// How long a lock call may take to answer before leases are used instead.
const PROBE_BOUND: std::time::Duration = std::time::Duration::from_secs(2);
const TAG: &str = "CACHEDIR.TAG";
/// The signature is fixed by the Cache Directory Tagging Specification, <https://bford.info/cachedir/>.
const TAG_CONTENT: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
    # This folder is a larder cache: it can be left out of backups, and everything in it can be fetched again.\n";

impl Root {
    /// Opens the root at `path`, making it if it is not there. A folder that is there already keeps its mode and its
    /// files.
    pub(crate) fn open_or_create(around: &Surroundings, path: &Utf8Path) -> Result<Self, Error> {
        if let Some(root) = Self::open(around, path)? {
            return Ok(root);
        }
        if !around.writable {
            return Err(Error::ReadOnly { path: path.to_owned() });
        }
        make_folders(around, path)?;
        let Some(handle) = open_folder(around, path)? else {
            return Err(Failure::new("open", path, io::ErrorKind::NotFound.into()).into());
        };
        let backend = match around.backend {
            Backend::Auto => probe(around, &handle, path)?,
            chosen => chosen,
        };
        let random = || unique().context("draw an identity for", path);
        let identity = u128::from(random()?) << 64 | u128::from(random()?);
        let root = Self::with_format(around, path, handle, Format::new(identity, backend))?;
        root.publish_format()?;
        // somebody else may have been first: what they wrote counts
        Self::open(around, path)?
            .ok_or_else(|| Failure::new("open", path.join(FORMAT), io::ErrorKind::NotFound.into()).into())
    }

    /// Everything a root consists of, `format.yaml` last: until it is there, the folder is no root.
    fn publish_format(&self) -> Result<(), Error> {
        self.writing()?;
        self.publish_once(TAG, TAG_CONTENT)?;
        self.publish_once(FORMAT, &self.format.encode())?;
        crate::folder::sync(self.disk(), &self.handle).context("sync", &self.path)?;
        Ok(())
    }

    /// Gives `name` its content unless it has one.
    fn publish_once(&self, name: &str, content: &str) -> Result<(), Error> {
        let mut temporary = self.writing()?.temporaries.create()?;
        temporary.write(&[content.as_bytes()])?;
        temporary.sync()?;
        let (from, _) = temporary.folder();
        match link_once(self, from, temporary.name(), Path::new(name)) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(Failure::new("make", self.path.join(name), error).into()),
        }
    }
}

fn link_once(root: &Root, from: &larder_system::Handle, name: &Path, to: &Path) -> io::Result<()> {
    retry(|| root.disk().link(from, name, &root.handle, to))
}

/// Makes the folder and the missing ones above it, each synced into its parent.
fn make_folders(around: &Surroundings, path: &Utf8Path) -> Result<(), Error> {
    let disk = &*around.disk;
    let is_missing = |folder: &&Utf8Path| {
        disk.root_metadata(folder.as_std_path()).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    let folders = || path.ancestors().filter(|folder| !folder.as_str().is_empty());
    let missing: Vec<&Utf8Path> = folders().take_while(is_missing).collect();
    if let Some(present) = folders().nth(missing.len()) {
        sync_name(around, present)?;
    }
    for folder in missing.into_iter().rev() {
        let made = match retry(|| disk.make_root(folder.as_std_path())) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(Failure::new("make", folder, error).into()),
        };
        let parent = folder.parent().filter(|parent| !parent.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
        let handle = retry(|| disk.open_root(parent.as_std_path())).context("open", parent)?;
        if let (true, Some(name)) = (made, folder.file_name()) {
            crate::folder::fix_mode(disk, &handle, Path::new(name)).context("set the mode of", folder)?;
        }
        let synced = disk.sync(&handle).context("sync", parent);
        disk.close(handle);
        synced?;
    }
    Ok(())
}

/// Syncs the name of a folder that is there. A process that was killed making the folders may not have come to that for
/// the last of them.
fn sync_name(around: &Surroundings, folder: &Utf8Path) -> Result<(), Error> {
    let Some(parent) = folder.parent() else { return Ok(()) };
    let parent = if parent.as_str().is_empty() { Utf8Path::new(".") } else { parent };
    // a folder whose parent may not be opened was made by somebody else, for us to use
    let Ok(handle) = retry(|| around.disk.open_root(parent.as_std_path())) else { return Ok(()) };
    let synced = around.disk.sync(&handle).context("sync", parent);
    around.disk.close(handle);
    Ok(synced?)
}

/// Finds out which kind of locks works here.
fn probe(around: &Surroundings, handle: &larder_system::Handle, path: &Utf8Path) -> Result<Backend, Error> {
    let folder = crate::folder::open_or_make(&*around.disk, handle, Path::new(LOCKS), false);
    let folder = std::sync::Arc::new(folder.context("make", path.join(LOCKS))?);
    let finding = larder_lock::probe(&around.disk, &folder, PROBE_BOUND).context("try locks in", path.join(LOCKS))?;
    if finding.is_honest() {
        return Ok(Backend::Advisory);
    }
    tracing::warn!(%path, %finding, "file locks cannot be relied on here: the root is made with leases");
    Ok(Backend::LEASE)
}
