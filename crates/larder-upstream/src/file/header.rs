//! The first line: which flight it is, and who leads it.

use std::fmt;
use std::io;
use std::time::{Duration, UNIX_EPOCH};

use larder_lock::Holder;
use larder_storage::{Key, Token};
use serde::{Deserialize, Serialize};

use super::{VERSION, line};

/// The longest header line: a key of 1,024 bytes that JSON must escape, and room for the rest.
pub(super) const BYTES_MAX: usize = 16 * 1024;

/// What tells a flight from every other one: 128 random bits.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Id(String);

impl Id {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(format!("{:016x}{:016x}", larder_system::unique()?, larder_system::unique()?)))
    }

    fn read(text: &str) -> Option<Self> {
        let is_id = text.len() == line::DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_id.then(|| Self(text.to_owned()))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The name of the lock that is held for as long as the flight's leader lives and leads.
    pub(crate) fn lock(&self) -> String {
        format!("//flights/{}", self.0)
    }

    /// The name of the lock that the leader's command holds.
    pub(crate) fn command_lock(&self) -> String {
        format!("//flights/command/{}", self.0)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who leads which flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) id: Id,
    pub(crate) key: Key,
    pub(crate) token: Token,
    pub(crate) pid: u32,
    pub(crate) host: String,
    pub(crate) started_ms: u64,
    /// How many fetches of this key have failed in a row before this one.
    pub(crate) failures: u32,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    flight: u32,
    id: String,
    key: Key,
    token: String,
    pid: u32,
    host: String,
    started_ms: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    failures: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What every version's header has.
#[derive(Deserialize)]
struct Common {
    flight: u32,
    #[serde(default)]
    id: Option<String>,
}

/// What a header line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// A header, and the length of its line.
    Header(Header, usize),
    /// That of a newer version.
    Newer(Option<Id>),
    /// Nothing that can be understood.
    Damaged,
}

impl Header {
    pub(crate) fn encode(&self) -> serde_json::Result<Vec<u8>> {
        let stored = Stored {
            flight: VERSION,
            id: self.id.0.clone(),
            key: self.key.clone(),
            token: self.token.to_string(),
            pid: self.pid,
            host: self.host.clone(),
            started_ms: self.started_ms,
            failures: self.failures,
        };
        line::encode(&stored, b"")
    }

    pub(super) fn read(bytes: &[u8]) -> Read {
        let Some((json, length)) = line::decode(bytes, b"") else { return Read::Damaged };
        let Ok(common) = serde_json::from_slice::<Common>(json) else { return Read::Damaged };
        if common.flight > VERSION {
            return Read::Newer(common.id.as_deref().and_then(Id::read));
        }
        Self::parse(json).map_or(Read::Damaged, |header| Read::Header(header, length))
    }

    fn parse(json: &[u8]) -> Option<Self> {
        let stored = serde_json::from_slice::<Stored>(json).ok()?;
        Some(Self {
            id: Id::read(&stored.id)?,
            key: stored.key,
            token: stored.token.parse().ok()?,
            pid: stored.pid,
            host: stored.host,
            started_ms: stored.started_ms,
            failures: stored.failures,
        })
    }

    /// Its leader, as locks name holders.
    pub(crate) fn holder(&self) -> Holder {
        let mut holder = Holder::unknown();
        holder.pid = Some(self.pid);
        holder.host = Some(self.host.clone());
        holder.since = UNIX_EPOCH.checked_add(Duration::from_millis(self.started_ms));
        holder
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in crate::file) fn header() -> Header {
        Header {
            id: Id("00112233445566778899aabbccddeeff".to_owned()),
            key: "docs/\"quoted\"/ü".parse().unwrap(),
            token: "00000000000000ab-17".parse().unwrap(),
            pid: 7,
            host: "pantry".to_owned(),
            started_ms: 1_709_210_096_000,
            failures: 0,
        }
    }

    #[test]
    fn a_header_comes_back_as_written() {
        for failures in [0, 3, u32::MAX] {
            let header = Header { failures, ..header() };
            let line = header.encode().unwrap();
            assert_eq!(Header::read(&line), Read::Header(header, line.len()));
        }
    }

    #[test]
    fn the_longest_key_fits() {
        let key = "\u{1}".repeat(1_024).parse().unwrap();
        let line = Header { key, host: "h".repeat(255), ..header() }.encode().unwrap();
        assert!(line.len() <= BYTES_MAX, "{}", line.len());
    }

    #[test]
    fn a_newer_version_gives_its_identity_and_nothing_else() {
        let newer = |json: &str| {
            Header::read(&line::encode(&serde_json::from_str::<serde_json::Value>(json).unwrap(), b"").unwrap())
        };
        let id = header().id;
        assert_eq!(newer(&format!("{{\"flight\":2,\"id\":\"{id:?}\",\"key\":[]}}")), Read::Newer(Some(id)));
        assert_eq!(newer("{\"flight\":2}"), Read::Newer(None));
        assert_eq!(newer("{\"flight\":2,\"id\":\"../x\"}"), Read::Newer(None));
        assert_eq!(newer("{\"flight\":1}"), Read::Damaged);
    }

    #[test]
    fn a_header_with_any_bit_flipped_is_damaged() {
        let line = header().encode().unwrap();
        for bit in 0..line.len() * 8 {
            let mut flipped = line.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::read(&flipped), Read::Damaged, "bit {bit}");
        }
    }

    #[test]
    fn a_header_cut_short_anywhere_is_damaged() {
        let line = header().encode().unwrap();
        for length in 0..line.len() {
            assert_eq!(Header::read(&line[..length]), Read::Damaged, "{length} bytes");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(Header::read(&bytes), Read::Damaged);
        }

        #[test]
        fn any_json_with_a_right_checksum_is_read_without_panic(text in "\\PC{0,80}") {
            let json = serde_json::json!({"flight": 1, "id": text});
            prop_assert_eq!(Header::read(&line::encode(&json, b"").unwrap()), Read::Damaged);
        }
    }
}
