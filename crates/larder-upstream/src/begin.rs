//! Joining the flight that is under way, or leading the next one.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use camino::Utf8PathBuf;
use larder_lock::{Bound, Guard, Holder, Mode, Origin, acquire};
use larder_storage::{Annex, GetError, Key, Standing, Tag, annex, invalidate};
use larder_system::{Replace, host_name};

use crate::file::{self, Header, Id, Outcome, Seen, What};
use crate::flight::{self, Flight, Published};
use crate::flights::{Flights, election_lock, file_name, is_alive, wall_ms};
use crate::met::{Begun, Met, Parts};
use crate::patience::{End, Patience};
use crate::terms::Terms;
use crate::turn::{Carried, Turn, Waited};

/// How often a caller may be overtaken before it gives up: far beyond any number of flights that one call sees.
const ROUNDS_MAX: u32 = 1_000;
/// How often the root may be replaced under one call.
const MOVES_MAX: u32 = 8;

/// Why a caller neither leads nor has an answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Somebody fetches it, and the caller would not wait.
    #[error(
        "`{key}` is being fetched by {holder}; not waited, as set by {origin}: allow a wait, or ask again when it is done"
    )]
    Busy {
        /// What was asked for.
        key: Key,
        /// Who said not to wait.
        origin: Origin,
        /// Who fetches it.
        holder: Box<Holder>,
    },
    /// Somebody was fetching it for the whole wait.
    #[error(
        "`{key}` is still being fetched by {holder}; gave up after {waited:.1?}, the bound being {bound} as set by \
         {origin}: wait longer, or end that process"
    )]
    TimedOut {
        /// What was asked for.
        key: Key,
        /// How long this call took.
        waited: Duration,
        /// How long it was willing to.
        bound: Bound,
        /// Who said so.
        origin: Origin,
        /// Who fetches it.
        holder: Box<Holder>,
    },
    /// The caller's cancellation happened first.
    #[error("the wait for `{key}` was cancelled after {waited:.1?}; it is being fetched by {holder}")]
    Cancelled {
        /// What was asked for.
        key: Key,
        /// How long this call took.
        waited: Duration,
        /// Who fetches it.
        holder: Box<Holder>,
    },
    /// A newer larder's flight, which has ended or whose end cannot be told, has left its file.
    #[error("{path} is a newer larder's: use that version, or fetch without a flight")]
    Newer {
        /// The file.
        path: Utf8PathBuf,
    },
    /// A folder has the name of a flight's file.
    #[error("{path} is a folder where a file must be: move it away")]
    Folder {
        /// It.
        path: Utf8PathBuf,
    },
    /// Others were faster again and again, or the root was replaced again and again.
    #[error("`{key}` was overtaken {rounds} times by others that want it: ask again later")]
    Overtaken {
        /// What was asked for.
        key: Key,
        /// How often.
        rounds: u32,
    },
    /// The root cannot be written, or the file of the flight not be read.
    #[error(transparent)]
    File(#[from] file::Error),
    /// The record of invalidations cannot be read.
    #[error(transparent)]
    Invalidations(#[from] invalidate::Error),
    /// A lock cannot be used.
    #[error(transparent)]
    Lock(#[from] acquire::Error),
    /// The look at the store failed.
    #[error(transparent)]
    Look(GetError),
    /// The system has no random numbers for the flight's identity.
    #[error("a flight for `{key}` cannot be told from others")]
    Identity {
        /// What was asked for.
        key: Key,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

impl From<annex::Error> for Error {
    fn from(error: annex::Error) -> Self {
        Self::File(error.into())
    }
}

impl Error {
    /// Whether everything is in order and somebody fetches it: waiting longer, or asking later, helps.
    pub const fn is_contention(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::TimedOut { .. } | Self::Cancelled { .. })
    }

    /// Who fetches it, when that is why the caller has nothing.
    pub fn holder(&self) -> Option<&Holder> {
        match self {
            Self::Busy { holder, .. } | Self::TimedOut { holder, .. } | Self::Cancelled { holder, .. } => Some(holder),
            _ => None,
        }
    }
}

pub(crate) fn run<T>(
    flights: &Flights,
    key: &Key,
    terms: &Terms,
    met: Option<Met>,
    look: impl FnMut() -> Result<Option<T>, GetError>,
) -> Result<Turn<T>, Error> {
    let mut call = Call::new(flights, key, terms, look);
    let mut met = met;
    loop {
        met = match call.advance(met)? {
            Begun::Turn(turn) => return Ok(turn),
            Begun::Met(met) => call.wait_for_end(&met.parts)?.then_some(met),
        }
    }
}

/// The same up to the moment at which a wait for somebody's flight would begin.
pub(crate) fn at_once<T>(
    flights: &Flights,
    key: &Key,
    terms: &Terms,
    met: Option<Met>,
    look: impl FnMut() -> Result<Option<T>, GetError>,
) -> Result<Begun<T>, Error> {
    Call::new(flights, key, terms, look).advance(met)
}

/// One caller's call.
struct Call<'a, L> {
    flights: &'a Flights,
    key: &'a Key,
    terms: &'a Terms,
    name: String,
    look: L,
    patience: Patience<'a>,
    waited: Waited,
    rounds: u32,
    moves: u32,
}

/// What a look at a flight's file comes to.
enum Judged<T> {
    /// It is under way; whether its answer will be this caller's.
    UnderWay { joins: bool },
    /// It is not, and this follows; `None` to look again.
    Over(Option<Turn<T>>),
}

impl<'a, T, L: FnMut() -> Result<Option<T>, GetError>> Call<'a, L> {
    fn new(flights: &'a Flights, key: &'a Key, terms: &'a Terms, look: L) -> Self {
        let patience = Patience::new(key, &terms.wait, &**flights.store().clock());
        let (name, waited) = (file_name(key), Waited::default());
        Self { flights, key, terms, name, look, patience, waited, rounds: 0, moves: 0 }
    }

    /// As far as it goes without a wait for a flight.
    fn advance(&mut self, met: Option<Met>) -> Result<Begun<T>, Error> {
        if let Some(met) = met
            && let Some(begun) = self.resume(met)?
        {
            return Ok(begun);
        }
        while self.rounds < ROUNDS_MAX {
            self.rounds += 1;
            self.patience.still_wanted(self.waited.holder.as_ref())?;
            let annex = self.flights.annex()?;
            match self.round(&annex) {
                Ok(Some(begun)) => return Ok(begun),
                Ok(None) => {}
                // a root that vanishes fails in many ways
                Err(error) if error.is_contention() || self.moves >= MOVES_MAX || annex.is_current() => {
                    return Err(error);
                }
                Err(_) => self.moves += 1,
            }
        }
        Err(Error::Overtaken { key: self.key.clone(), rounds: ROUNDS_MAX })
    }

    /// What has become of a flight that this caller has met before; `None` to look what there is now.
    fn resume(&mut self, met: Met) -> Result<Option<Begun<T>>, Error> {
        self.patience.still_wanted(Some(&met.holder()))?;
        match self.end_of(&met.parts) {
            Ok(Judged::Over(turn)) => Ok(turn.map(Begun::Turn)),
            Ok(Judged::UnderWay { .. }) => Ok(Some(Begun::Met(met))),
            Err(error) if error.is_contention() || met.parts.annex.is_current() => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// What a flight that was met has left to this caller.
    fn end_of(&mut self, met: &Parts) -> Result<Judged<T>, Error> {
        if is_alive(&met.annex, &met.header.id)? {
            // nobody's end is waited for in a root that nobody finds any more
            let is_current = met.annex.is_current();
            return Ok(if is_current { Judged::UnderWay { joins: met.joins } } else { Judged::Over(None) });
        }
        if self.waited.flights == 0 {
            // seen under way by an earlier part of this call
            (self.waited.flights, self.waited.holder) = (1, Some(met.header.holder()));
        }
        Ok(Judged::Over(match self.outcome(&met.annex, &met.seen)? {
            Some(outcome) if met.joins => self.take(&met.header, outcome)?,
            // not this caller's; or none, and then somebody is elected
            _ => None,
        }))
    }

    /// One look at what there is under the flight's name, and what follows from it; `None` to look again.
    fn round(&mut self, annex: &Annex) -> Result<Option<Begun<T>>, Error> {
        let Some(seen) = Seen::open(annex, &self.name)? else {
            return Ok(self.lead(annex)?.map(Begun::Turn));
        };
        match (self.judge(annex, &seen), &seen.what) {
            (Ok(Judged::UnderWay { joins }), What::Flight { header, .. }) => {
                let header = header.clone();
                let parts = Box::new(Parts { annex: annex.clone(), seen, header, joins });
                Ok(Some(Begun::Met(Met { parts })))
            }
            (judged, _) => {
                seen.close(annex);
                Ok(match judged? {
                    Judged::Over(turn) => turn.map(Begun::Turn),
                    Judged::UnderWay { .. } => None,
                })
            }
        }
    }

    fn judge(&mut self, annex: &Annex, seen: &Seen) -> Result<Judged<T>, Error> {
        match &seen.what {
            What::Flight { header, is_ending, .. } => self.meet(annex, seen, header, *is_ending),
            What::Foreign => {
                tracing::warn!(path = %annex.path_of(&self.name), "not a flight's file: it is replaced");
                Ok(Judged::Over(self.succeed(annex, seen, None, 0)?))
            }
            What::Newer(id) => Ok(Judged::Over(self.leave(annex, seen, id.as_ref())?)),
            What::Folder => Err(Error::Folder { path: annex.path_of(&self.name) }),
        }
    }

    /// There is a flight, or there was one.
    fn meet(&mut self, annex: &Annex, seen: &Seen, header: &Header, is_ending: bool) -> Result<Judged<T>, Error> {
        let flies = is_alive(annex, &header.id)?;
        if is_ending && !flies {
            return Ok(Judged::Over(self.after(annex, seen, header)?));
        }
        // what ended before this caller came is not its answer, nor what began before an invalidation that it knows of
        let joins = !is_ending && self.is_current(header, &self.terms.tags)?;
        if flies {
            return Ok(Judged::UnderWay { joins });
        }
        Ok(Judged::Over(match self.outcome(annex, seen)? {
            None => self.succeed(annex, seen, Some(header), header.failures)?,
            Some(_) if !joins => None,
            Some(outcome) => self.take(header, outcome)?,
        }))
    }

    /// Waits for the end of a flight; false when the root went away under it.
    fn wait_for_end(&mut self, met: &Parts) -> Result<bool, Error> {
        self.wait_for_lock(&met.annex, &met.header.id, &met.header.holder())
    }

    /// Waits until the flight's lock is free; false when the root went away under it.
    fn wait_for_lock(&mut self, annex: &Annex, id: &Id, holder: &Holder) -> Result<bool, Error> {
        self.waited.holder = Some(holder.clone());
        let lock = id.lock();
        let end = self.patience.wait_for(annex, holder, None, |wait| annex.locks().wait_until_free(&lock, wait))?;
        self.waited.flights = self.waited.flights.saturating_add(1);
        self.waited.duration = self.patience.passed();
        Ok(matches!(end, End::Got(())))
    }

    fn outcome(&self, annex: &Annex, seen: &Seen) -> Result<Option<Outcome>, Error> {
        let body_bytes_max = self.flights.store().body_bytes_max();
        let path = || annex.path_of(&self.name);
        seen.outcome(annex, body_bytes_max)
            .map_err(|source| file::Error::Io { action: "read", path: path(), source }.into())
    }

    /// The outcome of a flight that this caller has seen under way.
    fn take(&mut self, header: &Header, outcome: Outcome) -> Result<Option<Turn<T>>, Error> {
        let waited = self.waited.clone();
        Ok(match outcome {
            Outcome::Landed => (self.look)().map_err(Error::Look)?.map(|found| Turn::Found { found, waited }),
            Outcome::Failed { failure, .. } => Some(Turn::Failed { failure, waited, remembered: false }),
            Outcome::Alone { .. } => Some(Turn::Alone { waited }),
            Outcome::Carried(document) => {
                self.may_take(header, &document)?.then_some(Turn::Carried { document, waited })
            }
        })
    }

    /// Whether the answer's tags give no reason to think that it was fetched before an invalidation that this caller knows
    /// of. The tags it named were looked at when it joined; for others that moment is past, and only an answer that is
    /// current even now is surely good.
    fn may_take(&self, header: &Header, document: &Carried) -> Result<bool, Error> {
        let tags = document.metadata.tags();
        Ok(tags.iter().all(|tag| self.terms.tags.contains(tag)) || self.is_current(header, tags)?)
    }

    fn is_current(&self, header: &Header, tags: &[Tag]) -> Result<bool, Error> {
        Ok(self.flights.store().standing(header.token, self.key, tags)? == Standing::Current)
    }

    /// The flight was over before this caller came. Only a failure that was to be remembered concerns it.
    fn after(&mut self, annex: &Annex, seen: &Seen, header: &Header) -> Result<Option<Turn<T>>, Error> {
        let outcome = self.outcome(annex, seen)?;
        if let Some(Outcome::Failed { failure, remembered: Some(memory) }) = &outcome
            && self.terms.accept_remembered_failure
            && memory.left(annex.clock()).is_some()
            && self.is_current(header, &self.terms.tags)?
        {
            let (failure, waited) = (failure.clone(), self.waited.clone());
            return Ok(Some(Turn::Failed { failure, waited, remembered: true }));
        }
        if let Some(Outcome::Alone { remembered: Some(memory) }) = &outcome
            && memory.left(annex.clock()).is_some()
            && self.is_current(header, &self.terms.tags)?
        {
            return Ok(Some(Turn::Alone { waited: self.waited.clone() }));
        }
        let failures = match &outcome {
            None => header.failures,
            Some(Outcome::Failed { failure, remembered: Some(memory) }) if memory.counts(annex.clock()) => {
                header.failures.saturating_add(u32::from(failure.class.backs_off()))
            }
            Some(_) => 0,
        };
        // where there is an outcome, the command is over too
        self.succeed(annex, seen, if outcome.is_some() { None } else { Some(header) }, failures)
    }

    /// Takes the place of a flight whose leader is gone, if nobody else does. With its `header`, its command is waited for.
    /// So many fetches in a row have failed by now.
    fn succeed(
        &mut self,
        annex: &Annex,
        seen: &Seen,
        header: Option<&Header>,
        failures: u32,
    ) -> Result<Option<Turn<T>>, Error> {
        let holder = header.map(Header::holder).unwrap_or_default();
        if let Some(header) = header
            && !self.wait_for_command(annex, header, &holder)?
        {
            return Ok(None);
        }
        let lock = election_lock(&self.name);
        let acquire = |wait: &_| annex.locks().acquire(&lock, Mode::Exclusive, wait);
        let End::Got(election) = self.patience.wait_for(annex, &holder, None, acquire)? else { return Ok(None) };
        let turn = self.elected(annex, seen, &election, failures);
        flight::retire(election);
        self.recheck(annex, turn?)
    }

    fn elected(&self, annex: &Annex, seen: &Seen, election: &Guard, failures: u32) -> Result<Option<Flight>, Error> {
        // whoever was faster has put its own file there
        if election.check().is_err() || !seen.is_still(annex, &self.name)? {
            return Ok(None);
        }
        self.publish(annex, Replace::Yes, failures)
    }

    /// Waits for the command of a dead leader, within the terms; false when the root went away under it.
    fn wait_for_command(&mut self, annex: &Annex, header: &Header, holder: &Holder) -> Result<bool, Error> {
        let (lock, at_most) = (header.id.command_lock(), Some(self.terms.orphan_wait));
        let free = |wait: &_| annex.locks().wait_until_free(&lock, wait);
        let end = self.patience.wait_for(annex, holder, at_most, free)?;
        self.waited.duration = self.patience.passed();
        Ok(match end {
            End::Got(()) => true,
            End::Moved => false,
            End::Expired => {
                tracing::warn!(key = %self.key, leader = %holder, "a dead leader's command lives on: calling again");
                true
            }
        })
    }

    /// A newer version's flight: it can be waited for, and that is all.
    fn leave(&mut self, annex: &Annex, seen: &Seen, id: Option<&Id>) -> Result<Option<Turn<T>>, Error> {
        if let Some(id) = id
            && is_alive(annex, id)?
        {
            self.wait_for_lock(annex, id, &Holder::unknown())?;
            return Ok(None);
        }
        if seen.is_still(annex, &self.name)? {
            return Err(Error::Newer { path: annex.path_of(&self.name) });
        }
        Ok(None)
    }

    fn lead(&mut self, annex: &Annex) -> Result<Option<Turn<T>>, Error> {
        let flight = self.publish(annex, Replace::No, 0)?;
        self.recheck(annex, flight)
    }

    /// Makes a flight of this caller's; `None` when another one's is there.
    ///
    /// Its lock is held before its file is seen, so that nobody takes it for dead; its token is taken before, so that it
    /// is older than every invalidation whose caller finds it.
    fn publish(&self, annex: &Annex, replace: Replace, failures: u32) -> Result<Option<Flight>, Error> {
        let identity = |source| Error::Identity { key: self.key.clone(), source };
        let id = Id::new().map_err(identity)?;
        let lock = flight::take(annex, &id.lock())?;
        let store = self.flights.store();
        let made = store.token().map_err(Error::from).and_then(|token| {
            let header = Header {
                id,
                key: self.key.clone(),
                token,
                pid: std::process::id(),
                host: host_name(),
                started_ms: wall_ms(annex.clock()),
                failures,
            };
            let line = header.encode().map_err(|error| identity(io::Error::other(error)))?;
            let file = annex.publish(&self.name, &[&line], replace)?;
            let (name, length) = (self.name.clone(), line.len() as u64);
            Ok(file.map(|file| Published { name, header, length, file }))
        });
        match made {
            Ok(Some(published)) => Ok(Some(Flight::new(Arc::clone(store), annex.clone(), lock, published))),
            Ok(None) => {
                flight::retire(lock);
                Ok(None)
            }
            Err(error) => {
                flight::retire(lock);
                Err(error)
            }
        }
    }

    /// The last look before the fetch: whoever led before may have landed between this caller's look and its lead.
    fn recheck(&mut self, annex: &Annex, flight: Option<Flight>) -> Result<Option<Turn<T>>, Error> {
        let Some(mut flight) = flight else { return Ok(None) };
        // in a root that nobody finds any more, nobody would wait for it
        if !annex.is_current() {
            return Ok(None);
        }
        let waited = self.waited.clone();
        if let Some(found) = (self.look)().map_err(Error::Look)? {
            flight.land();
            return Ok(Some(Turn::Found { found, waited }));
        }
        flight.set_waited(waited);
        Ok(Some(Turn::Lead(flight)))
    }
}
