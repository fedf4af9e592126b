//! One fetch at a time for each document, across processes.
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod flights;
mod terms;
mod turn;

mod about;
pub mod begin;
mod decide;
mod due;
pub mod errand;
mod failure;
mod flight;
mod met;
pub mod sweep;
pub mod under_way;
mod worth;

mod file;
mod patience;
#[cfg(feature = "tokio")]
pub mod tasks;

pub use about::{About, DEFAULT_TTL};
pub use decide::Decided;
pub use due::Due;
pub use errand::Errand;
pub use failure::{Class, Exit, Failure, MESSAGE_BYTES_MAX, STDERR_BYTES_MAX};
pub use file::Error as FileError;
pub use flight::Flight;
pub use flights::Flights;
pub use met::{Begun, Met};
pub use terms::Terms;
pub use turn::{Carried, Turn, Waited};
pub use under_way::{Memory, UnderWay};
