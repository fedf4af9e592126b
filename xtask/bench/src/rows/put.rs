//! Puts, durable and not, beside the calls that no atomic replace can do without.

use std::sync::Arc;

use larder_storage::Key;
use larder_system::SystemDisk;
use larder_testkit::{FaultDisk, Operation};

use super::store::{Cupboard, body, key};
use crate::pairs::{pairs, total};
use crate::raw::{Flush, Writer};
use crate::report::Row;
use crate::run::{Context, Error};

const LENGTH: usize = 4 << 10;
const FULL_LIMIT: &str = "write+fsync+rename+fsync folder";
const RELAXED_LIMIT: &str = "create+write+rename";
const FULL_RATIO_MAX: f64 = 1.1;
const RELAXED_RATIO_MAX: f64 = 1.35;
const FLUSHES_MAX: u64 = 2;
/// `open`, `write`, `close`, `rename`, and eight for the lock, the fence and the mode.
const RELAXED_CALLS_MAX: u64 = 4 + 8;

/// Whether the keys are there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    New,
    Present,
}

pub(crate) fn rows(context: &Context) -> Result<Vec<Row>, Error> {
    let mut rows = vec![
        ratio(context, "full put 4 KiB, new key", Flush::Both, Target::New)?,
        ratio(context, "full put 4 KiB, overwrite", Flush::Both, Target::Present)?,
        ratio(context, "relaxed put 4 KiB, new key", Flush::None, Target::New)?,
        ratio(context, "relaxed put 4 KiB, overwrite", Flush::None, Target::Present)?,
    ];
    for target in [Target::New, Target::Present] {
        rows.extend(calls(context, target)?);
    }
    Ok(rows)
}

fn ratio(context: &Context, name: &'static str, flush: Flush, target: Target) -> Result<Row, Error> {
    let path = context.scratch.folder(name)?;
    let cupboard = Cupboard::open(&path.join("larder"), Arc::new(SystemDisk::new()))?;
    let text = body(LENGTH);
    let put = |key: &Key| match flush {
        Flush::Both => cupboard.put_full(key, &text),
        Flush::None => cupboard.put_relaxed(key, &text),
    };
    put(&key("bench/key-0")?)?;
    let bytes = cupboard.only_file()?.bytes;
    let samples = if flush == Flush::Both { context.samples() / 2 } else { context.samples() }.max(300);
    let count = if target == Target::New { total(samples) } else { 1 };
    let keys = (0..count).map(|index| key(&format!("bench/key-{index}"))).collect::<Result<Vec<_>, _>>()?;
    let names: Vec<_> = (0..count).map(|index| format!("key-{index}.entry")).collect();
    let temporaries: Vec<_> = (0..total(samples)).map(|index| format!("0123456789abcdef.{index}")).collect();
    let (temporary, entries) = (path.join("raw/tmp"), path.join("raw/entries/bench"));
    for folder in ["raw/tmp", "raw/entries/bench"] {
        context.scratch.folder(&format!("{name}/{folder}"))?;
    }
    let failed = |source| Error::io("write in", &temporary, source);
    let writer = Writer::new(temporary.as_str(), entries.as_str()).map_err(failed)?;
    let limit = |index: usize| {
        let (from, to) = (nth(&temporaries, index), nth(&names, index));
        writer.put(from, to, &bytes, flush).map_err(failed)
    };
    context.settle()?;
    let taken = pairs(samples, limit, |index| put(nth(&keys, index)))?;
    let (limit, ratio_max) = match flush {
        Flush::Both => (FULL_LIMIT, FULL_RATIO_MAX),
        Flush::None => (RELAXED_LIMIT, RELAXED_RATIO_MAX),
    };
    Ok(Row::ratio(name, limit, taken, ratio_max))
}

/// The item of this index, the list repeated as often as it takes.
#[expect(clippy::indexing_slicing, reason = "a remainder is within the list, and no list here is empty")]
fn nth<T>(list: &[T], index: usize) -> &T {
    &list[index % list.len()]
}

/// How many puts are counted.
const COUNTED: usize = 9;

fn calls(context: &Context, target: Target) -> Result<Vec<Row>, Error> {
    let path = context.scratch.folder(&format!("put calls {target:?}"))?;
    let disk = FaultDisk::over(Arc::new(SystemDisk::new()));
    let cupboard = Cupboard::open(&path, Arc::new(disk.clone()))?;
    let text = body(LENGTH);
    // the first put into a folder makes it, and opens what later ones share
    cupboard.put_full(&key("bench/first")?, &text)?;
    // twice a second a store looks at its root; the median put does not, and opens no lock file for the first time
    let (mut counts, mut relaxed_flushes, mut full_flushes) = (Vec::new(), 0, 0);
    for round in 0..COUNTED {
        let number = if target == Target::New { round } else { 0 };
        let (relaxed, full) = (key(&format!("bench/relaxed-{number}"))?, key(&format!("bench/full-{number}"))?);
        disk.reset();
        cupboard.put_relaxed(&relaxed, &text)?;
        counts.push(disk.count());
        relaxed_flushes = relaxed_flushes.max(flushes(&disk));
        disk.reset();
        cupboard.put_full(&full, &text)?;
        full_flushes = full_flushes.max(flushes(&disk));
    }
    counts.sort_unstable();
    let calls = *nth(&counts, COUNTED / 2);
    let what = if target == Target::New { "new key" } else { "overwrite" };
    Ok(vec![
        Row::count(format!("relaxed put, {what}: system calls"), calls, RELAXED_CALLS_MAX),
        Row::count(format!("relaxed put, {what}: flushes"), relaxed_flushes, 0),
        Row::count(format!("full put, {what}: flushes"), full_flushes, FLUSHES_MAX),
    ])
}

fn flushes(disk: &FaultDisk) -> u64 {
    disk.count_of(Operation::Sync) + disk.count_of(Operation::SyncData)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_repeats_when_it_is_shorter_than_the_measurement() {
        assert_eq!([0, 1, 2, 3].map(|index| *nth(&["a", "b"], index)), ["a", "b", "a", "b"]);
        assert_eq!(*nth(&["only"], 99), "only");
    }
}
