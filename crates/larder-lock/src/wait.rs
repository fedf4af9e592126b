//! How long a caller is willing to wait, who said so, and who is told meanwhile.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::{Cancellation, Observer};

/// How long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Not at all: take the lock now or fail.
    None,
    /// At most this long, by the monotonic clock, from the call to its return.
    UpTo(Duration),
    /// Until the lock is had or the wait is cancelled.
    Infinite,
}

impl Bound {
    /// A duration as a bound; zero is no wait.
    pub const fn from_duration(duration: Duration) -> Self {
        if duration.is_zero() { Self::None } else { Self::UpTo(duration) }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("0"),
            Self::UpTo(duration) => write!(f, "{duration:?}"),
            Self::Infinite => f.write_str("infinite"),
        }
    }
}

/// The text is no bound.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not one of the forms.
    #[error(
        "`{text}` is not a waiting time; use 0, a whole number of seconds, a number with a unit (400ms, 90s, 15m, 2h, \
         7d) or the word infinite"
    )]
    Malformed {
        /// What was given.
        text: String,
    },
    /// Longer than any clock can count.
    #[error("`{text}` is too long a waiting time; use the word infinite")]
    TooLong {
        /// What was given.
        text: String,
    },
}

impl FromStr for Bound {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let malformed = || Error::Malformed { text: text.chars().take(64).collect() };
        let trimmed = text.trim();
        if trimmed.eq_ignore_ascii_case("infinite") {
            return Ok(Self::Infinite);
        }
        let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = trimmed.split_at_checked(digits).ok_or_else(malformed)?;
        let unit_ms = match unit {
            "ms" => 1,
            "" | "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(malformed()),
        };
        if number.is_empty() {
            return Err(malformed());
        }
        // Only digits are left, so the one way to fail is to be too large.
        let total_ms = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit_ms));
        let total_ms = total_ms.ok_or_else(|| Error::TooLong { text: text.chars().take(64).collect() })?;
        Ok(Self::from_duration(Duration::from_millis(total_ms)))
    }
}

/// Who set the bound, so that a message can say where to change it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// A command line flag, with its dashes.
    Flag(String),
    /// An environment variable.
    Environment(String),
    /// A configuration key, and where it is.
    Config(String),
    /// Nobody: the built-in value.
    Default,
    /// The calling program, in code.
    Caller,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "flag {flag}"),
            Self::Environment(variable) => write!(f, "environment variable {variable}"),
            Self::Config(key) => write!(f, "configuration {key}"),
            Self::Default => f.write_str("the default"),
            Self::Caller => f.write_str("the calling program"),
        }
    }
}

/// A caller's terms for one acquisition.
///
/// ```
/// use std::time::Duration;
/// use larder_lock::{Bound, Origin, Wait};
///
/// let wait = Wait::parse("400ms", Origin::Flag("--lock-timeout".to_owned()))?;
/// assert_eq!(wait.bound(), Bound::UpTo(Duration::from_millis(400)));
/// assert_eq!(wait.origin().to_string(), "flag --lock-timeout");
/// # Ok::<(), larder_lock::wait::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "a wait does nothing until it is given to an acquisition"]
pub struct Wait {
    bound: Bound,
    origin: Origin,
    cancel: Option<Cancellation>,
    observer: Option<Arc<dyn Observer>>,
    names_holder: bool,
}

impl Wait {
    /// With this bound.
    pub const fn new(bound: Bound) -> Self {
        Self { bound, origin: Origin::Caller, cancel: None, observer: None, names_holder: true }
    }

    /// Not at all.
    pub const fn none() -> Self {
        Self::new(Bound::None)
    }

    /// At most `duration`; zero is no wait.
    pub const fn up_to(duration: Duration) -> Self {
        Self::new(Bound::from_duration(duration))
    }

    /// For ever. A cancellation is the only way out; see [`until_cancelled`](Self::until_cancelled).
    pub const fn forever() -> Self {
        Self::new(Bound::Infinite)
    }

    /// Until `cancellation`.
    pub fn until_cancelled(cancellation: &Cancellation) -> Self {
        Self::forever().cancelled_by(cancellation)
    }

    /// From what a person wrote: `0`, whole seconds, a number with a unit, or `infinite`.
    pub fn parse(text: &str, origin: Origin) -> Result<Self, Error> {
        Ok(Self::new(text.parse()?).from(origin))
    }

    /// Says who set the bound.
    pub fn from(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// Ends the wait when `cancellation` happens.
    pub fn cancelled_by(mut self, cancellation: &Cancellation) -> Self {
        self.cancel = Some(cancellation.clone());
        self
    }

    /// Tells `observer` how the wait goes.
    pub fn observed_by(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Does not look who holds the lock, neither for the observer nor for the error, which both get
    /// [`Holder::unknown`](crate::Holder::unknown): for callers who know it already, or who wait in many short pieces.
    /// The look is what costs most in a wait that ends without the lock.
    pub const fn without_holder(mut self) -> Self {
        self.names_holder = false;
        self
    }

    /// How long.
    pub const fn bound(&self) -> Bound {
        self.bound
    }

    /// Who set the bound.
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What ends it from outside.
    pub const fn cancellation(&self) -> Option<&Cancellation> {
        self.cancel.as_ref()
    }

    /// Who is told how it goes.
    pub const fn observer(&self) -> Option<&Arc<dyn Observer>> {
        self.observer.as_ref()
    }

    pub(crate) const fn names_holder(&self) -> bool {
        self.names_holder
    }

    pub(crate) fn watcher(&self) -> Option<&dyn Observer> {
        self.observer.as_deref()
    }
}

impl fmt::Debug for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait")
            .field("bound", &self.bound)
            .field("origin", &self.origin)
            .field("cancel", &self.cancel)
            .field("observed", &self.observer.is_some())
            .field("names_holder", &self.names_holder)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_documented_forms_are_read() {
        let ms = |ms| Ok(Bound::UpTo(Duration::from_millis(ms)));
        assert_eq!("0".parse(), Ok(Bound::None));
        assert_eq!("0ms".parse(), Ok(Bound::None));
        assert_eq!("0d".parse(), Ok(Bound::None));
        assert_eq!("7".parse::<Bound>(), ms(7_000));
        assert_eq!("400ms".parse::<Bound>(), ms(400));
        assert_eq!("90s".parse::<Bound>(), ms(90_000));
        assert_eq!("15m".parse::<Bound>(), ms(900_000));
        assert_eq!("2h".parse::<Bound>(), ms(7_200_000));
        assert_eq!("7d".parse::<Bound>(), ms(604_800_000));
        assert_eq!(" Infinite ".parse(), Ok(Bound::Infinite));
    }

    #[test]
    fn what_is_no_waiting_time_is_refused_with_the_forms_that_are() {
        for text in ["", "s", "-1", "1.5s", "1 s", "10 minutes", "forever", "٣s", "1h30m"] {
            let error = text.parse::<Bound>().unwrap_err();
            assert!(matches!(error, Error::Malformed { .. }), "{text}: {error}");
            assert!(error.to_string().contains("the word infinite"), "{error}");
        }
    }

    #[test]
    fn a_number_beyond_the_clock_is_refused_as_too_long() {
        for text in ["99999999999999999999", "18446744073709551615d"] {
            assert!(matches!(text.parse::<Bound>(), Err(Error::TooLong { .. })), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_panic(text in "\\PC{0,40}") {
            let _ = text.parse::<Bound>();
        }

        #[test]
        fn milliseconds_come_back_as_given(ms in 1_u64..1_000_000_000) {
            prop_assert_eq!(format!("{ms}ms").parse(), Ok(Bound::UpTo(Duration::from_millis(ms))));
        }
    }
}
