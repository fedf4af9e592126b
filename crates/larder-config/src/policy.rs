//! Policies of classes: the values of a file over those of what they start from.

use std::time::Duration;

use camino::Utf8Path;
use larder_staleness::Policy;

use crate::error::Error;
use crate::file;
use crate::setting::{Origin, Setting};
use crate::value::{self, ValueError};
use crate::yaml::At;

/// The names of the values, in the order in which they are shown.
const NAMES: [&str; 10] = [
    "fresh",
    "stale_while_revalidate",
    "stale_if_error",
    "keep",
    "negative",
    "jitter",
    "fresh_min",
    "fresh_max",
    "adaptive",
    "early",
];

/// A policy, and where each of its values comes from.
#[derive(Clone, Debug)]
pub(crate) struct Sourced {
    pub(crate) policy: Policy,
    origins: [Origin; NAMES.len()],
}

/// Where values stand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) file: &'a Utf8Path,
    /// The keys on the way to them.
    pub(crate) name: &'a str,
}

impl Scope<'_> {
    pub(crate) fn origin<T>(&self, at: &At<T>) -> Origin {
        Origin::File { file: self.file.to_owned(), line: at.line }
    }

    pub(crate) fn name_of(&self, key: &str) -> String {
        format!("{}.{key}", self.name)
    }

    /// A value, with an error that names it.
    pub(crate) fn value<T>(
        &self,
        key: &str,
        at: &At<String>,
        read: impl FnOnce(&str) -> Result<T, ValueError>,
    ) -> Result<T, Error> {
        let fail = |source| Error::Value { place: at.place(self.file), name: self.name_of(key), source };
        read(&at.value).map_err(fail)
    }
}

impl Sourced {
    pub(crate) fn built_in(policy: Policy) -> Self {
        Self { policy, origins: std::array::from_fn(|_| Origin::BuiltIn) }
    }

    /// With the values of the file in the place of these.
    pub(crate) fn overlaid(&self, given: &file::Policy, scope: Scope<'_>) -> Result<Self, Error> {
        let mut made = self.clone();
        let time = value::duration;
        made.set(0, given.fresh.as_ref(), scope, time, |policy, fresh| policy.fresh = fresh)?;
        made.set(1, given.stale_while_revalidate.as_ref(), scope, time, |policy, window| {
            policy.stale_while_revalidate = window;
        })?;
        made.set(2, given.stale_if_error.as_ref(), scope, time, |policy, window| policy.stale_if_error = window)?;
        made.set(3, given.keep.as_ref(), scope, time, |policy, keep| policy.keep = keep)?;
        made.set(4, given.negative.as_ref(), scope, time, |policy, negative| policy.negative = negative)?;
        made.set(5, given.jitter.as_ref(), scope, time, |policy, jitter| policy.jitter = jitter)?;
        made.set(6, given.fresh_min.as_ref(), scope, time, |policy, least| policy.fresh_min = least)?;
        made.set(7, given.fresh_max.as_ref(), scope, value::wait, |policy, most| {
            policy.fresh_max = most.unwrap_or(Duration::MAX);
        })?;
        if let Some(adaptive) = &given.adaptive {
            made.policy.adaptive = adaptive.value;
            made.note(8, scope.origin(adaptive));
        }
        made.set(9, given.early.as_ref(), scope, value::early, |policy, early| policy.early = early)?;
        made.check(given, scope)?;
        Ok(made)
    }

    /// With this fresh time, which another part of the file says.
    pub(crate) fn with_fresh(mut self, fresh: Duration, origin: Origin) -> Self {
        self.policy.fresh = fresh;
        self.note(0, origin);
        self
    }

    fn set<T>(
        &mut self,
        at: usize,
        given: Option<&At<String>>,
        scope: Scope<'_>,
        read: impl FnOnce(&str) -> Result<T, ValueError>,
        put: impl FnOnce(&mut Policy, T),
    ) -> Result<(), Error> {
        let Some(given) = given else { return Ok(()) };
        let key = NAMES.get(at).copied().unwrap_or_default();
        put(&mut self.policy, scope.value(key, given, read)?);
        self.note(at, scope.origin(given));
        Ok(())
    }

    fn note(&mut self, at: usize, origin: Origin) {
        if let Some(slot) = self.origins.get_mut(at) {
            *slot = origin;
        }
    }

    /// What was written here must not contradict what else holds here.
    fn check(&self, given: &file::Policy, scope: Scope<'_>) -> Result<(), Error> {
        let policy = &self.policy;
        let contradiction = |at: &At<String>, key: &str, other: usize, remedy| {
            let origin = Box::new(self.origins.get(other).cloned().unwrap_or(Origin::BuiltIn));
            let other = NAMES.get(other).map(|other| scope.name_of(other)).unwrap_or_default();
            Err(Error::Contradiction { place: at.place(scope.file), name: scope.name_of(key), other, origin, remedy })
        };
        // where only one of the two windows is written, the other follows it
        if let (Some(sie), Some(_)) = (&given.stale_if_error, &given.stale_while_revalidate)
            && policy.stale_if_error < policy.stale_while_revalidate
        {
            let remedy =
                "what is good enough without asking is good enough when its source fails: make it as long at least";
            return contradiction(sie, "stale_if_error", 1, remedy);
        }
        let bounds = [given.fresh_min.as_ref(), given.fresh_max.as_ref()];
        if policy.fresh_min > policy.fresh_max
            && let Some(bound) = bounds.into_iter().flatten().max_by_key(|at| (at.line, at.column))
        {
            let other = if given.fresh_max.as_ref().is_some_and(|at| at.line == bound.line) { 6 } else { 7 };
            return contradiction(bound, if other == 6 { "fresh_max" } else { "fresh_min" }, other, "swap them");
        }
        let written = [given.fresh.as_ref(), bounds[0], bounds[1]];
        let Some(place) = written.into_iter().flatten().max_by_key(|at| (at.line, at.column)) else { return Ok(()) };
        if policy.fresh < policy.fresh_min {
            return contradiction(place, "fresh", 6, "let the fresh time lie between its bounds");
        }
        if policy.fresh > policy.fresh_max {
            return contradiction(place, "fresh", 7, "let the fresh time lie between its bounds");
        }
        Ok(())
    }

    /// Its values, for people.
    pub(crate) fn settings(&self, name: &str) -> impl Iterator<Item = Setting> {
        let policy = &self.policy;
        let fresh_max = if policy.fresh_max == Duration::MAX { None } else { Some(policy.fresh_max) };
        let values = [
            value::show_duration(policy.fresh),
            value::show_duration(policy.stale_while_revalidate),
            value::show_duration(policy.stale_if_error),
            value::show_duration(policy.keep),
            value::show_duration(policy.negative),
            value::show_duration(policy.jitter),
            value::show_duration(policy.fresh_min),
            value::show_wait(fresh_max),
            policy.adaptive.to_string(),
            value::show_early(policy.early),
        ];
        let all = NAMES.into_iter().zip(values).zip(self.origins.clone());
        all.map(move |((key, value), origin)| Setting { name: format!("{name}.{key}"), value, origin })
    }
}
