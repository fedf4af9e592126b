//! What was judged and what was found, from all workers and scenes.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::message::{Said, Violation};
use crate::promise::Promise;

/// How many violations are kept with their evidence; all are counted.
const EVIDENCE_MAX: usize = 40;
/// And how many of one promise.
const EVIDENCE_OF_ONE_MAX: usize = 6;

/// Judgements and violations of one promise.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Score {
    pub(crate) judged: u64,
    pub(crate) violated: u64,
}

/// The sums of a run so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sums {
    scores: [Score; Promise::ALL.len()],
    pub(crate) counts: BTreeMap<String, u64>,
    pub(crate) evidence: Vec<Violation>,
}

impl Sums {
    pub(crate) fn of(&self, promise: Promise) -> Score {
        self.scores.get(promise.index()).copied().unwrap_or_default()
    }

    pub(crate) fn judged(&self) -> u64 {
        self.scores.iter().map(|score| score.judged).sum()
    }

    pub(crate) fn violated(&self) -> u64 {
        self.scores.iter().map(|score| score.violated).sum()
    }

    pub(crate) fn count(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or(0)
    }

    fn of_mut(&mut self, promise: Promise) -> Option<&mut Score> {
        self.scores.get_mut(promise.index())
    }
}

/// The sums, shared by all threads of the stage.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    sums: Mutex<Sums>,
}

impl Tally {
    pub(crate) fn judged(&self, promise: Promise, count: u64) {
        if let Some(score) = self.sums().of_mut(promise) {
            score.judged += count;
        }
    }

    pub(crate) fn counted(&self, what: &str, count: u64) {
        let mut sums = self.sums();
        match sums.counts.get_mut(what) {
            Some(sum) => *sum += count,
            None => _ = sums.counts.insert(what.to_owned(), count),
        }
    }

    pub(crate) fn violated(&self, violation: Violation) {
        let mut sums = self.sums();
        if let Some(score) = sums.of_mut(violation.promise) {
            score.violated += 1;
        }
        let of_this = sums.evidence.iter().filter(|known| known.promise == violation.promise).count();
        if sums.evidence.len() < EVIDENCE_MAX && of_this < EVIDENCE_OF_ONE_MAX {
            sums.evidence.push(violation);
        }
    }

    /// One judgement, with its outcome.
    pub(crate) fn judge(&self, promise: Promise, verdict: Result<(), Violation>) {
        self.judged(promise, 1);
        if let Err(violation) = verdict {
            self.violated(violation);
        }
    }

    /// Adds what a worker says about what it has judged; hands back anything else.
    pub(crate) fn hear(&self, said: Said) -> Option<Said> {
        match said {
            Said::Judged { promise, count } => self.judged(promise, count),
            Said::Counted { what, count } => self.counted(&what, count),
            Said::Violated(violation) => self.violated(violation),
            done @ Said::Done { .. } => return Some(done),
        }
        None
    }

    pub(crate) fn snapshot(&self) -> Sums {
        self.sums().clone()
    }

    pub(crate) fn is_violated(&self) -> bool {
        self.sums().violated() > 0
    }

    fn sums(&self) -> MutexGuard<'_, Sums> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
