//! Looking through a folder without ever following a link.

use std::path::{Path, PathBuf};

use camino::Utf8Path;

/// How deep folders are looked into.
const DEPTH_MAX: usize = 40;

/// What there is below a folder, relative to it; links and pipes too, and never what is behind them.
pub(crate) fn walk(root: &Utf8Path, most: usize) -> Vec<(PathBuf, std::fs::FileType)> {
    let (mut found, mut folders) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(folder) = folders.pop() {
        // what vanishes meanwhile is not there
        for entry in std::fs::read_dir(root.as_std_path().join(&folder)).into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            let path = folder.join(entry.file_name());
            if kind.is_dir() && path.components().count() < DEPTH_MAX {
                folders.push(path.clone());
            }
            found.push((path, kind));
            if found.len() >= most {
                return found;
            }
        }
    }
    found
}

/// The regular files among them.
pub(crate) fn files(root: &Utf8Path, most: usize) -> Vec<PathBuf> {
    walk(root, most).into_iter().filter(|(_, kind)| kind.is_file()).map(|(path, _)| path).collect()
}

/// What there is at a path: the bytes, if it is a file.
pub(crate) type Found = (PathBuf, Option<Vec<u8>>);

/// All that is in a folder, with the bytes of each file: what must not change.
pub(crate) fn content(root: &Utf8Path) -> Vec<Found> {
    let read = |(path, kind): (PathBuf, std::fs::FileType)| {
        let bytes = if kind.is_file() { std::fs::read(root.as_std_path().join(&path)).ok() } else { None };
        (path, bytes)
    };
    let mut all: Vec<_> = walk(root, usize::MAX).into_iter().map(read).collect();
    all.sort();
    all
}

/// The first that differs between two looks.
pub(crate) fn difference<'a>(before: &'a [Found], after: &'a [Found]) -> Option<&'a Path> {
    let new = after.iter().find(|found| !before.contains(found));
    let gone = || before.iter().find(|found| !after.contains(found));
    new.or_else(gone).map(|(path, _)| path.as_path())
}
