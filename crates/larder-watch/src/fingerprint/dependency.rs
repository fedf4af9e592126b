//! A dependency as it is stored beside a document.

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::error::Error;

/// What the dependencies of a document may take beside it, in bytes of JSON: they share the 32 KiB of an entry's attributes
/// with what the upstream has to say of it.
const BYTES_MAX: usize = 28 * 1024;
/// What a dependency takes beside its path: digests, time, and the names of the fields.
const FRAME_BYTES: usize = 176;

/// A path, and what lay there at a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    pub(super) path: Utf8PathBuf,
    /// Of names, kinds and bytes.
    pub(super) content: Digest<32>,
    /// Of stamps; `None` where they prove nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) signature: Option<Digest<16>>,
    pub(super) taken_ms: u64,
}

impl Dependency {
    /// Where it lies, from the root of the file system on.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// What lay there.
    pub const fn content(&self) -> Digest<32> {
        self.content
    }

    /// Whether it can be found unchanged without being read.
    pub const fn is_settled(&self) -> bool {
        self.signature.is_some()
    }

    /// When that was, in milliseconds since 1970.
    pub const fn taken_ms(&self) -> u64 {
        self.taken_ms
    }

    /// Refuses what would not fit beside a document.
    pub(super) fn refuse_long(dependencies: &[Self]) -> Result<(), Error> {
        let bytes = dependencies.iter().map(|one| FRAME_BYTES + json_bytes(one.path.as_str())).sum();
        if bytes > BYTES_MAX { Err(Error::TooLong { bytes, max: BYTES_MAX }) } else { Ok(()) }
    }
}

/// How long a text is as JSON, without its quotes.
fn json_bytes(text: &str) -> usize {
    text.chars()
        .map(|c| match c {
            '"' | '\\' => 2,
            '\0'..='\x1f' => 6,
            c => c.len_utf8(),
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_to_fit_does() {
        let path = Utf8PathBuf::from("/a\"b\\c\n\u{1}é");
        let hasher = blake3::Hasher::new();
        let signature = Some(Digest::of(&hasher));
        let one = Dependency { path, content: Digest::of(&hasher), signature, taken_ms: u64::MAX };
        let json = serde_json::to_string(&one).unwrap();
        assert!(json.len() <= FRAME_BYTES + json_bytes(one.path.as_str()), "{} bytes", json.len());
        assert_eq!(serde_json::from_str::<Dependency>(&json).unwrap(), one);
    }
}
