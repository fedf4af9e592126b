//! Why the stress could not do its own work: no judgement of larder.

use std::error::Error;
use std::fmt::Write as _;

/// What could not be done, and why.
#[derive(Debug, thiserror::Error)]
#[error("could not {what}; see the cause")]
pub(crate) struct Failure {
    what: String,
    #[source]
    source: Box<dyn Error + Send + Sync>,
}

/// Says what was being done when something failed.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl Into<String>) -> Result<T, Failure>;
}

impl<T, E: Into<Box<dyn Error + Send + Sync>>> Doing<T> for Result<T, E> {
    fn doing(self, what: impl Into<String>) -> Result<T, Failure> {
        self.map_err(|source| Failure { what: what.into(), source: source.into() })
    }
}

/// An error with its causes, on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
