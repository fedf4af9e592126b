//! A cache that stays within its bounds, or one that grows for ever.

use camino::Utf8Path;
use larder::{Bounds, Cache, Durability, Key, Terms};
use tokio::runtime::Runtime;

use crate::failure::{Doing as _, Failure};
use crate::sabotage::Sabotage;

/// A cache with bounds.
#[derive(Debug)]
pub(crate) struct Bounded {
    cache: Cache,
    runtime: Runtime,
}

impl Bounded {
    pub(crate) fn open(root: &Utf8Path, bounds: Bounds, sabotage: Option<Sabotage>) -> Result<Self, Failure> {
        let bounds = if sabotage == Some(Sabotage::GrowForEver) { Bounds::UNLIMITED } else { bounds };
        let builder = Cache::builder(root).bounds(bounds).durability(Durability::Relaxed).memory_bytes_max(0);
        let cache = builder.build().doing(format!("open {root}"))?;
        let runtime = Runtime::new().doing("start a runtime")?;
        Ok(Self { cache, runtime })
    }

    pub(crate) fn put(&self, key: &Key, body: Vec<u8>) -> Result<(), Failure> {
        self.runtime.block_on(self.cache.put(key, body, &Terms::new())).doing("put a document").map(drop)
    }

    pub(crate) fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, Failure> {
        let answer = self.runtime.block_on(self.cache.get(key)).doing("get a document")?;
        Ok(answer.map(|answer| answer.body.to_vec()))
    }
}
