//! What a hit costs, as ratios to the cheapest thing that could do the same, measured side by side in one run.
//!
//! `cargo run --release -p larder --example hits`

use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use larder::{Cache, Durability, Key, Level, Terms};

/// Rounds, of which the median counts.
const ROUNDS: usize = 41;
/// Hits of a thread in one round, from memory and from disk.
const MEMORY_HITS: usize = 20_000;
const DISK_HITS: usize = 400;
const KEYS: usize = 1_000;
const BODY_BYTES: usize = 4 * 1024;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tmp/larder-hits");
    let root = camino::Utf8PathBuf::try_from(root)?;
    let mut out = std::io::stdout().lock();
    for threads in [1, 2] {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
        memory(&runtime, &root, threads, &mut out)?;
        disk(&runtime, &root, threads, &mut out)?;
    }
    Ok(())
}

/// A memory hit beside the bare map and one small read: what a hit that is checked against other processes must cost.
fn memory(
    runtime: &tokio::runtime::Runtime,
    root: &camino::Utf8Path,
    threads: usize,
    out: &mut impl std::io::Write,
) -> Outcome<()> {
    let cache = Cache::builder(root).durability(Durability::Relaxed).build()?;
    let keys = keys(runtime, &cache)?;
    let bare = Arc::new(quick_cache::sync::Cache::<Key, bytes::Bytes>::new(KEYS * 2));
    for key in keys.iter() {
        bare.insert(key.clone(), bytes::Bytes::from(vec![7; BODY_BYTES]));
    }
    let file = Arc::new(File::open(root.join("format.yaml"))?);
    let (mut bares, mut hits) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        bares.push(each(runtime, threads, MEMORY_HITS, |at| {
            let (bare, file, keys) = (Arc::clone(&bare), Arc::clone(&file), Arc::clone(&keys));
            async move {
                for number in at..at + MEMORY_HITS {
                    let mut slot = [0; 8];
                    read_at(&file, &mut slot)?;
                    std::hint::black_box((bare.get(&keys[number % KEYS]), slot));
                }
                Ok(())
            }
        })?);
        hits.push(each(runtime, threads, MEMORY_HITS, |at| {
            let (cache, keys) = (cache.clone(), Arc::clone(&keys));
            async move {
                for number in at..at + MEMORY_HITS {
                    let answer = cache.get(&keys[number % KEYS]).await?.ok_or("a hit")?;
                    debug_assert_eq!(answer.outcome.level, Level::Memory);
                    std::hint::black_box(answer);
                }
                Ok(())
            }
        })?);
    }
    let names = ("memory hit", "bare map + 8-byte pread", 2.0);
    report(out, threads, names, &mut hits, &mut bares)
}

/// A disk hit beside the hand-over to another thread alone, and the same read at other places.
fn disk(
    runtime: &tokio::runtime::Runtime,
    root: &camino::Utf8Path,
    threads: usize,
    out: &mut impl std::io::Write,
) -> Outcome<()> {
    let cache = Cache::builder(root).durability(Durability::Relaxed).memory_bytes_max(0).build()?;
    let keys = keys(runtime, &cache)?;
    let store = Arc::clone(cache.store());
    let (mut bares, mut hits, mut reads) = (Vec::new(), Vec::new(), Vec::new());
    let (mut inline, mut in_place) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        bares.push(each(runtime, threads, DISK_HITS, |_| async move {
            for number in 0..DISK_HITS {
                std::hint::black_box(tokio::task::spawn_blocking(move || number).await?);
            }
            Ok(())
        })?);
        hits.push(each(runtime, threads, DISK_HITS, |at| {
            let (cache, keys) = (cache.clone(), Arc::clone(&keys));
            async move {
                for number in at..at + DISK_HITS {
                    std::hint::black_box(cache.get(&keys[number % KEYS]).await?.ok_or("a hit")?);
                }
                Ok(())
            }
        })?);
        reads.push(each(runtime, threads, DISK_HITS, |at| {
            let (store, keys) = (Arc::clone(&store), Arc::clone(&keys));
            async move {
                for number in at..at + DISK_HITS {
                    let (store, key) = (Arc::clone(&store), keys[number % KEYS].clone());
                    let read = tokio::task::spawn_blocking(move || store.get(&key)).await?;
                    std::hint::black_box(read?.ok_or("a hit")?);
                }
                Ok(())
            }
        })?);
        inline.push(each(runtime, threads, DISK_HITS, |at| {
            let (store, keys) = (Arc::clone(&store), Arc::clone(&keys));
            async move {
                for number in at..at + DISK_HITS {
                    std::hint::black_box(store.get(&keys[number % KEYS])?.ok_or("a hit")?);
                }
                Ok(())
            }
        })?);
        in_place.push(each(runtime, threads, DISK_HITS, |at| {
            let (store, keys) = (Arc::clone(&store), Arc::clone(&keys));
            async move {
                for number in at..at + DISK_HITS {
                    let get = || store.get(&keys[number % KEYS]);
                    std::hint::black_box(tokio::task::block_in_place(get)?.ok_or("a hit")?);
                }
                Ok(())
            }
        })?);
    }
    report(out, threads, ("disk hit, 4 KiB", "bare spawn_blocking", 1.3), &mut hits, &mut bares)?;
    let names = ("disk hit, 4 KiB", "spawn_blocking with the store's read", 1.3);
    report(out, threads, names, &mut hits, &mut reads)?;
    writeln!(out, "   the same read inline {:?}, in block_in_place {:?}", median(&mut inline), median(&mut in_place))?;
    Ok(())
}

/// Stores the documents, and reads each.
fn keys(runtime: &tokio::runtime::Runtime, cache: &Cache) -> Outcome<Arc<Vec<Key>>> {
    let keys = (0..KEYS).map(|number| Key::new(format!("library/{}/topic-{number}", number % 50)));
    let keys: Vec<Key> = keys.collect::<Result<_, _>>()?;
    runtime.block_on(async {
        for key in &keys {
            cache.put(key, vec![7; BODY_BYTES], &Terms::new()).await?;
        }
        for key in &keys {
            cache.get(key).await?.ok_or("a hit")?;
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
    })?;
    Ok(Arc::new(keys))
}

/// The time of one of `count` steps that as many tasks as there are threads make at once.
fn each<F>(
    runtime: &tokio::runtime::Runtime,
    threads: usize,
    count: usize,
    task: impl Fn(usize) -> F,
) -> Outcome<Duration>
where
    F: Future<Output = Outcome<()>> + Send + 'static,
{
    #[expect(clippy::disallowed_methods, reason = "it measures the system's own time")]
    let began = Instant::now();
    let tasks: Vec<_> = (0..threads).map(|number| runtime.spawn(task(number * 37))).collect();
    for task in tasks {
        runtime.block_on(task)??;
    }
    Ok(began.elapsed() / u32::try_from(count)?)
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn report(
    out: &mut impl std::io::Write,
    threads: usize,
    (what, beside, goal): (&str, &str, f64),
    ours: &mut [Duration],
    theirs: &mut [Duration],
) -> Outcome<()> {
    let (ours, theirs) = (median(ours), median(theirs));
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
    let met = if ratio <= goal { "met" } else { "missed" };
    writeln!(out, "{threads} thread(s): {what} {ours:?}, {beside} {theirs:?}: {ratio:.2} (goal {goal}, {met})")?;
    Ok(())
}

#[cfg(unix)]
fn read_at(file: &File, slot: &mut [u8]) -> std::io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, slot, 0)
}

#[cfg(windows)]
fn read_at(file: &File, slot: &mut [u8]) -> std::io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, slot, 0)
}
