//! The rows, by what they share.

pub(crate) mod bounds;
pub(crate) mod contention;
pub(crate) mod growth;
pub(crate) mod hit;
pub(crate) mod invalidation;
pub(crate) mod lock;
pub(crate) mod put;
pub(crate) mod queue;
pub(crate) mod store;
