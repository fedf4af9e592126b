//! What the children of these tests do.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use larder_lock::{Bound, Event, Observer, Wait};
use larder_storage::{Metadata, Put};
use larder_system::SystemDisk;
use larder_testkit::child::{self, Args};
use larder_testkit::{Action, FaultDisk, Seed, Upstream};
use larder_upstream::{Class, Exit, Failure, Flight, Flights, Terms, Turn};

use crate::shared::{begin, in_folder, lead};

pub(crate) fn run(role: &str, args: &Args) {
    match role {
        "ask" => ask(args),
        "lead" => hold_the_lead(args),
        "command" => lead_with_a_command(args),
        "fault" => meet_a_fault(args),
        "storm" => storm(args),
        other => panic!("no role {other:?}"),
    }
}

/// Says when its wait begins.
struct Voice;

impl Observer for Voice {
    fn observe(&self, _name: &str, event: &Event<'_>) {
        if let Event::Started { .. } = event {
            child::say("waiting");
        }
    }
}

/// Asks for a document once it is told to, fetches it if it leads, and says what came of it.
fn ask(args: &Args) {
    let flights = in_folder(args.get("root"));
    let upstream = Upstream::open(args.get("upstream"));
    let bound = args.find("wait_ms").map_or(60_000, |_| args.parse("wait_ms"));
    let wait = Wait::new(Bound::from_duration(Duration::from_millis(bound))).observed_by(Arc::new(Voice));
    let remember = args.find("remember_ms").map(|_| Duration::from_millis(args.parse("remember_ms")));
    child::say("ready");
    if args.find("released").is_some() {
        child::hear();
    }
    let name = args.get("key");
    child::say(&match begin(&flights, name, &Terms::new().wait(wait)) {
        Ok(Turn::Lead(flight)) => fetch(&flights, flight, &upstream, remember),
        Ok(Turn::Found { found, waited }) => {
            format!("found {} after {}", String::from_utf8(found).unwrap(), waited.flights)
        }
        Ok(Turn::Failed { failure, remembered, .. }) => format!("failed {remembered} {}", show(&failure)),
        Ok(Turn::Carried { document, .. }) => format!("carried {}", String::from_utf8(document.body).unwrap()),
        Ok(Turn::Alone { .. }) => "alone".to_owned(),
        Err(error) => format!("error {} {error}", error.is_contention()),
    });
    // stays, so that its processor time can be read
    if args.find("stays").is_some() {
        child::hear();
    }
}

fn fetch(flights: &Flights, flight: Flight, upstream: &Upstream, remember: Option<Duration>) -> String {
    let name = flight.key().as_str().to_owned();
    match upstream.call(&name) {
        Ok(answer) => {
            let terms = Put::new().fetched_in(flight.token());
            flights.store().put(flight.key(), answer.body.as_bytes(), &terms).unwrap();
            flight.land();
            format!("led {}", answer.body)
        }
        Err(failure) => {
            let stderr = format!("stderr of call {}", failure.call).into_bytes();
            let mut shared = Failure::of_command(Exit::Code(7), stderr);
            shared.message = failure.message;
            flight.fail(&shared, remember);
            format!("failed led {}", show(&shared))
        }
    }
}

fn show(failure: &Failure) -> String {
    format!("{} {} {:?} {}", failure.class, failure.message, failure.exit, String::from_utf8_lossy(&failure.stderr))
}

/// Leads until it is told to end, by whatever it is told.
fn hold_the_lead(args: &Args) {
    let flights = in_folder(args.get("root"));
    let flight = lead(&flights, args.get("key"));
    child::say("leading");
    let told = child::hear();
    end(flight, told.as_deref().unwrap_or("abandon"));
    child::say("done");
}

/// Leads, with a command that lives until its named pipe is closed.
fn lead_with_a_command(args: &Args) {
    let flights = in_folder(args.get("root"));
    let flight = lead(&flights, args.get("key"));
    let stdin = flight.lend().unwrap().unwrap();
    let mut command = std::process::Command::new("cat");
    command.arg(args.get("pipe")).stdin(stdin).stdout(std::process::Stdio::null());
    let mut command = command.spawn().unwrap();
    child::say("leading");
    child::hear();
    command.wait().unwrap();
}

fn end(flight: Flight, how: &str) {
    let failure = Failure::of_command(Exit::Code(3), b"tail".to_vec());
    match how {
        "land" => flight.land(),
        "carry" => flight.carry(b"carried", &Metadata::new()),
        "fail" => flight.fail(&failure, None),
        "remember" => flight.fail(&failure, Some(Duration::from_secs(3_600))),
        "refuse" => flight.fail(&Failure::new(Class::Refused, "no"), None),
        "alone" => flight.alone(),
        "abandon" => drop(flight),
        other => panic!("no end {other:?}"),
    }
}

/// Leads and ends, and is killed or stopped before one of its calls.
fn meet_a_fault(args: &Args) {
    let disk = FaultDisk::over(Arc::new(SystemDisk::new()));
    let store = larder_storage::Options::new().disk(Arc::new(disk.clone())).open(args.get("root")).unwrap();
    let flights = Flights::new(Arc::new(store));
    if args.find("warm").is_some() {
        lead(&flights, "docs/warm").land();
    }
    let (at, stops) = (args.parse::<u64>("at"), args.find("stop").is_some());
    disk.reset();
    disk.before(move |call| match call.index == at {
        true if stops => Action::StopProcess,
        true => Action::KillProcess,
        false => Action::Proceed,
    });
    let flight = lead(&flights, args.get("key"));
    let _ = flight.lend().unwrap();
    end(flight, args.get("end"));
    let calls = disk.count();
    disk.heal();
    child::say(&calls.to_string());
}

/// Leads again and again, in two threads, and sees that nobody else does at the same time.
fn storm(args: &Args) {
    let flights = in_folder(args.get("root"));
    let mark = Path::new(args.get("mark"));
    let number: u64 = args.parse("seed");
    child::say("ready");
    child::hear();
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let flights = &flights;
            scope.spawn(move || {
                let mut seed = Seed::from_number(number * 2 + thread);
                for _ in 0..60 {
                    let terms = crate::shared::long().accept_remembered_failure(false);
                    if let Turn::Lead(flight) = begin(flights, "docs/a", &terms).unwrap() {
                        lead_alone(flight, mark, &mut seed);
                    }
                }
            });
        }
    });
    child::say("done");
}

#[expect(clippy::disallowed_methods, reason = "the mark must not go through what is tested")]
fn lead_alone(flight: Flight, mark: &Path, seed: &mut Seed) {
    let made = std::fs::OpenOptions::new().write(true).create_new(true).open(mark);
    made.unwrap_or_else(|error| panic!("somebody else leads too: {error}"));
    std::thread::yield_now();
    std::fs::remove_file(mark).unwrap();
    // a remembered failure that nobody accepts leaves a file that must be succeeded
    let ends = ["land", "carry", "fail", "remember", "remember", "alone", "abandon"];
    let how: &&str = seed.pick(&ends);
    end(flight, how);
}
