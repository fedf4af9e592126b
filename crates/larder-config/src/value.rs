//! Durations and sizes as people write them.

use std::ops::RangeInclusive;
use std::time::Duration;

use larder_staleness::{DAY, Early};

/// Ten thousand years: enough for everybody, and every clock can still add it to the present.
const DURATION_MAX: Duration = Duration::from_secs(3_650_000 * 24 * 60 * 60);

/// The longest credential.
const LENGTH_MAX: usize = 16 * 1024;

/// The word for a wait without an end, and for a bound that bounds nothing.
const INFINITE: &str = "infinite";

const TIME_UNITS: [(&str, u64); 6] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("", 1_000)];

const SIZE_UNITS: [(&str, u64); 8] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
    ("", 1),
];

/// Why a text is not the value that it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// No duration.
    #[error("{text:?} is no duration: write a whole number and ms, s, m, h or d, like 90s")]
    NotADuration {
        /// What was written.
        text: String,
    },
    /// A duration that no clock can add to the present.
    #[error("{text:?} is longer than the longest duration: write 3650000d or less")]
    TooLong {
        /// What was written.
        text: String,
    },
    /// A duration that must end.
    #[error("it must come to an end: write a duration, like 900s, in the place of `infinite`")]
    Infinite,
    /// A duration or number that must not be nothing.
    #[error("it must be more than 0: nothing at all could ever be done within it")]
    Zero,
    /// No number of bytes.
    #[error("{text:?} is no size: write a whole number of bytes, or one with KB, MB, GB, KiB, MiB or GiB, like 64MiB")]
    NotASize {
        /// What was written.
        text: String,
    },
    /// No number of things.
    #[error("{text:?} is no number: write a whole one from 1 up, like 10000, or infinite")]
    NotACount {
        /// What was written.
        text: String,
    },
    /// More bytes than a number can tell.
    #[error("{text:?} is more than can be counted: write a smaller size")]
    TooLarge {
        /// What was written.
        text: String,
    },
    /// Less than nothing.
    #[error("{text:?} is less than nothing: write 0 or more")]
    Negative {
        /// What was written.
        text: String,
    },
    /// No time of an early refresh.
    #[error("{text:?} is no time of an early refresh: write a part of the fresh time, like 0.9, or xfetch, or never")]
    NotEarly {
        /// What was written.
        text: String,
    },
    /// No length of a credential.
    #[error(
        "{text:?} is no length: write a number of characters from 1 to 16384, like 40, or the least and the most, like 20-80"
    )]
    NotALength {
        /// What was written.
        text: String,
    },
    /// No number of days.
    #[error("{text:?} is no number of days: write a whole number from 1 to 3650000")]
    NotDays {
        /// What was written.
        text: String,
    },
}

/// A duration that ends.
pub(crate) fn duration(text: &str) -> Result<Duration, ValueError> {
    let fail = || ValueError::NotADuration { text: text.to_owned() };
    if text == INFINITE {
        return Err(ValueError::Infinite);
    }
    let (digits, unit) = halves(text, fail)?;
    let unit = TIME_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(fail)?.1;
    // only digits are left, so that what does not fit is too much
    let ms = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    let duration = ms.map(Duration::from_millis).filter(|duration| *duration <= DURATION_MAX);
    duration.ok_or_else(|| ValueError::TooLong { text: text.to_owned() })
}

/// A duration that may have no end: `None` then.
pub(crate) fn wait(text: &str) -> Result<Option<Duration>, ValueError> {
    if text == INFINITE { Ok(None) } else { duration(text).map(Some) }
}

/// A number of bytes.
pub(crate) fn size(text: &str) -> Result<u64, ValueError> {
    let fail = || ValueError::NotASize { text: text.to_owned() };
    let (digits, unit) = halves(text, fail)?;
    let unit = SIZE_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(fail)?.1;
    let bytes = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    bytes.ok_or_else(|| ValueError::TooLarge { text: text.to_owned() })
}

/// A bound on bytes, as the configuration has it: a size such as `100MiB`, not 0, or `infinite`, which is `u64::MAX`.
///
/// # Errors
/// It is none.
pub fn bound_on_bytes(text: &str) -> Result<u64, ValueError> {
    if text == INFINITE {
        return Ok(u64::MAX);
    }
    size(text).and_then(|size| if size == 0 { Err(ValueError::Zero) } else { Ok(size) })
}

/// A bound on a number of things, likewise: a whole number from 1 up, or `infinite`.
///
/// # Errors
/// It is none.
pub fn bound_on_count(text: &str) -> Result<u64, ValueError> {
    if text == INFINITE {
        return Ok(u64::MAX);
    }
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let count =
        text.parse().ok().filter(|_| is_plain).ok_or_else(|| ValueError::NotACount { text: text.to_owned() })?;
    if count == 0 { Err(ValueError::Zero) } else { Ok(count) }
}

/// When a fresh document is refreshed before its time.
pub(crate) fn early(text: &str) -> Result<Early, ValueError> {
    match text {
        "never" => return Ok(Early::Never),
        "xfetch" => return Ok(Early::XFetch(1.0)),
        _ => {}
    }
    // words that also are numbers to a computer, like `inf`, are none to people
    let is_plain = text.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let part = text.parse::<f64>().ok().filter(|part| is_plain && *part > 0.0 && *part <= 1.0);
    part.map(Early::Fraction).ok_or_else(|| ValueError::NotEarly { text: text.to_owned() })
}

/// A number of days, at least one.
pub(crate) fn days(text: &str) -> Result<Duration, ValueError> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let days = text.parse::<u32>().ok().filter(|days| is_plain && *days >= 1);
    let duration = days.and_then(|days| DAY.checked_mul(days)).filter(|duration| *duration <= DURATION_MAX);
    duration.ok_or_else(|| ValueError::NotDays { text: text.to_owned() })
}

/// How many characters a credential has, from the least to the most.
pub(crate) fn length(text: &str) -> Result<RangeInclusive<usize>, ValueError> {
    let (least, most) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<usize>().ok().filter(|number| is_plain && (1..=LENGTH_MAX).contains(number))
    };
    match (number(least), number(most)) {
        (Some(least), Some(most)) if least <= most => Ok(least..=most),
        _ => Err(ValueError::NotALength { text: text.to_owned() }),
    }
}

/// A number and its unit; what is missing on either side is empty.
fn halves(text: &str, fail: impl Fn() -> ValueError) -> Result<(&str, &str), ValueError> {
    let below = text.strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    if below {
        return Err(ValueError::Negative { text: text.to_owned() });
    }
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    if digits.is_empty() { Err(fail()) } else { Ok((digits, unit)) }
}

/// A duration as it is read: in the largest unit that tells it exactly.
pub(crate) fn show_duration(duration: Duration) -> String {
    if duration > DURATION_MAX {
        return INFINITE.to_owned();
    }
    let ms = duration.as_millis();
    let fits = |unit: &&(&str, u64)| ms > 0 && ms.is_multiple_of(u128::from(unit.1)) && !unit.0.is_empty();
    match TIME_UNITS.iter().filter(fits).max_by_key(|unit| unit.1) {
        Some((name, unit)) => format!("{}{name}", ms / u128::from(*unit)),
        None => format!("{ms}s"), // nothing: of which there are as many seconds as milliseconds
    }
}

/// A wait as it is read.
pub(crate) fn show_wait(wait: Option<Duration>) -> String {
    wait.map_or_else(|| INFINITE.to_owned(), show_duration)
}

/// A size as it is read: in the largest unit that tells it exactly.
pub(crate) fn show_size(bytes: u64) -> String {
    let fits = |unit: &&(&str, u64)| bytes > 0 && bytes.is_multiple_of(unit.1) && !unit.0.is_empty();
    match SIZE_UNITS.iter().filter(fits).max_by_key(|unit| unit.1) {
        Some((name, unit)) => format!("{}{name}", bytes / unit),
        None => format!("{bytes}B"),
    }
}

/// A bound as it is read.
pub(crate) fn show_bound_on_bytes(bytes: u64) -> String {
    if bytes == u64::MAX { INFINITE.to_owned() } else { show_size(bytes) }
}

/// Likewise.
pub(crate) fn show_bound_on_count(count: u64) -> String {
    if count == u64::MAX { INFINITE.to_owned() } else { count.to_string() }
}

/// The time of an early refresh as it is read.
pub(crate) fn show_early(early: Early) -> String {
    match early {
        Early::Never => "never".to_owned(),
        Early::Fraction(part) => part.to_string(),
        Early::XFetch(_) => "xfetch".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_have_units_or_are_seconds() {
        let ms = |text| duration(text).map(|duration| duration.as_millis());
        let texts = ["400ms", "90s", "15m", "2h", "7d", "45", "0", "0d", "365000d"];
        let all: Vec<_> = texts.iter().map(|text| ms(text).unwrap()).collect();
        assert_eq!(all, [400, 90_000, 900_000, 7_200_000, 604_800_000, 45_000, 0, 0, 31_536_000_000_000]);
    }

    #[test]
    fn what_is_no_duration_says_so() {
        for text in ["", "s", "1.5h", "1w", "1 d", "+1s", "1H", "٣s", "0x10"] {
            assert!(matches!(duration(text), Err(ValueError::NotADuration { .. })), "{text}");
        }
        assert!(matches!(duration("-1s"), Err(ValueError::Negative { .. })));
    }

    #[test]
    fn a_duration_beyond_counting_is_too_long() {
        for text in ["99999999999999999999d", "3650001d", "18446744073709551615"] {
            assert!(matches!(duration(text), Err(ValueError::TooLong { .. })), "{text}");
        }
        assert_eq!(duration("3650000d"), Ok(DURATION_MAX));
    }

    #[test]
    fn only_a_wait_may_be_infinite() {
        assert_eq!((wait("infinite"), duration("infinite")), (Ok(None), Err(ValueError::Infinite)));
    }

    #[test]
    fn sizes_have_units_or_are_bytes() {
        let texts = ["7", "7B", "7KB", "7MB", "7GB", "7KiB", "7MiB", "7GiB"];
        let bytes: Vec<_> = texts.iter().map(|text| size(text).unwrap()).collect();
        assert_eq!(bytes, [7, 7, 7_000, 7_000_000, 7_000_000_000, 7_168, 7_340_032, 7_516_192_768]);
        assert!(matches!(size("-1"), Err(ValueError::Negative { .. })));
        assert!(matches!(size("1mb"), Err(ValueError::NotASize { .. })));
        assert!(matches!(size("99999999999GiB"), Err(ValueError::TooLarge { .. })));
    }

    #[test]
    fn bounds_are_numbers_from_one_or_none_at_all() {
        assert_eq!(bound_on_bytes("1GiB"), Ok(1 << 30));
        assert_eq!([bound_on_bytes("infinite"), bound_on_count("infinite")], [Ok(u64::MAX), Ok(u64::MAX)]);
        assert_eq!(bound_on_count("10000"), Ok(10_000));
        assert_eq!([bound_on_bytes("0"), bound_on_count("0")], [Err(ValueError::Zero), Err(ValueError::Zero)]);
        for text in ["", "-1", "1.5", "+3", "many", "99999999999999999999"] {
            assert_eq!(bound_on_count(text), Err(ValueError::NotACount { text: text.to_owned() }));
        }
        for (bytes, shown) in [(1 << 30, "1GiB"), (u64::MAX, "infinite")] {
            assert_eq!((show_bound_on_bytes(bytes).as_str(), bound_on_bytes(shown)), (shown, Ok(bytes)));
        }
        assert_eq!([show_bound_on_count(7), show_bound_on_count(u64::MAX)], ["7", "infinite"]);
    }

    #[test]
    fn an_early_refresh_is_a_part_or_a_word() {
        assert_eq!(early("0.9"), Ok(Early::Fraction(0.9)));
        assert_eq!((early("xfetch"), early("never")), (Ok(Early::XFetch(1.0)), Ok(Early::Never)));
        for text in ["0", "1.1", "-0.5", "NaN", "inf", "often", "1e-400"] {
            assert!(matches!(early(text), Err(ValueError::NotEarly { .. })), "{text}");
        }
    }

    #[test]
    fn days_begin_with_one() {
        assert_eq!(days("30"), Ok(DAY * 30));
        for text in ["0", "-1", "+1", "1.5", "4294967296", "3650001"] {
            assert!(matches!(days(text), Err(ValueError::NotDays { .. })), "{text}");
        }
    }

    #[test]
    fn a_length_is_a_number_or_the_least_and_the_most() {
        assert_eq!([length("40"), length("1-16384")], [Ok(40..=40), Ok(1..=16_384)]);
        for text in ["", "0", "-", "4-", "-4", "8-4", "+4", "16385", "4..8", "many", "99999999999999999999"] {
            assert_eq!(length(text), Err(ValueError::NotALength { text: text.to_owned() }));
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_as_the_same(ms in 0..=u64::try_from(DURATION_MAX.as_millis()).unwrap(), bytes: u64) {
            let length = Duration::from_millis(ms);
            prop_assert_eq!(duration(&show_duration(length)), Ok(length));
            prop_assert_eq!(size(&show_size(bytes)), Ok(bytes));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = (wait(&text), size(&text), early(&text), days(&text), length(&text));
        }
    }
}
