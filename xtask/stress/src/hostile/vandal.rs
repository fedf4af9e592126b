//! Damages whatever it finds in the root: flips bits, cuts, grows, wipes, and puts files in the place of others.

use std::path::{Path, PathBuf};

use camino::Utf8Path;
use larder_system::{Disk as _, Handle, Open, Replace, SystemDisk};

use super::tree;
use crate::failure::{Doing as _, Failure};
use crate::worker::Worker;

/// Files that one look goes through.
const FILES_MAX: usize = 4_000;
/// How often the root is looked through, in acts.
const LOOK_EVERY: u32 = 12;

pub(crate) fn play(worker: &mut Worker) -> Result<(), Failure> {
    let root = worker.order.folder.join("root");
    let disk = SystemDisk::new();
    let (mut files, mut acts) = (Vec::new(), 0);
    while !worker.end.has_come() {
        if acts % LOOK_EVERY == 0 {
            files = tree::files(&root, FILES_MAX);
        }
        acts += 1;
        if let Some(file) = choose(worker, &files) {
            let other = choose(worker, &files);
            let opened = disk.open_root(root.as_std_path()).doing("open the root")?;
            // what is gone by now, or has become a link, is left alone: nothing here ever follows one
            if act(worker, &disk, &opened, &root, (&file, other.as_deref())).is_ok() {
                worker.voice.count("files damaged");
            }
        }
        let pause = worker.seed.below(2_500);
        worker.end.pause(pause);
    }
    Ok(())
}

/// One of them; of entries, of which there are most, not more often than of all others together.
fn choose(worker: &mut Worker, files: &[PathBuf]) -> Option<PathBuf> {
    let wants_entry = worker.seed.chance(1, 2);
    let of_kind: Vec<_> = files.iter().filter(|file| file.starts_with("entries") == wants_entry).collect();
    let at = worker.seed.below(of_kind.len().max(1) as u64);
    of_kind.get(usize::try_from(at).unwrap_or(0)).map(|file| (*file).clone())
}

fn act(
    worker: &mut Worker,
    disk: &SystemDisk,
    root: &Handle,
    path: &Utf8Path,
    (file, other): (&Path, Option<&Path>),
) -> std::io::Result<()> {
    if worker.seed.chance(1, 8)
        && let Some(other) = other
    {
        // entries of one shelf, files of one folder
        let same = other.parent() == file.parent();
        let folder = file.parent().filter(|_| same).unwrap_or(Path::new(""));
        let folder = if folder.as_os_str().is_empty() {
            disk.open_root(path.as_std_path())?
        } else {
            disk.open(root, folder, Open::FOLDER)?
        };
        let name = |file: &Path| file.file_name().map(PathBuf::from).ok_or(std::io::ErrorKind::NotFound);
        return disk.rename(&folder, &name(file)?, &folder, &name(other)?, Replace::Yes);
    }
    let opened = disk.open(root, file, Open::READ_WRITE)?;
    let length = disk.metadata(&opened)?.length;
    let at = worker.seed.below(length.max(1));
    match worker.seed.below(10) {
        0..5 => {
            let mut byte = [0];
            disk.read_at(&opened, &mut byte, at)?;
            byte[0] ^= 1 << worker.seed.below(8);
            disk.write_at(&opened, &byte, at)?;
        }
        5..7 => disk.set_length(&opened, at)?,
        7 => _ = disk.write_at(&opened, b"---\n{\"larder\":1}\n---\n", length)?,
        8 => _ = disk.write_at(&opened, &[0; 512], at)?,
        _ => disk.set_length(&opened, 0)?,
    }
    Ok(())
}
