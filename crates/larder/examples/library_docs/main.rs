//! A knowledge base of the documentation of libraries, which many agents ask at once, and what must be true of it.
//!
//! Documents are called `library/topic`. How long they may be used follows from the library's name: what bears on security 7
//! days, what bears on tests 14, all else as configured. A copy that is older is given out at once while it is refreshed, and
//! for a month when the upstream fails. What is due is refreshed from a queue, the most urgent first.
//!
//! Everything is real, and in a folder of its own that is removed at the end: files, processes that are killed, an upstream
//! that counts its calls. Only the days pass by a virtual clock. It prints a line for each criterion, and exits with 1 if one
//! is not met.
//!
//! `cargo run -p larder --example library_docs`

mod cases;
#[path = "../shared/criteria.rs"]
mod criteria;
mod keys;
mod knowledge;
#[path = "../shared/place.rs"]
mod place;

use std::process::ExitCode;

use criteria::{Criteria, Outcome};

fn main() -> Outcome<ExitCode> {
    if place::is_child(cases::child) {
        return Ok(ExitCode::SUCCESS);
    }
    let mut criteria = Criteria::new("library_docs", "a knowledge base that many agents share");
    criteria.judge(
        "AC1",
        "each library and topic has its own document, whatever they spell, in its folder",
        cases::names,
    )?;
    criteria.judge(
        "AC2",
        "a document is stale when it is older than its class allows, and not before",
        cases::classes,
    )?;
    criteria.judge(
        "AC3",
        "a stale document is answered at once and refreshed behind the caller's back",
        cases::stale_at_once,
    )?;
    criteria.judge(
        "AC4",
        "when the upstream fails the old copy is given for 30 days, labelled with its true age",
        cases::outage,
    )?;
    criteria.judge(
        "AC5",
        "the recommendation is keep, consider, refresh, with the days left",
        cases::recommendations,
    )?;
    criteria.judge(
        "AC6",
        "the queue does the most urgent first: 9, 8, 7, 3; twice the same is once",
        cases::priorities,
    )?;
    criteria.judge(
        "AC7",
        "a task is done when its document was fetched; one that fails stands in nobody's way",
        cases::really_fetched,
    )?;
    criteria.judge(
        "AC8",
        "four processes store topics of one library, one is killed: nothing acknowledged is lost",
        cases::many_writers,
    )?;
    criteria.judge(
        "AC9",
        "a key is found in a stated order, checked, and never blamed for what it cannot help",
        keys::judged,
    )?;
    Ok(criteria.finish())
}
