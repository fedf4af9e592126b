//! What the tests share: a store's flights, a caller that looks, a thread that waits.

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use larder_lock::{Event, Observer, Wait};
use larder_storage::{Durability, GetError, Key, Options, Put, Standing, Store};
use larder_system::{Clock, Disk};
use larder_testkit::Scratch;
use larder_upstream::{Flight, Flights, Terms, Turn, begin};

/// Longer than any wait of a test that passes.
pub(crate) const LONG: Duration = Duration::from_secs(60);

pub(crate) type Ended = Result<Turn<Vec<u8>>, begin::Error>;

pub(crate) fn key(text: &str) -> Key {
    text.parse().unwrap()
}

pub(crate) fn flights(scratch: &Scratch) -> Flights {
    in_folder(scratch.utf8_path().as_str())
}

pub(crate) fn in_folder(path: &str) -> Flights {
    Flights::new(Arc::new(Store::open(path).unwrap()))
}

pub(crate) fn on(disk: Arc<dyn Disk>, scratch: &Scratch) -> Flights {
    Flights::new(Arc::new(Options::new().disk(disk).open(scratch.utf8_path()).unwrap()))
}

pub(crate) fn by(clock: Arc<dyn Clock>, scratch: &Scratch) -> Flights {
    Flights::new(Arc::new(Options::new().clock(clock).open(scratch.utf8_path()).unwrap()))
}

/// What the store has and may be given out.
pub(crate) fn look(store: &Store, key: &Key) -> Result<Option<Vec<u8>>, GetError> {
    let entry = store.get(key)?.filter(|entry| entry.standing() == Standing::Current);
    Ok(entry.map(larder_storage::Entry::into_body))
}

pub(crate) fn long() -> Terms {
    Terms::new().wait(Wait::up_to(LONG))
}

pub(crate) fn begin(flights: &Flights, name: &str, terms: &Terms) -> Ended {
    let key = key(name);
    flights.begin(&key, terms, || look(flights.store(), &key))
}

pub(crate) fn lead(flights: &Flights, name: &str) -> Flight {
    led(begin(flights, name, &long()))
}

pub(crate) fn led(ended: Ended) -> Flight {
    match ended {
        Ok(Turn::Lead(flight)) => flight,
        other => panic!("not the lead: {other:?}"),
    }
}

pub(crate) fn found(ended: Ended) -> Vec<u8> {
    match ended {
        Ok(Turn::Found { found, .. }) => found,
        other => panic!("not found: {other:?}"),
    }
}

/// Stores a body as what this flight has fetched; false when the store refuses it.
pub(crate) fn put(flights: &Flights, flight: &Flight, body: &[u8]) -> bool {
    let terms = Put::new().durability(Durability::Relaxed).fetched_in(flight.token());
    flights.store().put(flight.key(), body, &terms).is_ok()
}

/// Leads, stores and lands.
pub(crate) fn fetch(flights: &Flights, name: &str, body: &[u8]) {
    let flight = lead(flights, name);
    assert!(put(flights, &flight, body));
    flight.land();
}

/// Hears when a wait has begun, and for whom.
#[derive(Debug)]
pub(crate) struct Ear(Mutex<Sender<String>>);

impl Ear {
    pub(crate) fn new() -> (Arc<Self>, Receiver<String>) {
        let (sender, receiver) = channel();
        (Arc::new(Self(Mutex::new(sender))), receiver)
    }
}

impl Observer for Ear {
    fn observe(&self, name: &str, event: &Event<'_>) {
        let said = match event {
            Event::Started { holder } => format!("started {name} {}", holder.pid.unwrap_or(0)),
            Event::Acquired { .. } => format!("acquired {name}"),
            Event::TimedOut { holder, .. } => format!("timed out {name} {}", holder.pid.unwrap_or(0)),
            Event::Cancelled { .. } => format!("cancelled {name}"),
            _ => return,
        };
        let _ = self.0.lock().unwrap().send(said);
    }
}

/// A caller in a thread of its own, which waits by the time it is handed out.
pub(crate) struct Waiter {
    thread: JoinHandle<Ended>,
    heard: Receiver<String>,
}

impl Waiter {
    /// Begins, with a store of its own, and returns once it waits for somebody's flight.
    pub(crate) fn for_flight(flights: &Flights, name: &str, terms: Terms) -> Self {
        let waiter = Self::spawn(flights, name, terms);
        waiter.hear_start();
        waiter
    }

    pub(crate) fn spawn(flights: &Flights, name: &str, terms: Terms) -> Self {
        let (ear, heard) = Ear::new();
        let terms = terms.wait(Wait::up_to(LONG).observed_by(ear));
        let (flights, name) = (flights.clone(), name.to_owned());
        Self { thread: std::thread::spawn(move || begin(&flights, &name, &terms)), heard }
    }

    pub(crate) fn hear_start(&self) -> String {
        loop {
            let said = self.heard.recv_timeout(LONG).unwrap();
            if said.starts_with("started") {
                return said;
            }
        }
    }

    pub(crate) fn end(self) -> Ended {
        self.thread.join().unwrap()
    }
}

/// The names in a folder, sorted; none when it is not there.
pub(crate) fn names(folder: impl AsRef<Path>) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The only file of a flight in this root.
pub(crate) fn flight_file(scratch: &Scratch) -> std::path::PathBuf {
    let names = names(scratch.join("flights"));
    assert_eq!(names.len(), 1, "{names:?}");
    scratch.join("flights").join(&names[0])
}

/// Asserts that sweeps leave nothing of any flight behind.
pub(crate) fn assert_swept(scratch: &Scratch, flights: &Flights) {
    flights.sweep(1_000).unwrap();
    flights.store().sweep().unwrap();
    assert_eq!(names(scratch.join("flights")), Vec::<String>::new());
    assert_eq!(names(scratch.join("tmp")), Vec::<String>::new());
    let locks = names(scratch.join("locks"));
    assert!(!locks.iter().any(|name| name.contains("flights")), "{locks:?}");
}
