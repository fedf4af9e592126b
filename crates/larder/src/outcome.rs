//! How an answer came about, in the words of RFC 9211 (`Cache-Status`).

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

/// The largest integer that a structured header field can say.
const INTEGER_MAX: i64 = 999_999_999_999_999;

/// How an answer came about.
///
/// It prints as the value of a `Cache-Status` field. The parameters that RFC 9211 does not know begin with `larder-`.
/// `detail` begins with the level that gave the answer.
///
/// ```
/// use std::time::Duration;
/// use larder::{Forward, Level, Outcome};
///
/// let hit = Outcome { ttl: Some(3_599), ..Outcome::hit(Level::Memory) };
/// assert_eq!(hit.to_string(), "larder; hit; ttl=3599; detail=memory");
///
/// let mut fetched = Outcome::forwarded(Forward::UriMiss);
/// fetched.collapsed = true;
/// fetched.wait = Duration::from_millis(290);
/// fetched.holder = Some(4_711);
/// assert_eq!(
///     fetched.to_string(),
///     "larder; fwd=uri-miss; collapsed; detail=upstream; larder-wait-ms=290; larder-holder=4711"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Whether the cache had it, and if not, why upstream was asked.
    pub verdict: Verdict,
    /// Where the answer's bytes came from.
    pub level: Level,
    /// For how many seconds more the answer is fresh; negative since it is not. `None` when nothing is known of it.
    pub ttl: Option<i64>,
    /// How many seconds ago it was fetched; negative when some clock was wrong.
    pub age: Option<i64>,
    /// Whether the answer is an old one, given while a new one is fetched or because none is to be had.
    pub stale: bool,
    /// Whether this caller waited for the fetch of another one instead of making one.
    pub collapsed: bool,
    /// Whether what was fetched is stored now. `None` when nothing was fetched.
    pub stored: Option<bool>,
    /// How long this caller waited for others.
    pub wait: Duration,
    /// The process that was waited for last.
    pub holder: Option<u32>,
    /// What else there is to say, for people.
    pub detail: Option<Cow<'static, str>>,
}

/// Whether the cache had an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It had, when the caller asked.
    Hit,
    /// It had not, or was told not to give it.
    Forward(Forward),
}

/// Why upstream had to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Forward {
    /// Nothing was stored under the key.
    UriMiss,
    /// What was stored is fresh no longer, or was invalidated.
    Stale,
    /// The cache was not to be used, or could not be.
    Bypass,
    /// The caller asked for a new answer.
    Request,
}

/// Where an answer's bytes came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Level {
    /// A copy in this process, known to be what the disk has.
    Memory,
    /// The folder that all processes share.
    Disk,
    /// A fetch: this caller's own, or the one it waited for.
    Upstream,
}

impl Outcome {
    /// The cache had it, at this level.
    pub const fn hit(level: Level) -> Self {
        Self::of(Verdict::Hit, level)
    }

    /// Upstream had to be asked, for this reason.
    pub const fn forwarded(why: Forward) -> Self {
        Self::of(Verdict::Forward(why), Level::Upstream)
    }

    const fn of(verdict: Verdict, level: Level) -> Self {
        let (ttl, age, stored, holder, detail) = (None, None, None, None, None);
        let (stale, collapsed, wait) = (false, false, Duration::ZERO);
        Self { verdict, level, ttl, age, stale, collapsed, stored, wait, holder, detail }
    }

    /// Whether the cache had it when the caller asked.
    pub fn is_hit(&self) -> bool {
        self.verdict == Verdict::Hit
    }

    fn wait_ms(&self) -> u64 {
        u64::try_from(self.wait.as_millis()).unwrap_or(u64::MAX)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("larder")?;
        match self.verdict {
            Verdict::Hit => f.write_str("; hit")?,
            Verdict::Forward(why) => write!(f, "; fwd={why}")?,
        }
        if let Some(ttl) = self.ttl {
            write!(f, "; ttl={}", ttl.clamp(-INTEGER_MAX, INTEGER_MAX))?;
        }
        match self.stored {
            Some(true) => f.write_str("; stored")?,
            Some(false) => f.write_str("; stored=?0")?,
            None => {}
        }
        if self.collapsed {
            f.write_str("; collapsed")?;
        }
        match &self.detail {
            Some(detail) => write!(f, "; detail={}", Quoted(&format!("{}: {detail}", self.level)))?,
            None => write!(f, "; detail={}", self.level)?,
        }
        if self.stale {
            f.write_str("; larder-stale")?;
        }
        if let Some(age) = self.age {
            write!(f, "; larder-age={}", age.clamp(-INTEGER_MAX, INTEGER_MAX))?;
        }
        if !self.wait.is_zero() {
            write!(f, "; larder-wait-ms={}", self.wait_ms().min(INTEGER_MAX.unsigned_abs()))?;
        }
        match self.holder {
            Some(pid) => write!(f, "; larder-holder={pid}"),
            None => Ok(()),
        }
    }
}

/// A string as structured fields spell it: printable ASCII in quotes. What is not is shown as a question mark.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        f.write_char('"')?;
        for character in self.0.chars() {
            match character {
                '"' | '\\' => write!(f, "\\{character}")?,
                ' '..='~' => f.write_char(character)?,
                '\n' | '\t' => f.write_char(' ')?,
                _ => f.write_char('?')?,
            }
        }
        f.write_char('"')
    }
}

impl Forward {
    const fn as_str(self) -> &'static str {
        match self {
            Self::UriMiss => "uri-miss",
            Self::Stale => "stale",
            Self::Bypass => "bypass",
            Self::Request => "request",
        }
    }
}

impl Level {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Upstream => "upstream",
        }
    }
}

impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// All fields, flat, those without a value as null; the version is that of whatever they are part of.
impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let forward = match self.verdict {
            Verdict::Hit => None,
            Verdict::Forward(why) => Some(why.as_str()),
        };
        let mut fields = serializer.serialize_struct("Outcome", 11)?;
        fields.serialize_field("hit", &self.is_hit())?;
        fields.serialize_field("fwd", &forward)?;
        fields.serialize_field("level", self.level.as_str())?;
        fields.serialize_field("ttl", &self.ttl)?;
        fields.serialize_field("age", &self.age)?;
        fields.serialize_field("stale", &self.stale)?;
        fields.serialize_field("collapsed", &self.collapsed)?;
        fields.serialize_field("stored", &self.stored)?;
        fields.serialize_field("wait_ms", &self.wait_ms())?;
        fields.serialize_field("holder", &self.holder)?;
        fields.serialize_field("detail", &self.detail)?;
        fields.end()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_detail_is_quoted_after_its_level() {
        let mut outcome = Outcome::forwarded(Forward::Stale);
        outcome.stored = Some(false);
        outcome.detail = Some("a \"b\\\" was\ninvalidated \u{2014} é".into());
        assert_eq!(
            outcome.to_string(),
            r#"larder; fwd=stale; stored=?0; detail="upstream: a \"b\\\" was invalidated ? ?""#
        );
    }

    #[test]
    fn a_stale_answer_has_a_negative_ttl_and_every_number_fits_the_field() {
        let outcome = Outcome { ttl: Some(i64::MIN), age: Some(i64::MAX), ..Outcome::hit(Level::Disk) };
        assert_eq!(outcome.to_string(), "larder; hit; ttl=-999999999999999; detail=disk; larder-age=999999999999999");
    }

    #[test]
    fn json_has_every_field_flat() {
        let outcome = Outcome { stored: Some(true), holder: Some(7), ..Outcome::forwarded(Forward::Request) };
        assert_eq!(
            serde_json::to_string(&outcome).unwrap(),
            r#"{"hit":false,"fwd":"request","level":"upstream","ttl":null,"age":null,"stale":false,"collapsed":false,"stored":true,"wait_ms":0,"holder":7,"detail":null}"#
        );
    }

    /// Whether `text` is an item with parameters, as RFC 8941 parses it.
    fn is_structured(text: &str) -> bool {
        let Some(mut rest) = text.strip_prefix("larder") else { return false };
        while let Some(parameter) = rest.strip_prefix("; ") {
            let end = parameter.find(|c: char| !matches!(c, 'a'..='z' | '0'..='9' | '-')).unwrap_or(parameter.len());
            let (_, value) = parameter.split_at(end);
            rest = match value.strip_prefix('=') {
                None => value,
                Some(value) => match value.strip_prefix('"') {
                    None => value.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "-?".contains(c)),
                    Some(mut string) => loop {
                        let mut characters = string.chars();
                        match characters.next() {
                            Some('"') => break characters.as_str(),
                            Some('\\') if !matches!(characters.next(), Some('"' | '\\')) => return false,
                            Some('\\' | ' '..='~') => string = characters.as_str(),
                            _ => return false,
                        }
                    },
                },
            };
        }
        rest.is_empty()
    }

    proptest! {
        #[test]
        fn whatever_it_says_is_a_structured_field(detail in ".*", ttl: i64, stored: Option<bool>, wait: u64) {
            let mut outcome = Outcome::forwarded(Forward::UriMiss);
            (outcome.ttl, outcome.stored, outcome.detail) = (Some(ttl), stored, Some(detail.into()));
            outcome.wait = Duration::from_millis(wait);
            prop_assert!(is_structured(&outcome.to_string()), "{outcome}");
        }
    }
}
