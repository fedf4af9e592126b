//! The record that a leader adds when its flight is over.

use std::time::Duration;

use larder_storage::{Metadata, Token};
use larder_system::{Boot, Clock};
use larder_watch::fingerprint::Dependency;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Header, line};
use crate::failure::{Class, Exit, Failure, MESSAGE_BYTES_MAX, STDERR_BYTES_MAX};
use crate::turn::Carried;

/// The longest line of an outcome: tags and attributes at their longest, escaped, or a message.
pub(super) const LINE_BYTES_MAX: usize = 512 * 1024;

/// How a flight ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The answer is in the store.
    Landed,
    /// The answer is here.
    Carried(Carried),
    /// There is none.
    Failed { failure: Failure, remembered: Option<Remembered> },
    /// There is one, for the leader alone; likewise those that follow, for as long as that is remembered.
    Alone { remembered: Option<Remembered> },
}

/// For how long after its end the number of failures in a row is still known: whoever asks so seldom hurts nobody.
const COUNTED_MS: u64 = 3_600_000;

/// Until when an outcome stands for newcomers too.
///
/// It is told by the clock that all processes of one boot share. Where no such clock is to be had, nothing is
/// remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Remembered {
    since_ms: u64,
    length_ms: u64,
    boot: Option<Boot>,
}

impl Remembered {
    pub(crate) fn from_now(clock: &dyn Clock, length: Duration) -> Self {
        Self { since_ms: whole_ms(clock.monotonic()), length_ms: whole_ms(length), boot: clock.boot() }
    }

    /// How much of its time is left: none in another boot, and none when it would begin in the future.
    pub(crate) fn left(&self, clock: &dyn Clock) -> Option<Duration> {
        let passed = self.passed_ms(clock)?;
        self.length_ms.checked_sub(passed).filter(|left| *left > 0).map(Duration::from_millis)
    }

    /// Whether it was not so long ago that nobody counts it any more.
    pub(crate) fn counts(&self, clock: &dyn Clock) -> bool {
        self.passed_ms(clock).is_some_and(|passed| passed < self.length_ms.saturating_add(COUNTED_MS))
    }

    fn passed_ms(&self, clock: &dyn Clock) -> Option<u64> {
        if self.boot.is_none() || self.boot != clock.boot() {
            return None;
        }
        whole_ms(clock.monotonic()).checked_sub(self.since_ms)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
enum Stored {
    Landed,
    Alone {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        remembered: Option<StoredMemory>,
    },
    Carried {
        tags: Vec<String>,
        /// JSON as text.
        attributes: Option<String>,
        body: Body,
    },
    Failed {
        class: Class,
        message: String,
        exit: Option<Exit>,
        retry_after_ms: Option<u64>,
        remembered: Option<StoredMemory>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        depends: Vec<Dependency>,
        stderr: Body,
    },
}

/// The bytes that follow the line.
#[derive(Serialize, Deserialize)]
struct Body {
    length: u64,
    checksum: String,
}

#[derive(Serialize, Deserialize)]
struct StoredMemory {
    since_ms: u64,
    length_ms: u64,
    boot: Option<String>,
}

/// What is found where an outcome would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// An outcome without a body.
    Whole(Outcome),
    /// One whose body, of this length, begins at this offset after the line's beginning.
    WithBody { at: u64, length: u64, rest: Rest },
    /// None, or none that is whole.
    Nothing,
}

/// What is known of an outcome before its body has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rest {
    outcome: Outcome,
    checksum: String,
}

impl Body {
    fn of(bytes: &[u8]) -> Self {
        Self { length: bytes.len() as u64, checksum: line::checksum(&[bytes]) }
    }
}

/// The line of an outcome; its body, if it has one, follows.
fn encode(stored: &Stored, header: &Header) -> serde_json::Result<Vec<u8>> {
    line::encode(stored, header.id.as_bytes())
}

impl Outcome {
    pub(crate) fn landed(header: &Header) -> serde_json::Result<Vec<u8>> {
        encode(&Stored::Landed, header)
    }

    pub(crate) fn alone(header: &Header, remembered: Option<Remembered>) -> serde_json::Result<Vec<u8>> {
        encode(&Stored::Alone { remembered: remembered.map(StoredMemory::pack) }, header)
    }

    pub(crate) fn carried(header: &Header, body: &[u8], metadata: &Metadata) -> serde_json::Result<Vec<u8>> {
        let stored = Stored::Carried {
            tags: metadata.tags().iter().map(|tag| tag.as_str().to_owned()).collect(),
            attributes: metadata.attributes_json().map(str::to_owned),
            body: Body::of(body),
        };
        encode(&stored, header)
    }

    /// The line and the body, in one.
    pub(crate) fn failed(
        header: &Header,
        failure: &Failure,
        remembered: Option<Remembered>,
    ) -> serde_json::Result<Vec<u8>> {
        let stderr = failure.stderr.get(failure.stderr.len().saturating_sub(STDERR_BYTES_MAX)..).unwrap_or_default();
        let remembered = remembered.map(StoredMemory::pack);
        let stored = Stored::Failed {
            class: failure.class,
            message: failure.message.get(..cut(&failure.message)).unwrap_or_default().to_owned(),
            exit: failure.exit,
            retry_after_ms: failure.retry_after.map(whole_ms),
            remembered,
            depends: failure.depends.clone(),
            stderr: Body::of(stderr),
        };
        let mut bytes = encode(&stored, header)?;
        bytes.extend_from_slice(stderr);
        Ok(bytes)
    }

    pub(super) fn read(header: &Header, bytes: &[u8]) -> Read {
        Self::parse(header, bytes).unwrap_or(Read::Nothing)
    }

    fn parse(header: &Header, bytes: &[u8]) -> Option<Read> {
        let (json, length) = line::decode(bytes, header.id.as_bytes())?;
        let (outcome, body) = match serde_json::from_slice::<Stored>(json).ok()? {
            Stored::Landed => return Some(Read::Whole(Self::Landed)),
            Stored::Alone { remembered } => {
                let remembered = remembered.map(StoredMemory::unpack);
                return Some(Read::Whole(Self::Alone { remembered }));
            }
            Stored::Carried { tags, attributes, body } => {
                (Self::Carried(unpack(header.token, tags, attributes)?), body)
            }
            Stored::Failed { class, message, exit, retry_after_ms, remembered, depends, stderr } => {
                let retry_after = retry_after_ms.map(Duration::from_millis);
                let failure = Failure { class, message, exit, stderr: Vec::new(), retry_after, depends };
                (Self::Failed { failure, remembered: remembered.map(StoredMemory::unpack) }, stderr)
            }
        };
        let rest = Rest { outcome, checksum: body.checksum };
        Some(Read::WithBody { at: length as u64, length: body.length, rest })
    }
}

fn unpack(token: Token, tags: Vec<String>, attributes: Option<String>) -> Option<Carried> {
    let mut metadata = Metadata::new();
    for tag in tags {
        metadata = metadata.with_tag(tag).ok()?;
    }
    if let Some(attributes) = attributes {
        let attributes: Box<RawValue> = serde_json::from_str(&attributes).ok()?;
        metadata = metadata.with_attributes(&attributes).ok()?;
    }
    Some(Carried { body: Vec::new(), metadata, token })
}

impl StoredMemory {
    fn pack(memory: Remembered) -> Self {
        let Remembered { since_ms, length_ms, boot } = memory;
        Self { since_ms, length_ms, boot: boot.map(|boot| boot.to_string()) }
    }

    fn unpack(self) -> Remembered {
        let boot = self.boot.and_then(|text| u128::from_str_radix(&text, 16).ok()).map(Boot::from_number);
        Remembered { since_ms: self.since_ms, length_ms: self.length_ms, boot }
    }
}

impl Rest {
    /// The outcome with its body; `None` when that is not what was written.
    pub(super) fn with_body(self, bytes: Vec<u8>) -> Option<Outcome> {
        if line::checksum(&[&bytes]) != self.checksum {
            return None;
        }
        Some(match self.outcome {
            Outcome::Carried(carried) => Outcome::Carried(Carried { body: bytes, ..carried }),
            Outcome::Failed { failure, remembered } => {
                Outcome::Failed { failure: Failure { stderr: bytes, ..failure }, remembered }
            }
            other => other,
        })
    }

    pub(super) fn is_failure(&self) -> bool {
        matches!(self.outcome, Outcome::Failed { .. })
    }
}

/// Where a message that is too long is cut, between two characters.
fn cut(message: &str) -> usize {
    let mut end = message.len().min(MESSAGE_BYTES_MAX);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    end
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use larder_testkit::VirtualClock;
    use larder_watch::fingerprint::{Fingerprints, Paths};
    use proptest::prelude::*;

    use super::*;
    use crate::file::header::tests::header;

    fn failure() -> Failure {
        Failure {
            class: Class::Throttled,
            message: "too \"many\"\nrequests".to_owned(),
            exit: Some(Exit::Signal(9)),
            stderr: b"not \xff text\n".to_vec(),
            retry_after: Some(Duration::from_millis(1_500)),
            depends: Fingerprints::new(Arc::new(VirtualClock::new())).take(&Paths::new(["/absent"]).unwrap()).unwrap(),
        }
    }

    /// What a reader makes of a whole file's outcome.
    fn read(bytes: &[u8]) -> Option<Outcome> {
        match Outcome::read(&header(), bytes) {
            Read::Nothing => None,
            Read::Whole(outcome) => Some(outcome),
            Read::WithBody { at, length, rest } => {
                let at = usize::try_from(at).unwrap();
                let body = bytes[at..].get(..usize::try_from(length).unwrap())?;
                rest.with_body(body.to_vec())
            }
        }
    }

    fn all() -> Vec<Vec<u8>> {
        let metadata = Metadata::new().with_tag("a b").unwrap().with_attributes(&[1, 2]).unwrap();
        let mut carried = Outcome::carried(&header(), b"# Hooks", &metadata).unwrap();
        carried.extend_from_slice(b"# Hooks");
        let memory = Remembered::from_now(&VirtualClock::new(), Duration::from_secs(5));
        vec![
            Outcome::landed(&header()).unwrap(),
            Outcome::alone(&header(), None).unwrap(),
            Outcome::alone(&header(), Some(memory)).unwrap(),
            carried,
            Outcome::failed(&header(), &failure(), Some(memory)).unwrap(),
        ]
    }

    #[test]
    fn a_failure_comes_back_as_written() {
        let memory = Remembered::from_now(&VirtualClock::new(), Duration::from_secs(5));
        for remembered in [None, Some(memory)] {
            let bytes = Outcome::failed(&header(), &failure(), remembered).unwrap();
            assert_eq!(read(&bytes), Some(Outcome::Failed { failure: failure(), remembered }));
        }
    }

    #[test]
    fn a_carried_document_comes_back_with_its_tags_and_attributes() {
        let metadata = Metadata::new().with_tag("a b").unwrap().with_attributes(&[1, 2]).unwrap();
        let body = b"# Hooks".to_vec();
        let token = header().token;
        assert_eq!(read(&all()[3]), Some(Outcome::Carried(Carried { body, metadata, token })));
    }

    #[test]
    fn the_bytes_of_format_1_are_read() {
        let header = concat!(
            r#"{"flight":1,"id":"00112233445566778899aabbccddeeff","key":"docs/\"quoted\"/ü","#,
            r#""token":"00000000000000ab-17","pid":7,"host":"pantry","started_ms":1709210096000} "#,
            "2f0cc97b4b1a21f5f67bfd1823d706e8\n",
        );
        let outcome = concat!(
            r#"{"outcome":"failed","class":"command","message":"the command ended with exit code 7","exit":{"code":7},"#,
            r#""retry_after_ms":null,"remembered":{"since_ms":1000000,"length_ms":5000,"#,
            r#""boot":"00000000000000000000000000000001"},"stderr":{"length":9,"#,
            r#""checksum":"78b0f870e4210a1f96ceb1a3c47fc241"}} a55b6d0728cf1674698fdd7d2cc9f897"#,
            "\nno route\n",
        );
        assert_eq!(Header::read(header.as_bytes()), crate::file::header::Read::Header(self::header(), header.len()));
        let failure = Failure::of_command(Exit::Code(7), b"no route\n".to_vec());
        let remembered = Some(Remembered::from_now(&VirtualClock::new(), Duration::from_secs(5)));
        assert_eq!(read(outcome.as_bytes()), Some(Outcome::Failed { failure, remembered }));
    }

    #[test]
    fn only_the_end_of_a_long_stderr_is_kept() {
        let stderr: Vec<u8> = (0..STDERR_BYTES_MAX + 5).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let bytes = Outcome::failed(&header(), &Failure { stderr: stderr.clone(), ..failure() }, None).unwrap();
        let Some(Outcome::Failed { failure, .. }) = read(&bytes) else { panic!("no failure") };
        assert_eq!(failure.stderr, stderr[5..]);
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let message = format!("x{}", "\u{fc}".repeat(MESSAGE_BYTES_MAX));
        let bytes = Outcome::failed(&header(), &Failure { message, ..failure() }, None).unwrap();
        let Some(Outcome::Failed { failure, .. }) = read(&bytes) else { panic!("no failure") };
        assert_eq!(failure.message.len(), MESSAGE_BYTES_MAX - 1);
    }

    #[test]
    fn an_outcome_with_any_bit_flipped_is_none() {
        for bytes in all() {
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(read(&flipped), None, "bit {bit} of {}", String::from_utf8_lossy(&bytes));
            }
        }
    }

    #[test]
    fn an_outcome_cut_short_anywhere_is_none() {
        for bytes in all() {
            for length in 0..bytes.len() {
                assert_eq!(read(&bytes[..length]), None, "{length} of {}", String::from_utf8_lossy(&bytes));
            }
        }
    }

    #[test]
    fn an_outcome_of_another_flight_is_none() {
        let other = Header { id: crate::file::Id::new().unwrap(), ..header() };
        assert_eq!(read(&Outcome::landed(&other).unwrap()), None);
    }

    #[test]
    fn a_failure_is_remembered_for_its_time_in_its_boot_and_no_longer() {
        let clock = VirtualClock::new();
        let memory = Remembered::from_now(&clock, Duration::from_secs(5));
        assert_eq!(memory.left(&clock), Some(Duration::from_secs(5)));
        clock.advance_monotonic(Duration::from_millis(4_999));
        assert_eq!(memory.left(&clock), Some(Duration::from_millis(1)));
        clock.advance_monotonic(Duration::from_millis(1));
        assert_eq!(memory.left(&clock), None);
    }

    #[test]
    fn that_it_failed_is_counted_for_an_hour_longer() {
        let clock = VirtualClock::new();
        let memory = Remembered::from_now(&clock, Duration::from_secs(5));
        clock.advance_monotonic(Duration::from_millis(3_604_999));
        assert!(memory.counts(&clock));
        clock.advance_monotonic(Duration::from_millis(1));
        assert!(!memory.counts(&clock));
    }

    #[test]
    fn a_memory_of_another_boot_or_of_the_future_is_over() {
        let clock = VirtualClock::new();
        let memory = Remembered::from_now(&clock, Duration::MAX);
        clock.set_boot(None);
        assert_eq!(memory.left(&clock), None, "a platform that does not tell boots apart");
        clock.set_boot(Some(Boot::from_number(2)));
        assert_eq!(memory.left(&clock), None, "another boot");
        clock.set_boot(Some(Boot::from_number(1)));
        assert!(memory.left(&clock).is_some());
        let early = VirtualClock::new();
        clock.advance_monotonic(Duration::from_secs(1));
        assert_eq!(Remembered::from_now(&clock, Duration::MAX).left(&early), None, "begun in the future");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert_eq!(read(&bytes), None);
        }

        #[test]
        fn any_record_with_a_right_checksum_is_read_without_panic(kind in "landed|carried|failed|alone|x", text in "\\PC{0,40}", number in any::<u64>()) {
            let value = serde_json::json!({
                "outcome": kind, "tags": [text], "attributes": text, "class": text, "message": text, "remembered": null,
                "body": {"length": number, "checksum": text}, "stderr": {"length": number, "checksum": text},
            });
            let _ = Outcome::read(&header(), &line::encode(&value, header().id.as_bytes()).unwrap());
        }
    }
}
