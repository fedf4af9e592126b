//! What is known about a credential.

use std::fmt;
use std::time::SystemTime;

use serde::{Serialize, Serializer};

use crate::Malformed;

/// What is known about a credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// There is none.
    Missing,
    /// There is none, and none is needed: the upstream serves those without one, too.
    Anonymous,
    /// There is one that cannot be right.
    Malformed(Malformed),
    /// The upstream does not take it.
    Invalid {
        /// The HTTP status that said so.
        status: u16,
    },
    /// The upstream took it once, and does not any more.
    Expired {
        /// Since when this is known.
        #[serde(serialize_with = "instant")]
        since: SystemTime,
    },
    /// The upstream asks to be left alone. That says nothing about the credential.
    RateLimited {
        /// Until then, if it said so.
        #[serde(serialize_with = "instant_if_any")]
        until: Option<SystemTime>,
    },
    /// The upstream did not answer. That says nothing about the credential.
    Unreachable {
        /// How that shows.
        cause: String,
    },
    /// The upstream takes it.
    Valid {
        /// When it said so.
        #[serde(serialize_with = "instant")]
        at: SystemTime,
        /// Whether that was remembered, and not asked just now.
        remembered: bool,
    },
    /// There is one, of the right form, and nobody was asked whether it is taken.
    Unchecked,
}

impl Verdict {
    /// Whether there is something to put right about the credential itself: it is missing, or known not to be taken.
    pub const fn is_bad(&self) -> bool {
        matches!(self, Self::Missing | Self::Malformed(_) | Self::Invalid { .. } | Self::Expired { .. })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("missing: no credential was found"),
            Self::Anonymous => f.write_str("not needed: no credential was found, and it goes without"),
            Self::Malformed(fault) => write!(f, "malformed: {fault}; the upstream was not asked"),
            Self::Invalid { status } => write!(f, "invalid: the upstream does not take it (HTTP {status})"),
            Self::Expired { since } => {
                write!(f, "expired: the upstream said so at {}", Instant(*since))
            }
            Self::RateLimited { until: None } => f.write_str(
                "not checked: the upstream limits the rate of calls; this says nothing about the credential",
            ),
            Self::RateLimited { until: Some(until) } => write!(
                f,
                "not checked: the upstream limits the rate of calls until {}; this says nothing about the credential",
                Instant(*until)
            ),
            Self::Unreachable { cause } => {
                write!(
                    f,
                    "not checked: the upstream cannot be reached ({cause}); this says nothing about the credential"
                )
            }
            Self::Valid { at, remembered: false } => write!(f, "valid: the upstream took it at {}", Instant(*at)),
            Self::Valid { at, remembered: true } => {
                write!(f, "valid: the upstream took it at {}, and was not asked again", Instant(*at))
            }
            Self::Unchecked => f.write_str("found, and not checked: there is nobody to ask whether it is valid"),
        }
    }
}

/// An instant for people and programs: `2026-11-29T09:10:00Z`.
pub(super) struct Instant(pub(super) SystemTime);

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::try_from(self.0) {
            Ok(instant) => write!(f, "{}", jiff::Timestamp::from_second(instant.as_second()).unwrap_or(instant)),
            Err(_) => f.write_str("a time beyond the calendar"),
        }
    }
}

fn instant<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Instant(*time))
}

#[expect(clippy::ref_option, reason = "the signature that serde calls")]
fn instant_if_any<S: Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        None => serializer.serialize_none(),
        Some(time) => serializer.serialize_some(&Instant(*time).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn all() -> Vec<Verdict> {
        let when = UNIX_EPOCH + Duration::from_millis(1_700_000_000_999);
        vec![
            Verdict::Missing,
            Verdict::Anonymous,
            Verdict::Malformed(Malformed::Prefix { expected: "sk-".to_owned() }),
            Verdict::Invalid { status: 401 },
            Verdict::Expired { since: when },
            Verdict::RateLimited { until: None },
            Verdict::RateLimited { until: Some(when) },
            Verdict::Unreachable { cause: "timed out".to_owned() },
            Verdict::Valid { at: when, remembered: false },
            Verdict::Valid { at: when, remembered: true },
            Verdict::Unchecked,
        ]
    }

    #[test]
    fn no_two_verdicts_have_the_same_text_or_json() {
        let texts: BTreeSet<String> = all().iter().map(ToString::to_string).collect();
        let json: BTreeSet<String> = all().iter().map(|verdict| serde_json::to_string(verdict).unwrap()).collect();
        assert_eq!((texts.len(), json.len()), (all().len(), all().len()), "{texts:#?}");
    }

    #[test]
    fn only_what_is_wrong_with_the_credential_itself_is_bad() {
        let bad: Vec<bool> = all().iter().map(Verdict::is_bad).collect();
        assert_eq!(bad, [true, false, true, true, true, false, false, false, false, false, false]);
    }

    #[test]
    fn instants_are_text_of_whole_seconds() {
        let json = serde_json::to_string(&all()[8]).unwrap();
        assert_eq!(json, r#"{"verdict":"valid","at":"2023-11-14T22:13:20Z","remembered":false}"#);
        let json = serde_json::to_string(&all()[5]).unwrap();
        assert_eq!(json, r#"{"verdict":"rate_limited","until":null}"#);
        let malformed = serde_json::to_string(&all()[2]).unwrap();
        assert_eq!(malformed, r#"{"verdict":"malformed","fault":"prefix","expected":"sk-"}"#);
    }
}
