//! What credentials are called: names that are safe in files, commands and messages.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// The longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// A credential's name, such as `docs` or `context7.com`.
///
/// 1 to 64 of `a-z`, `0-9`, `.`, `_` and `-`, the first a letter or a digit: it is never taken for a flag or a path, and
/// is the same name on systems that do not tell capitals from small letters.
///
/// ```
/// use larder_credentials::Name;
///
/// let name: Name = "context7.com".parse()?;
/// assert_eq!(name.as_str(), "context7.com");
/// assert!("--help".parse::<Name>().is_err());
/// # Ok::<(), larder_credentials::name::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

/// Why a text is no name.
///
/// The text itself is not repeated: whoever confuses the arguments of a command gives the secret in place of the name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is none.
    #[error(
        "a credential needs a name, and the empty text is none: use 1 to {NAME_BYTES_MAX} of a-z, 0-9, `.`, `_`, `-`"
    )]
    Empty,
    /// There is too much of it.
    #[error("a credential's name of {bytes} bytes is too long: use at most {NAME_BYTES_MAX}")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// It begins with a mark.
    #[error("a credential's name begins with a letter a-z or a digit, not with a mark")]
    Beginning,
    /// It has something else in it.
    #[error("a credential's name has a-z, 0-9, `.`, `_` and `-` only; its character {position} is another")]
    Character {
        /// Which character, counted from 1.
        position: usize,
    },
}

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.len() > NAME_BYTES_MAX {
            return Err(Error::TooLong { bytes: text.len() });
        }
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if let Some(at) = text.chars().position(|c| !(is_plain(c) || matches!(c, '.' | '_' | '-'))) {
            return Err(Error::Character { position: at + 1 });
        }
        match text.chars().next() {
            None => Err(Error::Empty),
            Some(first) if is_plain(first) => Ok(Self(text.to_owned())),
            Some(_) => Err(Error::Beginning),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_could_be_a_flag_a_path_or_another_name_elsewhere_is_refused() {
        let error = |text: &str| text.parse::<Name>().unwrap_err();
        assert_eq!(error(""), Error::Empty);
        assert_eq!(error("-x"), Error::Beginning);
        assert_eq!(error("..x"), Error::Beginning);
        assert_eq!(error("a/b"), Error::Character { position: 2 });
        assert_eq!(error("Docs"), Error::Character { position: 1 });
        assert_eq!(error("dé"), Error::Character { position: 2 });
        assert_eq!(error(&"x".repeat(65)), Error::TooLong { bytes: 65 });
        assert!("x".repeat(64).parse::<Name>().is_ok());
    }

    proptest! {
        #[test]
        fn what_is_a_name_is_kept_as_it_is(text in "[a-z0-9][a-z0-9._-]{0,63}") {
            prop_assert_eq!(text.parse::<Name>().unwrap().to_string(), text);
        }

        #[test]
        fn an_error_does_not_repeat_what_may_be_a_secret(text in "[A-Z]{8,80}") {
            prop_assert!(!text.parse::<Name>().unwrap_err().to_string().contains(&text));
        }
    }
}
