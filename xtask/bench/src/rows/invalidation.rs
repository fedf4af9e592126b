//! What 100,000 distinct invalidations cost those who come after.

use std::sync::Arc;

use camino::Utf8Path;
use larder_storage::Key;
use larder_system::SystemDisk;

use super::store::{Cupboard, body, key};
use crate::pairs::{pairs, total};
use crate::report::Row;
use crate::run::{Context, Error};

const FEW: usize = 100;
const RATIO_MAX: f64 = 1.3;
const LENGTH: usize = 4 << 10;
const LIMIT: &str = "the same after 100";

pub(crate) fn rows(context: &Context) -> Result<Vec<Row>, Error> {
    let many = if context.quick { 10_000 } else { 100_000 };
    let path = context.scratch.folder("invalidation")?;
    let (few_path, many_path) = (path.join("few"), path.join("many"));
    let kept = key("bench/kept")?;
    let few_store = invalidated(&few_path, &kept, FEW)?;
    let many_store = invalidated(&many_path, &kept, many)?;
    let after = |act: &str| format!("{act} after {many} invalidations");
    let samples = context.samples();

    let get = pairs(samples * 5, |_| few_store.get(&kept, LENGTH), |_| many_store.get(&kept, LENGTH))?;
    let fresh = (0..total(samples)).map(|index| distinct(many + index)).collect::<Result<Vec<_>, _>>()?;
    let invalidate = |cupboard: &Cupboard, index: usize| match fresh.get(index) {
        Some(key) => cupboard.invalidate(std::slice::from_ref(key)),
        None => Ok(()),
    };
    let stamp = pairs(samples, |index| invalidate(&few_store, index), |index| invalidate(&many_store, index))?;
    let open = |path: &Utf8Path| Cupboard::open(path, Arc::new(SystemDisk::new()))?.get(&kept, LENGTH);
    let open = pairs(samples, |_| open(&few_path), |_| open(&many_path))?;
    Ok(vec![
        Row::ratio(after("get"), LIMIT, get, RATIO_MAX),
        Row::ratio(after("invalidate"), LIMIT, stamp, RATIO_MAX),
        Row::ratio(after("open and first get"), LIMIT, open, RATIO_MAX),
    ])
}

/// A store after so many invalidations, no two of one key, with one entry that was put after them all.
fn invalidated(path: &Utf8Path, kept: &Key, invalidations: usize) -> Result<Cupboard, Error> {
    let cupboard = Cupboard::open(path, Arc::new(SystemDisk::new()))?;
    cupboard.put_relaxed(&key("bench/first")?, &body(LENGTH))?;
    let keys = (0..invalidations).map(distinct).collect::<Result<Vec<_>, _>>()?;
    for batch in keys.chunks(100) {
        cupboard.invalidate(batch)?;
    }
    cupboard.put_relaxed(kept, &body(LENGTH))?;
    Ok(cupboard)
}

fn distinct(index: usize) -> Result<Key, Error> {
    key(&format!("topic-{}/page-{index}", index % 1_000))
}
