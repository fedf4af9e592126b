//! Takes a lock, counts up what only its holder may touch, and lets go; or dies or freezes inside.

use std::time::Duration;

use larder_lock::Mode;
use larder_system::{Access, Create, Disk as _, Handle, Open, SystemDisk, read_exact_at, write_all_at};
use rustix::process::Signal;

use super::{LOCKS, lock_name};
use crate::facts::{Fact, Kind, Scribe};
use crate::failure::{Doing as _, Failure};
use crate::parts::{Locking, Refusal};
use crate::promise::Promise;
use crate::worker::{Worker, strike_self};

/// What may come on top of a bound on a machine with more to do than it can.
const SLACK: Duration = Duration::from_secs(20);
/// The bounds that a contender chooses from, in milliseconds.
const BOUNDS_MS: [u64; 4] = [0, 20, 100, 500];

/// One number in a file, without any protection of its own.
struct Counter {
    disk: SystemDisk,
    file: Handle,
}

pub(crate) fn play(worker: &mut Worker) -> Result<(), Failure> {
    let arena = worker.order.folder.clone();
    let locking = Locking::open(&arena.join("locks"), worker.order.sabotage)?;
    let scribe = Scribe::open(&arena)?;
    while !worker.end.has_come() {
        let number = u32::try_from(worker.seed.below(u64::from(LOCKS))).unwrap_or(0);
        let name = lock_name(number);
        let mode = if worker.seed.chance(1, 8) { Mode::Shared } else { Mode::Exclusive };
        let bound = Duration::from_millis(*worker.seed.pick(&BOUNDS_MS));
        let before = worker.end.now();
        let got = locking.acquire(&name, mode, bound);
        let took = worker.end.now().saturating_sub(before);
        judge_wait(worker, &name, bound, took, got.as_ref().err());
        if let Ok(held) = got {
            let counter = Counter::open(&arena, number)?;
            inside(worker, &scribe, &counter, number, mode)?;
            locking.release(held);
        }
        let pause = worker.seed.below(400);
        worker.end.pause(pause);
    }
    Ok(())
}

fn inside(worker: &mut Worker, scribe: &Scribe, counter: &Counter, number: u32, mode: Mode) -> Result<(), Failure> {
    let exclusive = u64::from(mode == Mode::Exclusive);
    let fact = Fact { kind: Kind::Enter, worker: worker.order.id, key: number, version: 0, extra: exclusive };
    scribe.append(fact)?;
    worker.voice.count("locks held");
    let count = counter.read()?;
    worker.end.pause(200 + worker.seed.below(600));
    // in the middle of what the lock protects
    match worker.seed.below(100) {
        0..2 => {
            worker.voice.flush();
            strike_self(Signal::KILL);
        }
        2..4 => {
            worker.voice.count("processes frozen");
            strike_self(Signal::STOP);
        }
        _ => {}
    }
    let count = count + exclusive;
    if mode == Mode::Exclusive {
        counter.write(count)?;
    }
    scribe.append(Fact { kind: Kind::Leave, extra: count, ..fact })
}

fn judge_wait(worker: &mut Worker, name: &str, bound: Duration, took: Duration, refusal: Option<&Refusal>) {
    let verdict = match refusal {
        Some(refusal) if !refusal.is_contention => {
            worker.judge(Promise::Works, name, Err(("a lock works".to_owned(), refusal.message.clone())));
            return;
        }
        _ if took > bound + SLACK => Err((format!("a wait of at most {bound:?}"), format!("it took {took:?}"))),
        _ => Ok(()),
    };
    if refusal.is_some() {
        worker.voice.count("locks not got within their bound");
    }
    worker.judge(Promise::Waits, name, verdict);
}

impl Counter {
    fn open(arena: &camino::Utf8Path, number: u32) -> Result<Self, Failure> {
        let disk = SystemDisk::new();
        let folder = disk.open_root(arena.as_std_path()).doing("open the arena")?;
        let how = Open { access: Access::ReadWrite, create: Create::IfAbsent };
        let file = disk.open(&folder, format!("counter-{number}").as_ref(), how).doing("open a counter")?;
        Ok(Self { disk, file })
    }

    fn read(&self) -> Result<u64, Failure> {
        let mut bytes = [0; 8];
        read_exact_at(&self.disk, &self.file, &mut bytes, 0).doing("read a counter")?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn write(&self, count: u64) -> Result<(), Failure> {
        write_all_at(&self.disk, &self.file, &count.to_le_bytes(), 0).doing("write a counter")
    }
}
