//! Documents that say what they are: a judge makes each again from its first line, and compares every byte.

use std::fmt::Write as _;

use crate::corpus::Corpus;

const START: &str = "<!-- larder-stress ";
const END: &str = " -->\n";

/// The document that `version` of `key` is.
pub(crate) fn make(corpus: &Corpus, key: &str, version: u64) -> Vec<u8> {
    let text = corpus.text(mixed(version));
    let (writer, number) = (version >> 32, version & u64::from(u32::MAX));
    let mut document = String::with_capacity(text.len() + 128);
    let _ = write!(document, "{START}key={key} writer={writer} number={number} length={}", text.len());
    let _ = write!(document, " sum={:016x}{END}{text}", checksum(text.as_bytes()));
    document.into_bytes()
}

/// Which version of `key` these bytes are, whole; or what is wrong with them.
pub(crate) fn judge(corpus: &Corpus, key: &str, bytes: &[u8]) -> Result<u64, String> {
    let line = bytes.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let Some(fields) = line.strip_prefix(START).and_then(|line| line.strip_suffix(END)) else {
        return Err(format!("{} bytes that begin {:?}", bytes.len(), excerpt(bytes, 0)));
    };
    let field = |name: &str| fields.split(' ').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
    if field("key") != Some(key) {
        return Err(format!("the document of another key: {}", line.trim_end()));
    }
    let number = |name| field(name).and_then(|field| field.parse::<u32>().ok());
    let (Some(writer), Some(number)) = (number("writer"), number("number")) else {
        return Err(format!("a document without a version: {}", line.trim_end()));
    };
    let version = (u64::from(writer) << 32) | u64::from(number);
    let expected = make(corpus, key, version);
    if expected == bytes {
        return Ok(version);
    }
    let at = expected.iter().zip(bytes).take_while(|(one, other)| one == other).count();
    Err(format!(
        "{} as far as byte {at}, then {:?}; {} bytes where it has {}",
        name(version),
        excerpt(bytes, at),
        bytes.len(),
        expected.len()
    ))
}

/// A version as messages name it.
pub(crate) fn name(version: u64) -> String {
    format!("version {}.{}", version >> 32, version & u64::from(u32::MAX))
}

fn excerpt(bytes: &[u8], at: usize) -> String {
    String::from_utf8_lossy(bytes.get(at..bytes.len().min(at + 24)).unwrap_or_default()).into_owned()
}

/// FNV-1a: nothing that larder itself uses.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

const fn mixed(number: u64) -> u64 {
    (number ^ (number >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 17
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION: u64 = (3 << 32) | 9;

    #[test]
    fn a_whole_document_is_recognised() {
        let corpus = Corpus::collect();
        let document = make(&corpus, "a/b", VERSION);
        assert_eq!(judge(&corpus, "a/b", &document), Ok(VERSION));
    }

    #[test]
    fn every_cut_and_every_flip_is_seen() {
        let corpus = Corpus::collect();
        let document = make(&corpus, "a/b", VERSION);
        for at in 0..document.len() {
            assert!(judge(&corpus, "a/b", &document[..at]).is_err(), "cut at {at}");
        }
        for at in (0..document.len()).step_by(97) {
            let mut flipped = document.clone();
            flipped[at] ^= 1;
            assert_ne!(judge(&corpus, "a/b", &flipped), Ok(VERSION), "flipped at {at}");
        }
    }

    #[test]
    fn a_document_of_another_key_is_seen() {
        let corpus = Corpus::collect();
        let document = make(&corpus, "a/b", VERSION);
        assert!(judge(&corpus, "a/c", &document).unwrap_err().contains("another key"));
    }
}
