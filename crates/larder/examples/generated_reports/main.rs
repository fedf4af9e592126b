//! A cache of reports that are expensive to generate, each from a question and the files of a workspace.
//!
//! Of all tasks and processes that want the same report at once, one generates it, and all have it: also its failure, which
//! costs one attempt and not one for each of them. When generating fails, the last report is given with its true age. A report
//! is generated anew when the content of a file it was made from has changed, and not when a file was merely touched. Each copy
//! is compared with its files whenever it is asked for; a watcher only makes it known sooner.
//!
//! Files, processes and their deaths are real: this program runs itself again. It prints a line for each criterion, and exits
//! with 1 if one is not met.
//!
//! `cargo run -p larder --features watch --example generated_reports`; without the feature, all but the watcher.

#[path = "../shared/criteria.rs"]
mod criteria;
mod files;
mod generation;
#[path = "../shared/place.rs"]
mod place;
mod reports;
#[cfg(feature = "watch")]
mod watching;

use std::process::ExitCode;

use criteria::{Criteria, Outcome};

fn main() -> Outcome<ExitCode> {
    if place::is_child(generation::child) {
        return Ok(ExitCode::SUCCESS);
    }
    let mut criteria = Criteria::new("generated_reports", "reports that are expensive to generate");
    criteria.judge(
        "AC1",
        "eight tasks in each of four processes want one report: it is generated once",
        generation::once,
    )?;
    criteria.judge(
        "AC2",
        "when generating fails, all who waited have that failure, for one attempt",
        generation::failure,
    )?;
    criteria.judge(
        "AC3",
        "the last report is given when generating fails, with its true age",
        generation::stale_fallback,
    )?;
    criteria.judge(
        "AC4",
        "one who generates and is killed, or panics, is succeeded by exactly one other",
        generation::successor,
    )?;
    criteria.judge(
        "AC5",
        "a generator that hangs delays nobody who has a report, and others to their bound",
        generation::hanging,
    )?;
    criteria.judge("AC6", "another question is another report: `A to B` is not `B to A`", generation::questions)?;
    criteria.judge("AC7", "a report is good for as long as its kind allows: 3600, 1800, 86400 s", generation::kinds)?;
    criteria.judge(
        "AC8",
        "it is generated anew when any file changes, and not when files are touched",
        files::by_content,
    )?;
    criteria.judge("AC9", "what changes while it is generated counts as changed", files::meanwhile)?;
    criteria.judge(
        "AC10",
        "every answer says how it came: fresh or stale, age, level, and which file has changed",
        files::provenance,
    )?;
    #[cfg(feature = "watch")]
    criteria.judge(
        "AC11",
        "a watcher has it generated anew before anybody asks, and changes no answer",
        watching::early,
    )?;
    Ok(criteria.finish())
}
