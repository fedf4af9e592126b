//! The table that each flow prints: a line for each criterion, with what was seen when it was met, or with why it was not.

use std::fmt;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

use larder_system::{Clock as _, SystemClock};
use tokio::runtime::Builder;

use crate::place::Place;

/// How long one criterion may take before it counts as not met.
const TIME_MAX: Duration = Duration::from_secs(60);
/// How long what it has left under way may take to end.
const END_MAX: Duration = Duration::from_secs(10);

pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type Outcome<T = ()> = Result<T, Error>;

/// The criteria of one flow, each judged by running it.
pub(crate) struct Criteria {
    flow: &'static str,
    clock: SystemClock,
    unmet: usize,
}

impl Criteria {
    pub(crate) fn new(flow: &'static str, title: &str) -> Self {
        line(&format!("{flow}: {title}"));
        Self { flow, clock: SystemClock::new(), unmet: 0 }
    }

    /// Runs `criterion` in a place of its own and prints its line. It is met when it returns what it has seen; an error, a
    /// panic and too long a time are the reasons why it is not.
    ///
    /// # Errors
    /// The system gives no threads.
    pub(crate) fn judge(
        &mut self,
        name: &str,
        what: &str,
        criterion: impl AsyncFnOnce(&Place) -> Outcome<String>,
    ) -> Outcome {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let (began, place) = (self.clock.monotonic(), Place::new(&format!("{}-{name}", self.flow)));
        let run = || runtime.block_on(async { tokio::time::timeout(TIME_MAX, criterion(&place)).await });
        let judged = match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(Ok(seen))) => Ok(seen),
            Ok(Ok(Err(error))) => Err(error.to_string()),
            Ok(Err(_)) => Err(format!("it has not come to an end within {TIME_MAX:?}")),
            Err(_) => Err("it panicked: see the message above".to_owned()),
        };
        // its folder goes when nobody is left who would write there
        runtime.shutdown_timeout(END_MAX);
        drop(place);
        let took = self.clock.monotonic().saturating_sub(began).as_millis();
        match judged {
            Ok(seen) => line(&format!("met   {name:<5}{what:<88}   {took} ms, {seen}")),
            Err(why) => {
                self.unmet += 1;
                line(&format!("unmet {name:<5}{what:<88}   {took} ms: {why}"));
            }
        }
        Ok(())
    }

    /// Success, if all were met.
    pub(crate) fn finish(self) -> ExitCode {
        match self.unmet {
            0 => ExitCode::SUCCESS,
            unmet => {
                line(&format!("{unmet} not met"));
                ExitCode::FAILURE
            }
        }
    }
}

/// Success with no more ado if `holds`; else an error that tells what was seen instead.
pub(crate) fn check(holds: bool, otherwise: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(otherwise().into()) }
}

/// Success if the two are the same.
#[expect(clippy::needless_pass_by_value, reason = "most of its callers make what they compare")]
pub(crate) fn same<T: PartialEq<U> + fmt::Debug, U: fmt::Debug>(what: &str, found: T, expected: U) -> Outcome {
    check(found == expected, || format!("{what}: {found:?} instead of {expected:?}"))
}

fn line(text: &str) {
    // whoever does not listen to the table still gets the exit code
    let _ = writeln!(std::io::stdout(), "{text}");
}
