//! Which configurations of working folders may run their commands: those whose very content somebody has looked at there.
//!
//! One empty file for each, in the user's folder, whose name is a digest of the folder and the content. A change of either
//! is another digest, so that nothing has to be taken back.

use std::io;
use std::path::{Path, PathBuf};

use larder_system::{Disk as _, Open, SystemDisk};

use crate::place;

/// Tells these digests from all others.
const DOMAIN: &[u8] = b"larder trusts 1";
/// The folders below the user's own, from the top.
const FOLDERS: [&str; 2] = ["larder", "trusted"];

/// Why a configuration could not be trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    /// Nothing says where the user keeps configurations.
    #[error("nothing says where what is trusted could be kept: set {}", place::CONFIG_VARIABLES)]
    Homeless,
    /// The folder has no name.
    #[error("cannot tell the working folder: change to one that exists")]
    Folder(#[source] io::Error),
    /// It cannot be kept.
    #[error("cannot keep in {} that it is trusted", path.display())]
    Unkept {
        /// The folder.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

/// Whether this content was trusted in this working folder.
pub(super) fn is_trusted(bytes: &[u8]) -> bool {
    let (Ok(name), Some(folder)) = (name(bytes), folder()) else { return false };
    std::fs::symlink_metadata(folder.join(name)).is_ok_and(|found| found.is_file())
}

/// Trusts this content in this working folder.
pub(super) fn trust(bytes: &[u8]) -> Result<(), Error> {
    let name = name(bytes).map_err(Error::Folder)?;
    let parent = place::config_folder().ok_or(Error::Homeless)?;
    let path = folder().ok_or(Error::Homeless)?;
    let disk = SystemDisk::new();
    let kept = make(&disk, &parent).and_then(|()| {
        let folder = disk.open_root(&path)?;
        match disk.open(&folder, Path::new(&name), Open::CREATE_NEW) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => disk.sync(&folder),
        }
    });
    kept.map_err(|source| Error::Unkept { path, source })
}

/// Makes the folders that are missing, each for its owner alone.
fn make(disk: &SystemDisk, parent: &Path) -> io::Result<()> {
    let mut path = parent.to_owned();
    for folder in std::iter::once("").chain(FOLDERS) {
        if !folder.is_empty() {
            path.push(folder);
        }
        match disk.make_root(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn folder() -> Option<PathBuf> {
    Some(FOLDERS.iter().fold(place::config_folder()?, |path, folder| path.join(folder)))
}

/// The folder by its real path, whatever links lead there: the same words elsewhere run other programs.
fn name(bytes: &[u8]) -> io::Result<String> {
    let folder = std::env::current_dir()?.canonicalize()?;
    let folder = folder.as_os_str().as_encoded_bytes();
    let mut hasher = blake3::Hasher::new();
    for part in [DOMAIN, folder, bytes] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    Ok(hasher.finalize().to_hex().to_string())
}
