//! Four writers on one folder, killed with `kill -9` over and over, and one reader that judges every byte it gets.
//!
//! `cargo run --release -p larder-storage --example survive [SECONDS]`
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a program for a person, in real time")]

use std::error::Error;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use larder_storage::{Durability, Key, Put, Scope, Store};

const WRITERS: u64 = 4;
const KEYS: u64 = 6;

/// A document that tells who wrote it, so that a mixed or torn one shows.
fn document(writer: u64, round: u64) -> Vec<u8> {
    let length = 100 + (writer * 7_919 + round * 104_729) % 60_000;
    let mut document = format!("{writer} {round}\n").into_bytes();
    let seed = writer.wrapping_mul(1_000_003).wrapping_add(round);
    document.extend((0..length).map(|at| seed.wrapping_add(at).wrapping_mul(2_654_435_761).to_le_bytes()[1]));
    document
}

/// Whether these bytes are one writer's document, whole.
fn is_whole(bytes: &[u8]) -> bool {
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let mut numbers = std::str::from_utf8(line).unwrap_or_default().split(' ').map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(writer)), Some(Ok(round))) => document(writer, round) == bytes,
        _ => false,
    }
}

fn key(number: u64) -> Result<Key, Box<dyn Error>> {
    Ok(Key::new(format!("survive/{}", number % KEYS))?)
}

/// What each killed process does: puts, durable ones among them, and invalidations.
fn write_for_ever(root: &str, writer: u64) -> Result<(), Box<dyn Error>> {
    let store = Store::open(root)?;
    for round in 0.. {
        let durability = if round % 16 == 0 { Durability::Full } else { Durability::Relaxed };
        store.put(&key(round)?, &document(writer, round), &Put::new().durability(durability))?;
        if round % 50 == 0 {
            store.invalidate(&[Scope::Key(key(round)?).hard()])?;
        }
    }
    Ok(())
}

fn start(root: &str, writer: u64) -> Result<Child, Box<dyn Error>> {
    let program = std::env::current_exe()?;
    Ok(Command::new(program).args(["--writer", &writer.to_string(), root]).stderr(Stdio::null()).spawn()?)
}

fn survive(seconds: u64) -> Result<bool, Box<dyn Error>> {
    let root = format!("target/survive-{}", std::process::id());
    let store = Store::open(&root)?;
    let mut writers = (1..=WRITERS).map(|writer| start(&root, writer)).collect::<Result<Vec<_>, _>>()?;
    let (mut reads, mut hits, mut broken, mut kills) = (0_u64, 0_u64, 0_u64, 0_u64);
    let begun = Instant::now();
    let mut next_kill = Duration::from_millis(50);
    while begun.elapsed() < Duration::from_secs(seconds) {
        if let Some(entry) = store.get(&key(reads)?)? {
            hits += 1;
            broken += u64::from(!is_whole(entry.body()));
        }
        reads += 1;
        if begun.elapsed() >= next_kill {
            let victim = usize::try_from(kills % WRITERS)?;
            if let Some(writer) = writers.get_mut(victim) {
                writer.kill()?;
                writer.wait()?;
                *writer = start(&root, kills + WRITERS + 1)?;
            }
            kills += 1;
            next_kill += Duration::from_millis(25);
        }
    }
    for writer in &mut writers {
        writer.kill()?;
        writer.wait()?;
    }
    let verified = store.verify(false)?;
    let swept = store.sweep()?;
    println!("{reads} reads, {hits} documents, each judged byte by byte: {broken} torn or mixed");
    println!("{kills} writers killed with kill -9; {} leftovers of theirs swept", swept.temporaries);
    println!("full check: {} entries whole, {} damaged", verified.whole, verified.damaged);
    std::fs::remove_dir_all(&root)?;
    Ok(broken == 0 && verified.damaged == 0)
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, writer, root] = arguments.as_slice()
        && flag == "--writer"
    {
        write_for_ever(root, writer.parse()?)?;
    }
    let seconds = arguments.first().map_or(Ok(10), |text| text.parse())?;
    Ok(if survive(seconds)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
