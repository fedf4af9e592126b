//! The look at the disk with which a call begins, and where it leads: one piece of blocking work.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use larder_staleness::{Action, Decision, Early, Reason, Wish};
use larder_storage::{Key, Standing, Tag, Token};
use larder_upstream::tasks::Role;
use larder_upstream::{Decided, Failure};
use larder_watch::fingerprint::{Change, Paths};
use tokio::task::spawn_blocking;

use super::Call;
use crate::fetch::Error;
use crate::flight::Landed;
use crate::inner::{Found, Identity, Inner};
use crate::outcome::Forward;

/// Where a look at the disk has led.
pub(super) enum Entered {
    /// A copy to be given out, and whether it is to be refreshed.
    Given {
        found: Found,
        decision: Decision,
    },
    /// A failure that is remembered.
    Failed(Failure),
    Absent,
    /// The upstream is to be asked.
    Role {
        role: Role<Landed>,
        why: Forward,
        found: Option<Found>,
        may_fall_back: bool,
        changed: Option<String>,
        is_outlived: bool,
    },
}

/// What is looked for, and on which terms.
struct Look {
    inner: Arc<Inner>,
    key: Key,
    tags: Vec<Tag>,
    depends: Paths,
    wish: Wish,
    deadline: Duration,
    /// What this caller has refused already.
    refused: Option<Identity>,
    is_first: bool,
}

/// What was found, and what it is good for.
struct Seen {
    found: Option<Found>,
    decided: Decided,
    /// Which of the files that the copy was made from has changed.
    change: Option<Change>,
    /// Whether a failure is remembered which files that have changed since were part of.
    is_outlived: bool,
}

impl Call {
    /// Looks at the disk, decides, and if the upstream is to be asked, takes a role: one piece of blocking work.
    pub(super) async fn enter(&self) -> Result<Entered, Error> {
        let look = Look {
            inner: Arc::clone(&self.inner),
            key: self.key.clone(),
            tags: self.terms.tags.clone(),
            depends: self.terms.depends.clone(),
            wish: self.wish(),
            deadline: self.deadline,
            refused: self.refused,
            is_first: self.why.is_none(),
        };
        spawn_blocking(move || look.enter()).await.map_err(|_| self.interrupted())?
    }

    /// What the decision is told of this caller.
    fn wish(&self) -> Wish {
        let (settings, terms) = (&self.inner.settings, &self.terms);
        let mut wish = Wish::default();
        wish.offline = terms.offline || settings.is_offline;
        wish.refresh = terms.refresh;
        wish.fresh_only = terms.fresh_only;
        wish.max_age = terms.max_age;
        wish.stale_while_revalidate = terms.stale_while_revalidate;
        wish.stale_if_error = terms.stale_if_error;
        wish.early = self.policy.early;
        wish.may_refresh = settings.may_refresh;
        wish
    }
}

impl Look {
    fn enter(mut self) -> Result<Entered, Error> {
        let (found, is_readable) = match self.inner.look(&self.key) {
            Ok(found) => (found, true),
            Err(error) if self.wish.offline => return Err(Error::Read(error)),
            Err(error) => {
                let key = &self.key;
                tracing::warn!(%key, error = &error as &dyn std::error::Error, "the disk is not readable: fetching");
                (None, false)
            }
        };
        let Seen { found, decided, change, is_outlived } = self.decide(found);
        let decision = decided.decision;
        let (may_fall_back, found) = match (decision.action, found) {
            (Action::Give { .. }, Some(found)) => return Ok(Entered::Given { found, decision }),
            (Action::Absent, _) => return Ok(Entered::Absent),
            (Action::Fail, _) => {
                let memory = decided.under_way.and_then(|flight| flight.remembered);
                let gone = || Failure::new(larder_upstream::Class::Unavailable, "the upstream has failed lately");
                return Ok(Entered::Failed(memory.map_or_else(gone, |memory| memory.failure)));
            }
            (Action::Ask { fallback }, found) => (fallback, found),
            (Action::Give { .. }, None) => (false, None),
        };
        let why = match (decision.reason, &found) {
            _ if !is_readable => Forward::Bypass,
            (Reason::Refresh, _) => Forward::Request,
            (_, None) if self.wish.refresh => Forward::Request,
            (_, None) => Forward::UriMiss,
            (_, Some(_)) => Forward::Stale,
        };
        let generation = || self.inner.generation();
        let may_join = |since: Option<Token>| match since {
            Some(since) => is_current(&self.inner, since, &self.key, &self.tags),
            // a root without generations: nothing can be told of what others invalidate
            None => true,
        };
        let role = self.inner.group.enter(&self.key, generation, may_join);
        let changed = change.map(|change| change.to_string());
        Ok(Entered::Role { role, why, found, may_fall_back, changed, is_outlived })
    }

    /// What is to be done, first by what is stored alone, then, where that would be an answer, by the files that the answer
    /// was made from.
    fn decide(&mut self, mut found: Option<Found>) -> Seen {
        let now = self.inner.wall();
        // who asked for a new one has it when what it refused has been replaced
        let is_new = !self.is_first && found.as_ref().is_some_and(|found| Some(found.identity) != self.refused);
        self.wish.refresh &= !is_new;
        if found.as_ref().is_some_and(|found| found.document.immutable) {
            self.wish.early = Early::Never;
        }
        let mut decided = self.decision(found.as_ref(), now);
        let is_wanted = decided.decision.takes_for_current() || decided.decision.reason == Reason::Offline;
        let wanted = found.as_mut().filter(|_| is_wanted);
        let change = wanted.and_then(|found| found.compare(&self.inner, &self.depends, self.deadline));
        if change.is_some() {
            decided = self.decision(found.as_ref(), now);
        }
        let is_outlived = self.is_outlived(&decided);
        if is_outlived {
            self.wish.refresh = true;
            decided = self.decision(found.as_ref(), now);
        }
        Seen { found, decided, change, is_outlived }
    }

    fn decision(&self, found: Option<&Found>, now: SystemTime) -> Decided {
        let copy = found.map(Found::copy);
        self.inner.flights.decide(&self.key, &self.tags, copy.as_ref(), &self.wish, now)
    }

    /// Whether a failure is remembered, and would be the answer, of a fetch whose files have changed since.
    fn is_outlived(&self, decided: &Decided) -> bool {
        if self.wish.refresh || self.wish.offline {
            return false;
        }
        let remembered = decided.under_way.as_ref().and_then(|under_way| under_way.remembered.as_ref());
        let changed = |depends: &[_]| self.inner.change_since(depends, &self.depends, self.deadline);
        remembered.is_some_and(|memory| changed(&memory.failure.depends).is_some())
    }
}

/// Whether nothing of it has been invalidated since.
pub(super) fn is_current(inner: &Inner, token: Token, key: &Key, tags: &[Tag]) -> bool {
    matches!(inner.store.standing(token, key, tags), Ok(Standing::Current))
}
