//! What people read: names without control characters, lengths of time, moments.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A text that no terminal takes for an instruction: control characters are spelt out.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if c.is_control() {
            let _ = write!(plain, "{}", c.escape_default());
        } else {
            plain.push(c);
        }
    }
    Cow::Owned(plain)
}

/// A length of time in its two largest units: `3d 4h`, `12m 5s`, `400ms`.
pub(crate) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes, seconds % 60) {
        (0, 0, 0, 0) => format!("{}ms", duration.subsec_millis()),
        (0, 0, 0, seconds) => format!("{seconds}s"),
        (0, 0, minutes, 0) => format!("{minutes}m"),
        (0, 0, minutes, seconds) => format!("{minutes}m {seconds}s"),
        (0, hours, 0, _) => format!("{hours}h"),
        (0, hours, minutes, _) => format!("{hours}h {minutes}m"),
        (days, 0, ..) => format!("{days}d"),
        (days, hours, ..) => format!("{days}d {hours}h"),
    }
}

/// Whole seconds, of which negative ones are past: `in 3d`, `12s ago`.
pub(crate) fn distance(seconds: i128) -> String {
    if seconds == 0 {
        return "now".to_owned();
    }
    let length = span(Duration::from_secs(u64::try_from(seconds.unsigned_abs()).unwrap_or(u64::MAX)));
    if seconds < 0 { format!("{length} ago") } else { format!("in {length}") }
}

/// Milliseconds since 1970; a time before that is 1970.
pub(crate) fn unix_ms(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_spelt_out_and_all_else_stays() {
        assert_eq!(plain("docs/Ünïcode 🥫"), "docs/Ünïcode 🥫");
        assert_eq!(plain("a\u{1b}[31mb\nc"), "a\\u{1b}[31mb\\nc");
    }

    #[test]
    fn lengths_of_time_show_their_two_largest_units() {
        let shown = |seconds| span(Duration::from_secs(seconds));
        assert_eq!(span(Duration::from_millis(400)), "400ms");
        assert_eq!([shown(59), shown(60), shown(725)], ["59s", "1m", "12m 5s"]);
        assert_eq!([shown(3_600), shown(90_061), shown(2_592_000)], ["1h", "1d 1h", "30d"]);
        assert_eq!([distance(-5), distance(0), distance(60)], ["5s ago", "now", "in 1m"]);
    }
}
