//! What tells one secret from another without showing either.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroize as _;

/// What the hash is for; another purpose has another context, so that their values never meet.
const CONTEXT: &str = "larder-credentials 2026-11-29 fingerprint of a credential";

const BYTES: usize = 8;

/// The first 16 hexadecimal digits of BLAKE3 over a secret, in its mode for deriving keys.
///
/// It tells whether two places hold the same secret, and whether a secret was changed. Secrets that nobody can guess stay
/// unknown to whoever sees it. **It does not protect a secret that can be guessed**: a password of few characters is found
/// by trying all of them. 64 bits are too few to prove anything to somebody who may choose the secrets.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; BYTES]);

/// A text that is no fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint has {} of the digits 0-9 and a-f", BYTES * 2)]
#[non_exhaustive]
pub struct Error;

impl Fingerprint {
    pub(crate) fn of(secret: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        hasher.update(secret.as_bytes());
        let mut first = [0; BYTES];
        let mut output = hasher.finalize_xof();
        output.fill(&mut first);
        output.zeroize();
        hasher.zeroize();
        Self(first)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != BYTES * 2 || !text.bytes().all(is_digit) {
            return Err(Error);
        }
        u64::from_str_radix(text, 16).map(|number| Self(number.to_be_bytes())).map_err(|_| Error)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secret;

    #[test]
    fn it_is_the_beginning_of_the_derived_key_and_stays_the_same() {
        let secret = Secret::new("canary").unwrap();
        let whole = blake3::Hash::from(blake3::derive_key(CONTEXT, b"canary")).to_hex();
        assert_eq!(secret.fingerprint().to_string(), whole[..16]);
        assert_ne!(secret.fingerprint(), Secret::new("canarz").unwrap().fingerprint());
    }

    #[test]
    fn its_text_is_read_back_and_no_other_text_is() {
        let fingerprint = Fingerprint::of("x");
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        for text in ["", "0123", "0123456789ABCDEF", "+123456789abcdef", "0123456789abcdef0"] {
            assert_eq!(text.parse::<Fingerprint>(), Err(Error), "{text}");
        }
    }
}
