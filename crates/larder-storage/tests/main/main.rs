//! The tests of larder-storage, one module a theme.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its own helpers too")]

mod damage;
mod generations;
mod hostile;
mod inspect;
mod interleavings;
mod limits;
mod marks;
mod model;
mod races;
mod room;
mod room_at_once;
mod roots;
mod shared;
mod store;
