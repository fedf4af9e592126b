//! The parts of larder that workers work with, and the broken ones that a sabotage puts in their place.
//!
//! This is the only place that knows which. Nothing of it is in what larder ships.

mod asking;
mod bounded;
mod consulting;
mod counting;
mod disk;
mod keeping;
mod locking;
mod memory;
mod queueing;
mod shelf;

pub(crate) use asking::{Asked, Asking, Fetch};
pub(crate) use bounded::Bounded;
pub(crate) use consulting::Consulting;
pub(crate) use counting::Counting;
pub(crate) use keeping::Keeping;
pub(crate) use locking::{Held, Locking, Refusal};
pub(crate) use memory::Memory;
pub(crate) use queueing::Queueing;
pub(crate) use shelf::Shelf;
