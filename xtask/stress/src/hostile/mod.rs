//! Hostile: a root under attack by others who may write in it, while programs use it; and afterwards.
//!
//! One process puts links and pipes that lead out of the root in the place of its files and folders, others damage every kind
//! of file, and all others use the root with keys from hell. Outside lies a copy of the root, with documents that are good in
//! every respect but the place: whoever follows a link is given one, or writes there.

mod bombs;
mod keys;
pub(crate) mod linker;
mod tree;
pub(crate) mod vandal;
pub(crate) mod victim;

use std::time::Duration;

use camino::Utf8Path;
use larder::{Cache, Context, Failure as Refusal, Fetched, Scope};
use larder_storage::{Durability, Put, Store};
use larder_system::Clock as _;

use crate::crowd::Crowd;
use crate::document;
use crate::failure::{Doing as _, Failure, chain};
use crate::promise::Promise;
use crate::scratch;
use crate::stage::Stage;
use crate::worker::Role;

/// How long one spell lasts.
const SPELL: Duration = Duration::from_secs(5);
/// How often it is looked whether anything outside has changed.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Where links lead to, and where what they stand in the place of is kept meanwhile; folders of an arena.
const OUTSIDE: &str = "outside";
const ASIDE: &str = "aside";
/// The file of a root that people are told to restore; an arena has a good copy of it.
const FORMAT: &str = "format.yaml";
/// The writer of the documents outside, by its number.
const OUTSIDE_WRITER: u32 = u32::MAX;

/// Runs spells until the run's time is over.
pub(crate) fn run(stage: &Stage) -> Result<(), Failure> {
    let mut seed = stage.choices("hostile");
    let mut number = 0;
    while !stage.is_over() {
        number += 1;
        let arena = stage.folder.join(format!("hostile-{number}"));
        scratch::make(&arena.join(ASIDE))?;
        let outside = set(stage, &arena)?;
        let victims = usize::try_from((stage.processes / 6).clamp(3, 8)).unwrap_or(3);
        let mut cast = vec![Role::Victim; victims];
        cast.extend([Role::Linker, Role::Vandal, Role::Vandal]);
        let mut looked = stage.clock.monotonic();
        let mut look = || {
            let now = stage.clock.monotonic();
            if now.saturating_sub(looked) >= LOOK_EVERY {
                looked = now;
                judge_outside(stage, &arena, &outside);
            }
            Ok(())
        };
        let mut crowd = Crowd::start(stage, "hostile", arena.clone(), seed.fork(), &cast)?;
        crowd.live(SPELL, &mut look)?;
        crowd.end()?;
        judge_outside(stage, &arena, &outside);
        if stage.is_cut_short() {
            return Ok(());
        }
        linker::mend(&arena);
        let wrong = use_all(stage, &arena.join("root")).err().map(|failure| chain(&failure));
        stage.judge(Promise::Works, "hostile", "the root", "everything works when the attack is over", wrong);
        stage.tally.counted("attacks", 1);
        if !stage.tally.is_violated() {
            scratch::remove(&arena);
        }
    }
    Ok(())
}

/// Makes a root, and outside of it a copy, in which there are documents; hands back what is outside.
fn set(stage: &Stage, arena: &Utf8Path) -> Result<Vec<tree::Found>, Failure> {
    let (root, outside) = (arena.join("root"), arena.join(OUTSIDE));
    let put = Put::new().durability(Durability::Relaxed);
    {
        let store = Store::open(&root).doing("open the root")?;
        store.put(&keys::key(0)?, &document::make(&stage.corpus, &keys::label(0), 1), &put).doing("begin the root")?;
    }
    scratch::make(&outside.join("dropbox"))?;
    write(&arena.join(FORMAT), &std::fs::read(root.join(FORMAT)).doing("read the root's format")?)?;
    copy(&root, &outside.join("root"))?;
    let store = Store::open(outside.join("root")).doing("open the copy")?;
    for number in 0..keys::KEYS {
        let version = (u64::from(OUTSIDE_WRITER) << 32) | u64::from(number);
        let body = document::make(&stage.corpus, &keys::label(number), version);
        store.put(&keys::key(number)?, &body, &put).doing("put a document outside")?;
    }
    drop(store);
    write(&outside.join("canary"), b"nobody reads or writes this\n")?;
    Ok(tree::content(&outside))
}

#[expect(clippy::disallowed_methods, reason = "a copy that nobody uses meanwhile, beside what is judged")]
fn copy(from: &Utf8Path, to: &Utf8Path) -> Result<(), Failure> {
    scratch::make(to)?;
    let mut all = tree::walk(from, usize::MAX);
    // folders before what is in them
    all.sort_by(|one, other| one.0.cmp(&other.0));
    for (path, kind) in all {
        let (old, new) = (from.as_std_path().join(&path), to.as_std_path().join(&path));
        let copied = if kind.is_dir() { std::fs::create_dir_all(&new) } else { std::fs::copy(&old, &new).map(drop) };
        copied.doing(format!("copy {}", path.display()))?;
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a file of the stress's own, beside what is judged")]
fn write(path: &Utf8Path, bytes: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, bytes).doing(format!("write {path}"))
}

fn judge_outside(stage: &Stage, arena: &Utf8Path, before: &[tree::Found]) {
    let after = tree::content(&arena.join(OUTSIDE));
    let changed = tree::difference(before, &after).map(|path| format!("{} has changed", path.display()));
    stage.judge(Promise::Inside, "hostile", "outside of the root", "nothing is written there", changed);
}

/// Whatever is damaged is set aside, and then everything works; nobody has to clean up by hand.
fn use_all(stage: &Stage, root: &Utf8Path) -> Result<(), Failure> {
    let cache = Cache::builder(root).build().doing("open the root")?;
    let store = cache.store();
    store.verify(true).doing("check and repair")?;
    for number in 0..keys::KEYS {
        let (key, label) = (keys::key(number)?, keys::label(number));
        let body = document::make(&stage.corpus, &label, 1 + u64::from(number));
        store.put(&key, &body, &Put::new().durability(Durability::Relaxed)).doing("put a document")?;
        let got = store.get(&key).doing("get a document")?.map(larder_storage::Entry::into_body);
        if got.as_ref() != Some(&body) {
            return Err(format!("{:?} bytes instead of {}", got.map(|got| got.len()), body.len()))
                .doing("get what was put");
        }
        store.invalidate(&[Scope::Key(key.clone()).hard()]).doing("invalidate a document")?;
        if store.get(&key).doing("get a document")?.is_some() {
            return Err(format!("{label} is there")).doing("take away what was invalidated");
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build();
    let refreshed = runtime.doing("start a runtime")?.block_on(async {
        let refresher = cache.refresher(|_: Context| async { Ok::<_, Refusal>(Fetched::new("new")) });
        let key = keys::key(0)?;
        // whoever finds the queue's journal damaged is told so, and that the next use begins a new one
        if refresher.add(std::slice::from_ref(&key)).await.is_err() {
            refresher.add(&[key]).await.doing("add a task")?;
        }
        let report = refresher.run(u64::MAX, std::future::pending()).await.doing("work through the queue")?;
        Ok::<_, Failure>(report.refreshed)
    })?;
    if refreshed == 0 {
        return Err("nothing was refreshed").doing("do a task");
    }
    let verified = store.verify(false).doing("check again")?;
    match verified.damage.first() {
        Some(damage) => Err(format!("{}: {}", damage.path.display(), damage.reason)).doing("repair"),
        None => Ok(()),
    }
}
