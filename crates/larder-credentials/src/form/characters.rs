//! Sets of characters, by a name or as a class like `A-Za-z0-9_-`.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// The longest class, in bytes: every printable character twice, with room for dashes.
pub const CLASS_BYTES_MAX: usize = 256;

/// The sets that have a name.
const NAMED: [(&str, &str); 5] = [
    ("alphanumeric", "A-Za-z0-9"),
    ("hex", "0-9A-Fa-f"),
    ("base64", "A-Za-z0-9+/="),
    ("base64url", "A-Za-z0-9_=-"),
    ("printable", " -~"),
];

/// A set of printable ASCII characters.
///
/// Written as a name (`alphanumeric`, `hex`, `base64`, `base64url`, `printable`) or as a class: characters and ranges one
/// after the other, a dash for itself first or last. A class of small letters alone is taken for a misspelt name.
#[derive(Clone, PartialEq, Eq)]
pub struct Characters {
    written: String,
    /// One bit for each character of ASCII.
    bits: u128,
}

/// Why a text is no set of characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is none.
    #[error("a set of characters cannot be empty: use {}, or a class such as A-Za-z0-9_-", names())]
    Empty,
    /// It is too long.
    #[error("a class of {bytes} bytes is too long: use ranges such as a-z, and at most {CLASS_BYTES_MAX} bytes")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// It is neither a name nor plainly a class.
    #[error("`{name}` is no set of characters: use {}, or a class such as A-Za-z0-9_-", names())]
    UnknownName {
        /// What was given.
        name: String,
    },
    /// A character that is not printable ASCII.
    #[error("a class has printable ASCII characters only; its character {position} is another")]
    NotPrintable {
        /// Which character, counted from 1.
        position: usize,
    },
    /// A range from a later to an earlier character.
    #[error("the range `{first}-{last}` runs backwards: write `{last}-{first}`")]
    Backwards {
        /// Where it begins.
        first: char,
        /// Where it ends.
        last: char,
    },
}

fn names() -> String {
    NAMED.map(|(name, _)| name).join(", ")
}

impl Characters {
    /// Whether the character is in the set.
    pub const fn contains(&self, character: char) -> bool {
        character.is_ascii() && self.bits & (1 << character as u32) != 0
    }
}

impl FromStr for Characters {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let class = NAMED.iter().find(|(name, _)| *name == text).map(|(_, class)| *class);
        if class.is_none() && text.len() > 1 && text.bytes().all(|byte| byte.is_ascii_lowercase()) {
            return Err(Error::UnknownName { name: text.chars().take(64).collect() });
        }
        let bits = read_class(class.unwrap_or(text))?;
        Ok(Self { written: text.to_owned(), bits })
    }
}

fn read_class(class: &str) -> Result<u128, Error> {
    if class.is_empty() {
        return Err(Error::Empty);
    }
    if class.len() > CLASS_BYTES_MAX {
        return Err(Error::TooLong { bytes: class.len() });
    }
    if let Some(at) = class.chars().position(|c| !matches!(c, ' '..='~')) {
        return Err(Error::NotPrintable { position: at + 1 });
    }
    let mut bits = 0;
    let mut rest = class.as_bytes();
    loop {
        let (first, last, after) = match rest {
            [] => return Ok(bits),
            [first, b'-', last, after @ ..] => (*first, *last, after),
            [one, after @ ..] => (*one, *one, after),
        };
        if first > last {
            return Err(Error::Backwards { first: first.into(), last: last.into() });
        }
        (first..=last).for_each(|byte| bits |= 1 << byte);
        rest = after;
    }
}

impl fmt::Display for Characters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl fmt::Debug for Characters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Characters({})", self.written)
    }
}

impl Serialize for Characters {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.written)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All characters of the set.
    fn all(text: &str) -> String {
        let set: Characters = text.parse().unwrap();
        ('\0'..='\u{ff}').filter(|c| set.contains(*c)).collect()
    }

    #[test]
    fn names_stand_for_what_they_say() {
        assert_eq!(all("hex"), "0123456789ABCDEFabcdef");
        assert_eq!(all("alphanumeric").len(), 62);
        assert_eq!(all("base64").len(), 65);
        assert_eq!(all("base64url").len(), 65);
        assert!(all("base64url").contains(['-', '_']) && !all("base64url").contains(['+', '/']));
        assert_eq!(all("printable").len(), 95);
    }

    #[test]
    fn a_class_has_ranges_and_a_dash_first_or_last() {
        assert_eq!(all("a-c_-"), "-_abc");
        assert_eq!(all("-a-c"), "-abc");
        assert_eq!(all("a-a"), "a");
        assert_eq!(all("x"), "x");
        assert_eq!(all("-"), "-");
        assert_eq!(all("--/"), "-./", "a dash may begin a range");
    }

    #[test]
    fn what_is_no_set_is_refused_with_the_reason() {
        let error = |text: &str| text.parse::<Characters>().unwrap_err();
        assert_eq!(error(""), Error::Empty);
        assert_eq!(error("alfanumeric"), Error::UnknownName { name: "alfanumeric".to_owned() });
        assert_eq!(error("z-a"), Error::Backwards { first: 'z', last: 'a' });
        assert_eq!(error("a-zä"), Error::NotPrintable { position: 4 });
        assert_eq!(error("a\n"), Error::NotPrintable { position: 2 });
        assert_eq!(error(&"A".repeat(257)), Error::TooLong { bytes: 257 });
    }

    proptest! {
        #[test]
        fn any_text_is_a_set_or_refused_without_panic(text in "\\PC{0,40}") {
            let _ = text.parse::<Characters>();
        }

        #[test]
        fn a_class_without_ranges_has_its_characters_and_no_others(class in "[A-Z0-9_+/=]{1,30}", other in any::<char>()) {
            let set: Characters = class.parse().unwrap();
            prop_assert!(class.chars().all(|c| set.contains(c)));
            prop_assert_eq!(set.contains(other), class.contains(other));
        }
    }
}
