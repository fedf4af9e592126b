//! What the children of these tests do.

use std::sync::Arc;

use larder_lock::{Mode, Wait, helper_count};
use larder_testkit::child::{Args, hear, say};

use crate::stage::{OnStart, SHORT, backend_of, open, patient};

pub(crate) fn play(role: &str, args: &Args) {
    match role {
        "hold" => hold(args),
        "increment" => increment(args),
        "mark" => mark(args),
        "umask" => umask(args),
        "linger" => linger(args),
        "crowd" => crowd(args),
        "leave" => leave(args),
        "lend" => lend(args),
        other => panic!("no role {other:?}"),
    }
}

fn mode(args: &Args) -> Mode {
    if args.get("mode") == "shared" { Mode::Shared } else { Mode::Exclusive }
}

/// Says when it waits and when it holds, and does what it hears: `check`, `release`.
fn hold(args: &Args) {
    let locks = open(args.get("folder").into(), backend_of(args.get("backend")));
    let wait = patient().observed_by(Arc::new(OnStart(|| say("waiting"))));
    let guard = locks.acquire(args.get("name"), mode(args), &wait).unwrap();
    say("held");
    while let Some(line) = hear() {
        match line.as_str() {
            "check" => say(&guard.check().map_or_else(|error| error.to_string(), |()| "fine".to_owned())),
            "token" => say(&guard.token().map_or_else(|| "none".to_owned(), |token| token.to_string())),
            "release" => break,
            "yield" => {
                drop(guard);
                say("yielded");
                hear();
                return;
            }
            other => panic!("cannot {other:?}"),
        }
    }
    drop(guard);
    say("released");
}

/// Starts a program that has the lock until a file called `end` appears, or a minute has passed.
fn lend(args: &Args) {
    let locks = open(args.get("folder").into(), backend_of(args.get("backend")));
    let guard = locks.acquire(args.get("name"), mode(args), &patient()).unwrap();
    let script = format!("for i in $(seq 3000); do test -e {}/end && exit; sleep 0.02; done", args.get("folder"));
    let borrower = std::process::Command::new("sh").args(["-c", &script]).stdin(guard.lend().unwrap().unwrap()).spawn();
    say("lent");
    hear();
    borrower.unwrap().wait().unwrap();
}

/// Adds one to a file, as often as told, each time under the lock.
fn increment(args: &Args) {
    let locks = open(args.get("folder").into(), backend_of(args.get("backend")));
    let file = format!("{}/count", args.get("folder"));
    for _ in 0..args.parse::<u32>("times") {
        let guard = locks.acquire("count", Mode::Exclusive, &patient()).unwrap();
        let count: u32 = std::fs::read_to_string(&file).unwrap().parse().unwrap();
        std::fs::write(&file, (count + 1).to_string()).unwrap();
        drop(guard);
    }
}

/// Takes the lock and leaves a mark that nobody else may find: holds until it is killed.
fn mark(args: &Args) {
    let locks = open(args.get("folder").into(), backend_of(args.get("backend")));
    let wait = patient().observed_by(Arc::new(OnStart(|| say("waiting"))));
    let _guard = locks.acquire("mark", Mode::Exclusive, &wait).unwrap();
    say("held");
    // The parent never says anything: it kills.
    hear();
}

/// Takes and releases a lock under a umask that forbids everything.
fn umask(args: &Args) {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o777));
    let locks = open(args.get("folder").into(), backend_of(args.get("backend")));
    drop(locks.acquire("closed", Mode::Exclusive, &patient()).unwrap());
}

/// Waits for a lock that another process holds, twice, and says how many helpers that took.
fn linger(args: &Args) {
    let locks = open(args.get("folder").into(), backend_of("advisory"));
    for _ in 0..3 {
        locks.acquire("lingering", Mode::Exclusive, &Wait::up_to(SHORT)).unwrap_err();
        say(&format!("helpers {}", helper_count()));
    }
    // With the other mode the one that lingers is of no use, and a second one is not hired.
    locks.acquire("lingering", Mode::Shared, &Wait::up_to(SHORT)).unwrap_err();
    say(&format!("helpers {}", helper_count()));
    hear();
    let guard = locks.acquire("lingering", Mode::Exclusive, &patient()).unwrap();
    drop(guard);
    while helper_count() > 0 {
        std::thread::yield_now();
    }
    // Whatever the helper got late, it has let go of.
    drop(locks.acquire("lingering", Mode::Exclusive, &Wait::none()).unwrap());
    say("free");
}

/// Waits for more locks at once than there may be helpers.
fn crowd(args: &Args) {
    let locks = open(args.get("folder").into(), backend_of("advisory"));
    let count: usize = args.parse("count");
    let got = std::thread::scope(|scope| {
        let waiters: Vec<_> = (0..count)
            .map(|number| {
                let locks = &locks;
                let wait = patient().observed_by(Arc::new(OnStart(move || say("waiting"))));
                scope.spawn(move || locks.acquire(&number.to_string(), Mode::Exclusive, &wait).is_ok())
            })
            .collect();
        hear();
        say(&format!("helpers {}", helper_count()));
        waiters.into_iter().map(|waiter| waiter.join().unwrap()).filter(|got| *got).count()
    });
    say(&format!("got {got}"));
}

/// Gives up on a lock and ends, with its helper still waiting.
fn leave(args: &Args) {
    let locks = open(args.get("folder").into(), backend_of("advisory"));
    locks.acquire("a", Mode::Exclusive, &Wait::up_to(SHORT)).unwrap_err();
    assert_eq!(helper_count(), 1);
}
