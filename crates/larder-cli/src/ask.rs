//! A document from the cache: fresh if it is there; stale if that is allowed, and then refreshed; else from one run of its
//! command for all who ask.

pub(crate) mod answer;
pub(crate) mod bounds;
mod fetch;
mod lead;
mod stale;
pub(crate) mod uncached;

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use larder::Outcome;
use larder::counters::{Counter, Fold};
use larder_staleness::{Action, Copy, Decision, Reason, Wish};
use larder_storage::{Entry, GetError, Key, Standing, Store};
use larder_upstream::{About, Decided, Flights};
use larder_watch::fingerprint::{Change, Paths};

use self::bounds::Bounds;
use crate::args::Global;
use crate::config::Loaded;
use crate::exit::{Exit, Failed};
use crate::job::Job;
use crate::output::Output;
use crate::{behind, secret, status};

/// One call for a document.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) global: &'a Global,
    pub(crate) output: Output,
    pub(crate) bounds: Bounds,
    pub(crate) job: &'a Job,
    pub(crate) loaded: &'a Loaded,
}

/// Nothing is stored under the key, and nothing is to be run.
#[derive(Debug, thiserror::Error)]
#[error("no copy of it is kept, and nothing is to be run: ask without --offline")]
pub(crate) struct Absent;

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
    Get(#[from] GetError),
    /// The document has no name.
    #[error(transparent)]
    Secret(#[from] secret::Error),
    /// There can be no flight.
    #[error(transparent)]
    Begin(#[from] larder_upstream::begin::Error),
    /// It cannot be told whether somebody refreshes it.
    #[error(transparent)]
    Errand(#[from] larder_upstream::errand::Error),
    /// Signals cannot be caught.
    #[error("signals cannot be caught")]
    Signals(#[source] std::io::Error),
    /// No process can be started.
    #[error("no process can be started to refresh it")]
    Helper(#[source] std::io::Error),
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

/// Where a document is looked for.
pub(crate) struct Look<'a> {
    pub(crate) store: &'a Arc<Store>,
    pub(crate) flights: &'a Flights,
    pub(crate) key: &'a Key,
    pub(crate) tags: &'a [larder_storage::Tag],
    /// What this caller says that it depends on.
    pub(crate) depends: &'a Paths,
    /// What was found to have changed of that.
    pub(crate) change: RefCell<Option<Change>>,
    /// Whether a failure is remembered of files that are other ones by now.
    pub(crate) is_outlived: Cell<bool>,
    /// When all must be over, by the monotonic clock.
    pub(crate) deadline: Option<Duration>,
}

impl Look<'_> {
    /// What is stored now, and what is to be done about it.
    pub(crate) fn again(&self, wish: &Wish) -> Result<(Option<Entry>, Decided), GetError> {
        self.at(wish, self.store.clock().wall())
    }

    /// The same at a moment that may be still to come.
    pub(crate) fn at(&self, wish: &Wish, at: SystemTime) -> Result<(Option<Entry>, Decided), GetError> {
        let found = self.store.get_with_invalidated(self.key)?;
        let mut copy = found.as_ref().map(copy_of);
        let decide = |copy: Option<&Copy>| self.flights.decide(self.key, self.tags, copy, wish, at);
        let mut decided = decide(copy.as_ref());
        self.change.replace(None);
        if decided.decision.takes_for_current()
            && let (Some(entry), Some(copy)) = (&found, &mut copy)
            && let Some(change) = self.change_of(entry)
        {
            tracing::info!(key = %self.key, %change, "the stored copy is out of date");
            self.change.replace(Some(change));
            copy.is_outdated = true;
            decided = decide(Some(copy));
        }
        let remembered = decided.under_way.as_ref().and_then(|under_way| under_way.remembered.as_ref());
        if let Some(memory) = remembered.filter(|_| !wish.refresh && !wish.offline)
            && let Some(change) = self.change_since(&memory.failure.depends)
        {
            tracing::info!(key = %self.key, %change, "the failure that is remembered is out of date");
            self.is_outlived.set(true);
            let mut wish = *wish;
            wish.refresh = true;
            decided = self.flights.decide(self.key, self.tags, copy.as_ref(), &wish, at);
        }
        Ok((found, decided))
    }
}

/// What decides about an entry, but for the files that it depends on.
pub(crate) fn copy_of(entry: &Entry) -> Copy {
    let (life, is_invalidated) = (About::of_or_default(entry).life, entry.standing() != Standing::Current);
    Copy { life, is_invalidated, is_outdated: false }
}

impl Call<'_> {
    /// The way of a hit, with nothing on it that a hit does not need. An error means that nothing was run or given.
    pub(crate) fn ask(&self, store: &Arc<Store>, key: &Key) -> Result<Result<Exit, Failed>, Unusable> {
        let classes = self.loaded.config.classes();
        if let Ok(chosen) = classes.choose(self.job.class.as_deref(), key.as_str()) {
            status::be_of_class(chosen.name);
        }
        let flights = Flights::new(Arc::clone(store));
        let mut look = Look::new((store, &flights), key, &self.job.tags, &self.job.depends);
        look.deadline = self.bounds.begin(&**store.clock()).deadline();
        let (found, decided) = look.again(&self.job.wish)?;
        if self.global.behind {
            return self.refresh(&look, found.as_ref(), &decided);
        }
        let decision = decided.decision;
        match (decision.action, &found) {
            (Action::Give { refresh }, Some(entry)) => {
                let is_refreshed = refresh && self.send(&look, false) != behind::Sent::Nobody;
                let outcome = hit(&look, entry, decision);
                let given = give_hit(self.output, &look, entry, &outcome, self.exit(&outcome));
                if crate::room::used(store, key) {
                    let owes = outcome.stale && !is_refreshed && !self.job.wish.offline;
                    crate::refresh::noticed(self, &look, entry, owes);
                }
                Ok(given)
            }
            (Action::Ask { fallback: true }, Some(entry)) if !self.job.wish.refresh => self.wait_a_little(&look, entry),
            (Action::Ask { fallback }, found) => {
                let fallback = found.as_ref().filter(|_| fallback);
                fetch::fetch(self, &look, found.as_ref(), fallback)
            }
            (Action::Fail, found) => Ok(fetch::remembered(self, &look, found.as_ref(), decided.under_way)),
            (Action::Absent | Action::Give { .. }, _) => Ok(Err(self.absent(Some(store)))),
        }
    }

    /// Nothing is there, and nothing is to be run.
    #[expect(clippy::unused_self, reason = "it is how this call ends")]
    pub(crate) fn absent(&self, store: Option<&Arc<Store>>) -> Failed {
        if let Some(store) = store {
            status::count(store, Fold::WhenPressing, &[(Counter::Misses, 1)]);
        }
        Failed::new(Exit::ABSENT, Absent)
    }

    /// What the helper does: the document is fetched, if that is still wanted, for those who have got a stale one.
    fn refresh(
        &self,
        look: &Look<'_>,
        found: Option<&Entry>,
        decided: &Decided,
    ) -> Result<Result<Exit, Failed>, Unusable> {
        // held until this process ends; `None` where whoever sent it has handed it over, or another has it
        let errand = behind::is_mine(look, look.key)?;
        if errand.is_none() && self.uses_leases(look) {
            return Ok(Ok(Exit::OK));
        }
        match decided.decision.action {
            Action::Give { refresh: true } | Action::Ask { .. } => fetch::fetch(self, look, found, found),
            _ => Ok(Ok(Exit::OK)),
        }
    }

    #[expect(clippy::unused_self, reason = "it is this call's root")]
    fn uses_leases(&self, look: &Look<'_>) -> bool {
        let annex = look.store.annex_if_present("flights").ok().flatten();
        annex.is_some_and(|annex| matches!(annex.locks().backend(), larder_lock::Backend::Lease { .. }))
    }

    /// The exit code of an answer.
    pub(crate) const fn exit(&self, outcome: &Outcome) -> Exit {
        if outcome.stale && self.job.fails_on_stale { Exit::STALE } else { Exit::OK }
    }
}

/// How a stored copy came that is given out.
pub(crate) fn hit(look: &Look<'_>, entry: &Entry, decision: Decision) -> Outcome {
    let now = look.store.clock().wall();
    let life = About::of_or_default(entry).life;
    let mut outcome = status::hit(&life, now);
    outcome.stale = copy_of(entry).is_invalidated || !life.is_fresh(now) || look.change.borrow().is_some();
    if decision.reason == Reason::Offline && !outcome.stale {
        // it is given whatever it is worth, and says what that is
        outcome.stale = look.change_of(entry).is_some();
    }
    outcome.detail = match decision.reason {
        Reason::Offline if outcome.stale => Some("offline".into()),
        Reason::WhileRevalidate => Some("stale, within its time for use while it is refreshed".into()),
        Reason::IfError => Some("stale, because its upstream has failed lately".into()),
        _ => None,
    };
    outcome
}

/// Gives it, and counts.
pub(crate) fn give_hit(
    output: Output,
    look: &Look<'_>,
    entry: &Entry,
    outcome: &Outcome,
    exit: Exit,
) -> Result<Exit, Failed> {
    tracing::info!(key = %look.key, "the stored copy is given");
    let given = answer::give_entry(output, entry, outcome, exit);
    let served = (Counter::BytesServed, entry.body().len() as u64);
    let counts = [(Counter::HitsDisk, 1), (Counter::Stale, u64::from(outcome.stale)), served];
    status::count(look.store, Fold::WhenPressing, &counts);
    given
}
