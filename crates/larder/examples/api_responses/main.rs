//! A cache of the answers of an API, shared by the workers of a service, and emptied by the events that the API sends.
//!
//! A key is made from the method, the parts of the path and the parameters; how long an answer is fresh follows from its key.
//! An event comes to one worker and is in force in all of them, whatever they have in memory, when that worker has handled it:
//! by tag where a book is part of many lists, by prefix where everything below a publisher is meant. Nobody who asks after it
//! is given what was fetched before it, also not by an answer that is still on its way.
//!
//! The workers are real processes: this program runs itself again. The upstream counts its calls over all of them. It prints
//! a line for each criterion, and exits with 1 if one is not met.
//!
//! `cargo run -p larder --example api_responses`

mod batch;
mod cases;
#[path = "../shared/criteria.rs"]
mod criteria;
mod events;
#[path = "../shared/place.rs"]
mod place;
mod requests;
mod worker;

use std::process::ExitCode;

use criteria::{Criteria, Outcome};

fn main() -> Outcome<ExitCode> {
    if place::is_child(worker::child) {
        return Ok(ExitCode::SUCCESS);
    }
    let mut criteria = Criteria::new("api_responses", "answers of an API, shared by all workers");
    criteria.judge(
        "AC1",
        "a key is one request, whatever it spells; the order of parameters means nothing",
        cases::keys,
    )?;
    criteria.judge(
        "AC2",
        "an answer is fresh for as long as what it is about allows: 300, 600, 600, 3600 s",
        cases::classes,
    )?;
    criteria.judge(
        "AC3",
        "that there is no such thing is remembered, 0 s is 0 s, and changes are not cached",
        cases::absent,
    )?;
    criteria.judge("AC4", "eight tasks in each of three workers ask at once: one call", events::one_call)?;
    criteria.judge(
        "AC5",
        "an event in one worker is in force in another, also for what that has in memory",
        events::in_memory,
    )?;
    criteria.judge(
        "AC6",
        "by tag it covers the lists that have the book, and not the book with a longer name",
        events::by_tag,
    )?;
    criteria.judge(
        "AC7",
        "by prefix it covers all that is below, whatever its number, in one step",
        events::by_prefix,
    )?;
    criteria.judge(
        "AC8",
        "who asks after an event gets nothing that was fetched before, also not by joining",
        events::in_flight,
    )?;
    criteria.judge("AC9", "each of the six events covers what it is about, and nothing else", events::each)?;
    criteria.judge("AC10", "a batch takes what is there and makes one call for the rest", batch::one_call)?;
    criteria.judge("AC11", "a batch that an event overtakes is not stored", batch::overtaken)?;
    criteria.judge(
        "AC12",
        "in an outage the last good answer is given, also one that has changed meanwhile",
        cases::outage,
    )?;
    criteria.judge("AC13", "the counters of all workers together are exact", events::counters)?;
    Ok(criteria.finish())
}
