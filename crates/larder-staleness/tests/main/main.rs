//! What the policy of freshness promises, at every date and for every policy.

#![expect(clippy::unwrap_used, reason = "what goes wrong here fails a test")]

mod adapt;
mod backoff;
mod classes;
mod dates;
mod decide;
mod early;
mod given;
mod headers;
mod life;
mod pattern;
mod recommend;
mod wishes;
