//! What a power cut may leave of one file's un-synced content.

use std::sync::Arc;

use super::world::{Change, FileBody};
use crate::Seed;

/// What disks write at once.
const SECTOR: usize = 512;
/// Above this size, fewer outcomes of a file are tried.
const LARGE: usize = 1024 * 1024;
/// Up to so many changes, every subset of them is tried.
const SUBSETS_MAX: usize = 4;

/// One outcome: what the file then has, and how that came about.
#[derive(Clone)]
pub(super) struct Outcome {
    pub(super) content: Arc<Vec<u8>>,
    pub(super) says: String,
}

/// The outcomes of one file. The first four are, in this order: all kept, nothing kept that was not synced, the new
/// length over zeros, the new length over another file's old bytes.
pub(super) fn outcomes(file: &FileBody, foreign: &[u8]) -> Vec<Outcome> {
    let mut found = vec![
        Outcome { content: Arc::clone(&file.now), says: "all data".to_owned() },
        Outcome { content: Arc::clone(&file.kept), says: "no data since the sync".to_owned() },
        Outcome { content: unwritten(file, &[0]), says: "zeros for new data".to_owned() },
        Outcome { content: unwritten(file, foreign), says: "another file's bytes for new data".to_owned() },
    ];
    let is_large = file.now.len().max(file.kept.len()) > LARGE;
    let count = file.changes.len();
    let subsets: Vec<Vec<bool>> = if count <= SUBSETS_MAX {
        (0..1_u32 << count).map(|mask| (0..count).map(|at| mask >> at & 1 == 1).collect()).collect()
    } else {
        let prefixes = (0..count).step_by(count.div_ceil(8)).map(|end| (0..count).map(|at| at < end).collect());
        let holes = (0..count).step_by(count.div_ceil(8)).map(|hole| (0..count).map(|at| at != hole).collect());
        prefixes.chain(holes).collect()
    };
    for keep in subsets {
        let content = content_with(file, &keep);
        add(&mut found, content, || format!("of its changes {}", bits(&keep)));
    }
    for (at, tear, length) in tears(file, is_large) {
        let torn = torn(file, at, tear);
        // The length may be durable before the data.
        let mut sized = torn.clone();
        sized.resize(torn.len().max(length), 0);
        add(&mut found, torn, || format!("change {at} torn after {tear} bytes"));
        add(&mut found, sized, || format!("change {at} torn after {tear} bytes, zeros beyond"));
    }
    found
}

/// A random mixture, sector by sector, of old content, new content, zeros and another file's bytes.
pub(super) fn mixture(file: &FileBody, foreign: &[u8], seed: &mut Seed) -> Outcome {
    let length = match seed.below(4) {
        0 => file.kept.len(),
        1 if file.now.len() > file.kept.len() => file.kept.len() + seed.index(file.now.len() - file.kept.len()),
        _ => file.now.len(),
    };
    let fresh = fresh_from(file);
    let mut content = Vec::with_capacity(length);
    while content.len() < length {
        let start = content.len();
        let end = (start + SECTOR).min(length);
        let choice = seed.below(4);
        content.extend((start..end).map(|at| {
            let old = file.kept.get(at).filter(|_| at < fresh);
            match (choice, old) {
                (1, Some(old)) => *old,
                (2, None) => 0,
                (3, None) => foreign.get(at % foreign.len().max(1)).copied().unwrap_or(0),
                _ => file.now.get(at).or(old).copied().unwrap_or(0),
            }
        }));
    }
    Outcome { content: Arc::new(content), says: "a mixture of sectors".to_owned() }
}

fn add(found: &mut Vec<Outcome>, content: Vec<u8>, says: impl FnOnce() -> String) {
    if found.iter().all(|outcome| *outcome.content != content) {
        found.push(Outcome { content: Arc::new(content), says: says() });
    }
}

/// Marks the kept ones of a list of changes, oldest first.
pub(super) fn bits(keep: &[bool]) -> String {
    keep.iter().map(|kept| if *kept { '1' } else { '0' }).collect()
}

/// From where on the file lies in blocks that it got since its last sync: what these held before may show.
fn fresh_from(file: &FileBody) -> usize {
    let mut length = file.kept.len();
    let mut shortest = length;
    for change in &file.changes {
        match change {
            Change::Length(to) => length = *to,
            Change::Write { offset, bytes } => length = length.max(offset + bytes.len()),
        }
        shortest = shortest.min(length);
    }
    shortest
}

/// The new length, the old data, and `filler` over and over where there was none.
fn unwritten(file: &FileBody, filler: &[u8]) -> Arc<Vec<u8>> {
    let fresh = fresh_from(file);
    let old = file.kept.iter().take(fresh).copied();
    let filled = filler.iter().copied().cycle();
    let mut content: Vec<u8> = old.chain(filled).take(file.now.len()).collect();
    content.resize(file.now.len(), 0);
    Arc::new(content)
}

fn content_with(file: &FileBody, keep: &[bool]) -> Vec<u8> {
    let mut content = file.kept.to_vec();
    for (change, _) in file.changes.iter().zip(keep).filter(|(_, kept)| **kept) {
        change.apply(&mut content);
    }
    content
}

/// All changes before the one at `at`, and its first `tear` bytes.
fn torn(file: &FileBody, at: usize, tear: usize) -> Vec<u8> {
    let mut content = file.kept.to_vec();
    for change in file.changes.iter().take(at) {
        change.apply(&mut content);
    }
    if let Some(Change::Write { offset, bytes }) = file.changes.get(at) {
        let part = Change::Write { offset: *offset, bytes: bytes.iter().take(tear).copied().collect() };
        part.apply(&mut content);
    }
    content
}

/// Where to tear: which change, after how many bytes, and how long the file is once that change is whole.
fn tears(file: &FileBody, is_large: bool) -> Vec<(usize, usize, usize)> {
    let mut places = Vec::new();
    let last_changes = if is_large { 1 } else { 4 };
    for (at, change) in file.changes.iter().enumerate().rev().take(last_changes) {
        let Change::Write { offset, bytes } = change else { continue };
        let sectors = bytes.len() / SECTOR;
        // Odd places, for devices that promise nothing; and up to eight sector borders.
        let mut after = vec![1, bytes.len() / 2, bytes.len().saturating_sub(1)];
        if !is_large {
            after.extend([bytes.len() / 3, bytes.len().saturating_sub(7)]);
        }
        after.extend((1..=sectors).step_by(sectors.div_ceil(8).max(1)).map(|sector| sector * SECTOR));
        after.retain(|tear| (1..bytes.len()).contains(tear));
        places.extend(after.into_iter().map(|tear| (at, tear, offset + bytes.len())));
    }
    places
}
