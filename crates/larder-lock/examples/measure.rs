//! Measures what a lock costs here: `cargo run --release -p larder-lock --example measure -- FOLDER`.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::panic,
    reason = "a measurement of the raw thing"
)]

use std::io::{BufRead as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use larder_lock::{Backend, Locks, Mode, Options, Wait};
use larder_system::{Disk as _, Open, SystemClock, SystemDisk};

const ROUNDS: u32 = 20_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [folder] => measure(&Utf8PathBuf::from(*folder)),
        ["hold", folder, backend] => hold(&Utf8PathBuf::from(*folder), backend),
        ["convoy", folder, backend] => convoy_member(&Utf8PathBuf::from(*folder), backend),
        _ => panic!("give one folder on the file system to measure"),
    }
}

fn open(folder: &Utf8PathBuf, backend: &str) -> Locks {
    let backend =
        if backend == "lease" { Backend::Lease { length: Duration::from_secs(2) } } else { Backend::Advisory };
    Locks::open(
        &folder.join(if backend == Backend::Advisory { "advisory" } else { "lease" }),
        Options::new().backend(backend),
    )
    .expect("the folder can be opened")
}

fn measure(folder: &Utf8PathBuf) {
    uncontended(folder);
    for backend in ["advisory", "lease"] {
        dead_holder(folder, backend);
        frozen_holder(folder, backend);
        hand_off(folder, backend);
        convoy(folder, backend);
        idle(folder, backend);
    }
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)];
    println!("{what:58} median {:>10.1?}  p99 {:>10.1?}", at(50), at(99));
}

fn times(rounds: u32, mut act: impl FnMut()) -> Vec<Duration> {
    (0..rounds / 100)
        .map(|_| {
            let start = Instant::now();
            (0..100).for_each(|_| act());
            start.elapsed() / 100
        })
        .collect()
}

fn uncontended(folder: &Utf8PathBuf) {
    let disk = SystemDisk::new();
    let root = disk.open_root(folder.as_std_path()).expect("the folder exists");
    let file = disk.open(&root, "raw".as_ref(), Open::CREATE_OR_OPEN).expect("a file can be made");
    let raw = || {
        assert!(disk.try_lock(&file, Mode::Exclusive).expect("flock"));
        disk.metadata(&file).expect("fstat");
        disk.unlock(&file).expect("unlock");
    };
    report("raw: kept descriptor, flock + fstat + unlock", times(ROUNDS, raw));
    let raw_recorded = || {
        assert!(disk.try_lock(&file, Mode::Exclusive).expect("flock"));
        disk.metadata(&file).expect("fstat");
        disk.write_at(&file, &[b' '; 512], 0).expect("pwrite");
        disk.unlock(&file).expect("unlock");
    };
    report("raw: the same with one pwrite", times(ROUNDS, raw_recorded));
    let shared_root = Arc::new(disk.open_root(folder.as_std_path()).expect("the folder exists"));
    for (what, options) in [
        ("kept descriptor", Options::new().record_holder(false).kept_descriptors(8)),
        ("kept descriptor, holder recorded", Options::new().kept_descriptors(8)),
        ("open and close", Options::new().record_holder(false)),
        ("open and close, holder recorded", Options::new()),
        ("lease", Options::new().backend(Backend::LEASE)),
    ] {
        let (disk, clock) = (Arc::new(SystemDisk::new()), Arc::new(SystemClock::new()));
        let locks = Locks::in_folder(disk, clock, Arc::clone(&shared_root), options);
        let wait = Wait::up_to(Duration::from_secs(5));
        let act = || drop(locks.acquire("react/hooks", Mode::Exclusive, &wait).expect("it is free"));
        report(what, times(ROUNDS, act));
    }
}

fn spawn(role: &str, folder: &Utf8PathBuf, backend: &str) -> Child {
    Command::new(std::env::current_exe().expect("a running program has a path"))
        .args([role, folder.as_str(), backend])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program can be run again")
}

fn hear(child: &mut Child) -> String {
    let mut byte = [0_u8];
    let mut line = Vec::new();
    let out = child.stdout.as_mut().expect("its output is a pipe");
    while std::io::Read::read(out, &mut byte).expect("a pipe can be read") == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    String::from_utf8(line).expect("it says text")
}

fn say(text: &str) {
    println!("{text}");
    std::io::stdout().flush().expect("somebody listens");
}

fn hold(folder: &Utf8PathBuf, backend: &str) {
    let locks = open(folder, backend);
    let guard = locks.acquire("contended", Mode::Exclusive, &Wait::forever()).expect("it can be had");
    say("held");
    let _ = std::io::stdin().lock().read_line(&mut String::new());
    // Before the release, on the clock that all processes share.
    let at = larder_system::Clock::monotonic(&SystemClock::new());
    drop(guard);
    say(&at.as_nanos().to_string());
}

fn dead_holder(folder: &Utf8PathBuf, backend: &str) {
    let locks = open(folder, backend);
    let times = (0..200)
        .map(|_| {
            let mut child = spawn("hold", folder, backend);
            hear(&mut child);
            std::thread::scope(|scope| {
                let waiter = scope.spawn(|| {
                    let guard = locks.acquire("contended", Mode::Exclusive, &Wait::forever()).expect("it can be had");
                    let at = Instant::now();
                    drop(guard);
                    at
                });
                std::thread::sleep(Duration::from_millis(5));
                let start = Instant::now();
                child.kill().expect("a child can be killed");
                child.wait().expect("a killed child ends");
                waiter.join().expect("the waiter ends").saturating_duration_since(start)
            })
        })
        .collect();
    report(&format!("{backend}: dead holder, until the waiter has the lock"), times);
}

fn frozen_holder(folder: &Utf8PathBuf, backend: &str) {
    let locks = open(folder, backend);
    let mut child = spawn("hold", folder, backend);
    hear(&mut child);
    let bound = Duration::from_millis(100);
    let late = (0..100)
        .map(|_| {
            // A holder that is merely idle is as slow to let go as a frozen one, and its lease stays alive.
            let start = Instant::now();
            locks.acquire("contended", Mode::Exclusive, &Wait::up_to(bound)).expect_err("it is held");
            start.elapsed().saturating_sub(bound)
        })
        .collect();
    report(&format!("{backend}: beyond a bound of 100 ms"), late);
    child.kill().expect("a child can be killed");
    child.wait().expect("a killed child ends");
}

fn hand_off(folder: &Utf8PathBuf, backend: &str) {
    let locks = open(folder, backend);
    let clock = SystemClock::new();
    let times = (0..200)
        .map(|_| {
            let mut child = spawn("hold", folder, backend);
            hear(&mut child);
            std::thread::scope(|scope| {
                let waiter = scope.spawn(|| {
                    let wait = Wait::up_to(Duration::from_secs(30));
                    let guard = locks.acquire("contended", Mode::Exclusive, &wait).expect("it can be had");
                    let at = larder_system::Clock::monotonic(&clock);
                    drop(guard);
                    at
                });
                std::thread::sleep(Duration::from_millis(5));
                child.stdin.as_mut().expect("its input is a pipe").write_all(b"\n").expect("it listens");
                let released = Duration::from_nanos(hear(&mut child).parse().expect("a time"));
                child.wait().expect("it ends");
                waiter.join().expect("the waiter ends").saturating_sub(released)
            })
        })
        .collect();
    report(&format!("{backend}: hand-off to a waiter with a timeout"), times);
}

fn convoy_member(folder: &Utf8PathBuf, backend: &str) {
    let locks = open(folder, backend);
    say("ready");
    for _ in 0..5 {
        let _ = std::io::stdin().lock().read_line(&mut String::new());
        let guard =
            locks.acquire("convoy", Mode::Exclusive, &Wait::up_to(Duration::from_secs(30))).expect("it can be had");
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(1) {
            std::thread::sleep(Duration::from_micros(940));
        }
        drop(guard);
        say("done");
    }
}

fn convoy(folder: &Utf8PathBuf, backend: &str) {
    let mut children: Vec<_> = (0..16).map(|_| spawn("convoy", folder, backend)).collect();
    for child in &mut children {
        hear(child);
    }
    let times = (0..5)
        .map(|_| {
            let start = Instant::now();
            for child in &mut children {
                child.stdin.as_mut().expect("its input is a pipe").write_all(b"\n").expect("it listens");
            }
            for child in &mut children {
                hear(child);
            }
            start.elapsed()
        })
        .collect();
    for child in &mut children {
        child.wait().expect("it ends");
    }
    report(&format!("{backend}: convoy of 16, each holding 1 ms"), times);
}

fn idle(folder: &Utf8PathBuf, backend: &str) {
    let mut holder = spawn("hold", folder, backend);
    hear(&mut holder);
    let mut waiters: Vec<_> = (0..16).map(|_| spawn("hold", folder, backend)).collect();
    std::thread::sleep(Duration::from_millis(500));
    let ticks = |waiters: &[Child]| -> u64 {
        let of = |child: &Child| {
            let threads = std::fs::read_dir(format!("/proc/{}/task", child.id())).expect("it runs");
            threads
                .map(|thread| {
                    let path = thread.expect("a listing").path().join("schedstat");
                    let stat = std::fs::read_to_string(path).unwrap_or_default();
                    stat.split(' ').next().and_then(|field| field.parse::<u64>().ok()).unwrap_or(0)
                })
                .sum::<u64>()
        };
        waiters.iter().map(of).sum()
    };
    let before = ticks(&waiters);
    std::thread::sleep(Duration::from_secs(3));
    let used = Duration::from_nanos(ticks(&waiters) - before);
    println!("{:58} {used:.1?} of processor time in 3 s", format!("{backend}: 16 waiting processes"));
    for child in waiters.iter_mut().chain([&mut holder]) {
        child.kill().expect("a child can be killed");
        child.wait().expect("a killed child ends");
    }
}
