//! A cache of release metadata, as a package manager has one: many short programs that want the same download.
//!
//! Whoever comes second is told who is at it, since when, how long it will be waited and where that time was set. Readers
//! wait for nobody. A program that is killed, at whatever moment, leaves nothing that somebody would have to clean up: its
//! place is taken by exactly one of those who wait, and a refresh that it had begun is done by the next.
//!
//! The processes are real ones: this program runs itself again. They talk to it through pipes and are killed by it; the
//! upstream counts its calls over all of them. It prints a line for each criterion, and exits with 1 if one is not met.
//!
//! `cargo run -p larder --example release_metadata`

mod cases;
mod contention;
#[path = "../shared/criteria.rs"]
mod criteria;
#[path = "../shared/place.rs"]
mod place;
mod releases;
mod roles;

use std::process::ExitCode;

use criteria::{Criteria, Outcome};

fn main() -> Outcome<ExitCode> {
    if place::is_child(roles::child) {
        return Ok(ExitCode::SUCCESS);
    }
    let mut criteria = Criteria::new("release_metadata", "many short programs, one download");
    criteria.judge(
        "AC1",
        "six processes want the same metadata: one downloads, all have its bytes",
        contention::one_download,
    )?;
    criteria.judge(
        "AC2",
        "who waits is told who has it and since when; who need not wait is told nothing",
        contention::feedback,
    )?;
    criteria.judge(
        "AC3",
        "a wait ends at its bound, 0 at once, and is an error that names the holder",
        contention::bounds,
    )?;
    criteria.judge(
        "AC4",
        "a message about a wait says where its bound was set: flag, environment, config, default",
        contention::origins,
    )?;
    criteria.judge(
        "AC5",
        "a cancelled wait ends as cancelled, and touches nobody else's download",
        contention::cancelled,
    )?;
    criteria.judge(
        "AC6",
        "when the one who downloads is killed exactly one of those who wait succeeds it",
        contention::successor,
    )?;
    criteria.judge("AC7", "a download under way keeps nobody from reading what there is", cases::readers)?;
    criteria.judge(
        "AC8",
        "a refresh that was killed in its midst is done by the next, nothing lost meanwhile",
        cases::durable_refresh,
    )?;
    criteria.judge(
        "AC9",
        "readers see whole metadata while writers are killed, and nothing is left behind",
        cases::killed_writers,
    )?;
    criteria.judge("AC10", "damaged metadata are set aside and downloaded anew, once", cases::damage)?;
    criteria.judge("AC11", "a download that fails leaves the old metadata in use, with a warning", cases::failing)?;
    Ok(criteria.finish())
}
