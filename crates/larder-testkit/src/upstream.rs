//! A source that counts its calls across processes: a folder in which each call leaves records.

use std::collections::{BTreeMap, HashSet};
use std::fs::{File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The length of one record; all are alike, so that a record's place gives its number.
const RECORD: usize = 64;
/// How long a test waits for calls before it is called broken.
const WAIT_MAX: Duration = Duration::from_secs(120);

/// A slow, failing source, the same for all processes that open it in the same folder.
///
/// A call appends one record when it begins and one when it ends, each a single write to a file opened to append, so
/// that calls are counted exactly, also those of a process that is killed. A killed process's call is in flight no
/// longer once the next call begins: every process holds a lock for as long as it lives.
///
/// ```
/// use larder_testkit::{Scratch, Upstream};
///
/// let scratch = Scratch::new("upstream");
/// let upstream = Upstream::open(scratch.path());
/// upstream.answers("page for {key}, call {call}");
/// assert_eq!(upstream.call("react").unwrap().body, "page for react, call 1");
/// upstream.fails("overloaded");
/// assert_eq!(upstream.call("react").unwrap_err().message, "overloaded");
/// assert_eq!((upstream.calls(), upstream.calls_of("vue"), upstream.in_flight_max()), (2, 0, 1));
/// ```
#[derive(Debug)]
pub struct Upstream {
    folder: PathBuf,
    process: u64,
    _alive: File,
}

/// A good answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Which call got it, from 1, counted over all processes.
    pub call: u64,
    /// What it says.
    pub body: String,
}

/// A failed call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which call failed, from 1, counted over all processes.
    pub call: u64,
    /// Why.
    pub message: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Holds all calls, of all processes, until it is dropped.
#[derive(Debug)]
#[must_use = "calls are held only as long as this lives"]
pub struct Hold {
    _gate: File,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Begin,
    End,
    Dead,
}

/// One record: what happened, to which call, of which process, for which key.
#[derive(Clone, Copy, Debug)]
struct Record {
    event: Event,
    process: u64,
    call: u64,
    key: u64,
}

impl Upstream {
    /// The source in `folder`, made if it is not there.
    ///
    /// # Panics
    /// The folder cannot be made or used.
    pub fn open(folder: impl AsRef<Path>) -> Self {
        let folder = folder.as_ref().to_owned();
        std::fs::create_dir_all(folder.join("alive")).unwrap_or_else(|error| broken("make", &folder, &error));
        let process = larder_system::unique().expect("the system has random numbers");
        let alive = open(&alive_path(&folder, process));
        alive.lock().unwrap_or_else(|error| broken("lock", &folder, &error));
        Self { folder, process, _alive: alive }
    }

    /// From now on calls succeed with this body, in which `{key}` and `{call}` stand for the call's own.
    ///
    /// # Panics
    /// The plan cannot be written.
    pub fn answers(&self, body: &str) {
        self.plan("answer", body);
    }

    /// From now on calls fail with this message.
    ///
    /// # Panics
    /// The plan cannot be written.
    pub fn fails(&self, message: &str) {
        self.plan("failure", message);
    }

    /// From now on each call takes so long, as a slow source would.
    ///
    /// # Panics
    /// The plan cannot be written.
    pub fn takes(&self, duration: Duration) {
        replace(&self.folder.join("delay"), &duration.as_millis().to_string());
    }

    /// Holds each call that begins from now on, until the hold is dropped or its process dies.
    ///
    /// # Panics
    /// The gate cannot be locked.
    pub fn hold(&self) -> Hold {
        let gate = open(&self.folder.join("gate"));
        gate.lock().unwrap_or_else(|error| broken("lock", &self.folder, &error));
        Hold { _gate: gate }
    }

    /// Asks the source.
    ///
    /// # Errors
    /// The failure that a test has planned.
    ///
    /// # Panics
    /// The folder cannot be used, or holds no plan.
    pub fn call(&self, key: &str) -> Result<Answer, Failure> {
        let mut journal = self.bury_the_dead();
        let call = larder_system::unique().expect("the system has random numbers");
        let record = Record { event: Event::Begin, process: self.process, call, key: hash(key) };
        let place = self.append(&mut journal, record);
        let number = self.read().into_iter().take(place).filter(|record| record.event == Event::Begin).count() as u64;
        self.pass_gate();
        if let Ok(delay) = std::fs::read_to_string(self.folder.join("delay")) {
            std::thread::sleep(Duration::from_millis(delay.parse().expect("a delay in milliseconds")));
        }
        let plan = self.folder.join("plan");
        let plan = std::fs::read_to_string(&plan).unwrap_or_else(|error| broken("read the plan", &plan, &error));
        let (kind, text) = plan.split_once('\n').expect("a plan has a first line");
        let text = text.replace("{key}", key).replace("{call}", &number.to_string());
        self.append(&mut journal, Record { event: Event::End, ..record });
        match kind {
            "answer" => Ok(Answer { call: number, body: text }),
            _ => Err(Failure { call: number, message: text }),
        }
    }

    /// How many calls have begun, in all processes.
    pub fn calls(&self) -> usize {
        self.begun(None)
    }

    /// How many of them were for this key.
    pub fn calls_of(&self, key: &str) -> usize {
        self.begun(Some(hash(key)))
    }

    /// The most calls that were ever in flight at the same time.
    pub fn in_flight_max(&self) -> usize {
        in_flight_max(&self.read())
    }

    /// The most calls for this key that were ever in flight at the same time.
    pub fn in_flight_max_of(&self, key: &str) -> usize {
        let key = hash(key);
        in_flight_max(&self.read().into_iter().filter(|record| record.key == key).collect::<Vec<_>>())
    }

    /// Waits until so many calls have begun.
    ///
    /// # Panics
    /// Two minutes pass without.
    pub fn wait_for_calls(&self, calls: usize) {
        let start = Instant::now();
        while self.calls() < calls {
            assert!(start.elapsed() < WAIT_MAX, "{} of {calls} calls within {WAIT_MAX:?}", self.calls());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn begun(&self, key: Option<u64>) -> usize {
        let wanted = |record: &Record| record.event == Event::Begin && key.is_none_or(|key| key == record.key);
        self.read().into_iter().filter(wanted).count()
    }

    fn plan(&self, kind: &str, text: &str) {
        replace(&self.folder.join("plan"), &format!("{kind}\n{text}"));
    }

    fn journal(&self) -> PathBuf {
        self.folder.join("calls")
    }

    /// Records that calls have ended whose processes have died; returns the journal, opened to append.
    fn bury_the_dead(&self) -> File {
        let path = self.journal();
        let journal = OpenOptions::new().create(true).append(true).open(&path);
        let mut journal = journal.unwrap_or_else(|error| broken("open", &path, &error));
        let mut open_calls = BTreeMap::new();
        for record in self.read() {
            match record.event {
                Event::Begin => _ = open_calls.insert(record.call, record),
                Event::End | Event::Dead => _ = open_calls.remove(&record.call),
            }
        }
        for record in open_calls.into_values().filter(|record| record.process != self.process) {
            if open(&alive_path(&self.folder, record.process)).try_lock().is_ok() {
                self.append(&mut journal, Record { event: Event::Dead, ..record });
            }
        }
        journal
    }

    /// Appends a record, and tells how many there are up to it.
    fn append(&self, journal: &mut File, record: Record) -> usize {
        let appended = journal.write(&record.to_bytes()).and_then(|written| {
            assert_eq!(written, RECORD, "a record was written in part");
            journal.stream_position()
        });
        let end = appended.unwrap_or_else(|error| broken("append to", &self.journal(), &error));
        usize::try_from(end).expect("a test's journal is small") / RECORD
    }

    fn read(&self) -> Vec<Record> {
        let path = self.journal();
        let bytes = match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            read => read.unwrap_or_else(|error| broken("read", &path, &error)),
        };
        bytes.chunks_exact(RECORD).map(Record::from_bytes).collect()
    }

    fn pass_gate(&self) {
        let gate = open(&self.folder.join("gate"));
        gate.lock_shared().unwrap_or_else(|error| broken("lock", &self.folder, &error));
    }
}

impl Record {
    fn to_bytes(self) -> Vec<u8> {
        let event = match self.event {
            Event::Begin => "begin",
            Event::End => "end",
            Event::Dead => "dead",
        };
        let text = format!("{event:<5} {:016x} {:016x} {:016x}", self.process, self.call, self.key);
        format!("{text:<width$}\n", width = RECORD - 1).into_bytes()
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        let text = std::str::from_utf8(bytes).expect("records are text");
        let mut fields = text.split_whitespace();
        let event = match fields.next() {
            Some("begin") => Event::Begin,
            Some("end") => Event::End,
            Some("dead") => Event::Dead,
            other => panic!("no record begins with {other:?}"),
        };
        let mut number = || fields.next().and_then(|field| u64::from_str_radix(field, 16).ok()).expect("a number");
        Self { event, process: number(), call: number(), key: number() }
    }
}

fn in_flight_max(records: &[Record]) -> usize {
    let mut open = HashSet::new();
    let mut most = 0;
    for record in records {
        match record.event {
            Event::Begin => _ = open.insert(record.call),
            Event::End | Event::Dead => _ = open.remove(&record.call),
        }
        most = most.max(open.len());
    }
    most
}

fn hash(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

fn alive_path(folder: &Path, process: u64) -> PathBuf {
    folder.join("alive").join(format!("{process:016x}"))
}

fn open(path: &Path) -> File {
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    opened.unwrap_or_else(|error| broken("open", path, &error))
}

/// Writes a small file at once, so that no process reads half of it.
fn replace(path: &Path, text: &str) {
    let unique = larder_system::unique().expect("the system has random numbers");
    let new = path.with_extension(format!("{unique:016x}"));
    let replaced = std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, path));
    replaced.unwrap_or_else(|error| broken("replace", path, &error));
}

fn broken(verb: &str, path: &Path, error: &std::io::Error) -> ! {
    panic!("cannot {verb} {}: {error}", path.display())
}
