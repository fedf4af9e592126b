//! What can be used, and is perhaps not meant so.

use std::fmt;
use std::time::Duration;

use larder_staleness::Pattern;

use crate::place::Place;

/// Longer waits than this are rarely meant.
pub(crate) const LONG_WAIT: Duration = Duration::from_secs(3_600);

/// Something that can be used and is perhaps not meant so.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Advice {
    /// What it is about.
    pub place: Place,
    /// What is odd.
    pub what: String,
    /// What to do if it is not meant so.
    pub remedy: &'static str,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.what, self.remedy)
    }
}

/// What there is to say of patterns of which the first that matches counts.
pub(crate) fn of_order(what: &str, patterns: &[(Pattern, Place)]) -> Vec<Advice> {
    let mut advice = Vec::new();
    for (at, (pattern, place)) in patterns.iter().enumerate() {
        let earlier = patterns.get(..at).unwrap_or_default();
        let hides = |(other, _): &&(Pattern, Place)| other == pattern || other.as_str() == "**";
        if let Some((other, hider)) = earlier.iter().find(hides) {
            let what =
                format!("this {what} is never used, because {other} in line {} matches all of its keys", hider.line);
            advice.push(Advice { place: place.clone(), what, remedy: "remove it, or move it up" });
        }
    }
    advice
}
