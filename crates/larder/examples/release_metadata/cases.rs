//! What must be true of metadata that are there: read, refreshed, damaged, old.

use std::collections::BTreeSet;
use std::future::pending;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use larder::{Class, Failure, Key, Options, Terms};
use larder_lock::Wait;
use larder_testkit::VirtualClock;

use crate::criteria::{Outcome, check, same};
use crate::place::{Place, fetch_from, text, until_calls};
use crate::releases::{MAX_AGE, Said, index};
use crate::roles::BODY_BYTES;

/// How many writers are killed, each after so many documents.
const ROUNDS: usize = 8;
const DOCUMENTS: usize = 3;

fn key() -> Outcome<Key> {
    Ok(Key::new("releases/temurin")?)
}

pub(crate) async fn readers(place: &Place) -> Outcome<String> {
    let cache = place.builder().build()?;
    cache.put(&key()?, "old", &Terms::new()).await?;
    cache.refresher(fetch_from(&place.upstream)).add(&[key()?]).await?;
    let hold = place.upstream.hold();
    let mut refresher = place.spawn("refresh", &[]);
    until_calls(&place.upstream, 1).await?;
    let reader = place.builder().read_only().build()?;
    for cache in [&cache, &reader] {
        let metadata = index(cache, "temurin", Wait::none(), |_| Err(Failure::new(Class::Refused, "not allowed to")))?;
        same("what is read", metadata.body.as_slice(), b"old".as_slice())?;
    }
    drop(hold);
    refresher.wait_for_line("refreshed 1, failed 0");
    let metadata = index(&cache, "temurin", Wait::none(), |_| Err(Failure::new(Class::Refused, "not allowed to")))?;
    same("what is read afterwards", metadata.body.as_slice(), b"releases/temurin, call 1".as_slice())?;
    Ok("2 readers, 0 waits, 1 call".to_owned())
}

pub(crate) async fn durable_refresh(place: &Place) -> Outcome<String> {
    let cache = place.builder().build()?;
    cache.put(&key()?, "old", &Terms::new()).await?;
    let queue = cache.refresher(fetch_from(&place.upstream));
    queue.add(&[key()?]).await?;
    for killed in 1..=2 {
        let hold = place.upstream.hold();
        let mut refresher = place.spawn("refresh", &[]);
        until_calls(&place.upstream, killed).await?;
        refresher.kill();
        drop(hold);
        let answer = cache.get(&key()?).await?.ok_or("the old metadata are gone")?;
        same("what is read", text(&answer).as_str(), "old")?;
        same("what is still to be done", queue.counts().await?.open(), 1)?;
    }
    let mut refresher = place.spawn("refresh", &[]);
    refresher.wait_for_line("refreshed 1, failed 0");
    refresher.wait_for_success();
    let answer = cache.get(&key()?).await?.ok_or("the new metadata are not there")?;
    same("what is read afterwards", text(&answer).as_str(), "releases/temurin, call 3")?;
    let report = queue.run(u64::MAX, pending()).await?;
    same("what is left to do", (report.refreshed, report.failed, queue.counts().await?.open()), (0, 0, 0))?;
    same("calls", place.upstream.calls(), 3)?;
    Ok("2 killed, the third did it; 3 calls".to_owned())
}

pub(crate) async fn killed_writers(place: &Place) -> Outcome<String> {
    let (cache, key) = (place.builder().memory_bytes_max(0).build()?, key()?);
    let (mut reads, mut seen) = (0_u32, BTreeSet::new());
    for _ in 0..ROUNDS {
        let mut writer = place.spawn("write", &[("key", key.as_str())]);
        let mut told = 0;
        while told < DOCUMENTS {
            if writer.said().len() > told {
                writer.wait_for_line("written");
                told += 1;
            }
            if let Some(answer) = cache.get(&key).await? {
                let letter = answer.body.first().copied().unwrap_or_default();
                let is_whole = answer.body.len() == BODY_BYTES && answer.body.iter().all(|byte| *byte == letter);
                check(is_whole && letter.is_ascii_lowercase(), || {
                    format!("{} bytes that are mixed", answer.body.len())
                })?;
                reads += 1;
                seen.insert(letter);
            }
        }
        writer.kill();
        check(cache.get(&key).await?.is_some(), || "metadata that were acknowledged are gone".to_owned())?;
    }
    // the next who writes finds nothing in its way, and tidies
    place.builder().build()?.put(&key, "new", &Terms::new()).await?;
    same("leftovers", files_in(&place.root().as_std_path().join("tmp"))?, Vec::<PathBuf>::new())?;
    let verified = cache.store().verify(false)?;
    same("entries, whole and damaged", (verified.whole, verified.damaged), (1, 0))?;
    Ok(format!("{ROUNDS} killed, {reads} reads, each judged byte by byte, {} different ones", seen.len()))
}

pub(crate) async fn damage(place: &Place) -> Outcome<String> {
    let cache = place.builder().build()?;
    let download = |key: &Key| Ok::<_, Failure>(place.upstream.call(key.as_str())?.body);
    let ask = || Ok::<_, crate::criteria::Error>(index(&cache, "temurin", Said::default().wait()?, download)?.body);
    ask()?;
    let entries = files_in(&place.root().as_std_path().join("entries"))?;
    let [entry] = entries.as_slice() else { return Err(format!("the entries: {entries:?}").into()) };
    let mut bytes = std::fs::read(entry)?;
    let last = bytes.last_mut().ok_or("the entry is empty")?;
    *last ^= 1;
    overwrite(entry, &bytes)?;
    for _ in 0..2 {
        same("what is read", ask()?.as_slice(), b"releases/temurin, call 2".as_slice())?;
    }
    same("calls", place.upstream.calls(), 2)?;
    same("set aside", files_in(&place.root().as_std_path().join("quarantine"))?.len(), 1)?;
    // a file of no length, as a loss of power leaves them elsewhere
    overwrite(entry, b"")?;
    same("what is read then", ask()?.as_slice(), b"releases/temurin, call 3".as_slice())?;
    Ok("1 bit flipped, 1 file cut to nothing: 2 more calls".to_owned())
}

pub(crate) async fn failing(place: &Place) -> Outcome<String> {
    let clock = Arc::new(VirtualClock::new());
    let cache = place.builder().store_options(Options::new().clock(clock.clone())).build()?;
    let ask = || {
        let download = |key: &Key| Ok::<_, Failure>(place.upstream.call(key.as_str())?.body);
        index(&cache, "temurin", Said::default().wait()?, download)
    };
    ask()?;
    place.upstream.fails("no route to host");
    clock.advance(MAX_AGE);
    check(ask()?.warning.is_none(), || "metadata of 720 hours are called old".to_owned())?;
    clock.advance(Duration::from_secs(3_600));
    for _ in 0..3 {
        let metadata = ask()?;
        same("what is used", metadata.body.as_slice(), b"releases/temurin, call 1".as_slice())?;
        let expected = "no route to host; using metadata that are 721 hours old";
        same("the warning", metadata.warning.as_deref(), Some(expected))?;
    }
    same("calls", place.upstream.calls(), 2)?;
    clock.rewind_wall(MAX_AGE * 2);
    clock.advance_monotonic(Duration::from_secs(60));
    place.upstream.answers("new");
    same("after the clock went backwards", ask()?.body.as_slice(), b"new".as_slice())?;
    Ok("3 callers warned, 1 call; a clock that went backwards makes old, not immortal".to_owned())
}

/// The files below a folder, whatever their depth.
fn files_in(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        let listed = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            listed => listed?,
        };
        for entry in listed {
            let entry = entry?;
            if entry.file_type()?.is_dir() { folders.push(entry.path()) } else { files.push(entry.path()) }
        }
    }
    Ok(files)
}

#[expect(clippy::disallowed_methods, reason = "it plays the part of a disk that has gone bad")]
fn overwrite(path: &Path, bytes: &[u8]) -> Outcome {
    Ok(std::fs::write(path, bytes)?)
}
