//! `larder run`: a command's output, from the cache if it is there, else from one run for all who ask.

mod answer;
mod bounds;
mod fetch;
mod lead;
mod uncached;

use std::sync::Arc;

use larder_storage::{Entry, Key, Metadata, Standing, Store};
use larder_upstream::Life;

use self::bounds::Bounds;
use crate::args::{Global, Run};
use crate::exit::{Exit, Failed};
use crate::output::Output;
use crate::secret::{self, Secret};
use crate::status;
use crate::terms::Variable;

/// One call of `larder run`.
pub(crate) struct Call<'a> {
    pub(crate) global: &'a Global,
    pub(crate) terms: &'a Run,
    pub(crate) output: Output,
    pub(crate) bounds: Bounds,
    variables: Vec<Variable>,
}

/// Nothing is stored under the key, and nothing is to be run.
#[derive(Debug, thiserror::Error)]
#[error("no copy of what this command prints is kept: run it without --offline")]
struct Absent;

/// The cache cannot be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Unusable {
    /// Nobody knows where it is.
    #[error(transparent)]
    Place(#[from] crate::root::Error),
    /// It cannot be opened.
    #[error(transparent)]
    Root(#[from] larder_storage::root::Error),
    /// It cannot be read.
    #[error(transparent)]
    Get(#[from] larder_storage::GetError),
    /// The document has no name.
    #[error(transparent)]
    Secret(#[from] secret::Error),
    /// There can be no flight.
    #[error(transparent)]
    Begin(#[from] larder_upstream::begin::Error),
    /// Signals cannot be caught.
    #[error("signals cannot be caught")]
    Signals(#[source] std::io::Error),
}

impl From<Unusable> for Failed {
    fn from(unusable: Unusable) -> Self {
        match unusable {
            Unusable::Place(error) => error.into(),
            Unusable::Root(error) => error.into(),
            Unusable::Get(error) => error.into(),
            other => Self::new(Exit::INPUT_OUTPUT, other),
        }
    }
}

pub(crate) fn run(global: &Global, terms: &Run, output: Output) -> Result<Exit, Failed> {
    let variables: Result<Vec<Variable>, _> = terms.env.iter().map(|name| Variable::new(name)).collect();
    let variables = variables.map_err(|error| Failed::new(Exit::USAGE, error))?;
    // said before the command runs, whose output could not be stored with them
    let tagged = terms.tag.iter().try_fold(Metadata::new(), |metadata, tag| metadata.with_tag(tag.as_str()));
    tagged.map_err(|error| Failed::new(Exit::USAGE, error))?;
    let bounds = Bounds::new(global, terms)?;
    let call = Call { global, terms, output, bounds, variables };
    match call.ask() {
        Ok(exit) => exit,
        Err(unusable) if terms.offline => Err(unusable.into()),
        Err(unusable) => uncached::warned(&call, unusable),
    }
}

impl Call<'_> {
    /// The way of a hit, with nothing on it that a hit does not need.
    fn ask(&self) -> Result<Result<Exit, Failed>, Unusable> {
        let store = Arc::new(larder_storage::Options::new().open(crate::root::path(self.global)?)?);
        let key = self.key(&store, Secret::find)?;
        let found = match &key {
            Some(key) => store.get_with_invalidated(key)?,
            None => None,
        };
        let now = store.clock().wall();
        if let (Some(key), Some(entry)) = (&key, &found) {
            let life = Life::of_or_default(entry);
            let is_good = entry.standing() == Standing::Current && life.is_fresh(now) && !self.terms.refresh;
            if is_good || self.terms.offline {
                let mut outcome = status::hit(&life, now);
                if !is_good {
                    outcome.detail = Some("offline".into());
                }
                return Ok(self.hit(&store, key, entry, &outcome));
            }
        }
        if self.terms.offline {
            status::count(&store, larder::counters::Fold::WhenPressing, &[(larder::counters::Counter::Misses, 1)]);
            return Ok(Err(Failed::new(Exit::ABSENT, Absent)));
        }
        let key = match key {
            Some(key) => Some(key),
            None => self.key(&store, |store| Secret::make(store).map(Some))?,
        };
        match key {
            Some(key) => fetch::fetch(self, &store, &key, found.as_ref()),
            None => Ok(uncached::quietly(self, None)),
        }
    }

    fn key(
        &self,
        store: &Arc<Store>,
        secret: impl FnOnce(&Store) -> Result<Option<Secret>, secret::Error>,
    ) -> Result<Option<Key>, secret::Error> {
        match &self.terms.key {
            Some(key) => Ok(Some(key.clone())),
            None => secret::name(store, &self.terms.command, &self.variables, secret),
        }
    }

    fn hit(&self, store: &Arc<Store>, key: &Key, entry: &Entry, outcome: &larder::Outcome) -> Result<Exit, Failed> {
        use larder::counters::{Counter, Fold};
        tracing::info!(%key, "the stored copy is given");
        let given = answer::give(self.output, Some(key), entry.body(), outcome, Exit::OK);
        let counts = [(Counter::HitsDisk, 1), (Counter::BytesServed, entry.body().len() as u64)];
        status::count(store, Fold::WhenPressing, &counts);
        given
    }
}
