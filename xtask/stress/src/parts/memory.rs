//! A memory tier, or one that never asks whether what it has still counts.

use std::collections::HashMap;
use std::sync::Arc;

use camino::Utf8Path;
use larder::{Cache, Durability, Key, Level};
use larder_storage::Store;
use tokio::runtime::Runtime;

use crate::failure::{Doing as _, Failure};
use crate::sabotage::Sabotage;

/// Documents that were read once, and where.
type Copies = (Arc<Store>, HashMap<Key, Vec<u8>>);

/// What reads through memory.
pub(crate) struct Memory {
    cache: Cache,
    runtime: Runtime,
    /// The broken tier's.
    copies: Option<Copies>,
}

impl Memory {
    pub(crate) fn open(root: &Utf8Path, store: &Arc<Store>, sabotage: Option<Sabotage>) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().doing("start a runtime")?;
        let cache = Cache::builder(root).durability(Durability::Relaxed).build().doing(format!("open {root}"))?;
        let copies = (sabotage == Some(Sabotage::StaleMemory)).then(|| (Arc::clone(store), HashMap::new()));
        Ok(Self { cache, runtime, copies })
    }

    /// The document, and whether it came from memory.
    pub(crate) fn get(&mut self, key: &Key) -> Result<(Option<Vec<u8>>, bool), Failure> {
        let doing = || format!("get {key}");
        let Some((store, copies)) = &mut self.copies else {
            let answer = self.runtime.block_on(self.cache.get(key)).doing(doing())?;
            let from_memory = answer.as_ref().is_some_and(|answer| answer.outcome.level == Level::Memory);
            return Ok((answer.map(|answer| answer.body.to_vec()), from_memory));
        };
        if let Some(copy) = copies.get(key) {
            return Ok((Some(copy.clone()), true));
        }
        let body = store.get(key).doing(doing())?.map(larder_storage::Entry::into_body);
        if let Some(body) = &body {
            copies.insert(key.clone(), body.clone());
        }
        Ok((body, false))
    }
}
