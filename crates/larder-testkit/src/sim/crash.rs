//! Which states of a whole disk a power cut may leave.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::tear::{Outcome, bits, mixture, outcomes};
use super::world::{Body, FileBody, ROOT, World};
use crate::Seed;

/// The outcomes that every file has: all data, none, zeros, another file's bytes. See [`outcomes`].
const MANDATORY: usize = 4;
/// How many random choices are made for each state asked for, before it is accepted that there are no more.
const TRIES: usize = 8;

/// What may differ between the states after a power cut of one disk.
struct Cut<'a> {
    world: &'a World,
    files: Vec<File<'a>>,
    seen: HashSet<u64>,
    found: Vec<(World, String)>,
}

/// A file that was not wholly synced.
struct File<'a> {
    number: u64,
    body: &'a FileBody,
    foreign: Vec<u8>,
    outcomes: Vec<Outcome>,
}

/// The states of `world`, each with how it came about.
pub(super) fn states(world: &World, limit: usize, seed: u64) -> Vec<(World, String)> {
    let mut cut = Cut { world, files: files_of(world), seen: HashSet::new(), found: Vec::new() };
    let names = world.pending.len();
    cut.add_mandatory();
    let files: u128 = cut.files.iter().fold(1, |product, file| product.saturating_mul(file.outcomes.len() as u128));
    let all = u32::try_from(names)
        .ok()
        .and_then(|names| 1_u128.checked_shl(names))
        .map_or(u128::MAX, |all| all.saturating_mul(files));
    if all <= limit as u128 {
        cut.add_all(all);
    } else {
        cut.add_some(limit, seed);
    }
    cut.found
}

impl Cut<'_> {
    fn add_mandatory(&mut self) {
        let names = self.world.pending.len();
        let orders = [(true, 0), (false, 1), (true, 1), (true, 2), (true, 3), (false, 0)];
        debug_assert!(orders.iter().all(|(_, outcome)| *outcome < MANDATORY));
        for (keep_names, outcome) in orders {
            let chosen: Vec<Outcome> = self.files.iter().map(|file| file.outcomes[outcome].clone()).collect();
            self.add(&vec![keep_names; names], &chosen);
        }
    }

    /// Every choice of names with every choice of outcomes.
    fn add_all(&mut self, all: u128) {
        for number in 0..all {
            let mut rest = number;
            let mut digit = |base: usize| {
                let digit = rest % base as u128;
                rest /= base as u128;
                usize::try_from(digit).unwrap_or(0)
            };
            let keep: Vec<bool> = self.world.pending.iter().map(|_| digit(2) == 1).collect();
            let chosen: Vec<Outcome> =
                self.files.iter().map(|file| file.outcomes[digit(file.outcomes.len())].clone()).collect();
            self.add(&keep, &chosen);
        }
    }

    /// Random choices until there are enough states.
    fn add_some(&mut self, limit: usize, seed: u64) {
        let mut seed = Seed::from_number(seed);
        for _ in 0..limit.saturating_mul(TRIES) {
            if self.found.len() >= limit {
                return;
            }
            let keep = self.some_names(&mut seed);
            let chosen: Vec<Outcome> = self
                .files
                .iter()
                .map(|file| match seed.below(8) {
                    0 | 1 => file.outcomes[0].clone(),
                    2 => mixture(file.body, &file.foreign, &mut seed),
                    _ => seed.pick(&file.outcomes).clone(),
                })
                .collect();
            self.add(&keep, &chosen);
        }
    }

    /// A choice of names: in order, in order but for each folder of its own, or any.
    fn some_names(&self, seed: &mut Seed) -> Vec<bool> {
        let changes = &self.world.pending;
        let count = changes.len();
        match seed.below(3) {
            0 => {
                let end = seed.index(count + 1);
                (0..count).map(|at| at < end).collect()
            }
            1 => {
                let mut ends = BTreeMap::new();
                let folder_of = |at: usize| changes[at].edits.first().map_or(ROOT, |edit| edit.folder);
                (0..count).map(|at| at < *ends.entry(folder_of(at)).or_insert_with(|| seed.index(count + 1))).collect()
            }
            _ => (0..count).map(|_| seed.chance(1, 2)).collect(),
        }
    }

    /// Adds one state, unless one like it is there.
    fn add(&mut self, keep: &[bool], chosen: &[Outcome]) {
        let contents = self.files.iter().zip(chosen).map(|(file, outcome)| (file.number, &outcome.content)).collect();
        let state = build(self.world, keep, &contents);
        if !self.seen.insert(fingerprint(&state)) {
            return;
        }
        let mut says = format!("state {}, names {}", self.found.len(), bits(keep));
        let lost =
            self.world.pending.iter().zip(keep).filter(|(_, kept)| !**kept).map(|(change, _)| change.says.as_str());
        let lost: Vec<&str> = lost.take(4).collect();
        if !lost.is_empty() {
            says = format!("{says} (lost: {})", lost.join("; "));
        }
        for (file, outcome) in self.files.iter().zip(chosen).filter(|(file, _)| state.nodes.contains_key(&file.number))
        {
            says = format!("{says}, inode {}: {}", file.number, outcome.says);
        }
        self.found.push((state, says));
    }
}

/// The files with un-synced content that some state could still name.
fn files_of(world: &World) -> Vec<File<'_>> {
    let mut named: BTreeSet<u64> =
        world.pending.iter().flat_map(|change| &change.edits).filter_map(|edit| edit.node).collect();
    for node in world.nodes.values() {
        if let Body::Folder(folder) = &node.body {
            named.extend(folder.kept.values());
        }
    }
    let mut files = Vec::new();
    for (number, node) in world.nodes.iter().filter(|(number, _)| named.contains(number)) {
        let Body::File(body) = &node.body else { continue };
        if !body.changes.is_empty() {
            let foreign = foreign_bytes(world, *number);
            let outcomes = outcomes(body, &foreign);
            files.push(File { number: *number, body, foreign, outcomes });
        }
    }
    files
}

/// Old bytes of another file, as its freed blocks would still have them.
fn foreign_bytes(world: &World, besides: u64) -> Vec<u8> {
    let others = world.nodes.iter().filter(|(number, _)| **number != besides).filter_map(|(_, node)| node.file().ok());
    let mut contents = others.flat_map(|file| [&file.kept, &file.now]);
    contents.find(|content| !content.is_empty()).map_or_else(|| vec![0xa5; 64], |content| content.to_vec())
}

/// The disk after the cut: the durable names and the chosen ones, the chosen contents, and nothing else.
fn build(world: &World, keep: &[bool], contents: &BTreeMap<u64, &Arc<Vec<u8>>>) -> World {
    let mut state = world.clone();
    for node in state.nodes.values_mut() {
        node.links = 0;
        if let Body::Folder(folder) = &mut node.body {
            folder.now = std::mem::take(&mut folder.kept);
        }
    }
    for (change, _) in world.pending.iter().zip(keep).filter(|(_, kept)| **kept) {
        for edit in &change.edits {
            let Some(Body::Folder(folder)) = state.nodes.get_mut(&edit.folder).map(|node| &mut node.body) else {
                continue;
            };
            match edit.node {
                Some(node) => _ = folder.now.insert(edit.name.clone(), node),
                None => _ = folder.now.remove(&edit.name),
            }
        }
    }
    state.pending.clear();
    let mut reached = BTreeSet::from([ROOT]);
    let mut open = vec![ROOT];
    while let Some(number) = open.pop() {
        let folder = state.nodes.get(&number).and_then(|node| node.folder().ok());
        let children: Vec<u64> = folder.into_iter().flat_map(|folder| folder.now.values().copied()).collect();
        for child in children {
            if let Some(node) = state.nodes.get_mut(&child) {
                node.links += 1;
                if reached.insert(child) {
                    open.push(child);
                }
            }
        }
    }
    state.nodes.retain(|number, _| reached.contains(number));
    for (number, node) in &mut state.nodes {
        match &mut node.body {
            Body::Folder(folder) => folder.kept = folder.now.clone(),
            Body::File(file) => {
                if let Some(content) = contents.get(number) {
                    file.now = Arc::clone(content);
                }
                file.kept = Arc::clone(&file.now);
                file.changes.clear();
            }
        }
        if *number == ROOT {
            node.links = 1;
        }
    }
    state
}

/// Tells states apart by their names and contents.
fn fingerprint(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (number, node) in &world.nodes {
        number.hash(&mut hasher);
        match &node.body {
            Body::Folder(folder) => folder.now.hash(&mut hasher),
            Body::File(file) => file.now.hash(&mut hasher),
        }
    }
    hasher.finish()
}
