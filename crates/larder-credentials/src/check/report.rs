//! What a check came to: for people as text, for programs as JSON.

use std::fmt;

use serde::Serialize;

use super::{Remedy, Verdict};
use crate::{Fingerprint, Link, Name, Tried};

/// What a check came to. There is no secret in it.
///
/// Its text has the verdict, where it was looked in order and with what outcome, and what to do. As JSON it is one object
/// with `name`, `verdict`, `found`, `tried` and `remedies`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The credential.
    pub name: Name,
    /// What is known about it.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Where it was found, and what tells it from others.
    pub found: Option<Origin>,
    /// Where it was looked for in vain, in order.
    pub tried: Vec<Tried>,
    /// What can be done, one of them being enough.
    pub remedies: Vec<Remedy>,
}

/// Where a credential was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// The place.
    pub link: Link,
    /// What tells it from others.
    pub fingerprint: Fingerprint,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "credential `{}` {}", self.name, self.verdict)?;
        if !self.tried.is_empty() || self.found.is_some() {
            f.write_str("\nlooked, in this order:")?;
        }
        for tried in &self.tried {
            write!(f, "\n  - {tried}")?;
        }
        if let Some(Origin { link, fingerprint }) = &self.found {
            write!(f, "\n  - {link}: found, fingerprint {fingerprint}")?;
        }
        match self.remedies.as_slice() {
            [] => {}
            [only] => write!(f, "\nwhat to do: {}", only.text)?,
            all => {
                f.write_str("\nwhat to do, one of these:")?;
                for remedy in all {
                    write!(f, "\n  - {}", remedy.text)?;
                }
            }
        }
        Ok(())
    }
}
