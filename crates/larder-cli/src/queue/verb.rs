//! The verbs of `larder queue`.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, Read as _};

use larder_lock::Wait;
use larder_queue::{Counts, Selection, Snapshot, Task};
use larder_storage::{Key, key};
use serde::Serialize;

use super::object::{Object, standing};
use super::{find, open};
use crate::args::{Global, Queue as Terms, QueueAdd, QueueVerb, Selected};
use crate::config::Loaded;
use crate::exit::{Exit, Failed};
use crate::output::Output;
use crate::root;
use crate::text::plain;

/// The most keys that standard input may have, and their bytes: more are added in parts.
const KEYS_MAX: usize = 1_000_000;
const INPUT_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Standard input has no list of keys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
enum Unread {
    #[error("line {line} of standard input is no key; nothing was added")]
    Key {
        line: usize,
        #[source]
        source: key::Error,
    },
    #[error("line {line} of standard input is not UTF-8; nothing was added")]
    Text { line: usize },
    #[error("standard input has more than {KEYS_MAX} keys, or more than {INPUT_BYTES_MAX} bytes: add them in parts")]
    TooMany,
    #[error("cannot read standard input")]
    Input {
        #[source]
        source: io::Error,
    },
}

/// What `queue list --json` prints.
#[derive(Serialize)]
struct Listed<'a> {
    tasks: Vec<Object<'a>>,
    counts: Counts,
    lost_records: u64,
    foreign_records: u64,
}

/// What the verbs that change something print as JSON.
#[derive(Serialize)]
struct Changed {
    tasks: u64,
}

pub(crate) fn run(global: &Global, terms: &Terms, output: Output) -> Result<Exit, Failed> {
    let loaded = Loaded::find(global)?;
    let store = loaded.options().open(root::path(global)?)?;
    let wait = root::wait(global, &loaded)?;
    let (changed, done) = match &terms.what {
        QueueVerb::List => {
            return list(&find(&store)?.map_or_else(|| Ok(Snapshot::default()), |queue| queue.snapshot())?, output);
        }
        QueueVerb::Add(add) => {
            let tasks = tasks(add, store.clock().wall())?;
            (open(&store)?.add(&tasks, &wait)?.tasks, "added")
        }
        QueueVerb::Retry(selected) => {
            (change(find(&store)?, selected, &wait, larder_queue::Queue::retry)?, "to be tried again")
        }
        QueueVerb::Clear(selected) => (change(find(&store)?, selected, &wait, larder_queue::Queue::remove)?, "removed"),
    };
    if output.json {
        output.object(&Changed { tasks: changed })?;
    } else {
        output.note(&format!("{changed} tasks {done}"));
    }
    Ok(Exit::OK)
}

fn change(
    queue: Option<larder_queue::Queue>,
    selected: &Selected,
    wait: &Wait,
    change: impl FnOnce(&larder_queue::Queue, &Selection, &Wait) -> Result<u64, larder_queue::Error>,
) -> Result<u64, Failed> {
    let selection = match selected {
        Selected { all: true, .. } => Selection::All,
        Selected { dead: true, .. } => Selection::Dead,
        Selected { keys, .. } => Selection::Keys(keys.iter().map(|key| key.as_str().to_owned()).collect()),
    };
    Ok(queue.map_or(Ok(0), |queue| change(&queue, &selection, wait))?)
}

/// The tasks that the command line, or standard input, names.
fn tasks(add: &QueueAdd, now: std::time::SystemTime) -> Result<Vec<Task>, Failed> {
    let task = |key: &str| {
        let task = Task::new(key).map_err(|error| Failed::new(Exit::USAGE, error))?;
        let task = task.priority(add.priority).reason(add.reason.as_deref().unwrap_or("added by hand"));
        Ok(match add.at {
            Some(moment) => task.due(moment.seen_from(now)),
            None => task,
        })
    };
    if add.keys.iter().map(String::as_str).eq(["-"]) {
        let keys = keys_read().map_err(|error| {
            Failed::new(if matches!(error, Unread::Input { .. }) { Exit::INPUT_OUTPUT } else { Exit::USAGE }, error)
        })?;
        return keys.iter().map(|key| task(key.as_str())).collect();
    }
    let keys = add.keys.iter().map(|text| text.parse::<Key>());
    keys.map(|key| task(key.map_err(|error| Failed::new(Exit::USAGE, error))?.as_str())).collect()
}

/// A key on each line of standard input; empty lines are none.
fn keys_read() -> Result<Vec<Key>, Unread> {
    let mut input = io::BufReader::new(io::stdin().lock().take(INPUT_BYTES_MAX + 1));
    let (mut keys, mut line, mut bytes) = (Vec::new(), Vec::new(), 0);
    for number in 1.. {
        line.clear();
        let length = input.read_until(b'\n', &mut line).map_err(|source| Unread::Input { source })?;
        bytes += length as u64;
        if length == 0 {
            break;
        }
        if bytes > INPUT_BYTES_MAX || keys.len() >= KEYS_MAX {
            return Err(Unread::TooMany);
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if !text.is_empty() {
            let text = std::str::from_utf8(text).map_err(|_| Unread::Text { line: number })?;
            keys.push(text.parse().map_err(|source| Unread::Key { line: number, source })?);
        }
    }
    Ok(keys)
}

fn list(snapshot: &Snapshot, output: Output) -> Result<Exit, Failed> {
    if output.json {
        output.object(&Listed {
            tasks: snapshot.tasks.iter().map(Object::of).collect(),
            counts: snapshot.counts,
            lost_records: snapshot.lost_records,
            foreign_records: snapshot.foreign_records,
        })?;
        return Ok(Exit::OK);
    }
    let mut text = String::new();
    for task in &snapshot.tasks {
        let why = task.error.as_deref().unwrap_or(&task.reason);
        let _ = writeln!(
            text,
            "{}\t{}\tpriority {}\t{}",
            plain(&task.key),
            standing(task),
            task.priority,
            plain(why).replace('\n', " ")
        );
    }
    output.data(text.as_bytes())?;
    for (count, what) in [
        (snapshot.lost_records, "damaged records were passed over"),
        (snapshot.foreign_records, "records are of a newer version, and were left alone"),
    ] {
        if count > 0 {
            output.warn(&format!("{count} {what}"));
        }
    }
    Ok(Exit::OK)
}
