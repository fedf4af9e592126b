//! What an upstream says of freshness in HTTP headers, as times: RFC 9111, RFC 5861 and RFC 8246.

use std::time::{Duration, SystemTime};

use crate::policy::Policy;
use crate::time::parse_date;

/// The longest time that a header may name; longer ones, and numbers without end, are this (RFC 9111, section 1.2.2).
const SECONDS_MAX: u64 = 2_147_483_648;

/// The directives of one or more `Cache-Control` fields that matter to a shared cache.
///
/// Unknown directives are left out of account. Of a directive that comes more than once the strictest counts; one whose value
/// cannot be read is zero, because nobody may take for fresh what was perhaps meant not to be (RFC 9111, section 4.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a directive of its own")]
#[non_exhaustive]
pub struct CacheControl {
    /// `no-store`, or `private`: a cache that processes share must not keep it.
    pub no_store: bool,
    /// `no-cache`: to be asked for each time.
    pub no_cache: bool,
    /// `must-revalidate` or `proxy-revalidate`: never to be given out stale.
    pub must_revalidate: bool,
    /// `immutable` (RFC 8246): not to be refreshed while it is fresh.
    pub immutable: bool,
    /// `max-age`.
    pub max_age: Option<Duration>,
    /// `s-maxage`, which counts before `max-age` in a shared cache and forbids stale use as `proxy-revalidate` does, except
    /// for the windows that the upstream gives beside it.
    pub s_maxage: Option<Duration>,
    /// `stale-while-revalidate` (RFC 5861).
    pub stale_while_revalidate: Option<Duration>,
    /// `stale-if-error` (RFC 5861).
    pub stale_if_error: Option<Duration>,
}

impl CacheControl {
    /// The directives of a field's values.
    ///
    /// ```
    /// use std::time::Duration;
    /// use larder_staleness::CacheControl;
    ///
    /// let control = CacheControl::parse(["public, Max-Age=60", "stale-if-error=\"3600\""]);
    /// assert_eq!(control.max_age, Some(Duration::from_secs(60)));
    /// assert_eq!(control.stale_if_error, Some(Duration::from_secs(3_600)));
    /// ```
    pub fn parse<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut control = Self::default();
        for value in values {
            for directive in split_unquoted(value) {
                control.take(directive);
            }
        }
        control
    }

    fn take(&mut self, directive: &str) {
        let (name, value) = directive.split_once('=').map_or((directive, None), |(name, value)| (name, Some(value)));
        let strictest = |slot: &mut Option<Duration>| {
            let read = seconds(value);
            *slot = Some(slot.map_or(read, |known| known.min(read)));
        };
        match name.trim().to_ascii_lowercase().as_str() {
            "no-store" | "private" => self.no_store = true,
            "no-cache" => self.no_cache = true,
            "must-revalidate" | "proxy-revalidate" => self.must_revalidate = true,
            "immutable" => self.immutable = true,
            "max-age" => strictest(&mut self.max_age),
            "s-maxage" => strictest(&mut self.s_maxage),
            "stale-while-revalidate" => strictest(&mut self.stale_while_revalidate),
            "stale-if-error" => strictest(&mut self.stale_if_error),
            _ => {}
        }
    }
}

/// The pieces between commas that stand outside of quotes. A quote that nobody closes is none: it must not hide a
/// `no-store` behind it.
fn split_unquoted(value: &str) -> impl Iterator<Item = &str> {
    let mut whole = Quotes::default();
    value.chars().for_each(|letter| whole.step(letter));
    let mut quotes = Quotes::default();
    value.split(move |letter| {
        quotes.step(letter);
        letter == ',' && (whole.is_open || !quotes.is_open)
    })
}

/// Where quoted strings begin and end (RFC 9110, section 5.6.4).
#[derive(Default)]
struct Quotes {
    is_open: bool,
    is_escaped: bool,
}

impl Quotes {
    const fn step(&mut self, letter: char) {
        match letter {
            _ if self.is_escaped => self.is_escaped = false,
            '\\' if self.is_open => self.is_escaped = true,
            '"' => self.is_open = !self.is_open,
            _ => {}
        }
    }
}

fn seconds(value: Option<&str>) -> Duration {
    let digits = value.unwrap_or_default().trim().trim_matches('"');
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    // a number that no integer holds is a large one
    let read = if is_number { digits.parse::<u64>().unwrap_or(SECONDS_MAX) } else { 0 };
    Duration::from_secs(read.min(SECONDS_MAX))
}

/// The headers of a response that say how long it may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Response<'a> {
    /// What `Cache-Control` says.
    pub cache_control: CacheControl,
    /// `Age`: how long it was in other caches, in seconds.
    pub age: Option<&'a str>,
    /// `Date`: when it was made.
    pub date: Option<&'a str>,
    /// `Expires`.
    pub expires: Option<&'a str>,
}

/// What a response comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Mapped {
    /// Whether it may be stored.
    pub store: bool,
    /// For how long it may be used.
    pub policy: Policy,
}

impl Response<'_> {
    /// How long the response may be used, received at this moment: what it says, within the bounds of its class, and what
    /// the class says where it says nothing.
    ///
    /// | header | becomes |
    /// |---|---|
    /// | `s-maxage`, else `max-age`, else `Expires` less `Date` | `fresh`, less `Age`, within the class's bounds |
    /// | none of these | the class's `fresh` |
    /// | `no-store`, `private` | not stored |
    /// | `no-cache` | stored, never fresh, no stale use |
    /// | `must-revalidate`, `proxy-revalidate` | no stale use |
    /// | `stale-while-revalidate=`, `stale-if-error=` | the windows, else the class's, or none with `s-maxage` |
    /// | `immutable` | no early refresh |
    ///
    /// An `Expires` that is no date, as `0`, means that it has expired (RFC 9111, section 5.3). Of an `Age`
    /// that is a list the first member counts; one that is no number is left out of account (section 5.1).
    pub fn policy(&self, class: &Policy, received: SystemTime) -> Mapped {
        let control = &self.cache_control;
        let mut policy = *class;
        if let Some(fresh) = control.s_maxage.or(control.max_age).or_else(|| self.expires_after(received)) {
            // the bounds come last: an old response of a long life is still used for as long as the class allows
            policy.fresh = class.clamp(fresh.saturating_sub(self.time_elsewhere()));
            // what the upstream says is not stretched, and its own times need no jitter
            (policy.adaptive, policy.jitter) = (false, Duration::ZERO);
        }
        // RFC 9111, section 4.2.4, names the directives that forbid stale use
        let window = |said: Option<Duration>, of_class: Duration| match said {
            _ if control.must_revalidate || control.no_cache => Duration::ZERO,
            Some(window) => window,
            None if control.s_maxage.is_some() => Duration::ZERO,
            None => of_class,
        };
        policy.stale_while_revalidate = window(control.stale_while_revalidate, class.stale_while_revalidate);
        policy.stale_if_error = window(control.stale_if_error, class.stale_if_error);
        if control.no_cache {
            // nor may a history make it fresh, by way of the class's least
            (policy.fresh, policy.adaptive) = (Duration::ZERO, false);
        }
        if control.immutable {
            policy.early = crate::Early::Never;
        }
        Mapped { store: !control.no_store, policy }
    }

    fn expires_after(&self, received: SystemTime) -> Option<Duration> {
        let expires = parse_date(self.expires?);
        let date = self.date.and_then(parse_date).unwrap_or(received);
        Some(expires.and_then(|expires| expires.duration_since(date).ok()).unwrap_or_default())
    }

    fn time_elsewhere(&self) -> Duration {
        // of several the first counts, which caches between have joined to one
        let first = self.age.and_then(|age| age.split(',').next()).map(str::trim);
        let age = first.filter(|age| age.bytes().all(|byte| byte.is_ascii_digit()));
        age.map_or(Duration::ZERO, |age| seconds(Some(age)))
    }
}

/// How long an upstream asks to be left alone: `Retry-After` as seconds or as a date (RFC 9110, section 10.2.3). A date
/// that has passed is zero; what is neither is `None`.
pub fn retry_after(value: &str, received: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(seconds(Some(value)));
    }
    Some(parse_date(value)?.duration_since(received).unwrap_or_default())
}
