//! What a flight costs: one that nobody waits for, and how soon those who wait are told.
//!
//! Run with `cargo run --release -p larder-upstream --example measure`.
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock itself")]

use std::error::Error;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use larder_lock::{Event, Observer, Wait};
use larder_storage::{Key, Store};
use larder_system::{Clock as _, SystemClock};
use larder_testkit::Scratch;
use larder_upstream::{Flights, Terms, Turn};

const ROUNDS: usize = 2_000;
const WAITERS: usize = 32;
const WAKE_ROUNDS: usize = 20;
const ROLE: &str = "LARDER_MEASURE_ROOT";

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    match std::env::var(ROLE) {
        Ok(root) => wait(&root),
        Err(_) => measure(),
    }
}

fn flights(root: &str) -> Outcome<Flights> {
    Ok(Flights::new(Arc::new(Store::open(root)?)))
}

fn measure() -> Outcome<()> {
    let scratch = Scratch::new("measure-flights");
    let root = scratch.utf8_path().as_str();
    let mut out = std::io::stdout().lock();
    let uncontended = uncontended(&flights(root)?)?;
    writeln!(out, "begin and land, uncontended: {uncontended:.1?} (median of {ROUNDS})")?;
    let (first, median, last) = wake_ups(root)?;
    writeln!(
        out,
        "{WAITERS} processes told after the landing: first {first:.1?}, median {median:.1?}, last {last:.1?} \
         (medians of {WAKE_ROUNDS} rounds)"
    )?;
    Ok(())
}

fn uncontended(flights: &Flights) -> Outcome<Duration> {
    let key: Key = "measure/uncontended".parse()?;
    let mut all = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        match flights.begin(&key, &Terms::new(), || Ok(None::<()>))? {
            Turn::Lead(flight) => flight.land(),
            _ => return Err("somebody else uses this root".into()),
        }
        all.push(start.elapsed());
    }
    Ok(median(all))
}

struct Waiter {
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Waiter {
    fn spawn(root: &str) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut process = command.env(ROLE, root).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (to, from) = (process.stdin.take().ok_or("a pipe")?, process.stdout.take().ok_or("a pipe")?);
        Ok(Self { process, to, from: BufReader::new(from) })
    }

    fn line(&mut self) -> Outcome<String> {
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }
}

fn wake_ups(root: &str) -> Outcome<(Duration, Duration, Duration)> {
    let flights = flights(root)?;
    let key: Key = "measure/waited".parse()?;
    let clock = SystemClock::new();
    let mut waiters = (0..WAITERS).map(|_| Waiter::spawn(root)).collect::<Outcome<Vec<_>>>()?;
    let (mut firsts, mut medians, mut lasts) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..WAKE_ROUNDS {
        let Turn::Lead(flight) = flights.begin(&key, &Terms::new(), || Ok(None::<()>))? else {
            return Err("somebody else uses this root".into());
        };
        for waiter in &mut waiters {
            writeln!(waiter.to, "go")?;
        }
        for waiter in &mut waiters {
            waiter.line()?;
        }
        let landed = clock.monotonic();
        flight.land();
        let mut told = Vec::new();
        for waiter in &mut waiters {
            let at = Duration::from_nanos(waiter.line()?.parse()?);
            told.push(at.saturating_sub(landed));
        }
        told.sort_unstable();
        firsts.extend(told.first());
        lasts.extend(told.last());
        medians.push(median(told));
    }
    for mut waiter in waiters {
        drop(waiter.to);
        waiter.process.wait()?;
    }
    Ok((median(firsts), median(medians), median(lasts)))
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort_unstable();
    all.get(all.len() / 2).copied().unwrap_or_default()
}

struct Voice;

impl Observer for Voice {
    fn observe(&self, _name: &str, event: &Event<'_>) {
        if let Event::Started { .. } = event {
            say("waiting");
        }
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// One of those who wait, a round for each line it is sent.
fn wait(root: &str) -> Outcome<()> {
    let flights = flights(root)?;
    let key: Key = "measure/waited".parse()?;
    let clock = SystemClock::new();
    for line in std::io::stdin().lines() {
        line?;
        let wait = Wait::up_to(Duration::from_secs(60)).observed_by(Arc::new(Voice));
        match flights.begin(&key, &Terms::new().wait(wait), || Ok(Some(())))? {
            Turn::Found { .. } => say(&clock.monotonic().as_nanos().to_string()),
            _ => return Err("not found".into()),
        }
    }
    Ok(())
}
