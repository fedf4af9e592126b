//! One caller's call, from its look at the disk to its answer.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use larder_lock::{Bound, Holder, Origin};
use larder_staleness::{Action, Decision, Policy, Reason};
use larder_storage::Key;
use larder_upstream::tasks::{Ended, Role, Ticket};
use larder_upstream::{Failure, begin};
use tokio::task::spawn_blocking;

use crate::counters::{Counter, Latency};
use crate::document::{Answer, Document};
use crate::fetch::Error;
use crate::flight::{Arrival, Fetch, Landed, Plan};
use crate::inner::{Found, Identity, Inner, Remembered};
use crate::outcome::{Forward, Level, Outcome};
use crate::terms::Terms;
use look::{Entered, is_current};

mod look;

/// How often a caller may find that what it waited for is not for it, before it gives up.
const ROUNDS_MAX: u32 = 64;

/// One caller's call.
pub(crate) struct Call {
    pub(crate) inner: Arc<Inner>,
    pub(crate) key: Key,
    pub(crate) terms: Terms,
    policy: Policy,
    began: Duration,
    /// When everything must be over.
    deadline: Duration,
    /// Why upstream is asked; `None` before that is known.
    why: Option<Forward>,
    /// What was there at first and is not good enough.
    refused: Option<Identity>,
    /// What is given out if the upstream fails, or takes too long.
    fallback: Option<Document>,
    /// Which of the files that the copy was made from has changed, in words.
    changed: Option<String>,
    /// Whether a failure that is remembered is an answer.
    takes_remembered: bool,
    /// What waiting for others has taken.
    wait: Duration,
    holder: Option<u32>,
    has_joined: bool,
}

impl Call {
    pub(crate) fn new(inner: Arc<Inner>, key: Key, terms: Terms, policy: Policy) -> Self {
        let began = inner.monotonic();
        let deadline = began.saturating_add(terms.timeout.unwrap_or(inner.settings.timeout));
        let (why, refused, fallback, wait, holder) = (None, None, None, Duration::ZERO, None);
        let (changed, has_joined, takes_remembered) = (None, false, !terms.refresh);
        Self {
            inner,
            key,
            terms,
            policy,
            began,
            deadline,
            why,
            refused,
            fallback,
            changed,
            takes_remembered,
            wait,
            holder,
            has_joined,
        }
    }

    /// How long everything may take.
    pub(crate) fn time(&self) -> Duration {
        self.deadline.saturating_sub(self.began)
    }

    pub(crate) async fn run(&mut self, fetch: Fetch) -> Result<Answer, Error> {
        for round in 0..ROUNDS_MAX {
            if round > 0
                && !self.terms.refresh
                && self.terms.depends.is_empty()
                && let Some(remembered) = self.inner.in_memory(&self.key)
                && self.is_young(&remembered)
            {
                return Ok(self.found(remembered.document, Level::Memory));
            }
            let ticket = match self.enter().await? {
                Entered::Given { found, decision } => return Ok(self.give(found, decision, fetch)),
                Entered::Failed(failure) => {
                    self.count(Counter::Misses, u64::from(self.why.is_none()));
                    return Err(self.failed(Arc::new(failure), false, true));
                }
                Entered::Absent => {
                    self.count(Counter::Misses, 1);
                    return Err(Error::Absent { key: self.key.clone() });
                }
                Entered::Role { role, why, found, may_fall_back, changed, is_outlived } => {
                    self.takes_remembered &= !is_outlived;
                    self.changed = self.changed.take().or(changed);
                    self.note(why, found.as_ref());
                    self.fallback = found.as_ref().filter(|_| may_fall_back).map(|found| found.document.clone());
                    match role {
                        Role::Lead(lead, ticket) => {
                            let plan = self.plan(found.map(|found| found.document), self.waits_in_all());
                            return self.lead(plan, fetch, lead, ticket).await;
                        }
                        Role::Join(ticket) => Ok(ticket),
                        Role::Behind(ticket) => Err(ticket),
                    }
                }
            };
            let joins = ticket.is_ok();
            let (Ok(ticket) | Err(ticket)) = ticket;
            let ended = self.wait_for(ticket).await?;
            self.has_joined = true;
            match ended {
                Ended::Landed(Landed::Alone) if joins => {
                    let plan = self.plan(None, Duration::ZERO);
                    let landed = tokio::spawn(plan.fly_alone(fetch, None, None, None)).await;
                    return self.own(landed.unwrap_or(Landed::Dropped));
                }
                Ended::Landed(Landed::Document(arrival)) if joins && self.may_take(&arrival).await? => {
                    self.holder = self.holder.or(arrival.waited.holder.as_ref().and_then(|holder| holder.pid));
                    return Ok(self.arrived(&arrival, true));
                }
                Ended::Landed(Landed::Failed { failure, remembered, .. }) if joins => {
                    return Err(self.failed(failure, true, remembered));
                }
                // in the store, or not for this caller, or abandoned
                Ended::Landed(_) | Ended::Abandoned => {}
            }
        }
        Err(Error::Restless { key: self.key.clone() })
    }

    /// The stale copy in the place of this error, where that is allowed.
    pub(crate) fn fall_back(&mut self, error: Error) -> Result<Answer, Error> {
        match self.fallback.take() {
            Some(document) if error.allows_stale() => {
                let why = match &error {
                    Error::Failed { failure, .. } => failure.message.clone(),
                    error => error.to_string(),
                };
                Ok(self.stale(document, format!("stale: {why}").into()))
            }
            _ => Err(error),
        }
    }

    /// This process's flight, led by this caller: it goes on without it when there is a stale copy to be content with.
    async fn lead(
        &mut self,
        plan: Plan,
        fetch: Fetch,
        lead: larder_upstream::tasks::Lead<Landed>,
        ticket: Ticket<Landed>,
    ) -> Result<Answer, Error> {
        let Some(left) = self.soft_left() else {
            let landed = tokio::spawn(plan.fly(fetch, lead)).await;
            drop(ticket);
            return self.own(landed.unwrap_or(Landed::Dropped));
        };
        let flight = tokio::spawn(async move {
            let landed = plan.fly(fetch, lead).await;
            drop(ticket);
            landed
        });
        match tokio::time::timeout(left, flight).await {
            Ok(landed) => self.own(landed.unwrap_or(Landed::Dropped)),
            Err(_) => Err(self.timed_out()),
        }
    }

    /// A copy that is good enough, and its refresh.
    fn give(&self, found: Found, decision: Decision, fetch: Fetch) -> Answer {
        let is_fresh = matches!(decision.reason, Reason::Fresh | Reason::FreshEarly);
        if self.why.is_some() && is_fresh {
            return self.found(found.document, found.level);
        }
        let detail = match decision.reason {
            Reason::WhileRevalidate => Some("stale, within its time for use while it is refreshed"),
            Reason::IfError => Some("stale, because the upstream has failed lately"),
            Reason::Offline if !found.is_fresh(self.inner.wall()) => Some("stale or invalidated, as the terms allow"),
            _ => None,
        };
        let (document, level) = (found.document.clone(), found.level);
        if decision.action == (Action::Give { refresh: true }) {
            self.refresh_behind(Some(found), None, fetch);
        }
        match detail {
            Some(detail) if self.why.is_some() => self.stale(document, detail.into()),
            Some(detail) => {
                let outcome = Outcome { stale: true, detail: Some(detail.into()), ..Outcome::hit(level) };
                self.inner.hit_as(&self.key, document, outcome)
            }
            None => self.inner.hit_as(&self.key, document, Outcome::hit(level)),
        }
    }

    /// Whether a copy in memory is no older than this caller takes.
    fn is_young(&self, copy: &Remembered) -> bool {
        let age = copy.document.life.age_exact(copy.now);
        self.terms.max_age.is_none_or(|most| age.is_some_and(|age| age <= most))
    }

    /// What is known when the upstream is asked for the first time.
    fn note(&mut self, why: Forward, found: Option<&Found>) {
        if self.why.is_none() {
            self.count(Counter::Misses, 1);
            self.why = Some(why);
            self.refused = found.map(|found| found.identity);
        }
    }

    /// What a flight of this caller's is to do, which waits for others for so long.
    pub(crate) fn plan(&self, base: Option<Document>, wait: Duration) -> Plan {
        Plan {
            inner: Arc::clone(&self.inner),
            key: self.key.clone(),
            tags: self.terms.tags.clone(),
            depends: self.terms.depends.clone(),
            policy: self.policy,
            class: self.terms.class.clone(),
            base,
            wait,
            deadline: self.deadline,
            refused: self.refused,
            takes_remembered: self.takes_remembered,
            is_behind: false,
        }
    }

    fn patience(&self) -> Duration {
        self.terms.wait.unwrap_or(self.inner.settings.lock_wait)
    }

    /// How long this caller would still wait for others; with a stale copy in hand, no longer than the soft timeout.
    fn waits_in_all(&self) -> Duration {
        let left = self.patience().saturating_sub(self.wait);
        self.soft_left().map_or(left, |soft| left.min(soft))
    }

    /// What is left of the soft timeout, which counts from the beginning of the call; `None` where there is no stale copy.
    fn soft_left(&self) -> Option<Duration> {
        // who asked for a new one waits for it: the copy is for when there is none
        self.fallback.as_ref().filter(|_| !self.terms.refresh)?;
        let soft = self.terms.soft_timeout.unwrap_or(self.inner.settings.soft_timeout);
        Some(self.began.saturating_add(soft).saturating_sub(self.inner.monotonic()))
    }

    /// Waits for a flight of this process, for as long as the terms allow.
    async fn wait_for(&mut self, ticket: Ticket<Landed>) -> Result<Ended<Landed>, Error> {
        let began = self.inner.monotonic();
        let left = self.waits_in_all().min(self.deadline.saturating_sub(began));
        let ended = tokio::time::timeout(left, ticket.ended()).await;
        self.wait = self.wait.saturating_add(self.inner.monotonic().saturating_sub(began));
        self.holder = Some(std::process::id());
        ended.map_err(|_| self.timed_out())
    }

    fn timed_out(&self) -> Error {
        self.inner.counters.add(Counter::LockTimeouts, 1);
        self.count_wait(&self.outcome());
        let mut holder = Holder::unknown();
        holder.pid = Some(std::process::id());
        let (key, holder) = (self.key.clone(), Box::new(holder));
        let origin =
            if self.terms.wait.is_some() || self.terms.timeout.is_some() { Origin::Caller } else { Origin::Default };
        Error::Wait(Arc::new(match Bound::from_duration(self.patience().min(self.time())) {
            Bound::None => begin::Error::Busy { key, origin, holder },
            bound => begin::Error::TimedOut { key, waited: self.wait, bound, origin, holder },
        }))
    }

    /// Whether an answer that was joined is good enough. It was when this caller joined, as far as the tags were known; for
    /// others, only what is current even now is surely so.
    async fn may_take(&self, arrival: &Arc<Arrival>) -> Result<bool, Error> {
        if (arrival.document.depends.is_some() || !self.terms.depends.is_empty()) && self.has_changed(arrival).await? {
            return Ok(false);
        }
        let Some(token) = arrival.token else { return Ok(true) };
        if arrival.document.metadata.tags().iter().all(|tag| self.terms.tags.contains(tag)) {
            return Ok(true);
        }
        let (inner, key, arrival) = (Arc::clone(&self.inner), self.key.clone(), Arc::clone(arrival));
        spawn_blocking(move || is_current(&inner, token, &key, arrival.document.metadata.tags()))
            .await
            .map_err(|_| self.interrupted())
    }

    /// Whether what was joined was made from files that have changed since: it may have begun before this caller came.
    async fn has_changed(&self, arrival: &Arc<Arrival>) -> Result<bool, Error> {
        let (inner, depends, arrival) = (Arc::clone(&self.inner), self.terms.depends.clone(), Arc::clone(arrival));
        let deadline = self.deadline;
        let compare = move || inner.change_of(&arrival.document, &depends, deadline).is_some();
        spawn_blocking(compare).await.map_err(|_| self.interrupted())
    }

    /// How this caller's own flight came out.
    fn own(&mut self, landed: Landed) -> Result<Answer, Error> {
        match landed {
            Landed::Document(arrival) => {
                self.add(&arrival.waited);
                Ok(self.arrived(&arrival, !arrival.is_own))
            }
            Landed::Found { document, waited } => {
                self.add(&waited);
                self.has_joined |= waited.flights > 0;
                Ok(self.found(document, Level::Disk))
            }
            Landed::Failed { failure, waited, remembered } => {
                self.add(&waited);
                Err(self.failed(failure, waited.flights > 0, remembered))
            }
            Landed::Unended(error) => {
                self.inner.counters.add(Counter::LockTimeouts, 1);
                Err(Error::Wait(error))
            }
            Landed::NoThread(source) => Err(Error::NoThread { key: self.key.clone(), source }),
            Landed::Panicked => Err(Error::Panicked { key: self.key.clone() }),
            Landed::Alone | Landed::Dropped => Err(self.interrupted()),
        }
    }

    fn failed(&self, failure: Arc<Failure>, collapsed: bool, remembered: bool) -> Error {
        Error::Failed { key: self.key.clone(), failure, collapsed, remembered }
    }

    fn add(&mut self, waited: &larder_upstream::Waited) {
        self.wait = self.wait.saturating_add(waited.duration);
        self.holder = waited.holder.as_ref().and_then(|holder| holder.pid).or(self.holder);
    }

    fn outcome(&self) -> Outcome {
        let mut outcome = Outcome::forwarded(self.why.unwrap_or(Forward::UriMiss));
        outcome.wait = self.wait;
        outcome.holder = self.holder;
        outcome
    }

    /// A stale copy, given because the upstream could not be asked, or failed.
    fn stale(&self, document: Document, detail: Cow<'static, str>) -> Answer {
        let mut outcome = Outcome { level: Level::Disk, stale: true, detail: Some(detail), ..self.outcome() };
        outcome.verdict = crate::Verdict::Forward(self.why.unwrap_or(Forward::Stale));
        self.serve(document, outcome)
    }

    /// A document from the store, which was not there when this caller looked first.
    fn found(&self, document: Document, level: Level) -> Answer {
        let mut outcome = if self.has_joined { self.outcome() } else { Outcome::hit(level) };
        outcome.level = level;
        outcome.collapsed = self.has_joined;
        outcome.stored = self.has_joined.then_some(true);
        self.serve(document, outcome)
    }

    fn arrived(&self, arrival: &Arrival, collapsed: bool) -> Answer {
        let mut outcome = self.outcome();
        if arrival.is_bypass {
            outcome.verdict = crate::Verdict::Forward(Forward::Bypass);
        }
        outcome.collapsed = collapsed;
        outcome.stored = Some(arrival.is_stored);
        outcome.detail = arrival.detail.clone().or_else(|| self.changed.clone().map(Cow::Owned));
        self.serve(arrival.document.clone(), outcome)
    }

    fn count(&self, counter: Counter, by: u64) {
        let class = self.inner.class_named(&self.key, self.terms.class.as_deref());
        self.inner.counters.add_for(class, counter, by);
    }

    /// The answer; what waiting for it has taken is counted.
    fn serve(&self, document: Document, outcome: Outcome) -> Answer {
        self.count_wait(&outcome);
        self.inner.serve(&self.key, document, outcome)
    }

    fn count_wait(&self, outcome: &Outcome) {
        if !outcome.wait.is_zero() {
            self.inner.counters.add(Counter::LockWaits, 1);
            self.inner.counters.measure(Latency::LockWait, outcome.wait);
        }
    }

    fn interrupted(&self) -> Error {
        Error::Interrupted { key: self.key.clone() }
    }
}
