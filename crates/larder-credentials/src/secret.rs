//! A secret in memory: one line of text, never printed, wiped when it is no longer needed.

use std::fmt;
use std::io::{self, Read};

use zeroize::Zeroizing;

use crate::Fingerprint;

/// The longest secret, in bytes: far beyond any key or token, and what a header may have at most.
pub const SECRET_BYTES_MAX: usize = 16 * 1024;

/// A secret: one line of text, such as a key, a token or a password.
///
/// Its memory is wiped when it is dropped. It is never shown: `Debug` prints `Secret(withheld)`, and there is no
/// `Display`, no serialization and no comparison. Whoever needs it calls [`expose`](Self::expose), which is easy to find
/// in a review.
///
/// ```
/// use larder_credentials::Secret;
///
/// let secret = Secret::new("sk-1234\n")?; // as a pipe or an editor leaves it
/// assert_eq!(secret.expose(), "sk-1234");
/// assert_eq!(format!("{secret:?}"), "Secret(withheld)");
/// # Ok::<(), larder_credentials::secret::Error>(())
/// ```
pub struct Secret(Zeroizing<String>);

/// Why something is no secret. Nothing of it is repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is nothing, or nothing but white space.
    #[error("the secret is empty")]
    Empty,
    /// There is a line break in it.
    #[error("the secret has more than one line; give the key alone, without what stands around it")]
    SeveralLines,
    /// There is a NUL, a tabulator or another control character in it.
    #[error("the secret has a control character in it, which no header or variable can carry; copy it again")]
    Control,
    /// There is a byte order mark or a character without width in it, as copies from web pages and editors have.
    #[error("the secret has an invisible character in it; copy it again, as plain text")]
    Invisible,
    /// There is white space before or after it.
    #[error("the secret has a space before or after it, a common fault of copying; give it without")]
    SurroundingSpace,
    /// It is not UTF-8.
    #[error("the secret is not text (UTF-8), as a header or variable must be; encode it, for instance in base64")]
    NotText,
    /// It is too long.
    #[error("the secret is longer than {SECRET_BYTES_MAX} bytes; is it the right file?")]
    TooLong,
}

/// Why no secret could be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// What was read is none.
    #[error(transparent)]
    Secret(#[from] Error),
    /// It could not be read.
    #[error("cannot read the secret")]
    Io(#[source] io::Error),
}

impl Secret {
    /// The secret that these bytes are.
    ///
    /// One line break at the end is taken off, as pipes and editors leave it. Bytes that are given away, a `Vec` or a
    /// `String`, are wiped.
    ///
    /// # Errors
    /// They are empty, not one line of text, too long, or have white space or invisible characters where no key has any.
    /// Those are refused, not taken off: what is used is what was given, and the message says what is wrong with it.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, Error> {
        let bytes = Zeroizing::new(bytes.into());
        let line = bytes.strip_suffix(b"\n").map_or(&bytes[..], |line| line.strip_suffix(b"\r").unwrap_or(line));
        if line.len() > SECRET_BYTES_MAX {
            return Err(Error::TooLong);
        }
        let text = std::str::from_utf8(line).map_err(|_| Error::NotText)?;
        judge(text)?;
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// Reads a secret to the end of `reader`, such as standard input. What it read into is wiped.
    ///
    /// # Errors
    /// It cannot be read, or is none, as in [`new`](Self::new). No more than 16 KiB are read.
    ///
    /// ```
    /// use larder_credentials::Secret;
    ///
    /// let secret = Secret::read(&mut &b"sk-1234\r\n"[..])?;
    /// assert_eq!(secret.expose(), "sk-1234");
    /// # Ok::<(), larder_credentials::secret::ReadError>(())
    /// ```
    pub fn read(reader: &mut impl Read) -> Result<Self, ReadError> {
        // room for a line break of two bytes, and for one byte that is too many
        let mut bytes = Zeroizing::new(vec![0; SECRET_BYTES_MAX + 3]);
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match reader.read(rest) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ReadError::Io(error)),
            }
        }
        bytes.truncate(filled);
        Ok(Self::new(std::mem::take(&mut *bytes))?)
    }

    /// The secret itself. Do not print, log or store it, nor put it into the environment or the arguments of a process.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What tells this secret from others without showing it. See [`Fingerprint`] for what that is worth.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.0)
    }
}

impl Clone for Secret {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(withheld)")
    }
}

/// What is wrong with a line, the most telling first.
fn judge(text: &str) -> Result<(), Error> {
    if text.chars().all(char::is_whitespace) {
        return Err(Error::Empty);
    }
    let has = |is: fn(char) -> bool| text.chars().any(is);
    if has(|c| matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')) {
        return Err(Error::SeveralLines);
    }
    if has(char::is_control) {
        return Err(Error::Control);
    }
    if has(
        |c| matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}'),
    ) {
        return Err(Error::Invisible);
    }
    if text.starts_with(char::is_whitespace) || text.ends_with(char::is_whitespace) {
        return Err(Error::SurroundingSpace);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(bytes: &[u8]) -> Error {
        Secret::new(bytes).unwrap_err()
    }

    #[test]
    fn one_line_break_at_the_end_is_taken_off_and_no_more() {
        for given in ["key", "key\n", "key\r\n"] {
            assert_eq!(Secret::new(given).unwrap().expose(), "key");
        }
        for given in ["key\n\n", "key\r", "key\r\n\n", "\nkey", "two\nlines", "two\u{2028}lines"] {
            assert_eq!(error(given.as_bytes()), Error::SeveralLines, "{given:?}");
        }
    }

    #[test]
    fn what_is_nothing_is_empty() {
        for given in ["", "\n", "\r\n", "  ", " \t \n", "\u{a0}", "\n\n"] {
            assert_eq!(error(given.as_bytes()), Error::Empty, "{given:?}");
        }
    }

    #[test]
    fn faults_of_copying_are_named() {
        assert_eq!(error(b" key"), Error::SurroundingSpace);
        assert_eq!(error(b"key \n"), Error::SurroundingSpace);
        assert_eq!(error("\u{feff}key".as_bytes()), Error::Invisible);
        assert_eq!(error("ke\u{200b}y".as_bytes()), Error::Invisible);
        assert_eq!(error(b"ke\0y"), Error::Control);
        assert_eq!(error(b"ke\ty"), Error::Control);
        assert_eq!(error(b"ke\x1b[0my"), Error::Control);
        assert_eq!(error(b"ke\xffy"), Error::NotText);
        assert!(Secret::new("a pass phrase").is_ok());
    }

    #[test]
    fn a_secret_of_16_kib_is_taken_and_a_longer_one_is_not_also_when_read() {
        let most = "x".repeat(SECRET_BYTES_MAX);
        for given in [most.clone(), format!("{most}\r\n")] {
            assert_eq!(Secret::new(given.as_str()).unwrap().expose(), most);
            assert_eq!(Secret::read(&mut given.as_bytes()).unwrap().expose(), most);
        }
        assert_eq!(error(format!("{most}x").as_bytes()), Error::TooLong);
        let endless = Secret::read(&mut io::repeat(b'x'));
        assert!(matches!(endless, Err(ReadError::Secret(Error::TooLong))), "{endless:?}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_secret_or_an_error_that_does_not_repeat_them(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = Secret::new(bytes);
        }

        #[test]
        fn what_is_printable_is_kept_as_it_is(text in "[!-~]([ -~]{0,80}[!-~])?") {
            let secret = Secret::new(text.as_str()).unwrap();
            prop_assert_eq!(secret.expose(), text.as_str());
        }

        #[test]
        fn no_error_and_no_debug_text_shows_the_secret(text in "[A-Z0-9]{12,40}", fault in "[\n\t\u{200b}\0]") {
            let error = Secret::new(format!("{text}{fault}{text}")).unwrap_err();
            let told = format!("{error:?} {error} {:?}", Secret::new(text.as_str()).unwrap());
            prop_assert!(!told.contains(&text));
        }
    }
}
