//! One line of JSON with its checksum: what both parts of the file are made of.

use serde::Serialize;

/// Hexadecimal digits of a checksum or an identity.
pub(super) const DIGITS: usize = 32;

/// 128 bits of BLAKE3 over `parts`, as 32 hexadecimal digits.
pub(super) fn checksum(parts: &[&[u8]]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().to_hex().chars().take(DIGITS).collect()
}

/// `value`, a space, its checksum and a line feed. The checksum also covers `salt`, so that a line cannot pass for one of
/// another file.
pub(super) fn encode<T: Serialize>(value: &T, salt: &[u8]) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    let sum = checksum(&[salt, &line]);
    line.push(b' ');
    line.extend_from_slice(sum.as_bytes());
    line.push(b'\n');
    Ok(line)
}

/// The JSON of the line that `bytes` begin with, and the length of the line; `None` when it is not whole.
pub(super) fn decode<'a>(bytes: &'a [u8], salt: &[u8]) -> Option<(&'a [u8], usize)> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (json, tail) = bytes.get(..end)?.split_at_checked(end.checked_sub(DIGITS + 1)?)?;
    let sum = tail.strip_prefix(b" ")?;
    (checksum(&[salt, json]).as_bytes() == sum).then_some((json, end + 1))
}
