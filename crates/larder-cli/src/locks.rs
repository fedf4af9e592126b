//! `larder locks`: who holds which lock, and what is being fetched.

use std::fmt::Write as _;
use std::sync::Arc;

use larder_lock::Mode;
use larder_lock::holders::Held;
use larder_upstream::Flights;
use serde::Serialize;

use crate::args::Global;
use crate::exit::{Exit, Failed};
use crate::flights::{self, FlightObject};
use crate::json::HolderObject;
use crate::lock::{self, FOLDER};
use crate::output::Output;
use crate::root;
use crate::text::plain;

/// What `locks --json` prints.
#[derive(Serialize)]
struct Answer<'a> {
    locks: Vec<LockObject<'a>>,
    flights: Vec<FlightObject<'a>>,
}

#[derive(Serialize)]
struct LockObject<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<&'static str>,
    holders: Vec<HolderObject>,
}

pub(crate) fn run(global: &Global, output: Output) -> Result<Exit, Failed> {
    let store = Arc::new(root::open(global)?);
    let held = match store.annex_if_present(FOLDER)? {
        Some(annex) => {
            let locks = lock::locks(&store, annex.locks().backend(), "")?;
            locks.holders().map_err(|error| Failed::new(Exit::INPUT_OUTPUT, error))?
        }
        None => Vec::new(),
    };
    let under_way = Flights::new(Arc::clone(&store)).under_way();
    let under_way = under_way.map_err(|error| Failed::new(Exit::INPUT_OUTPUT, error))?;
    if output.json {
        let locks = held
            .iter()
            .map(|held| LockObject {
                name: name(held),
                mode: held.mode.map(mode),
                holders: held.holders.iter().map(HolderObject::from).collect(),
            })
            .collect();
        let flights = under_way.iter().map(FlightObject::from).collect();
        output.object(&Answer { locks, flights })?;
        return Ok(Exit::OK);
    }
    let mut text = String::new();
    for held in &held {
        let how = held.mode.map_or("held", mode);
        for holder in &held.holders {
            // the lock's name, told already
            let mut holder = holder.clone();
            holder.label = None;
            let _ = writeln!(text, "lock\t{}\t{how}\t{}", plain(name(held)), plain(&holder.to_string()));
        }
    }
    for flight in &under_way {
        let _ = writeln!(text, "flight\t{}\t{}", plain(flight.key.as_str()), flights::words(flight));
    }
    output.data(text.as_bytes())?;
    Ok(Exit::OK)
}

/// The lock's name as its holder gave it; where that is cut off or another's, its file.
pub(crate) fn name(held: &Held) -> &str {
    let labels = held.holders.iter().filter_map(|holder| holder.label.as_deref());
    labels.into_iter().find(|label| lock::is_name(label, &held.file)).unwrap_or(&held.file)
}

const fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Shared => "shared",
        Mode::Exclusive => "exclusive",
    }
}
