//! Following the journal: the tasks as far as its records have been read.

use larder_storage::journal::{Appended, Event, Exclusive, Follower, Journal};
use larder_system::Clock;

use crate::error::Error;
use crate::hold::Now;
use crate::record::Record;
use crate::state::{FOREIGN_MAX, State};

/// How often a look goes on where the last one stopped at its own bound.
const POLLS_MAX: u32 = 64;

/// The tasks, and how far the journal was read for them.
#[derive(Debug)]
pub(crate) struct Fold {
    follower: Follower,
    pub(crate) state: State,
    /// Records that were damaged.
    pub(crate) lost: u64,
}

impl Fold {
    pub(crate) fn new(follower: Follower) -> Self {
        Self { follower, state: State::default(), lost: 0 }
    }

    /// From the beginning, in the file that has the name now.
    pub(crate) fn restart(&mut self, journal: &Journal) {
        (self.follower, self.state) = (journal.follow(), State::default());
    }

    /// Everything that is there, without the lock; and what time it is then. The time is asked for each record once that was
    /// read: a lease that began after that would be taken for one of another boot.
    pub(crate) fn poll(&mut self, clock: &dyn Clock) -> Result<Now, Error> {
        let Self { follower, state, lost } = self;
        for _ in 0..POLLS_MAX {
            if !follower.poll(|event| take(state, lost, &event, &Now::of(clock)))?.more {
                let now = Now::of(clock);
                state.advance(&now);
                return Ok(now);
            }
        }
        Err(Error::Endless)
    }

    /// Everything that is there, up to the end that the holder of the lock knows; `now` is asked when that was had.
    pub(crate) fn catch_up(&mut self, exclusive: &Exclusive<'_>, now: &Now) -> Result<(), Error> {
        let Self { follower, state, lost } = self;
        for _ in 0..POLLS_MAX {
            if !exclusive.catch_up(follower, |event| take(state, lost, &event, now))?.more {
                state.advance(now);
                return Ok(());
            }
        }
        Err(Error::Endless)
    }

    /// What this process has just appended, without reading it back.
    pub(crate) fn append(&mut self, appended: &Appended, records: Vec<Record>, now: &Now) {
        if !self.follower.pass(appended) {
            // it will be read
            return;
        }
        for (index, record) in records.into_iter().enumerate() {
            self.state.apply(appended.first_sequence.saturating_add(index as u64), record, now);
        }
    }
}

fn take(state: &mut State, lost: &mut u64, event: &Event<'_>, now: &Now) {
    match event {
        Event::Reset(_) | Event::Gone => (*state, *lost) = (State::default(), 0),
        Event::Record { sequence, bytes } => match Record::decode(bytes) {
            Some(record) => state.apply(*sequence, record, now),
            // one more than is carried along tells that there are too many
            None if state.foreign.len() <= FOREIGN_MAX => state.foreign.push((*bytes).into()),
            None => {}
        },
        Event::Lost { records } => {
            *lost = lost.saturating_add(*records);
            tracing::warn!(records, "records of a queue are damaged, and lost");
        }
    }
}
