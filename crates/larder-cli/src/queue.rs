//! `larder queue`: refresh work that waits, and what people do with it.

mod object;
mod verb;

use larder_queue::{Options, Queue};
use larder_storage::Store;

pub(crate) use self::object::{Object, words};
pub(crate) use self::verb::run;
use crate::exit::{Exit, Failed};

/// The folder of a root that has the queue.
const FOLDER: &str = "queue";

impl From<larder_queue::Error> for Failed {
    fn from(error: larder_queue::Error) -> Self {
        let exit = match &error {
            larder_queue::Error::Task(_) => Exit::USAGE,
            error if error.is_contention() => Exit::TIMEOUT,
            _ => Exit::INPUT_OUTPUT,
        };
        Self::new(exit, error)
    }
}

/// The root's queue; the root is made if it is missing.
pub(crate) fn open(store: &Store) -> Result<Queue, Failed> {
    Ok(Queue::in_home(store.annex(FOLDER)?.home(), Options::new())?)
}

/// The same for looking: `None` when there is none. Nothing is made.
pub(crate) fn find(store: &Store) -> Result<Option<Queue>, Failed> {
    let Some(annex) = store.annex_if_present(FOLDER)? else { return Ok(None) };
    Ok(Some(Queue::in_home(annex.home(), Options::new())?))
}
