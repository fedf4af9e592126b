//! What an HTTP answer says about the secret that was sent.

use std::time::{Duration, SystemTime};

use ureq::http::HeaderMap;

use crate::check::Probed;

/// The longest time that an upstream is believed to want to be left alone.
const RETRY_MAX: Duration = Duration::from_secs(7 * 24 * 3_600);
/// From here on a number of seconds is a moment, and not a length: there are 30 years between the two.
const EPOCH_MIN: u64 = 1_000_000_000;

pub(super) fn read(status: u16, headers: &HeaderMap, now: SystemTime) -> Probed {
    let has = |name: &str| headers.contains_key(name);
    let none_left = text(headers, "x-ratelimit-remaining").is_some_and(|left| left.trim() == "0");
    match status {
        200..=299 => Probed::Accepted,
        429 => Probed::RateLimited { retry_after: retry_after(headers, now) },
        403 if has("retry-after") || none_left => Probed::RateLimited { retry_after: retry_after(headers, now) },
        401 | 403 => Probed::Refused { status, expired: is_expired(headers) },
        300..=399 => unreachable(status, "a redirect, which is not followed; is the address right?"),
        500..=599 => unreachable(status, "a fault of its own"),
        _ => unreachable(status, "which says nothing about the credential; is the address right?"),
    }
}

fn unreachable(status: u16, what: &str) -> Probed {
    Probed::Unreachable { cause: format!("it answered HTTP {status}, {what}") }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let after = text(headers, "retry-after").and_then(|value| seconds(value, now).or_else(|| date(value, now)));
    let after = after.or_else(|| text(headers, "ratelimit-reset").and_then(|value| seconds(value, now)));
    let after = after.or_else(|| text(headers, "x-ratelimit-reset").and_then(|value| seconds(value, now)));
    after.map(|after| after.min(RETRY_MAX))
}

/// A length, or with as many digits as a moment since 1970 has, that moment.
fn seconds(value: &str, now: SystemTime) -> Option<Duration> {
    let number: u64 = value.trim().parse().ok()?;
    if number < EPOCH_MIN {
        return Some(Duration::from_secs(number));
    }
    let moment = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(number))?;
    Some(moment.duration_since(now).unwrap_or_default())
}

/// A moment in the past means now.
fn date(value: &str, now: SystemTime) -> Option<Duration> {
    let moment = jiff::fmt::rfc2822::parse(value.trim()).ok()?.timestamp();
    let since_1970 = Duration::from_secs(u64::try_from(moment.as_second()).unwrap_or(0));
    Some(SystemTime::UNIX_EPOCH.checked_add(since_1970)?.duration_since(now).unwrap_or_default())
}

/// As RFC 6750 tells it: the error is `invalid_token`, and its description speaks of an end.
fn is_expired(headers: &HeaderMap) -> bool {
    headers.get_all("www-authenticate").iter().filter_map(|value| value.to_str().ok()).any(|challenge| {
        let challenge = challenge.to_ascii_lowercase();
        parameter(&challenge, "error") == Some("invalid_token")
            && parameter(&challenge, "error_description").is_some_and(|says| says.contains("expired"))
    })
}

/// The value of `name="value"`, the name being a whole word.
fn parameter<'a>(challenge: &'a str, name: &str) -> Option<&'a str> {
    challenge.match_indices(name).find_map(|(at, _)| {
        let before = challenge.get(..at)?.chars().next_back();
        let value = challenge.get(at + name.len()..)?.strip_prefix('=')?;
        if before.is_some_and(|c| !matches!(c, ' ' | ',' | '\t')) {
            return None;
        }
        match value.strip_prefix('"') {
            Some(quoted) => quoted.split('"').next(),
            None => value.split([',', ' ']).next(),
        }
    })
}

#[cfg(test)]
mod tests {
    use ureq::http::{HeaderName, HeaderValue};

    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn said(status: u16, set: &[(&str, &str)]) -> Probed {
        let mut headers = HeaderMap::new();
        for (name, value) in set {
            headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        read(status, &headers, SystemTime::UNIX_EPOCH + Duration::from_secs(NOW))
    }

    fn limited(seconds: Option<u64>) -> Probed {
        Probed::RateLimited { retry_after: seconds.map(Duration::from_secs) }
    }

    #[test]
    fn a_status_alone_says_whether_it_is_taken() {
        assert_eq!([said(200, &[]), said(204, &[])], [Probed::Accepted, Probed::Accepted]);
        for status in [401, 403] {
            assert_eq!(said(status, &[]), Probed::Refused { status, expired: false });
        }
        assert_eq!(said(429, &[]), limited(None));
        for status in [301, 307, 400, 404, 500, 503] {
            assert!(matches!(said(status, &[]), Probed::Unreachable { .. }), "{status}");
        }
    }

    #[test]
    fn a_limit_is_told_in_seconds_as_a_date_or_as_a_moment() {
        assert_eq!(said(429, &[("Retry-After", "30"), ("RateLimit-Reset", "9")]), limited(Some(30)));
        assert_eq!(said(429, &[("Retry-After", "Tue, 14 Nov 2023 22:14:20 GMT")]), limited(Some(60)));
        assert_eq!(said(429, &[("Retry-After", "Thu, 14 Nov 2013 22:14:20 GMT")]), limited(Some(0)));
        assert_eq!(said(429, &[("RateLimit-Reset", "9")]), limited(Some(9)));
        assert_eq!(said(429, &[("X-RateLimit-Reset", "1700000009")]), limited(Some(9)));
        assert_eq!(said(429, &[("Retry-After", "soon")]), limited(None));
        assert_eq!(said(429, &[("Retry-After", "999999999")]), limited(Some(RETRY_MAX.as_secs())));
    }

    #[test]
    fn a_403_that_speaks_of_a_limit_says_nothing_about_the_secret() {
        assert_eq!(said(403, &[("Retry-After", "5")]), limited(Some(5)));
        assert_eq!(said(403, &[("X-RateLimit-Remaining", "0")]), limited(None));
        assert_eq!(said(403, &[("X-RateLimit-Remaining", "7")]), Probed::Refused { status: 403, expired: false });
        assert_eq!(said(401, &[("Retry-After", "5")]), Probed::Refused { status: 401, expired: false });
    }

    #[test]
    fn an_expired_token_is_told_by_its_challenge_alone() {
        let expired =
            |challenge| said(401, &[("WWW-Authenticate", challenge)]) == Probed::Refused { status: 401, expired: true };
        let yes = r#"Bearer realm="docs", error="invalid_token", error_description="The access token Expired""#;
        assert!(expired(yes));
        assert!(expired(r#"Bearer error=invalid_token,error_description="expired""#));
        assert!(!expired(r#"Bearer error="invalid_token", error_description="unknown token""#));
        assert!(!expired(r#"Bearer realm="expired", error="invalid_token""#));
        assert!(!expired(r#"Bearer error="invalid_request", error_description="expired""#));
        assert!(!expired(r#"Bearer x_error="invalid_token", error_description="expired""#));
        let two = [("WWW-Authenticate", "Basic"), ("WWW-Authenticate", yes)];
        assert_eq!(said(401, &two), Probed::Refused { status: 401, expired: true });
    }
}
