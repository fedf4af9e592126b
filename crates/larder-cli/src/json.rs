//! JSON forms that several verbs share: documents, holders, moments.

use larder_lock::Holder;
use larder_storage::Standing;
use serde::Serialize;

use crate::text::unix_ms;

/// A document: as text when it is, else in base64.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Body<'a> {
    /// UTF-8.
    Body(&'a str),
    /// Anything else, as RFC 4648 has it.
    BodyBase64(String),
}

impl<'a> Body<'a> {
    /// The form that suits these bytes.
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        std::str::from_utf8(bytes).map_or_else(|_| Self::BodyBase64(base64(bytes)), Self::Body)
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 of bytes that come in pieces.
#[derive(Default)]
pub(crate) struct Base64 {
    /// Bytes that do not make a whole group yet: two at most.
    rest: Vec<u8>,
}

impl Base64 {
    /// What can be said of the bytes so far.
    pub(crate) fn encode(&mut self, bytes: &[u8]) -> String {
        self.rest.extend_from_slice(bytes);
        let whole = self.rest.len() / 3 * 3;
        let text = base64(self.rest.get(..whole).unwrap_or_default());
        self.rest.drain(..whole);
        text
    }

    /// The rest, padded.
    pub(crate) fn finish(&mut self) -> String {
        base64(&std::mem::take(&mut self.rest))
    }
}

/// Bytes in base64, padded.
fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let at = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let word = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..4 {
            let letter = ALPHABET.get((word >> (18 - 6 * digit)) as usize & 63).copied().unwrap_or(b'=');
            text.push(if digit <= group.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

/// Who holds something.
#[derive(Serialize)]
pub(crate) struct HolderObject {
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since_ms: Option<u64>,
}

impl From<&Holder> for HolderObject {
    fn from(holder: &Holder) -> Self {
        Self { pid: holder.pid, host: holder.host.clone(), since_ms: holder.since.map(unix_ms) }
    }
}

/// What invalidations say, as a word.
pub(crate) const fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Current => "current",
        Standing::Invalidated => "invalidated",
        Standing::Gone => "gone",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        let cases =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE=")];
        for (bytes, text) in cases {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xff, 0xfe, 0xfd]), "//79");
    }

    #[test]
    fn base64_in_pieces_is_base64_of_the_whole() {
        let mut encoder = Base64::default();
        let pieces = [&b"f"[..], b"", b"ooba", b"r!"].map(|piece| encoder.encode(piece)).concat();
        assert_eq!(pieces + &encoder.finish(), base64(b"foobar!"));
    }

    #[test]
    fn text_stays_text_and_bytes_become_base64() {
        assert_eq!(serde_json::to_string(&Body::of(b"h\n")).unwrap(), r#"{"body":"h\n"}"#);
        assert_eq!(serde_json::to_string(&Body::of(&[0xff])).unwrap(), r#"{"body_base64":"/w=="}"#);
    }
}
