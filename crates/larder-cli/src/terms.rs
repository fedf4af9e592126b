//! Values on the command line: lengths of time, targets, names of variables.

use std::ffi::{OsStr, OsString};
use std::str::FromStr;
use std::time::Duration;

use larder_lock::Bound;
use larder_storage::{Key, Prefix, key};

/// A length of time: not a wait, so it has an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

/// Why a text is no length of time.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum SpanError {
    /// Not one of the forms.
    #[error(
        "{text:?} is no length of time: use a whole number of seconds, or one with a unit (400ms, 90s, 15m, 2h, 7d)"
    )]
    Malformed {
        /// What was given.
        text: String,
    },
    /// Longer than any clock can count.
    #[error("{text:?} is longer than can be counted: use less (365000d is a thousand years)")]
    TooLong {
        /// What was given.
        text: String,
    },
    /// Something else is wrong with it.
    #[error(transparent)]
    Bound(larder_lock::wait::Error),
    /// Only waits may be without end.
    #[error("only a wait can be infinite; use a number with a unit (400ms, 90s, 15m, 2h, 7d)")]
    Endless,
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        // waits have an advice of their own, which does not suit a length
        let bound = text.parse().map_err(|error| match error {
            larder_lock::wait::Error::Malformed { text } => SpanError::Malformed { text },
            larder_lock::wait::Error::TooLong { text } => SpanError::TooLong { text },
            other => SpanError::Bound(other),
        })?;
        match bound {
            Bound::None => Ok(Self(Duration::ZERO)),
            Bound::UpTo(duration) => Ok(Self(duration)),
            Bound::Infinite => Err(SpanError::Endless),
        }
    }
}

/// A moment to decide for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// A date.
    Date(std::time::SystemTime),
    /// So long from now.
    After(Duration),
}

/// The text names no moment.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no moment: use a date such as 2026-03-01T12:00:00Z, or a length of time from now such as 90s or 7d"
)]
pub(crate) struct MomentError {
    text: String,
}

impl FromStr for Moment {
    type Err = MomentError;

    fn from_str(text: &str) -> Result<Self, MomentError> {
        if let Ok(Span(after)) = text.trim_start_matches('+').parse() {
            return Ok(Self::After(after));
        }
        larder_staleness::parse_date(text).map(Self::Date).ok_or_else(|| MomentError { text: text.to_owned() })
    }
}

impl Moment {
    /// The moment, seen from `now`.
    pub(crate) fn seen_from(self, now: std::time::SystemTime) -> std::time::SystemTime {
        match self {
            Self::Date(date) => date,
            // beyond all clocks is as late as can be said
            Self::After(after) => now.checked_add(after).unwrap_or_else(|| now + Duration::from_secs(1 << 33)),
        }
    }
}

/// A number of 0 to 1, for jitter.
pub(crate) fn chance() -> f64 {
    let bits = larder_system::unique().map_or(0, |number| u32::try_from(number >> 32).unwrap_or(0));
    f64::from(bits) / f64::from(u32::MAX)
}

/// What `invalidate` names: a key alone, or all keys below one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// One key.
    Key(Key),
    /// All keys below it.
    Prefix(Prefix),
}

impl FromStr for Target {
    type Err = key::Error;

    fn from_str(text: &str) -> Result<Self, key::Error> {
        // the empty prefix would be everything, and everything is asked for by name
        if text.ends_with('/') { text.parse().map(Self::Prefix) } else { text.parse().map(Self::Key) }
    }
}

/// The name of an environment variable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Variable(OsString);

/// The text names no variable.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no environment variable can be called that: give a name alone, without its value")]
pub(crate) struct VariableError;

impl Variable {
    /// Checks a name. A value given with it is refused and, being perhaps a secret, not repeated: clap, which repeats what
    /// it refuses, must not do this.
    pub(crate) fn new(text: &OsStr) -> Result<Self, VariableError> {
        let bytes = text.as_encoded_bytes();
        if bytes.is_empty() || bytes.contains(&b'=') || bytes.contains(&0) {
            return Err(VariableError);
        }
        Ok(Self(text.to_owned()))
    }

    /// The name.
    pub(crate) fn name(&self) -> &OsStr {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_has_an_end() {
        assert_eq!("90s".parse(), Ok(Span(Duration::from_secs(90))));
        assert_eq!("0d".parse(), Ok(Span(Duration::ZERO)));
        assert_eq!("infinite".parse::<Span>(), Err(SpanError::Endless));
    }

    #[test]
    fn whoever_mistypes_a_length_of_time_is_not_sent_to_one_that_is_refused_too() {
        for text in ["soon", "99999999999999999999d"] {
            let refused = text.parse::<Span>().unwrap_err().to_string();
            assert!(refused.contains(text) && !refused.contains("infinite"), "{refused}");
        }
    }

    #[test]
    fn a_closing_slash_makes_a_prefix_and_everything_is_never_meant_by_accident() {
        assert!(matches!("a/b".parse(), Ok(Target::Key(_))));
        assert!(matches!("a/b/".parse(), Ok(Target::Prefix(_))));
        assert!("".parse::<Target>().is_err());
        assert!("/".parse::<Target>().is_err());
    }

    #[test]
    fn a_variable_given_with_its_value_is_refused_without_repeating_it() {
        let refused = Variable::new("TOKEN=hush".as_ref()).unwrap_err();
        assert!(!refused.to_string().contains("hush"));
    }
}
