//! The header line as this version writes it, read in one pass: a quarter of the time that a JSON parser takes.
//!
//! Whatever deviates in form goes to the JSON parser, which has the last word; a line that is read here is read the same
//! there.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Header, hexadecimal, metadata};
use crate::entry::Metadata;
use crate::generation::Token;
use crate::key::Key;
use crate::put::Durability;

/// The fields that only some headers have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Extras<'a> {
    #[serde(borrow, default)]
    tags: Vec<Cow<'a, str>>,
    #[serde(borrow, default)]
    attributes: Option<&'a RawValue>,
}

/// `,"body":"` + 16 digits + `"`.
const BODY: &[u8] = b",\"body\":\"";
const BODY_BYTES: usize = BODY.len() + 16 + 1;

/// What is left of a line.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn literal(&mut self, text: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(text)?;
        Some(())
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    /// A string without escapes, after its opening quote.
    fn string(&mut self) -> Option<&'a [u8]> {
        let end = memchr::memchr2(b'"', b'\\', self.0)?;
        let text = self.take(end)?;
        self.literal(b"\"")?;
        Some(text)
    }

    fn number(&mut self) -> Option<u64> {
        let count = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        digits(self.take(count)?)
    }
}

/// A decimal number as JSON writes it: no leading zeros.
fn digits(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || (digits.len() > 1 && digits.starts_with(b"0")) {
        return None;
    }
    // 19 digits always fit; the few longer numbers go to the JSON parser
    if digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0_u64, |number, digit| number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'))))
}

/// Reads the line up to its checksum; `None` when it deviates from the canonical form.
pub(super) fn parse(line: &[u8], expected: Option<&Key>) -> Option<Header> {
    let mut at = Cursor(line);
    at.literal(b"{\"larder\":1,\"key\":\"")?;
    let key = at.string()?;
    let key = match expected {
        // checked once already, by whoever asks for it
        Some(expected) if expected.as_str().as_bytes() == key => expected.clone(),
        // JSON escapes control characters; a line that does not is none
        _ if key.iter().any(|&byte| byte < b' ') => return None,
        _ => Key::new(std::str::from_utf8(key).ok()?).ok()?,
    };
    at.literal(b",\"lineage\":\"")?;
    let lineage = hexadecimal(at.take(16)?)?;
    at.literal(b"\",\"generation\":")?;
    let number = at.number()?;
    at.literal(b",\"stored_ms\":")?;
    let stored_ms = at.number()?;
    at.literal(b",\"durability\":\"")?;
    let durability = match at.string()? {
        b"full" => Durability::Full,
        b"relaxed" => Durability::Relaxed,
        _ => return None,
    };
    let (rest, body) = at.0.split_at_checked(at.0.len().checked_sub(BODY_BYTES)?)?;
    let body_checksum = hexadecimal(body.strip_prefix(BODY)?.strip_suffix(b"\"")?)?;
    let count = rest.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (rest, length) = rest.split_at_checked(rest.len() - count)?;
    let length = digits(length)?;
    let extras = rest.strip_suffix(b",\"length\":")?;
    let metadata = if extras.is_empty() { Metadata::new() } else { parse_extras(extras)? };
    Some(Header { key, token: Token { lineage, number }, stored_ms, durability, metadata, length, body_checksum })
}

fn parse_extras(extras: &[u8]) -> Option<Metadata> {
    let mut object = Vec::with_capacity(extras.len() + 1);
    object.push(b'{');
    object.extend_from_slice(extras.strip_prefix(b",")?);
    object.push(b'}');
    let extras: Extras<'_> = serde_json::from_str(std::str::from_utf8(&object).ok()?).ok()?;
    metadata(extras.tags, extras.attributes)
}
