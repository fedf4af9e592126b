//! Where canaries may not be: any file and any name of a file, but for those of the credentials, which nobody else may read.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use camino::{Utf8Path, Utf8PathBuf};

use super::canary::Canaries;

/// The most that is read of a file: more than any of this scene has.
const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How deep folders lie.
const DEPTH_MAX: u32 = 32;

/// What was searched, and what was found.
#[derive(Debug, Default)]
pub(crate) struct Searched {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) found: Vec<String>,
}

/// Searches everything below `folder`. Files below `private` may have secrets in them, if they are for their owner alone.
pub(crate) fn search(folder: &Utf8Path, private: &Utf8Path, canaries: &Canaries) -> Searched {
    let mut searched = Searched::default();
    walk(folder, private, canaries, DEPTH_MAX, &mut searched);
    searched
}

fn walk(folder: &Utf8Path, private: &Utf8Path, canaries: &Canaries, depth: u32, searched: &mut Searched) {
    // what is gone meanwhile tells nothing to anybody
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        for way in canaries.seen_in(name.as_encoded_bytes()) {
            searched.found.push(format!("{} in the name of a file in {folder}", way.name()));
        }
        let Ok(path) = Utf8PathBuf::from_path_buf(entry.path()) else { continue };
        let Ok(about) = entry.metadata() else { continue };
        if about.is_dir() && depth > 0 {
            walk(&path, private, canaries, depth - 1, searched);
        } else if about.is_file() && about.len() <= BYTES_MAX {
            let Ok(bytes) = std::fs::read(&path) else { continue };
            (searched.files, searched.bytes) = (searched.files + 1, searched.bytes + bytes.len() as u64);
            let mode = about.permissions().mode() & 0o777;
            for way in canaries.seen_in(&bytes) {
                if !path.starts_with(private) {
                    searched.found.push(format!("{} in {path}", way.name()));
                } else if mode & 0o077 != 0 || about.nlink() > 1 {
                    searched.found.push(format!("{} in {path}, which has mode {mode:o}", way.name()));
                }
            }
        }
    }
}
