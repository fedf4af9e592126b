//! Tasks: what is to be done, how urgently, and when.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 1_024;
/// The longest reason, in bytes; a longer one is cut.
pub const REASON_BYTES_MAX: usize = 1_024;
/// The longest error that is kept of a failed attempt, in bytes; a longer one is cut.
pub const ERROR_BYTES_MAX: usize = 4 * 1_024;
/// The longest payload, in bytes of JSON.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1_024;

/// Why a task is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A priority that is none.
    #[error("{number} is no priority: use 1 to 10, 10 being the most urgent")]
    Priority {
        /// What was given.
        number: u64,
    },
    /// An empty key.
    #[error("the key is empty: it is what tells one task from another")]
    NoKey,
    /// A longer key than any.
    #[error("the key {beginning:?}... has {bytes} bytes, at most {KEY_BYTES_MAX} are allowed: use a digest of it")]
    LongKey {
        /// How it begins.
        beginning: String,
        /// Its length in bytes.
        bytes: usize,
    },
    /// A NUL character in the key.
    #[error("the key {key:?} has a NUL character in it: leave it out")]
    Nul {
        /// The key.
        key: String,
    },
    /// A payload that is too long.
    #[error(
        "the payload of {key:?} has {bytes} bytes of JSON, at most {PAYLOAD_BYTES_MAX} are allowed: store it elsewhere, and name it"
    )]
    Payload {
        /// The key.
        key: String,
        /// Its length in bytes.
        bytes: usize,
    },
}

/// How urgent a task is: 1 to 10, of which 10 comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Priority(u8);

impl Priority {
    /// What comes last: 1.
    pub const LOWEST: Self = Self(1);
    /// What comes first: 10.
    pub const HIGHEST: Self = Self(10);

    /// The priority of that number.
    ///
    /// # Errors
    /// [`Error::Priority`] unless it is 1 to 10.
    pub const fn new(number: u64) -> Result<Self, Error> {
        match number {
            1..=10 => Ok(Self(number.to_le_bytes()[0])),
            _ => Err(Error::Priority { number }),
        }
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl Default for Priority {
    /// 5.
    fn default() -> Self {
        Self(5)
    }
}

impl TryFrom<u64> for Priority {
    type Error = Error;

    fn try_from(number: u64) -> Result<Self, Error> {
        Self::new(number)
    }
}

impl From<Priority> for u64 {
    fn from(priority: Priority) -> Self {
        Self::from(priority.0)
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for Priority {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::new(text.parse().unwrap_or(u64::MAX))
    }
}

/// Something to be done. What tells it from others is its key: a task that is added twice is done once, unless it is being
/// done when it is added again.
///
/// ```
/// use larder_queue::{Priority, Task};
/// let task = Task::new("thumbnails/42")?.priority(Priority::new(8)?).reason("the image was replaced");
/// # Ok::<(), larder_queue::task::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a task does nothing until it is added to a queue"]
pub struct Task {
    pub(crate) key: String,
    pub(crate) priority: Priority,
    pub(crate) due: Option<SystemTime>,
    pub(crate) reason: String,
    pub(crate) payload: Option<Value>,
}

impl Task {
    /// A task with this key, of priority 5, due at once.
    ///
    /// # Errors
    /// The key is empty, longer than [`KEY_BYTES_MAX`], or has a NUL character in it.
    pub fn new(key: impl Into<String>) -> Result<Self, Error> {
        let key = key.into();
        if key.is_empty() {
            return Err(Error::NoKey);
        }
        if key.len() > KEY_BYTES_MAX {
            return Err(Error::LongKey { beginning: key.chars().take(64).collect(), bytes: key.len() });
        }
        if key.contains('\0') {
            return Err(Error::Nul { key });
        }
        Ok(Self { key, priority: Priority::default(), due: None, reason: String::new(), payload: None })
    }

    /// How urgent it is.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// When it is to be done, by the wall clock; a moment that is past means at once. One that is far in the future is
    /// waited for as long as that takes.
    pub fn due(mut self, at: SystemTime) -> Self {
        self.due = Some(at);
        self
    }

    /// Why, for people; cut to [`REASON_BYTES_MAX`].
    pub fn reason(mut self, reason: &str) -> Self {
        cut(reason, REASON_BYTES_MAX).clone_into(&mut self.reason);
        self
    }

    /// What whoever does it needs to know beside the key.
    ///
    /// # Errors
    /// [`Error::Payload`] when it is longer than [`PAYLOAD_BYTES_MAX`] as JSON.
    pub fn payload(mut self, payload: Value) -> Result<Self, Error> {
        let bytes = payload.to_string().len();
        if bytes > PAYLOAD_BYTES_MAX {
            return Err(Error::Payload { key: self.key, bytes });
        }
        self.payload = Some(payload);
        Ok(self)
    }

    /// Its key.
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// As much of a text as fits, whole characters.
pub(crate) fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// Milliseconds since 1970; what is before that is 0, what is beyond counting the last moment that is not.
pub(crate) fn ms_of(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The moment of so many milliseconds since 1970; the last that the system can tell, where that is beyond it.
pub(crate) fn time_of(ms: u64) -> SystemTime {
    let beyond = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(u32::MAX));
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms)).unwrap_or(beyond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_are_one_to_ten() {
        for number in [0, 11, 255, 256, 266, u64::MAX] {
            assert_eq!(Priority::new(number), Err(Error::Priority { number }));
        }
        assert_eq!((Priority::new(1), Priority::new(10)), (Ok(Priority::LOWEST), Ok(Priority::HIGHEST)));
        assert_eq!("7".parse::<Priority>().unwrap().number(), 7);
        for text in ["", "0", "11", "-1", "5.5", "high"] {
            assert!(text.parse::<Priority>().is_err(), "{text}");
        }
        assert!(serde_json::from_str::<Priority>("12").is_err());
    }

    #[test]
    fn keys_are_any_text_within_bounds() {
        for key in ["a", "a//b", "..", " ", "é/日本", &"k".repeat(1_024)] {
            assert_eq!(Task::new(key).unwrap().key(), key);
        }
        assert_eq!(Task::new(""), Err(Error::NoKey));
        assert!(matches!(Task::new("k".repeat(1_025)), Err(Error::LongKey { bytes: 1_025, .. })));
        assert!(matches!(Task::new("a\0b"), Err(Error::Nul { .. })));
    }

    #[test]
    fn what_is_long_is_cut_between_characters_and_what_must_be_whole_is_refused() {
        let reason = "é".repeat(REASON_BYTES_MAX);
        assert_eq!(Task::new("a").unwrap().reason(&reason).reason.len(), REASON_BYTES_MAX);
        assert_eq!(cut("aé", 2), "a");
        let long = Value::String("x".repeat(PAYLOAD_BYTES_MAX));
        assert!(matches!(Task::new("a").unwrap().payload(long), Err(Error::Payload { bytes: 65_538, .. })));
    }

    #[test]
    fn no_moment_is_beyond_the_clock() {
        assert_eq!(ms_of(SystemTime::UNIX_EPOCH - Duration::from_secs(1)), 0);
        assert_eq!(ms_of(time_of(1_234)), 1_234);
        let _ = time_of(u64::MAX);
    }
}
