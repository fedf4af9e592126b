//! The simulated file system's state: what is there now, what a power cut would keep, and what lies between.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::sync::Arc;

use crate::errno::{EISDIR, ENOENT, ENOSPC, ENOTDIR};

/// The number of the root folder.
pub(super) const ROOT: u64 = 1;

/// What one simulated disk holds. Contents are shared between copies until one of them writes.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) nodes: BTreeMap<u64, Node>,
    /// Changes of names that no sync has made durable yet, oldest first.
    pub(super) pending: Vec<EntryChange>,
    pub(super) capacity: Option<u64>,
    next_node: u64,
    now_ns: i128,
    collect_at: usize,
}

/// A file or folder.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) body: Body,
    pub(super) mode: u32,
    pub(super) links: u64,
    pub(super) opens: u64,
    pub(super) modified_ns: i128,
    pub(super) changed_ns: i128,
    pub(super) used_ns: i128,
    /// Which open handles hold its lock shared.
    pub(super) shared: BTreeSet<u64>,
    /// Which open handle holds it alone.
    pub(super) exclusive: Option<u64>,
}

#[derive(Clone, Debug)]
pub(super) enum Body {
    File(FileBody),
    Folder(FolderBody),
}

#[derive(Clone, Debug, Default)]
pub(super) struct FileBody {
    pub(super) now: Arc<Vec<u8>>,
    /// The content at the last sync.
    pub(super) kept: Arc<Vec<u8>>,
    /// What happened to it since, oldest first.
    pub(super) changes: Vec<Change>,
}

/// One change of a file's content.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Write { offset: usize, bytes: Arc<[u8]> },
    Length(usize),
}

#[derive(Clone, Debug, Default)]
pub(super) struct FolderBody {
    pub(super) now: BTreeMap<OsString, u64>,
    /// The names at the last sync.
    pub(super) kept: BTreeMap<OsString, u64>,
}

/// One change of names, all of it or nothing of it durable: a rename between folders is one.
#[derive(Clone, Debug)]
pub(super) struct EntryChange {
    pub(super) edits: Vec<Edit>,
    pub(super) says: String,
}

/// A name in a folder that from now on means `node`, or nothing.
#[derive(Clone, Debug)]
pub(super) struct Edit {
    pub(super) folder: u64,
    pub(super) name: OsString,
    pub(super) node: Option<u64>,
}

pub(super) fn error(errno: i32) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

impl Change {
    pub(super) fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Length(length) => content.resize(*length, 0),
            Self::Write { offset, bytes } => {
                let end = offset + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*offset..end].copy_from_slice(bytes);
            }
        }
    }
}

impl Node {
    pub(super) fn new(body: Body, mode: u32, now_ns: i128) -> Self {
        let (shared, exclusive) = (BTreeSet::new(), None);
        Self {
            body,
            mode,
            links: 0,
            opens: 0,
            modified_ns: now_ns,
            changed_ns: now_ns,
            used_ns: now_ns,
            shared,
            exclusive,
        }
    }

    pub(super) fn file(&self) -> io::Result<&FileBody> {
        match &self.body {
            Body::File(file) => Ok(file),
            Body::Folder(_) => Err(error(EISDIR)),
        }
    }

    pub(super) fn folder(&self) -> io::Result<&FolderBody> {
        match &self.body {
            Body::Folder(folder) => Ok(folder),
            Body::File(_) => Err(error(ENOTDIR)),
        }
    }
}

impl World {
    pub(super) fn new() -> Self {
        let mut root = Node::new(Body::Folder(FolderBody::default()), 0o700, 0);
        root.links = 1;
        Self {
            nodes: BTreeMap::from([(ROOT, root)]),
            pending: Vec::new(),
            capacity: None,
            next_node: ROOT + 1,
            now_ns: 1_700_000_000_000_000_000,
            collect_at: 1_024,
        }
    }

    pub(super) fn node(&self, number: u64) -> io::Result<&Node> {
        self.nodes.get(&number).ok_or_else(|| error(ENOENT))
    }

    pub(super) fn node_mut(&mut self, number: u64) -> io::Result<&mut Node> {
        self.nodes.get_mut(&number).ok_or_else(|| error(ENOENT))
    }

    /// What `name` in `folder` means.
    pub(super) fn find(&self, folder: u64, name: &OsStr) -> io::Result<Option<u64>> {
        Ok(self.node(folder)?.folder()?.now.get(name).copied())
    }

    /// A later moment than any before.
    pub(super) fn tick(&mut self) -> i128 {
        self.now_ns += 1_000;
        self.now_ns
    }

    pub(super) fn add_node(&mut self, body: Body, mode: u32) -> u64 {
        let number = self.next_node;
        self.next_node += 1;
        let now = self.tick();
        self.nodes.insert(number, Node::new(body, mode, now));
        number
    }

    /// Changes names, all at once, and not yet durably.
    pub(super) fn edit(&mut self, says: String, edits: Vec<Edit>) {
        let now = self.tick();
        for Edit { folder, name, node } in &edits {
            if let Some(number) = node
                && let Some(named) = self.nodes.get_mut(number)
            {
                named.links += 1;
                named.changed_ns = now;
            }
            let Some(Node { body: Body::Folder(entries), modified_ns, changed_ns, .. }) = self.nodes.get_mut(folder)
            else {
                continue;
            };
            (*modified_ns, *changed_ns) = (now, now);
            let before = match node {
                Some(number) => entries.now.insert(name.clone(), *number),
                None => entries.now.remove(name),
            };
            if let Some(unnamed) = before.and_then(|number| self.nodes.get_mut(&number)) {
                unnamed.links = unnamed.links.saturating_sub(1);
                unnamed.changed_ns = now;
            }
        }
        self.pending.push(EntryChange { edits, says });
    }

    /// Changes a file's content, not yet durably.
    pub(super) fn change(&mut self, number: u64, change: Change) -> io::Result<()> {
        let now = self.tick();
        let node = self.node_mut(number)?;
        let Body::File(file) = &mut node.body else { return Err(error(EISDIR)) };
        change.apply(Arc::make_mut(&mut file.now));
        file.changes.push(change);
        (node.modified_ns, node.changed_ns) = (now, now);
        Ok(())
    }

    /// Sets the permission bits, at once durably.
    pub(super) fn set_mode(&mut self, number: u64, mode: u32) -> io::Result<()> {
        let now = self.tick();
        let node = self.node_mut(number)?;
        node.mode = mode & 0o7777;
        node.changed_ns = now;
        Ok(())
    }

    /// Makes durable what a sync of this file or folder promises: a file's content but not its name, a folder's names
    /// but not what they stand for.
    pub(super) fn sync(&mut self, number: u64) -> io::Result<()> {
        match &mut self.node_mut(number)?.body {
            Body::File(file) => {
                file.kept = Arc::clone(&file.now);
                file.changes.clear();
            }
            Body::Folder(_) => self.sync_folder(number),
        }
        Ok(())
    }

    fn sync_folder(&mut self, folder: u64) {
        // With a change go the older ones of the same names: no file system lets an older one win later.
        let mut names: BTreeSet<(u64, OsString)> = BTreeSet::new();
        let mut durable = vec![false; self.pending.len()];
        for (change, is_durable) in self.pending.iter().zip(&mut durable).rev() {
            let is_asked = change
                .edits
                .iter()
                .any(|edit| edit.folder == folder || names.contains(&(edit.folder, edit.name.clone())));
            if is_asked {
                *is_durable = true;
                names.extend(change.edits.iter().map(|edit| (edit.folder, edit.name.clone())));
            }
        }
        let mut left = Vec::new();
        for (change, is_durable) in std::mem::take(&mut self.pending).into_iter().zip(durable) {
            if is_durable { self.keep(&change) } else { left.push(change) }
        }
        self.pending = left;
        self.collect();
    }

    /// Applies a change of names to what a power cut would keep.
    fn keep(&mut self, change: &EntryChange) {
        for edit in &change.edits {
            if let Some(Node { body: Body::Folder(entries), .. }) = self.nodes.get_mut(&edit.folder) {
                match edit.node {
                    Some(node) => entries.kept.insert(edit.name.clone(), node),
                    None => entries.kept.remove(&edit.name),
                };
            }
        }
    }

    /// Forgets what neither a name, nor a handle, nor any state after a power cut could reach; from time to time, so
    /// that a long test stays small.
    fn collect(&mut self) {
        if self.nodes.len() < self.collect_at {
            return;
        }
        let mut wanted: BTreeSet<u64> = BTreeSet::from([ROOT]);
        for node in self.nodes.values() {
            if let Body::Folder(folder) = &node.body {
                wanted.extend(folder.now.values().chain(folder.kept.values()));
            }
        }
        wanted.extend(
            self.pending
                .iter()
                .flat_map(|change| &change.edits)
                .flat_map(|edit| [Some(edit.folder), edit.node])
                .flatten(),
        );
        self.nodes.retain(|number, node| wanted.contains(number) || node.opens > 0);
        self.collect_at = self.nodes.len().saturating_mul(2).max(1_024);
    }

    /// Bytes that may still be written.
    pub(super) fn free(&self) -> u64 {
        let Some(capacity) = self.capacity else { return u64::MAX };
        let lives = self.nodes.values().filter(|node| node.links > 0 || node.opens > 0);
        let used = lives.filter_map(|node| node.file().ok()).map(|file| file.now.len() as u64).sum();
        capacity.saturating_sub(used)
    }

    /// Answers `ENOENT` in a folder that was removed while it was open: no name can be made in it.
    pub(super) fn need_named(&self, folder: u64) -> io::Result<()> {
        if self.node(folder)?.links == 0 { Err(error(ENOENT)) } else { Ok(()) }
    }

    /// Answers `ENOSPC` on a full disk.
    pub(super) fn need_room(&self) -> io::Result<()> {
        if self.free() == 0 { Err(error(ENOSPC)) } else { Ok(()) }
    }

    /// A copy in which no process runs any more: nothing open, nothing locked, all that was not synced still there.
    pub(super) fn without_processes(&self) -> Self {
        let mut copy = self.clone();
        for node in copy.nodes.values_mut() {
            node.opens = 0;
            node.shared.clear();
            node.exclusive = None;
        }
        copy
    }
}
