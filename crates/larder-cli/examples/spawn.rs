//! What a hit from the shell costs beside `cat` of the same file: both spawned in turn, and the ratio of their medians.
//!
//! `cargo run --release -p larder-cli --example spawn -- <larder> [<spawns>]`, with the path of the program to measure.

use std::io::Write as _;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use larder_testkit::Scratch;

/// How often each is spawned, unless told otherwise.
const SPAWNS: usize = 1_000;
/// What a hit may cost beside `cat`.
const GOAL: f64 = 1.1;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match measure() {
        Ok(is_met) => ExitCode::from(u8::from(!is_met)),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::from(2)
        }
    }
}

fn measure() -> Result<bool, Failure> {
    let mut arguments = std::env::args_os().skip(1);
    let larder = arguments.next().ok_or("give the path of the larder program to measure")?;
    let spawns = arguments.next().and_then(|text| text.to_str()?.parse().ok()).unwrap_or(SPAWNS);
    let scratch = Scratch::new("spawn");
    let root = scratch.join("root");
    let document = scratch.join("document");
    put_document(&document)?;
    let verb = |words: &[&str]| {
        let mut command = Command::new(&larder);
        command.env("LARDER_ROOT", &root).args(words);
        command
    };
    let run = || {
        let mut command = verb(&["run", "--", "cat"]);
        command.arg(&document);
        command
    };
    let mut put = verb(&["put", "document", "--from"]);
    put.arg(&document);
    check(put)?;
    check(run())?;
    let cat = || {
        let mut command = Command::new("cat");
        command.arg(&document);
        command
    };
    let mut times = [const { Vec::new() }; 3];
    for round in 0..spawns {
        let mut commands = [(0, cat()), (1, verb(&["get", "document"])), (2, run())];
        // each comes first as often as any other: whoever comes after itself finds its pages in the processor's caches
        commands.rotate_left(round % 3);
        for (which, command) in commands {
            let took = spawn(command)?;
            times.get_mut(which).map(|times: &mut Vec<Duration>| times.push(took)).ok_or("no such command")?;
        }
    }
    let [cat, get, run] = times.map(median);
    let ratio = |time: Duration| time.as_secs_f64() / cat.as_secs_f64();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{spawns} spawns each, medians: cat {cat:.0?}")?;
    writeln!(out, "larder get {get:.0?}, {:.2} x cat (goal {GOAL})", ratio(get))?;
    writeln!(out, "larder run {run:.0?}, {:.2} x cat (goal {GOAL})", ratio(run))?;
    Ok(ratio(get) <= GOAL && ratio(run) <= GOAL)
}

#[expect(clippy::disallowed_methods, reason = "a document to measure with, outside any cache")]
fn put_document(path: &std::path::Path) -> Result<(), Failure> {
    Ok(std::fs::write(path, "a line of a document of four kibibytes, or so\n".repeat(90))?)
}

fn check(mut command: Command) -> Result<(), Failure> {
    let ended = command.stdout(Stdio::null()).status()?;
    if ended.success() { Ok(()) } else { Err(format!("{command:?} ended with {ended}").into()) }
}

/// From the spawn to the end, output read as a shell's `$(…)` reads it.
#[expect(clippy::disallowed_methods, reason = "this measures")]
fn spawn(mut command: Command) -> Result<Duration, Failure> {
    command.stdin(Stdio::null()).stderr(Stdio::inherit());
    let begun = Instant::now();
    let output = command.output()?;
    let took = begun.elapsed();
    if output.status.success() && !output.stdout.is_empty() { Ok(took) } else { Err("a spawn gave nothing".into()) }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
