//! `larder put`: a document from a file or standard input.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::Duration;

use larder::counters::{Counter, Fold};
use larder_staleness::Life;
use larder_storage::{Key, put};
use larder_upstream::About;
use serde::Serialize;

use crate::args::{Global, Put};
use crate::config::Loaded;
use crate::exit::{Exit, Failed};
use crate::output::Output;
use crate::terms::chance;
use crate::{root, status};

/// The document cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
enum Unread {
    #[error("cannot read {}", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot read standard input")]
    Input {
        #[source]
        source: io::Error,
    },
}

/// Nothing is to be stored.
#[derive(Debug, thiserror::Error)]
#[error("the configuration switches the disk off, so that nothing can be stored: see `larder config show`")]
struct NoDisk;

/// What `put --json` prints.
#[derive(Serialize)]
struct Answer<'a> {
    key: &'a Key,
    bytes: usize,
    durability: larder_storage::Durability,
    fresh_until_ms: u64,
}

pub(crate) fn run(global: &Global, terms: &Put, output: Output) -> Result<Exit, Failed> {
    let loaded = Loaded::find(global)?;
    if !loaded.config.switches().disk {
        return Err(Failed::new(Exit::USAGE, NoDisk));
    }
    let store = std::sync::Arc::new(loaded.options().open(root::path(global)?)?);
    let wait = root::wait(global, &loaded)?;
    let limit = store.body_bytes_max();
    let body = read(terms, limit).map_err(|error| Failed::new(Exit::INPUT_OUTPUT, error))?;
    if body.len() as u64 > limit {
        // how much more there is, only reading all of it would tell
        let error = put::Error::TooLarge { key: terms.key.clone(), bytes: body.len() as u64, limit };
        return Err(error.into());
    }
    let about = about(terms, &loaded, store.clock().wall())?;
    let life = about.life;
    let metadata = about.metadata(&terms.tag).map_err(|error| Failed::new(Exit::USAGE, error))?;
    let wish = larder_storage::Put::new().durability(terms.durability.into()).metadata(metadata).wait(wait);
    let published = store.put(&terms.key, &body, &wish)?;
    status::count(&store, Fold::WhenLong, &[(Counter::Stored, 1)]);
    crate::room::stored(&store);
    if output.json {
        output.object(&Answer {
            key: &terms.key,
            bytes: body.len(),
            durability: published.durability,
            fresh_until_ms: life.fresh_until_ms,
        })?;
    }
    Ok(Exit::OK)
}

/// Its times: as the command line says, else as its class does.
fn about(terms: &Put, loaded: &Loaded, now: std::time::SystemTime) -> Result<About, Failed> {
    let mut policy = loaded.policy(terms.class.as_deref(), Some(&terms.key))?;
    if let Some(ttl) = terms.ttl {
        (policy.fresh, policy.jitter, policy.adaptive) = (ttl.0, Duration::ZERO, false);
    }
    policy.stale_while_revalidate = terms.stale.map_or(policy.stale_while_revalidate, |span| span.0);
    policy.stale_if_error = terms.stale_if_error.map_or(policy.stale_if_error, |span| span.0);
    let life = Life::drawn(now, &policy, Duration::ZERO, chance());
    Ok(About { class: terms.class.clone(), ..About::new(life) })
}

/// The document, or as much of it as shows that it is too large.
fn read(terms: &Put, limit: u64) -> Result<Vec<u8>, Unread> {
    let mut body = Vec::new();
    let limit = limit.saturating_add(1);
    match &terms.from {
        Some(path) => File::open(path)
            .and_then(|file| file.take(limit).read_to_end(&mut body))
            .map_err(|source| Unread::File { path: path.clone(), source })?,
        None => io::stdin().lock().take(limit).read_to_end(&mut body).map_err(|source| Unread::Input { source })?,
    };
    Ok(body)
}
