//! What the caller gets: the document, or JSON about it, or the rest of a stream.

use std::io::{self, Write};

use larder::Outcome;
use larder_storage::{Entry, Key};
use serde::Serialize;

use crate::child::{Large, Sink, Taken};
use crate::exit::{Exit, Failed};
use crate::json::{Base64, Body};
use crate::output::{Output, unwritten};

/// What `run --json` prints.
#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    about: About<'a>,
    #[serde(flatten)]
    body: Body<'a>,
}

/// All of it but the document.
#[derive(Serialize)]
struct About<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a Key>,
    exit: u8,
    #[serde(flatten)]
    stored: Option<Stored<'a>>,
    outcome: &'a Outcome,
}

/// What is known of a document that is in the store.
#[derive(Serialize)]
struct Stored<'a> {
    tags: Vec<&'a str>,
    fetched_ms: u64,
    fresh_until_ms: u64,
}

/// Gives a stored document, and how it came.
pub(crate) fn give_entry(output: Output, entry: &Entry, outcome: &Outcome, exit: Exit) -> Result<Exit, Failed> {
    let life = larder_upstream::About::of_or_default(entry).life;
    let stored = Stored {
        tags: entry.metadata().tags().iter().map(larder_storage::Tag::as_str).collect(),
        fetched_ms: life.fetched_ms,
        fresh_until_ms: life.fresh_until_ms,
    };
    let about = About { key: Some(entry.key()), exit: exit.code(), stored: Some(stored), outcome };
    tell(output, entry.body(), about, exit)
}

/// Gives the document, or what a failed command printed, and how it came.
pub(crate) fn give(
    output: Output,
    key: Option<&Key>,
    body: &[u8],
    outcome: &Outcome,
    exit: Exit,
) -> Result<Exit, Failed> {
    tell(output, body, About { key, exit: exit.code(), stored: None, outcome }, exit)
}

fn tell(output: Output, body: &[u8], about: About<'_>, exit: Exit) -> Result<Exit, Failed> {
    output.status(about.outcome);
    let given = if output.json { output.object(&Answer { about, body: Body::of(body) }) } else { output.data(body) };
    match given {
        // the command's own failure is the one to tell
        Err(_) if exit != Exit::OK => Ok(exit),
        Err(failed) => Err(failed),
        Ok(()) => Ok(exit),
    }
}

/// Where output goes that is not kept: standard output, as JSON if that was asked for.
pub(crate) fn passed_on(output: Output, note: Option<String>) -> Large {
    let sink: Sink = if output.json { Box::new(JsonSink::default()) } else { Box::new(io::stdout()) };
    Large { sink, note }
}

/// Ends a stream that was passed on.
pub(crate) fn end(
    output: Output,
    key: Option<&Key>,
    taken: Taken,
    outcome: &Outcome,
    exit: Exit,
) -> Result<Exit, Failed> {
    output.status(outcome);
    let ended = match taken {
        // a full disk is not the command's doing, however it ended when its pipe was closed
        Taken::Refused(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(unwritten(error)),
        Taken::Refused(error) => Err(unwritten(error)),
        Taken::Passed if output.json => end_json(output, &About { key, exit: exit.code(), stored: None, outcome }),
        _ => Ok(()),
    };
    match ended {
        Err(failed) if exit == Exit::OK => Err(failed),
        _ => Ok(exit),
    }
}

/// The object was begun by [`JsonSink`]; its rest comes when it is known.
fn end_json(output: Output, about: &About<'_>) -> Result<(), Failed> {
    let about = serde_json::to_vec(about).unwrap_or_default();
    output.data(b"\",")?;
    output.data(about.strip_prefix(b"{").unwrap_or_default())?;
    output.data(b"\n")
}

/// A stream as the base64 of a JSON answer.
#[derive(Default)]
struct JsonSink {
    begun: bool,
    encoder: Base64,
}

impl Write for JsonSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut out = io::stdout().lock();
        if !self.begun {
            out.write_all(b"{\"version\":1,\"body_base64\":\"")?;
            self.begun = true;
        }
        out.write_all(self.encoder.encode(bytes).as_bytes())?;
        Ok(bytes.len())
    }

    /// Called once, at the end of the stream.
    fn flush(&mut self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(self.encoder.finish().as_bytes())?;
        out.flush()
    }
}
