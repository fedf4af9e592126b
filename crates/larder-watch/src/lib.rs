//! Whether the files that a document was made from are still what they were.
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod fingerprint;
pub mod watch;
