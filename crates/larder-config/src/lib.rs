//! The configuration of a cache in one YAML file: limits, classes of documents, and the commands that fetch them.
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod config;
mod credential;
mod error;
mod setting;
mod source;

mod advice;
mod place;
mod template;
mod value;

mod file;
mod policy;
mod resolve;
mod yaml;

pub use advice::Advice;
pub use config::{BYTES_MAX, Config, Limits, Refresh, Switches, Views};
pub use credential::{Check, Command, Credential};
pub use error::{Error, Excess, YamlFault};
pub use place::Place;
pub use setting::{Origin, Setting};
pub use source::{CommandError, Source};
pub use template::TemplateError;
pub use value::{ValueError, bound_on_bytes, bound_on_count};
