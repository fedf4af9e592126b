//! Copies in memory, weighed by bytes and bounded.
//!
//! It knows neither disk nor freshness: whoever takes a copy asks the store whether it still is what the disk has, and the
//! document's life whether it is fresh.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use larder_staleness::Early;
use larder_storage::{Key, Mark, Token};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};
use twox_hash::XxHash3_64;

use crate::counters::Class;
use crate::document::Document;

/// What a copy takes beside its body, key and tags, in bytes: the map's own cells and the structures pointed to.
const OVERHEAD_BYTES: u64 = 384;
/// A shard has at least so much room: a document that is larger than a shard is not kept.
const SHARD_BYTES_MIN: u64 = 8 * 1024 * 1024;
/// The size of a document, for a first guess at how many there will be.
const TYPICAL_BYTES: u64 = 32 * 1024;
/// The most shards that any number of processors makes use of.
const SHARDS_MAX: u64 = 64;

/// A document as it was read from the disk, and the moment before.
#[derive(Debug)]
pub(crate) struct Copy {
    pub(crate) document: Document,
    pub(crate) token: Token,
    pub(crate) mark: Mark,
    /// When it is refreshed before its time.
    pub(crate) early: Early,
    /// What its hits are counted as.
    pub(crate) class: Class,
}

/// The copies.
#[derive(Debug)]
pub(crate) struct Memory {
    copies: Cache<Key, Arc<Copy>, Bytes, Seeded>,
}

impl Memory {
    /// Room for so many bytes; `None` for none.
    pub(crate) fn with_room(bytes_max: u64) -> Option<Self> {
        if bytes_max == 0 {
            return None;
        }
        let shards = (bytes_max / SHARD_BYTES_MIN).clamp(1, SHARDS_MAX);
        let items = (bytes_max / TYPICAL_BYTES).max(1);
        let options = OptionsBuilder::new()
            .shards(usize::try_from(shards).unwrap_or(1))
            .estimated_items_capacity(usize::try_from(items).unwrap_or(usize::MAX))
            .weight_capacity(bytes_max)
            .build()
            .ok()?;
        let hasher = Seeded { seed: larder_system::unique().unwrap_or_default() };
        Some(Self { copies: Cache::with_options(options, Bytes, hasher, DefaultLifecycle::default()) })
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Copy>> {
        self.copies.get(key)
    }

    pub(crate) fn keep(&self, key: &Key, copy: Copy) {
        self.copies.insert(key.clone(), Arc::new(copy));
    }

    /// Forgets this copy, unless another one has taken its place.
    pub(crate) fn forget(&self, key: &Key, copy: &Arc<Copy>) {
        self.copies.remove_if(key, |kept| Arc::ptr_eq(kept, copy));
    }

    /// Forgets whatever there is.
    #[cfg(feature = "watch")]
    pub(crate) fn drop_key(&self, key: &Key) {
        self.copies.remove(key);
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.copies.weight()
    }

    pub(crate) fn len(&self) -> usize {
        self.copies.len()
    }
}

/// Weighs copies.
#[derive(Clone, Debug)]
struct Bytes;

impl Weighter<Key, Arc<Copy>> for Bytes {
    fn weight(&self, key: &Key, copy: &Arc<Copy>) -> u64 {
        let metadata = &copy.document.metadata;
        let tags: usize = metadata.tags().iter().map(|tag| tag.as_str().len() + size_of::<String>()).sum();
        let attributes = metadata.attributes_json().map_or(0, str::len);
        let bytes = copy.document.body.len() + key.as_str().len() + tags + attributes;
        OVERHEAD_BYTES + bytes as u64
    }
}

/// XXH3 with a seed of this process, so that nobody can choose keys that meet in one place.
#[derive(Clone, Debug)]
struct Seeded {
    seed: u64,
}

impl BuildHasher for Seeded {
    type Hasher = Running;

    fn build_hasher(&self) -> Running {
        Running(self.seed)
    }
}

/// A key is one string: one call, without the buffer that hashing in pieces needs.
struct Running(u64);

impl Hasher for Running {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = XxHash3_64::oneshot_with_seed(self.0, bytes);
    }

    /// The mark of a string's end, which tells nothing where there is one string.
    fn write_u8(&mut self, _: u8) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
