//! Refreshing what is still fresh, so that nobody has to wait when it no longer is.

use std::time::Duration;

use crate::life::Life;
use crate::time::whole_ms;

/// When a fresh document is refreshed before its time. Who finds that it is time goes on with the fresh copy, and
/// refreshes only if nobody else does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Early {
    /// Not before it is stale.
    #[default]
    Never,
    /// Once this part of its fresh time is over: 0.9 refreshes in the last tenth. Not a number, and what lies outside of
    /// 0 to 1, is never.
    Fraction(f64),
    /// At random, the sooner the longer a fetch takes: optimal probabilistic early expiration, of Vattani, Chierichetti and
    /// Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015. The paper's beta: 1 is best when nothing
    /// else is known, more refreshes earlier. Many processes need no word with each other for it.
    XFetch(f64),
}

impl Early {
    /// Whether it is time at `now_ms`. `draw` is asked for a number of 0 to 1 only where chance decides.
    pub fn is_due(self, life: &Life, now_ms: u64, draw: impl FnOnce() -> f64) -> bool {
        match self {
            Self::Fraction(_) => self.from_ms(life).is_some_and(|from| now_ms >= from),
            Self::XFetch(beta) if beta > 0.0 => {
                let left = life.fresh_until_ms.saturating_sub(now_ms);
                let ahead = -ratio(life.fetch_ms) * beta * draw().clamp(f64::MIN_POSITIVE, 1.0).ln();
                ahead >= ratio(left)
            }
            Self::Never | Self::XFetch(_) => false,
        }
    }

    /// The first moment at which it can be time, in milliseconds since 1970; `None` if there is none, or chance decides.
    pub fn from_ms(self, life: &Life) -> Option<u64> {
        let Self::Fraction(part) = self else { return None };
        let whole = Duration::from_millis(life.fresh_until_ms.saturating_sub(life.fetched_ms));
        let part = (0.0..=1.0).contains(&part).then_some(part)?;
        // never beyond the whole, which a floating-point number may round up
        let after = Duration::try_from_secs_f64(whole.as_secs_f64() * part).unwrap_or(whole).min(whole);
        Some(life.fetched_ms.saturating_add(whole_ms(after)))
    }
}

/// Milliseconds as a number to multiply: above 285,000 years they lose precision, which no cache notices.
#[expect(clippy::cast_precision_loss, reason = "a length of time beyond 2^53 ms is not told from the next")]
const fn ratio(ms: u64) -> f64 {
    ms as f64
}
