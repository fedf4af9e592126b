//! A disk in memory that knows what was synced, and gives every state that a power cut may leave.

mod calls;
mod crash;
mod handle;
mod tear;
mod world;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use world::{Body, ROOT, World};

/// How many snapshots a history may have.
const HISTORY_MAX: usize = 100_000;

/// A simulated disk. Clones are the same disk; [`snapshot`](Self::snapshot) makes another one.
///
/// What it assumes of a file system, which ext4, XFS, btrfs, APFS and NTFS keep:
///
/// - A sync of a file makes its content durable, but not its name; a sync of a folder makes the names in it durable.
/// - A rename, also between folders, is durable whole or not at all.
/// - Nothing else is ordered: of what was not synced, a power cut may keep any part, in any order. Writes may be torn
///   at any byte; a grown file may have its new length but zeros, or another file's old bytes, in place of its data.
/// - What was synced stays, and is read back as it was written: bit rot is not modelled. Neither are permission bits
///   (kept at once), symbolic links (there are none), nor access times.
///
/// Paths given to `open_root` are absolute, on a disk of its own: no file of the machine is touched.
#[derive(Clone)]
pub struct SimDisk {
    shared: Arc<Shared>,
}

struct Shared {
    world: Mutex<World>,
    unlocked: Condvar,
    handles: AtomicU64,
    history: Mutex<Option<Vec<SimDisk>>>,
    /// What this disk is a state of, and how to get it again.
    origin: String,
}

impl SimDisk {
    /// An empty disk, with its root folder `/`.
    pub fn new() -> Self {
        Self::from_world(World::new(), "a new disk".to_owned())
    }

    fn from_world(world: World, origin: String) -> Self {
        let shared = Shared {
            world: Mutex::new(world),
            unlocked: Condvar::new(),
            handles: AtomicU64::new(0),
            history: Mutex::new(None),
            origin,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Which state this is of which disk, in one line that says how to get it again.
    pub fn describe(&self) -> &str {
        &self.shared.origin
    }

    /// A disk of its own with the same content, as the next process would find it after `kill -9` of all others:
    /// nothing is lost, but nothing is open or locked.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        Self::from_world(self.shared.world().without_processes(), format!("{}, snapshot", self.shared.origin))
    }

    /// Legal states after a power cut now, each a disk of its own in which everything is durable, no two the same.
    ///
    /// All of them, when there are at most about `limit`; otherwise a choice of `limit` that depends on `seed` only.
    /// Always among them: everything kept; nothing kept that was not synced; every name kept but no data, as absent
    /// bytes, as zeros, and as another file's bytes. For a large file, the tears tried are a choice, too.
    pub fn crash_states(&self, limit: usize, seed: u64) -> Vec<Self> {
        let states = crash::states(&self.shared.world().without_processes(), limit, seed);
        let describe = |says| format!("{}, crash_states({limit}, {seed:#x}): {says}", self.shared.origin);
        states.into_iter().map(|(world, says)| Self::from_world(world, describe(says))).collect()
    }

    /// Takes a snapshot before each call that changes anything, from now on. See [`history`](Self::history).
    pub fn record(&self) {
        *self.shared.history() = Some(Vec::new());
    }

    /// The snapshots since [`record`](Self::record), each from just before one call; the disk itself is the state
    /// after the last. Each is what `kill -9` leaves there, and its [`crash_states`](Self::crash_states) are what a
    /// power cut leaves there.
    pub fn history(&self) -> Vec<Self> {
        self.shared.history().clone().unwrap_or_default()
    }

    /// Limits the bytes of all files together, also below what they have now. Beyond it, writes take what still fits,
    /// then answer `ENOSPC`, as does making files and folders; reading, renaming and removing go on.
    pub fn set_capacity(&self, bytes: u64) {
        self.shared.world().capacity = Some(bytes);
    }

    /// The content of a file, by its absolute path; `None` when there is none of that name.
    pub fn read_file(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let world = self.shared.world();
        let (folder, name) = handle::resolve_root(&world, path.as_ref()).ok()??;
        let number = world.find(folder, &name).ok()??;
        Some(world.node(number).ok()?.file().ok()?.now.to_vec())
    }

    /// All that is on the disk: absolute paths, with the content of files and `None` for folders.
    pub fn tree(&self) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        let world = self.shared.world();
        let mut tree = BTreeMap::new();
        let mut open = vec![(PathBuf::from("/"), ROOT)];
        while let Some((path, number)) = open.pop() {
            match world.nodes.get(&number).map(|node| &node.body) {
                Some(Body::File(file)) => _ = tree.insert(path, Some(file.now.to_vec())),
                Some(Body::Folder(folder)) => {
                    open.extend(folder.now.iter().map(|(name, number)| (path.join(name), *number)));
                    tree.insert(path, None);
                }
                None => {}
            }
        }
        tree
    }
}

impl Default for SimDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimDisk({})", self.describe())
    }
}

impl Shared {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn history(&self) -> MutexGuard<'_, Option<Vec<SimDisk>>> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers the disk as it is before a call that changes it.
    fn before(&self, world: &World, call: impl FnOnce() -> String) {
        if let Some(history) = &mut *self.history() {
            assert!(history.len() < HISTORY_MAX, "over {HISTORY_MAX} calls in one history: record less of the test");
            let origin = format!("{}, before call {} ({})", self.origin, history.len(), call());
            history.push(SimDisk::from_world(world.without_processes(), origin));
        }
    }

    fn next_handle(&self) -> u64 {
        self.handles.fetch_add(1, Ordering::Relaxed)
    }
}
