//! Giving a stale copy: when the upstream has failed, or takes longer than whoever has a copy waits.

use larder::counters::{Counter, Fold};
use larder::{Forward, Outcome};
use larder_lock::Wait;
use larder_staleness::Action;
use larder_storage::Entry;
use larder_upstream::{About, Failure, Waited};

use super::{Call, Look, Unusable, answer, copy_of, fetch};
use crate::behind::Sent;
use crate::exit::{Exit, Failed};
use crate::status;

impl Call<'_> {
    /// Lets a helper ask the upstream, and waits for it, no longer than somebody waits who has a copy to be content with.
    pub(super) fn wait_a_little(&self, look: &Look<'_>, entry: &Entry) -> Result<Result<Exit, Failed>, Unusable> {
        let clock = look.store.clock();
        let began = clock.monotonic();
        let sent = self.send(look, true);
        let most = self.bounds.timeout().map_or(self.job.soft_timeout, |timeout| timeout.min(self.job.soft_timeout));
        // zero waits not at all, and may find that it is over all the same
        let has_ended = sent == Sent::Nobody
            || (!most.is_zero() && look.flights.wait_for_errand(look.key, &Wait::up_to(most).without_holder())?);
        let (found, decided) = look.again(&self.job.wish)?;
        let waited = clock.monotonic().saturating_sub(began);
        let waited = Waited { duration: waited, flights: u32::from(sent == Sent::Before), holder: None };
        match &found {
            // the helper, or somebody else, has brought a new one: it is an answer, however short its life
            Some(new) if is_other(new, entry) && !copy_of(new).is_invalidated && look.change_of(new).is_none() => {
                let life = About::of_or_default(new).life;
                let mut outcome = status::with_life(status::forwarded(Forward::Stale, &waited), &life, clock.wall());
                outcome.stored = Some(true);
                Ok(self.give_counted(look, new, &outcome))
            }
            // nobody could be sent, or has brought anything: it is for this caller to find out why
            found if has_ended && matches!(decided.decision.action, Action::Ask { .. }) => {
                fetch::fetch(self, look, found.as_ref(), Some(entry))
            }
            found if decided.decision.action == Action::Fail => {
                Ok(fetch::remembered(self, look, found.as_ref(), decided.under_way))
            }
            _ => {
                let memory = decided.under_way.and_then(|flight| flight.remembered);
                let failure = memory.map(|memory| memory.failure);
                let why = failure.as_ref().map_or("no answer within the soft timeout", |failure| &failure.message);
                if let Some(failure) = &failure {
                    // it ran for this caller, who would see this if it had run in the foreground
                    self.output.raw(&failure.stderr);
                }
                Ok(self.give_stale(look, entry, &waited, why))
            }
        }
    }

    /// Gives the copy in the place of an answer that failed, or has not come.
    pub(super) fn give_stale(
        &self,
        look: &Look<'_>,
        entry: &Entry,
        waited: &Waited,
        why: &str,
    ) -> Result<Exit, Failed> {
        let life = About::of_or_default(entry).life;
        let why_asked = if self.job.wish.refresh { Forward::Request } else { Forward::Stale };
        let mut outcome = status::with_life(status::forwarded(why_asked, waited), &life, look.store.clock().wall());
        (outcome.level, outcome.stale) = (larder::Level::Disk, true);
        outcome.detail = Some(format!("stale: {why}").into());
        tracing::info!(key = %look.key, "a stale copy is given");
        self.give_counted(look, entry, &outcome)
    }

    fn give_counted(&self, look: &Look<'_>, entry: &Entry, outcome: &Outcome) -> Result<Exit, Failed> {
        let given = answer::give_entry(self.output, entry, outcome, self.exit(outcome));
        let served = (Counter::BytesServed, entry.body().len() as u64);
        let collapsed = (Counter::Collapsed, u64::from(outcome.collapsed));
        let counts = [(Counter::Misses, 1), (Counter::Stale, u64::from(outcome.stale)), collapsed, served];
        status::count(look.store, Fold::WhenPressing, &counts);
        given
    }

    /// Gives the copy if this failure allows it, and there is one.
    pub(super) fn fall_back(
        &self,
        look: &Look<'_>,
        fallback: Option<&Entry>,
        failure: &Failure,
        waited: &Waited,
    ) -> Option<Result<Exit, Failed>> {
        let entry = fallback.filter(|_| failure.class.allows_stale())?;
        Some(self.give_stale(look, entry, waited, &failure.message))
    }
}

/// Whether the one is not the very copy that the other is.
fn is_other(new: &Entry, old: &Entry) -> bool {
    let fetched = |entry| About::of_or_default(entry).life.fetched_ms;
    (new.token(), new.stored_at(), fetched(new)) != (old.token(), old.stored_at(), fetched(old))
}
