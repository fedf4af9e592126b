//! Bounds: what a put costs while others are evicted beside it, and the first hit of a process in a large store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use camino::Utf8Path;
use larder_storage::{Bounds, Durability, Eviction, Options, Put, Store, Summary, Worth};
use larder_system::{Clock as _, SystemClock, SystemDisk};

use super::store::{body, key};
use crate::pairs::{Pairs, as_float, nanoseconds, pairs};
use crate::raw;
use crate::report::Row;
use crate::run::{Context, Error};

const LENGTH: usize = 1 << 10;
const PUT_RATIO_MAX: f64 = 2.0;
const OPEN_RATIO_MAX: f64 = 1.5;
/// Entries in one folder.
const FOLDER: usize = 1_000;

pub(crate) fn rows(context: &Context) -> Result<Vec<Row>, Error> {
    let entries = if context.quick { 10_000 } else { 100_000 };
    let path = context.scratch.folder("bounds")?.join("root");
    let bounds = Bounds { bytes: u64::MAX, entries: entries as u64 };
    let store = open(&path, bounds)?;
    for number in 0..entries {
        put(&store, number)?;
    }
    context.settle()?;
    Ok(vec![first_hit(context, &path, entries)?, beside_eviction(context, &store, entries)?])
}

fn open(path: &Utf8Path, bounds: Bounds) -> Result<Store, Error> {
    let options = Options::new().disk(Arc::new(SystemDisk::new())).bounds(bounds);
    options.open(path).map_err(|error| Error::larder("open a store", error))
}

fn put(store: &Store, number: usize) -> Result<(), Error> {
    let key = key(&format!("folder-{}/document-{number}", number / FOLDER))?;
    let terms = Put::new().durability(Durability::Relaxed);
    store.put(&key, &body(LENGTH), &terms).map(drop).map_err(|error| Error::larder("store a document", error))
}

/// A process that begins: opening the store and reading one document, beside the same in a store of ten. What it is of
/// opening a folder and reading a file, nothing checked, is said beside it.
fn first_hit(context: &Context, path: &Utf8Path, entries: usize) -> Result<Row, Error> {
    let text = format!("folder-{}/document-{}", entries / 2 / FOLDER, entries / 2);
    let (wanted, file, folder) = (key(&text)?, format!("{text}.entry"), path.join("entries"));
    let mut buffer = Vec::with_capacity(64 * 1024);
    let limit = |_| {
        let opened = raw::folder(folder.as_str()).and_then(|folder| {
            use std::os::fd::AsFd as _;
            raw::read(folder.as_fd(), &file, &mut buffer)
        });
        opened.map(drop).map_err(|source| Error::io("read", &folder, source))
    };
    let few = path.with_file_name("few");
    let small = open(&few, Bounds::default())?;
    // as many puts, so that as much of the record of changes is to be read
    for number in 0..entries {
        put(&small, entries / 2 + number % 10)?;
    }
    let hit = |path: &Utf8Path| {
        let entry = open(path, Bounds::default())?.get(&wanted);
        match entry.map_err(|error| Error::larder("read a document", error))? {
            Some(_) => Ok(()),
            None => Err(Error::larder("read a document", "it is absent")),
        }
    };
    let bare = pairs(context.samples(), limit, |_| hit(path))?;
    let taken = pairs(context.samples(), |_| hit(&few), |_| hit(path))?;
    let name = format!("open and first hit, {entries} entries");
    let note = format!("open folder, openat+read+close, nothing checked: {:.1} us", as_float(bare.limit_ns) / 1_000.0);
    Ok(Row::ratio(name, "the same at 10 entries, put as often", taken, OPEN_RATIO_MAX).with_note(note))
}

/// The slowest hundredth of puts while another thread evicts without a pause, beside that of puts alone.
fn beside_eviction(context: &Context, store: &Store, entries: usize) -> Result<Row, Error> {
    let samples = context.samples() * 4;
    let clock = SystemClock::new();
    let sample = |from: usize| -> Result<u64, Error> {
        let mut taken = Vec::with_capacity(samples);
        for number in from..from + samples {
            let began = clock.monotonic();
            put(store, number)?;
            taken.push(nanoseconds(clock.monotonic().saturating_sub(began)));
        }
        taken.sort_unstable();
        Ok(taken.get(samples * 99 / 100).copied().unwrap_or_default())
    };
    let alone = sample(entries)?;
    let is_over = AtomicBool::new(false);
    let beside = std::thread::scope(|scope| {
        let evictor = scope.spawn(|| {
            let judge = |_: &Summary| Worth::Kept;
            let mut evicted = 0;
            while !is_over.load(Ordering::Relaxed) {
                let terms = Eviction::new(&judge).all_expendable();
                evicted += store.evict(&terms).map_or(0, |evicted| evicted.removed.entries);
            }
            evicted
        });
        let beside = sample(entries + samples);
        is_over.store(true, Ordering::Relaxed);
        let evicted = evictor.join().unwrap_or(0);
        beside.map(|beside| (beside, evicted))
    });
    let (beside, evicted) = beside?;
    let ratio = as_float(beside) / as_float(alone.max(1));
    let taken = Pairs { limit_ns: alone, ours_ns: beside, ratio, samples };
    let name = format!("relaxed put beside an eviction, {entries} entries, 99th percentile");
    Ok(Row::ratio(name, "the same without it", taken, PUT_RATIO_MAX).with_note(format!("{evicted} were evicted")))
}
