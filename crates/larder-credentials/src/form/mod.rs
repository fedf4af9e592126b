//! What a well-formed secret looks like, so that a wrong paste is told apart before any upstream is asked.

mod characters;

use std::fmt;
use std::ops::RangeInclusive;

use serde::{Serialize, Serializer};

use crate::Secret;

pub use characters::{CLASS_BYTES_MAX, Characters, Error};

/// The form that all secrets of a kind have. What is not set is not looked at.
///
/// ```
/// use larder_credentials::form::{Form, Length, Malformed};
/// use larder_credentials::Secret;
///
/// let form = Form {
///     prefix: Some("ctx7sk-".to_owned()),
///     length: Some(Length::Range(20..=80)),
///     characters: Some("A-Za-z0-9_-".parse()?),
/// };
/// assert!(form.check(&Secret::new("ctx7sk-0123456789abcdef")?).is_ok());
/// let wrong = form.check(&Secret::new("sk-0123456789abcdef0000")?).unwrap_err();
/// assert_eq!(wrong.to_string(), "it does not begin with `ctx7sk-`");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// What it begins with. Public, and shown in messages.
    pub prefix: Option<String>,
    /// How many characters it has, its prefix among them.
    pub length: Option<Length>,
    /// Of which characters it is made, behind its prefix.
    pub characters: Option<Characters>,
}

/// How long a secret is, in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Length {
    /// So many.
    Exact(usize),
    /// From so many to so many, both included.
    Range(RangeInclusive<usize>),
}

/// What is wrong with a secret. Of the secret, no more than its length is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "fault", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Malformed {
    /// It begins with something else.
    #[error("it does not begin with `{expected}`")]
    Prefix {
        /// What it should begin with.
        expected: String,
    },
    /// It is too short or too long.
    #[error("it has {found} characters, not {expected}")]
    Length {
        /// How long it should be.
        expected: Length,
        /// How long it is.
        found: usize,
    },
    /// It has other characters in it.
    #[error("it has other characters than {allowed} in it")]
    Characters {
        /// Of which it should be made.
        allowed: Characters,
    },
}

impl Form {
    /// Whether the secret has this form.
    ///
    /// # Errors
    /// The first thing that is wrong with it: its beginning, then its length, then its characters.
    pub fn check(&self, secret: &Secret) -> Result<(), Malformed> {
        let text = secret.expose();
        let rest = match &self.prefix {
            None => text,
            Some(expected) => {
                text.strip_prefix(expected).ok_or_else(|| Malformed::Prefix { expected: expected.clone() })?
            }
        };
        let found = text.chars().count();
        match &self.length {
            Some(expected) if !expected.contains(found) => {
                return Err(Malformed::Length { expected: expected.clone(), found });
            }
            _ => {}
        }
        match &self.characters {
            Some(allowed) if !rest.chars().all(|c| allowed.contains(c)) => {
                Err(Malformed::Characters { allowed: allowed.clone() })
            }
            _ => Ok(()),
        }
    }
}

impl Length {
    fn contains(&self, length: usize) -> bool {
        match self {
            Self::Exact(exact) => *exact == length,
            Self::Range(range) => range.contains(&length),
        }
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(exact) => write!(f, "{exact}"),
            Self::Range(range) => write!(f, "{} to {}", range.start(), range.end()),
        }
    }
}

impl Serialize for Length {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text).unwrap()
    }

    fn form() -> Form {
        let characters = Some("alphanumeric".parse().unwrap());
        Form { prefix: Some("sk-".to_owned()), length: Some(Length::Exact(8)), characters }
    }

    #[test]
    fn each_fault_is_told_by_itself_and_without_the_secret() {
        let told = |text: &str| form().check(&secret(text)).unwrap_err().to_string();
        assert_eq!(told("pk-abcde"), "it does not begin with `sk-`");
        assert_eq!(told("sk-abc"), "it has 6 characters, not 8");
        assert_eq!(told("sk-ab_de"), "it has other characters than alphanumeric in it");
        assert_eq!(form().check(&secret("sk-abcd9")), Ok(()));
    }

    #[test]
    fn the_length_counts_characters_and_both_ends_of_a_range() {
        let form = Form { length: Some(Length::Range(2..=3)), ..Form::default() };
        let fits = |text: &str| form.check(&secret(text)).is_ok();
        assert_eq!([fits("ä"), fits("äö"), fits("äöü"), fits("äöüß")], [false, true, true, false]);
    }

    #[test]
    fn what_is_not_set_is_not_looked_at() {
        assert_eq!(Form::default().check(&secret("any thing, at all: ß")), Ok(()));
    }

    #[test]
    fn a_report_has_each_fault_in_words() {
        let json = |fault: Malformed| serde_json::to_string(&fault).unwrap();
        let range = Length::Range(2..=3);
        assert_eq!(
            json(Malformed::Length { expected: range, found: 9 }),
            r#"{"fault":"length","expected":"2 to 3","found":9}"#
        );
        let allowed = "hex".parse().unwrap();
        assert_eq!(json(Malformed::Characters { allowed }), r#"{"fault":"characters","allowed":"hex"}"#);
    }

    proptest! {
        #[test]
        fn a_secret_made_by_the_form_has_it_and_no_fault_shows_a_secret(
            good in "sk-[A-Za-z0-9]{5}",
            other in "[A-Z]{12,30}",
        ) {
            prop_assert_eq!(form().check(&secret(&good)), Ok(()));
            let fault = form().check(&secret(&other)).unwrap_err();
            let told = format!("{fault} {fault:?} {}", serde_json::to_string(&fault).unwrap());
            prop_assert!(!told.contains(&other));
        }
    }
}
