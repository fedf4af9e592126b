//! The header of an entry: JSON between the fences of YAML front matter, so that every viewer can read it.
//!
//! ```text
//! ---\n
//! {"larder":1,"key":…,…,"length":5,"body":"<CRC-64/NVME>","check":"<XXH3>"}\n
//! ---\n
//! the body's bytes
//! ```
//!
//! `body` is the checksum of the body, `check` the checksum of the line up to its own comma. Every version keeps the
//! first field and the last, so that an older program can tell a newer entry, which it leaves alone, from a damaged
//! one, which it sets aside. Bodies get the checksum that is fastest over kilobytes, header lines the one that is
//! fastest over a few hundred bytes.

mod canonical;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use twox_hash::XxHash3_64;

use crate::entry::Metadata;
use crate::generation::Token;
use crate::key::Key;
use crate::put::Durability;

/// The entry format that this version writes, and the newest it reads.
pub(crate) const VERSION: u32 = 1;
/// The longest header, fences included.
pub(crate) const HEADER_BYTES_MAX: usize = 64 * 1024;

const OPENING: &[u8] = b"---\n";
const CLOSING: &[u8] = b"\n---\n";
const CHECK: &[u8] = b",\"check\":\"";
/// `,"check":"` + 16 digits + `"}`.
const CHECK_BYTES: usize = CHECK.len() + 16 + 2;

/// The fields, as they stand on the line.
#[derive(Serialize, Deserialize)]
struct Fields<'a> {
    larder: u32,
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow)]
    lineage: Cow<'a, str>,
    generation: u64,
    stored_ms: u64,
    durability: Durability,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    attributes: Option<&'a RawValue>,
    length: u64,
    #[serde(borrow)]
    body: Cow<'a, str>,
}

/// The first field alone, which all versions share.
#[derive(Deserialize)]
struct VersionField {
    larder: u32,
}

/// A decoded header whose checksum was right.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    pub(crate) key: Key,
    pub(crate) token: Token,
    pub(crate) stored_ms: u64,
    pub(crate) durability: Durability,
    pub(crate) metadata: Metadata,
    pub(crate) length: u64,
    pub(crate) body_checksum: u64,
}

/// Why bytes are no header of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A format that only newer versions know: left alone.
    Newer(u32),
    /// Damaged, foreign, or not an entry at all.
    Damaged(&'static str),
}

/// Where the header ends in the file.
#[derive(Clone, Debug)]
pub(crate) struct Decoded {
    pub(crate) header: Header,
    pub(crate) body_at: usize,
}

/// The checksum of bodies. It finds damage, not malice.
pub(crate) fn body_checksum(bytes: &[u8]) -> u64 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, bytes)
}

/// The checksum of header lines. It finds damage, not malice.
fn line_checksum(bytes: &[u8]) -> u64 {
    XxHash3_64::oneshot(bytes)
}

impl Header {
    /// The bytes in front of the body.
    ///
    /// # Errors
    /// The header is longer than [`HEADER_BYTES_MAX`].
    pub(crate) fn encode(&self) -> Result<Vec<u8>, TooLong> {
        let lineage = format!("{:016x}", self.token.lineage);
        let body = format!("{:016x}", self.body_checksum);
        let attributes = self.metadata.attributes_json().map(serde_json::from_str::<&RawValue>);
        let fields = Fields {
            larder: VERSION,
            key: Cow::Borrowed(self.key.as_str()),
            lineage: Cow::Borrowed(&lineage),
            generation: self.token.number,
            stored_ms: self.stored_ms,
            durability: self.durability,
            tags: self.metadata.tags().iter().map(|tag| Cow::Borrowed(tag.as_str())).collect(),
            attributes: attributes.and_then(Result::ok),
            length: self.length,
            body: Cow::Borrowed(&body),
        };
        let mut bytes = Vec::with_capacity(512);
        bytes.extend_from_slice(OPENING);
        serde_json::to_writer(&mut bytes, &fields).map_err(|_| TooLong)?;
        bytes.pop(); // the closing brace comes back after the checksum
        let check = line_checksum(bytes.get(OPENING.len()..).unwrap_or_default());
        bytes.extend_from_slice(CHECK);
        bytes.extend_from_slice(format!("{check:016x}\"}}").as_bytes());
        bytes.extend_from_slice(CLOSING);
        if bytes.len() > HEADER_BYTES_MAX { Err(TooLong) } else { Ok(bytes) }
    }
}

/// The header does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Finds and checks the header at the beginning of `bytes`, which may be the whole file or its first
/// [`HEADER_BYTES_MAX`] bytes. `expected` is the key that it most likely has.
pub(crate) fn decode(bytes: &[u8], expected: Option<&Key>) -> Result<Decoded, Fault> {
    let rest = bytes.strip_prefix(OPENING).ok_or(Fault::Damaged("no opening fence"))?;
    let searched = rest.get(..HEADER_BYTES_MAX).unwrap_or(rest);
    // JSON escapes the line feeds in its strings, so the first one ends the line
    let end = memchr::memchr(b'\n', searched).ok_or(Fault::Damaged("no end of the header line"))?;
    let (line, after) = rest.split_at(end);
    if !after.starts_with(CLOSING) {
        return Err(Fault::Damaged("no closing fence"));
    }
    let checked = line.len().checked_sub(CHECK_BYTES).ok_or(Fault::Damaged("header too short"))?;
    let (fields, check) = line.split_at(checked);
    let digits = check.strip_prefix(CHECK).and_then(|check| check.strip_suffix(b"\"}"));
    let stated = digits.and_then(hexadecimal).ok_or(Fault::Damaged("no header checksum"))?;
    if stated != line_checksum(fields) {
        return Err(Fault::Damaged("header checksum is wrong"));
    }
    if let Some(header) = canonical::parse(fields, expected) {
        return Ok(Decoded { header, body_at: OPENING.len() + end + CLOSING.len() });
    }
    let header = match parse(line) {
        Ok(header) => header,
        // a right checksum over unknown fields: written by somebody who knew what they did
        Err(fault) => match serde_json::from_slice::<VersionField>(line) {
            Ok(VersionField { larder }) if larder > VERSION => return Err(Fault::Newer(larder)),
            _ => return Err(fault),
        },
    };
    Ok(Decoded { header, body_at: OPENING.len() + end + CLOSING.len() })
}

fn parse(line: &[u8]) -> Result<Header, Fault> {
    let text = std::str::from_utf8(line).map_err(|_| Fault::Damaged("header is not UTF-8"))?;
    let fields: Fields<'_> =
        serde_json::from_str(text).map_err(|_| Fault::Damaged("header fields are not as they must be"))?;
    if fields.larder > VERSION {
        return Err(Fault::Newer(fields.larder));
    }
    let lineage = hexadecimal(fields.lineage.as_bytes()).ok_or(Fault::Damaged("lineage is not a number"))?;
    let body_checksum = hexadecimal(fields.body.as_bytes()).ok_or(Fault::Damaged("body checksum is not a number"))?;
    let key = Key::new(fields.key).map_err(|_| Fault::Damaged("key is not allowed"))?;
    let metadata = metadata(fields.tags, fields.attributes).ok_or(Fault::Damaged("metadata is not allowed"))?;
    Ok(Header {
        key,
        token: Token { lineage, number: fields.generation },
        stored_ms: fields.stored_ms,
        durability: fields.durability,
        metadata,
        length: fields.length,
        body_checksum,
    })
}

fn metadata(tags: Vec<Cow<'_, str>>, attributes: Option<&RawValue>) -> Option<Metadata> {
    Metadata::from_parts(tags.into_iter().map(Cow::into_owned), attributes.map(RawValue::get)).ok()
}

/// No digit's value.
const INVALID: u8 = 0xff;
/// The value of each hexadecimal digit, lower case only: one spelling for one number.
const HEXADECIMAL: [u8; 256] = {
    let mut values = [INVALID; 256];
    let digits = b"0123456789abcdef";
    let mut value = 0;
    while value < 16 {
        values[digits[value as usize] as usize] = value;
        value += 1;
    }
    values
};

/// Exactly 16 hexadecimal digits.
fn hexadecimal(digits: &[u8]) -> Option<u64> {
    if digits.len() != 16 {
        return None;
    }
    let mut number = 0_u64;
    let mut worst = 0_u8;
    for &digit in digits {
        let value = HEXADECIMAL.get(usize::from(digit)).copied().unwrap_or(INVALID);
        worst |= value;
        number = number << 4 | u64::from(value & 0x0f);
    }
    (worst != INVALID && worst < 0x10).then_some(number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(key: &str, tags: &[String], attributes: Option<&str>, numbers: (u64, u64, u64, u64)) -> Header {
        let mut metadata = Metadata::new();
        for tag in tags {
            metadata = metadata.with_tag(tag.as_str()).unwrap();
        }
        if let Some(attributes) = attributes {
            metadata = metadata.with_attributes(attributes).unwrap();
        }
        Header {
            key: Key::new(key).unwrap(),
            token: Token { lineage: numbers.0, number: numbers.1 },
            stored_ms: numbers.2,
            durability: if numbers.0.is_multiple_of(2) { Durability::Full } else { Durability::Relaxed },
            metadata,
            length: numbers.3,
            body_checksum: numbers.0.rotate_left(17),
        }
    }

    fn shown(header: &Header) -> String {
        format!("{header:?}")
    }

    proptest! {
        #[test]
        fn any_header_comes_back_the_same_by_both_ways(
            key in "[a-z\\PC\"\\\\\n]{1,40}",
            tags in prop::collection::vec("\\PC{1,20}", 0..4),
            attributes in prop::option::of("\\PC{0,60}"),
            numbers in any::<(u64, u64, u64, u64)>(),
        ) {
            prop_assume!(Key::new(key.as_str()).is_ok());
            let header = header(&key, &tags, attributes.as_deref(), numbers);
            let bytes = header.encode().unwrap();
            let decoded = decode(&bytes, Some(&header.key)).unwrap();
            prop_assert_eq!(decoded.body_at, bytes.len());
            prop_assert_eq!(shown(&decoded.header), shown(&header));
            let line = &bytes[OPENING.len()..bytes.len() - CLOSING.len()];
            prop_assert_eq!(shown(&parse(line).unwrap()), shown(&header));
            // and any YAML reader understands it
            let front: std::collections::BTreeMap<String, serde_json::Value> =
                serde_yaml::from_str(std::str::from_utf8(line).unwrap()).unwrap();
            prop_assert_eq!(front["key"].as_str(), Some(key.as_str()));
        }

        #[test]
        fn damaged_headers_are_never_taken_for_whole(at in any::<prop::sample::Index>(), bit in 0..8_u32) {
            let header = header("docs/a", &["t".to_owned()], Some("x"), (1, 2, 3, 4));
            let mut bytes = header.encode().unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(decode(&bytes, Some(&header.key)).is_err());
            prop_assert!(decode(&bytes[..at], None).is_err());
        }

        #[test]
        fn garbage_is_damage_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), fenced in any::<bool>()) {
            let bytes = if fenced { [OPENING, &bytes, CLOSING].concat() } else { bytes };
            prop_assert!(matches!(decode(&bytes, None), Err(Fault::Damaged(_))));
        }
    }

    #[test]
    fn the_bytes_of_format_1_do_not_change() {
        let header = header("docs/a", &["t".to_owned()], Some("x"), (2, 3, 4, 5));
        let expected = "---\n{\"larder\":1,\"key\":\"docs/a\",\"lineage\":\"0000000000000002\",\"generation\":3,\
            \"stored_ms\":4,\"durability\":\"full\",\"tags\":[\"t\"],\"attributes\":\"x\",\"length\":5,\
            \"body\":\"0000000000040000\",\"check\":\"7b67c4dc90da6704\"}\n---\n";
        assert_eq!(String::from_utf8(header.encode().unwrap()).unwrap(), expected);
        // the check value of CRC-64/NVME in the catalogue of parametrised CRC algorithms
        assert_eq!(body_checksum(b"123456789"), 0xae8b_1486_0a79_9888);
    }

    #[test]
    fn a_newer_version_is_known_by_its_number_and_its_checksum() {
        let line = br#"{"larder":7,"wholly":"new""#;
        let mut bytes = [OPENING, line, CHECK].concat();
        bytes.extend_from_slice(format!("{:016x}\"}}", line_checksum(line)).as_bytes());
        bytes.extend_from_slice(CLOSING);
        assert_eq!(decode(&bytes, None).unwrap_err(), Fault::Newer(7));
        bytes[14] = b'8';
        assert!(matches!(decode(&bytes, None).unwrap_err(), Fault::Damaged(_)));
    }
}
