//! What must be true of the files that a report is made from.

use std::fs::{File, FileTimes};
use std::time::{Duration, SystemTime};

use larder::{Answer, Context, Fetched, Forward, Level, Verdict};

use crate::criteria::{Outcome, check, same};
use crate::generation::{key, prepare, write};
use crate::place::{Fetching, Place, text};
use crate::reports::{configured, read, report, report_with, terms};

/// More than any cache would look at that looks at the first hundred.
const FILES: usize = 150;

/// Sets the times of a file to others, as `touch` does.
fn touch(place: &Place, name: &str) -> Outcome {
    let file = File::open(place.scratch.join("inputs").join(name))?;
    let other = SystemTime::UNIX_EPOCH + Duration::from_secs(1_234_567_890);
    Ok(file.set_times(FileTimes::new().set_modified(other))?)
}

#[expect(clippy::disallowed_methods, reason = "the user's own files")]
fn remove(place: &Place, name: &str) -> Outcome {
    Ok(std::fs::remove_file(place.scratch.join("inputs").join(name))?)
}

/// Asks, and sees that the report is made from what the files have now.
async fn ask(place: &Place, cache: &larder::Cache) -> Outcome<Answer> {
    let inputs = place.scratch.join("inputs");
    let answer = report(cache, &key()?, &inputs, &place.upstream).await?;
    let (said, expected) = (text(&answer), read(&inputs)?);
    check(said.ends_with(&format!(" from {expected}")), || format!("a report of other files: {said}"))?;
    Ok(answer)
}

pub(crate) async fn by_content(place: &Place) -> Outcome<String> {
    prepare(place)?;
    let (cache, other) = (configured(place.builder())?.build()?, configured(place.builder())?.build()?);
    for number in 0..FILES {
        write(place, &format!("file-{number:03}"), &number.to_string())?;
    }
    ask(place, &cache).await?;
    for name in ["one", "file-000", "file-149"] {
        touch(place, name)?;
    }
    write(place, "file-149", "149")?;
    for cache in [&cache, &cache, &other] {
        check(ask(place, cache).await?.outcome.is_hit(), || "a touch had it generated anew".to_owned())?;
    }
    same("generations", place.upstream.calls(), 1)?;
    let mut generations = 1;
    for (what, change) in [("changed", "150"), ("changed back", "149"), ("added", "new"), ("removed", "")] {
        match what {
            "added" => write(place, "file-last", change)?,
            "removed" => remove(place, "file-last")?,
            _ => write(place, "file-149", change)?,
        }
        generations += 1;
        for cache in [&cache, &other, &cache] {
            ask(place, cache).await?;
        }
        same(&format!("generations after a file was {what}"), place.upstream.calls(), generations)?;
    }
    Ok(format!("{FILES} files: touched and rewritten 0, changed, added, removed {}", generations - 1))
}

pub(crate) async fn meanwhile(place: &Place) -> Outcome<String> {
    prepare(place)?;
    let (cache, inputs) = (configured(place.builder())?.build()?, place.scratch.join("inputs"));
    let file = inputs.join("one");
    let generate = move |_: Context| -> Fetching {
        Box::pin(async move {
            let before = std::fs::read_to_string(&file)?;
            #[expect(clippy::disallowed_methods, reason = "the user's own files")]
            std::fs::write(&file, "2")?;
            Ok(Fetched::new(format!("made from {before}")))
        })
    };
    let first = report_with(&cache, &key()?, &terms(&inputs), generate).await?;
    same("who asked for it", text(&first).as_str(), "made from 1")?;
    let second = ask(place, &cache).await?;
    same("the next", text(&second).as_str(), "generation 1 from 2")?;
    check(ask(place, &cache).await?.outcome.is_hit(), || "it is generated again and again".to_owned())?;
    Ok("the report was given to its caller, and to nobody else".to_owned())
}

pub(crate) async fn provenance(place: &Place) -> Outcome<String> {
    prepare(place)?;
    let cache = configured(place.builder())?.build()?;
    let first = ask(place, &cache).await?.outcome;
    same("the first", (first.verdict, first.level), (Verdict::Forward(Forward::UriMiss), Level::Upstream))?;
    for level in [Level::Disk, Level::Memory] {
        let again = ask(place, &cache).await?.outcome;
        same("again", (again.verdict, again.level, again.stale), (Verdict::Hit, level, false))?;
        check(again.age.is_some() && again.ttl.is_some_and(|ttl| ttl > 0), || again.to_string())?;
    }
    write(place, "one", "2")?;
    let changed = ask(place, &cache).await?.outcome;
    same("after a change", changed.verdict, Verdict::Forward(Forward::Stale))?;
    let said = changed.to_string();
    check(said.contains("inputs/one has changed"), || format!("it does not say which file: {said}"))?;
    Ok("uri-miss, hit on disk, hit in memory, stale because inputs/one has changed".to_owned())
}
