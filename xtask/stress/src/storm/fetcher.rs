//! Fetches while others invalidate: in most rounds what it fetched is invalidated before it is put.

use std::time::Duration;

use larder_lock::Wait;
use larder_storage::{Durability, Invalidation, Key, Metadata, Put, Scope, Store};

use super::judge::{Judge, Reach};
use super::writer::{PATIENCE, judge_put};
use super::{GROUP, KEYS, reader};
use crate::facts::{Fact, Kind, Scribe};
use crate::failure::{Doing as _, Failure, chain};
use crate::parts::Shelf;
use crate::promise::Promise;
use crate::worker::Worker;

/// How long a fetch takes that waits to be overtaken, and how often it looks.
const OVERTAKEN_WITHIN: Duration = Duration::from_millis(12);
const LOOK_EVERY_US: u64 = 500;

/// What one process fetches and invalidates with.
struct Fetcher {
    shelf: Shelf,
    /// A store of its own, as another process would have.
    other: Store,
    judge: Judge,
    scribe: Scribe,
    number: u32,
}

pub(crate) fn play(worker: &mut Worker) -> Result<(), Failure> {
    let arena = worker.order.folder.clone();
    let root = arena.join("root");
    let mut fetcher = Fetcher {
        shelf: Shelf::open(&root, worker.order.sabotage)?,
        other: Store::open(&root).doing("open the store")?,
        judge: Judge::open(&arena, &worker.order.corpus)?,
        scribe: Scribe::open(&arena)?,
        number: 0,
    };
    while !worker.end.has_come() {
        let key = u32::try_from(worker.seed.below(u64::from(KEYS))).unwrap_or(0);
        fetcher.round(worker, key)?;
        let pause = worker.seed.below(1_000);
        worker.end.pause(pause);
    }
    Ok(())
}

impl Fetcher {
    /// One fetch, from its token to a look at what came of it.
    fn round(&mut self, worker: &mut Worker, key: u32) -> Result<(), Failure> {
        let version = self.next(worker);
        let (text, name) = self.judge.key(key)?;
        let fact = Fact { kind: Kind::Token, worker: worker.order.id, key, version, extra: 0 };
        let token = match self.shelf.store().token() {
            Ok(token) => token,
            Err(error) => {
                worker.judge(Promise::Works, &text, Err(("a token is taken".to_owned(), chain(&error))));
                return Ok(());
            }
        };
        self.scribe.append(fact)?;
        match worker.seed.below(10) {
            0..4 => self.invalidate(worker, key)?,
            4..7 => self.wait_to_be_overtaken(worker, key, version)?,
            _ => {}
        }
        let body = crate::document::make(self.judge.corpus(), &text, version);
        let tagged = Metadata::new().with_tag(format!("shelf-{}", key / GROUP)).doing("make a tag")?;
        let terms = Put::new().metadata(tagged).durability(Durability::Relaxed).wait(Wait::up_to(PATIENCE));
        self.scribe.append(Fact { kind: Kind::Begin, ..fact })?;
        let before = worker.end.now();
        let put = self.shelf.put_fetched(&name, &body, token, terms);
        let took = worker.end.now().saturating_sub(before);
        let kind = if put.is_ok() { Kind::Acknowledged } else { Kind::Refused };
        self.scribe.append(Fact { kind, ..fact })?;
        judge_put(worker, &text, &put, took);
        reader::read_one(worker, &self.shelf, &mut self.judge, key)
    }

    fn next(&mut self, worker: &Worker) -> u64 {
        self.number += 1;
        (u64::from(worker.order.id) << 32) | u64::from(self.number)
    }

    /// Invalidates the key, or what it is part of, as another process would.
    fn invalidate(&mut self, worker: &mut Worker, key: u32) -> Result<(), Failure> {
        let version = self.next(worker);
        let (text, name) = self.judge.key(key)?;
        let reach = match worker.seed.below(12) {
            0..6 => Reach::Key,
            6..9 => Reach::Prefix,
            9..11 => Reach::Tag,
            _ => Reach::All,
        };
        let invalidation = invalidation(reach, key, name, worker.seed.chance(1, 2))?;
        let kind = Kind::Invalidating;
        let fact = Fact { kind, worker: worker.order.id, key, version, extra: reach.number() };
        self.scribe.append(fact)?;
        let done = self.other.invalidate(&[invalidation]);
        if done.is_ok() {
            self.scribe.append(Fact { kind: Kind::Invalidated, ..fact })?;
            worker.voice.count("invalidations");
        }
        let verdict = done.map(|_| ()).map_err(|error| ("an invalidation works".to_owned(), chain(&error)));
        worker.judge(Promise::Works, &text, verdict);
        Ok(())
    }

    /// A slow fetch: until somebody has invalidated what it fetches, or for a while.
    fn wait_to_be_overtaken(&mut self, worker: &Worker, key: u32, version: u64) -> Result<(), Failure> {
        let until = worker.end.now() + OVERTAKEN_WITHIN;
        while worker.end.now() < until && !self.judge.is_fenced(key, version)? {
            worker.end.pause(LOOK_EVERY_US);
        }
        Ok(())
    }
}

fn invalidation(reach: Reach, key: u32, name: Key, hard: bool) -> Result<Invalidation, Failure> {
    let group = format!("shelf-{}", key / GROUP);
    let scope = match reach {
        Reach::Key => Scope::Key(name),
        Reach::Prefix => Scope::Prefix(format!("{group}/").parse().doing("make a prefix")?),
        Reach::Tag => Scope::Tag(larder_storage::Tag::new(group).doing("make a tag")?),
        Reach::All => Scope::All,
    };
    Ok(if hard { scope.hard() } else { scope.soft() })
}
