//! The same between the tasks of one process: of all that want a document, one leads the process's flight.
//!
//! A [`Group`] is entered by each task that wants something. The first one has the [`Lead`]: it asks the
//! [flights](crate::Flights) of all processes, fetches if it must, and lands with an answer of which each task that has
//! joined gets a copy. It should do so in a task of its own, so that nobody's going away cancels it.
//!
//! - Whoever comes after an invalidation does not join a flight that began before it: it is told to wait for the end, and
//!   to enter again.
//! - A lead that is dropped without landing, by a panic or by the end of its runtime, is abandoned: those who joined enter
//!   again, and one of them leads.
//! - A lead that only waits for others, and that nobody wants any more, is told so.
//!
//! What must block is done by [`Threads`], of which there is a bounded number: the threads in which a runtime does
//! everybody's blocking work must not all wait for other processes.

mod group;
mod threads;

pub use group::{Ended, Group, Lead, Role, Ticket};
pub use threads::{Permit, Threads};
