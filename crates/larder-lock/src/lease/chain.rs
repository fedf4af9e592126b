//! The one file of a lease, whose name is its state.

use std::io;
use std::path::{Path, PathBuf};

use larder_system::{Disk, Handle, Listed, Metadata, Open, Replace, read_exact_at, retry, unique, write_all_at};

use super::record::{BYTES, Record};
use crate::errno::says_gone;
use crate::locks::Shared;
use crate::process::Stamp;

/// Folders in the making are called so, until they are moved to their place.
pub(crate) const NEW_PREFIX: &str = "new-";
/// Folders on their way out.
pub(crate) const OLD_PREFIX: &str = "old-";

/// More names than this in one lease's folder are none of ours.
const LISTED_MAX: usize = 1_000;

/// A lease's file, open, under the name that it had when it was found.
#[derive(Debug)]
pub(crate) struct Link {
    folder: Handle,
    folder_found: Metadata,
    file: Handle,
    epoch: u64,
    pub(crate) token: u64,
}

/// What a look for a lease found.
pub(crate) enum Located {
    Link(Link),
    /// No folder, or one with nothing in it.
    Nothing,
    /// It was there a moment ago, and has another name by now.
    Moved,
}

fn file_name(epoch: u64, token: u64) -> PathBuf {
    PathBuf::from(format!("{epoch:016x}.{token:016x}"))
}

fn parse(name: &str) -> Option<(u64, u64)> {
    let (epoch, token) = name.split_once('.')?;
    if epoch.len() != 16 || token.len() != 16 {
        return None;
    }
    Some((u64::from_str_radix(epoch, 16).ok()?, u64::from_str_radix(token, 16).ok()?))
}

/// Finds the lease's file by listing its folder, which holds that one name.
pub(crate) fn locate(shared: &Shared, path: &Path) -> io::Result<Located> {
    let disk = shared.disk.as_ref();
    let folder = match retry(|| disk.open(&shared.folder, path, Open::FOLDER)) {
        Ok(folder) => folder,
        Err(error) if says_gone(&error) => return Ok(Located::Nothing),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    loop {
        match retry(|| disk.list(&folder, &mut names)) {
            Ok(true) if names.len() < LISTED_MAX => {}
            Ok(_) => break,
            // Retired since it was opened.
            Err(error) if says_gone(&error) => return Ok(Located::Moved),
            Err(error) => return Err(error),
        }
    }
    let newest = names.iter().filter_map(|listed| parse(listed.name.to_str()?)).max_by_key(|(_, token)| *token);
    let Some((epoch, token)) = newest else { return Ok(Located::Nothing) };
    let file = match retry(|| disk.open(&folder, &file_name(epoch, token), Open::READ_WRITE)) {
        Ok(file) => file,
        Err(error) if says_gone(&error) => return Ok(Located::Moved),
        Err(error) => return Err(error),
    };
    let folder_found = disk.metadata(&folder)?;
    Ok(Located::Link(Link { folder, folder_found, file, epoch, token }))
}

/// Makes the folder and first file of a lease. It is not an error when somebody else was first or came in between: the
/// caller looks again.
pub(crate) fn begin(shared: &Shared, path: &Path, length: std::time::Duration) -> io::Result<()> {
    let disk = shared.disk.as_ref();
    let new = PathBuf::from(format!("{NEW_PREFIX}{:016x}", unique()?));
    retry(|| disk.make_folder(&shared.folder, &new))?;
    let moved = fill(shared, &new, length).and_then(|()| {
        retry(|| disk.rename(&shared.folder, &new, &shared.folder, path, Replace::Yes)).or_else(|error| {
            // Where a move does not replace an empty folder, that folder has to go first; a full one stays.
            remove_folder(shared, path)?;
            retry(|| disk.rename(&shared.folder, &new, &shared.folder, path, Replace::Yes)).map_err(|_| error)
        })
    });
    let Err(error) = moved else { return Ok(()) };
    discard(shared, &new);
    match error.kind() {
        // Somebody was first, though it may be over again by now.
        io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists => Ok(()),
        // A sweep took it for a leftover.
        _ if says_gone(&error) => Ok(()),
        _ => Err(error),
    }
}

fn fill(shared: &Shared, new: &Path, length: std::time::Duration) -> io::Result<()> {
    let disk = shared.disk.as_ref();
    // A hostile umask may have kept even the owner out.
    if cfg!(unix) && disk.metadata_at(&shared.folder, new)?.mode & 0o700 != 0o700 {
        retry(|| disk.set_mode_at(&shared.folder, new, 0o700))?;
    }
    let folder = retry(|| disk.open(&shared.folder, new, Open::FOLDER))?;
    let name = file_name(unique()?, 0);
    let file = retry(|| disk.open(&folder, &name, Open::CREATE_NEW))?;
    if cfg!(unix) && disk.metadata(&file)?.mode & 0o600 != 0o600 {
        retry(|| disk.set_mode(&file, 0o600))?;
    }
    let record = Record::first(length, Stamp::now(shared.clock.as_ref(), None));
    write_all_at(disk, &file, &record.bytes(), 0)
}

/// Removes a folder in the making, unless its maker is known to be alive. A maker that is alive and not known to be
/// makes another.
pub(crate) fn discard_leftover(shared: &Shared, new: &Path) -> bool {
    let maker = match locate(shared, new) {
        Ok(Located::Link(link)) => link.look(shared.disk.as_ref()).ok().and_then(|look| Record::read(&look, &link)),
        _ => None,
    };
    let alive = maker.is_some_and(|record| record.holder.is_proven_alive(shared.clock.as_ref()));
    if !alive {
        discard(shared, new);
    }
    !alive
}

/// Removes a folder in the making, whoever made it. It is first given a name under which nobody moves it to its place;
/// a maker that is alive finds it gone and makes another.
pub(crate) fn discard(shared: &Shared, new: &Path) {
    let disk = shared.disk.as_ref();
    let Some(rest) = new.to_str().and_then(|name| name.strip_prefix(NEW_PREFIX)) else { return };
    let old = PathBuf::from(format!("{OLD_PREFIX}{rest}"));
    if disk.rename(&shared.folder, new, &shared.folder, &old, Replace::Yes).is_ok() {
        remove_old(shared, &old);
    }
}

/// Removes a folder on its way out. What cannot be removed stays for the next sweep.
pub(crate) fn remove_old(shared: &Shared, old: &Path) {
    let disk = shared.disk.as_ref();
    let Ok(folder) = disk.open(&shared.folder, old, Open::FOLDER) else { return };
    let mut names: Vec<Listed> = Vec::new();
    while names.len() < LISTED_MAX && matches!(disk.list(&folder, &mut names), Ok(true)) {}
    for listed in &names {
        let _ = disk.remove_file(&folder, Path::new(&listed.name));
    }
    let _ = disk.remove_folder(&shared.folder, old);
}

/// Removes a lease's folder if nothing is in it. True when it is gone.
pub(crate) fn remove_folder(shared: &Shared, path: &Path) -> io::Result<bool> {
    match retry(|| shared.disk.remove_folder(&shared.folder, path)) {
        Ok(()) => Ok(true),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound => Ok(true),
            io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists => Ok(false),
            _ => Err(error),
        },
    }
}

/// Whether the lease's folder still has its name, and its file too.
pub(crate) fn is_in_place(shared: &Shared, path: &Path, link: &Link) -> io::Result<bool> {
    match shared.disk.metadata_at(&shared.folder, path) {
        Ok(now) => Ok(now.is_same_file(&link.folder_found) && link.is_named(shared.disk.as_ref())?),
        Err(error) if says_gone(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

impl Link {
    /// The content as it is.
    pub(crate) fn look(&self, disk: &dyn Disk) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0_u8; BYTES];
        let have = read_exact_at(disk, &self.file, &mut bytes, 0)?;
        bytes.truncate(have);
        Ok(bytes)
    }

    pub(super) fn write(&self, disk: &dyn Disk, record: &Record) -> io::Result<()> {
        write_all_at(disk, &self.file, &record.bytes(), 0)
    }

    pub(super) const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether the file still has this token.
    pub(super) fn is_named(&self, disk: &dyn Disk) -> io::Result<bool> {
        match retry(|| disk.metadata_at(&self.folder, &file_name(self.epoch, self.token))) {
            Ok(_) => Ok(true),
            Err(error) if says_gone(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) fn is_current(&self, disk: &dyn Disk) -> bool {
        self.is_named(disk).unwrap_or(false)
    }

    /// The next token, for whoever is first: the others find the source of the move gone.
    pub(super) fn advance(self, disk: &dyn Disk) -> io::Result<Option<Self>> {
        let Some(token) = self.token.checked_add(1) else { return Err(io::ErrorKind::FileTooLarge.into()) };
        let (from, to) = (file_name(self.epoch, self.token), file_name(self.epoch, token));
        match retry(|| disk.rename(&self.folder, &from, &self.folder, &to, Replace::Yes)) {
            Ok(()) => Ok(Some(Self { token, ..self })),
            Err(error) if says_gone(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes the file if it still has this token.
    pub(super) fn remove(&self, disk: &dyn Disk) -> io::Result<()> {
        match retry(|| disk.remove_file(&self.folder, &file_name(self.epoch, self.token))) {
            Err(error) if !says_gone(&error) => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_file_name_gives_its_epoch_and_token_back(epoch: u64, token: u64) {
            prop_assert_eq!(parse(file_name(epoch, token).to_str().unwrap()), Some((epoch, token)));
        }

        #[test]
        fn any_file_name_is_parsed_without_panic(name in "\\PC{0,40}") {
            let _ = parse(&name);
        }
    }
}
