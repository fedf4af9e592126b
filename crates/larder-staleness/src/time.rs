//! Moments of the wall clock, in milliseconds since 1970, and texts that stand for them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a day is where policy speaks of days.
pub const DAY: Duration = Duration::from_secs(24 * 3_600);

/// A moment in milliseconds since 1970. One before that is 0: no document is that old.
pub fn ms_of(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, whole_ms)
}

/// A length of time in whole milliseconds; what no number can hold is the largest one.
pub fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The two forms of `HTTP-date` that nobody is to write any more and everybody has to read (RFC 9110, section 5.6.7). Both
/// are in UTC. A year of two digits is one from 1969 to 2068.
const OLD_FORMS: [&str; 2] = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];

/// The moment that a text names: a timestamp of RFC 3339 with its offset, or an `HTTP-date` in one of its three forms (RFC
/// 9110, section 5.6.7). `None` when it is neither, and then the date is unknown: whoever asks must take the document for
/// stale.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use larder_staleness::parse_date;
///
/// let moment = Some(UNIX_EPOCH + Duration::from_secs(784_111_777));
/// assert_eq!(parse_date("1994-11-06T08:49:37Z"), moment);
/// assert_eq!(parse_date("Sun, 06 Nov 1994 08:49:37 GMT"), moment);
/// // a date with two offsets, as a program once wrote them, names no moment
/// assert_eq!(parse_date("1994-11-06T08:49:37+00:00Z"), None);
/// ```
pub fn parse_date(text: &str) -> Option<SystemTime> {
    let text = text.trim();
    let stamp = text.parse::<jiff::Timestamp>().ok();
    let stamp = stamp.or_else(|| jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok());
    let stamp = stamp.or_else(|| OLD_FORMS.iter().find_map(|form| in_utc(form, text)))?;
    let ms = stamp.as_millisecond();
    let distance = Duration::from_millis(ms.unsigned_abs());
    if ms < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) }
}

fn in_utc(form: &str, text: &str) -> Option<jiff::Timestamp> {
    jiff::tz::Offset::UTC.to_timestamp(jiff::civil::DateTime::strptime(form, text).ok()?).ok()
}

/// A moment as RFC 3339 has it, in UTC, with milliseconds; one that lies beyond the year 9999 in words.
pub fn format_date(ms: u64) -> String {
    let stamp = i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    stamp.map_or_else(|| "after the year 9999".to_owned(), |stamp| format!("{stamp:.3}"))
}

/// From `from` to `to` in seconds, rounded down, so that a millisecond past is -1.
pub(crate) fn seconds(to: u64, from: u64) -> i64 {
    let ms = i128::from(to) - i128::from(from);
    i64::try_from(ms.div_euclid(1_000)).unwrap_or(if ms < 0 { i64::MIN } else { i64::MAX })
}
