//! Puts links and pipes in the place of the root's files and folders, for a moment each, that lead out of the root.
//!
//! There is one of it at a time, so that it never walks through a link of its own.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use camino::Utf8Path;
#[cfg(target_os = "linux")]
use rustix::fs::{CWD, Mode, mkfifoat};

use super::{ASIDE, FORMAT, OUTSIDE, tree};
use crate::worker::Worker;

const NAMES_MAX: usize = 4_000;
/// Stands for a slash in the name of what was put aside; no name in a root has it.
const SLASH: &str = "\u{1f}";

pub(crate) fn play(worker: &mut Worker) {
    let arena = worker.order.folder.clone();
    // the one before may have been killed
    mend(&arena);
    while !worker.end.has_come() {
        let mut all = tree::walk(&arena.join("root"), NAMES_MAX);
        // what documents are read through is worth more than all that lies about: entries, and their folder itself
        match worker.seed.below(3) {
            0 => all.retain(|(path, _)| path.as_os_str() == "entries"),
            1 => all.retain(|(path, _)| path.starts_with("entries")),
            _ => {}
        }
        let at = worker.seed.below(all.len().max(1) as u64);
        if let Some((path, kind)) = usize::try_from(at).ok().and_then(|at| all.get(at))
            && let Some(name) = path.to_str()
        {
            if plant(worker, &arena, name, kind.is_dir()).is_ok() {
                worker.voice.count("links and pipes planted");
            }
            let pause = 500 + worker.seed.below(12_000);
            worker.end.pause(pause);
            mend(&arena);
        }
        let pause = worker.seed.below(4_000);
        worker.end.pause(pause);
    }
}

#[expect(clippy::disallowed_methods, reason = "it plays somebody who has the right to write in the root")]
fn plant(worker: &mut Worker, arena: &Utf8Path, name: &str, is_folder: bool) -> std::io::Result<()> {
    let (place, outside) = (arena.join("root").join(name), arena.join(OUTSIDE));
    std::fs::rename(&place, arena.join(ASIDE).join(name.replace('/', SLASH)))?;
    let same = outside.join("root").join(name);
    match worker.seed.below(6) {
        #[cfg(target_os = "linux")]
        0 if !is_folder => mkfifoat(CWD, place.as_std_path(), Mode::RUSR | Mode::WUSR).map_err(Into::into),
        1 if is_folder => symlink(outside.join("dropbox"), place),
        1 => symlink(outside.join("canary"), place),
        // to nothing: whoever makes a file through it makes it outside
        2 => symlink(outside.join("missing"), place),
        // the very same place of a root that is good in every respect, but another one
        _ => symlink(same, place),
    }
}

/// Takes away what was planted, and puts back what was there; `format.yaml` as it was, which is what larder tells people to do
/// when it cannot be understood.
#[expect(clippy::disallowed_methods, reason = "it plays somebody who has the right to write in the root")]
pub(super) fn mend(arena: &Utf8Path) {
    let (root, aside) = (arena.join("root"), arena.join(ASIDE));
    for (path, kind) in tree::walk(&root, usize::MAX) {
        if !kind.is_file() && !kind.is_dir() {
            let _ = std::fs::remove_file(root.as_std_path().join(path));
        }
    }
    let mut away: Vec<PathBuf> =
        std::fs::read_dir(&aside).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    // a folder before what was in it
    away.sort();
    for away in away {
        let Some(name) = away.file_name().and_then(|name| name.to_str()) else { continue };
        let place = root.join(name.replace(SLASH, "/"));
        let is_free = std::fs::symlink_metadata(&place).is_err();
        if !is_free || std::fs::rename(&away, &place).is_err() {
            // somebody has made it anew
            remove(&away);
        }
    }
    if let Ok(good) = std::fs::read(arena.join(FORMAT))
        && std::fs::read(root.join(FORMAT)).ok().as_ref() != Some(&good)
    {
        let _ = std::fs::write(root.join(FORMAT), good);
    }
}

#[expect(clippy::disallowed_methods, reason = "what it has put aside itself")]
fn remove(path: &Path) {
    if std::fs::remove_dir_all(path).is_err() {
        let _ = std::fs::remove_file(path);
    }
}
