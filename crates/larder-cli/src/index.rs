//! `larder index`: the views for people and other tools, made anew.

use std::time::Duration;

use larder::views;
use larder_lock::Wait;
use serde::Serialize;

use crate::args::Global;
use crate::exit::{Exit, Failed};
use crate::output::Output;
use crate::root;

/// How long to wait for another process that writes views.
const WAIT: Duration = Duration::from_secs(10);

/// What `index --json` prints.
#[derive(Serialize)]
struct Answer {
    entries: u64,
    bytes: u64,
    libraries: u64,
    written: u64,
}

impl From<views::Error> for Failed {
    fn from(error: views::Error) -> Self {
        match error {
            views::Error::Read(error) => error.into(),
            views::Error::Write(error) => error.into(),
            error => Self::new(Exit::INPUT_OUTPUT, error),
        }
    }
}

pub(crate) fn run(global: &Global, output: Output) -> Result<Exit, Failed> {
    let store = root::open(global)?;
    let indexed = views::index(&store, &Wait::up_to(WAIT).without_holder())?;
    if indexed.elsewhere {
        output.note("another process writes the views: nothing was done");
    }
    let metrics = views::metrics(&store)?;
    let (entries, bytes, libraries) = (indexed.entries, indexed.bytes, indexed.libraries);
    let written = indexed.written + u64::from(metrics);
    if output.json {
        output.object(&Answer { entries, bytes, libraries, written })?;
    } else {
        output.note(&format!("{entries} documents of {libraries} libraries, {bytes} bytes; {written} views written"));
    }
    Ok(Exit::OK)
}
