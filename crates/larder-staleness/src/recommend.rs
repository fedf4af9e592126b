//! What to do about a document before anybody asks for it.

use serde::Serialize;

use crate::life::Life;
use crate::time::{DAY, whole_ms};

/// With more whole days left than this, a document is kept without a thought.
const KEEP_DAYS: i64 = 7;

/// What to do about a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Advice {
    /// Nothing: it stays fresh for more than seven whole days, which is eight days or more.
    Keep,
    /// Refresh it when there is time: it stays fresh for seven whole days or less.
    Consider,
    /// Refresh it: it is stale.
    Refresh,
}

/// An [`Advice`], and how long the document stays fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Recommendation {
    /// What to do.
    pub advice: Advice,
    /// Whole days that it stays fresh, rounded down; negative since it is not; -1 when that is not known.
    pub days_left: i64,
}

impl Recommendation {
    /// For a document with these times, at a moment in milliseconds since 1970. Without times, or with times from the
    /// future, it is stale.
    pub fn at(life: Option<&Life>, now_ms: u64) -> Self {
        let Some(life) = life.filter(|life| life.fetched_ms <= now_ms) else {
            return Self { advice: Advice::Refresh, days_left: -1 };
        };
        let left = i128::from(life.fresh_until_ms) - i128::from(now_ms);
        let days_left = i64::try_from(left.div_euclid(i128::from(whole_ms(DAY)))).unwrap_or(i64::MAX);
        let advice = match life.verdict_at(now_ms) {
            crate::Verdict::Fresh if days_left > KEEP_DAYS => Advice::Keep,
            crate::Verdict::Fresh => Advice::Consider,
            // what was fresh for nothing has no day left either
            _ => return Self { advice: Advice::Refresh, days_left: days_left.min(-1) },
        };
        Self { advice, days_left }
    }
}
