//! Pure policy of freshness: from metadata and the time to fresh, stale but usable, or expired.
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod life;
mod policy;

mod class;
mod decide;
mod pattern;

mod adapt;
mod backoff;
mod early;
mod headers;
mod recommend;
mod time;

pub use adapt::History;
pub use backoff::Backoff;
pub use class::{Chosen, Classes, UnknownClass, Why};
pub use decide::{Action, Copy, Decision, Held, Reason, Wish, decide};
pub use early::Early;
pub use headers::{CacheControl, Mapped, Response, retry_after};
pub use life::{Life, Verdict};
pub use pattern::{Pattern, PatternError};
pub use policy::Policy;
pub use recommend::{Advice, Recommendation};
pub use time::{DAY, format_date, ms_of, parse_date, whole_ms};
