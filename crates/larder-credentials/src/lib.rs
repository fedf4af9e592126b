//! Credentials of command line programs: found, stored, checked, and withheld from everybody else.
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod chain;
pub mod check;
mod dump;
pub mod fingerprint;
pub mod form;
pub mod keyring;
pub mod name;
pub mod secret;
pub mod store;

pub use chain::{Answer, Chain, Found, Link, Looked, Tried};
pub use dump::withhold_from_core_dumps;
pub use fingerprint::Fingerprint;
pub use form::{Form, Malformed};
pub use keyring::Keyring;
pub use name::Name;
pub use secret::Secret;
pub use store::Store;
