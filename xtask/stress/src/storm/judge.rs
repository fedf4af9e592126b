//! The judge of what is read: what the facts so far demand, and whether a reading meets it.
//!
//! All that counts is the order of facts. A version whose end (acknowledged, refused, or its writer dead) lies before the
//! beginning of an acknowledged one can never be read again after that acknowledgement; nor after the newer one was read.
//! A version whose token was taken before the beginning of an invalidation can never be read after the acknowledgement
//! of that invalidation.

use std::collections::HashMap;

use camino::Utf8Path;
use larder_storage::Key;

use super::{GROUP, KEYS, key_text};
use crate::corpus::Corpus;
use crate::document;
use crate::facts::{Fact, Follower, Kind};
use crate::failure::{Doing as _, Failure};
use crate::promise::Promise;
use crate::worker::Worker;

/// What an invalidation covers, as facts say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    Key,
    Prefix,
    Tag,
    All,
}

impl Reach {
    pub(super) const ALL: [Self; 4] = [Self::Key, Self::Prefix, Self::Tag, Self::All];

    pub(super) const fn number(self) -> u64 {
        self as u64
    }

    fn covers(number: u64, named: u32, key: u32) -> bool {
        match Self::ALL.into_iter().find(|reach| reach.number() == number) {
            Some(Self::Key) => named == key,
            Some(Self::Prefix | Self::Tag) => named / GROUP == key / GROUP,
            Some(Self::All) | None => true,
        }
    }
}

/// What is known of one version of a key.
#[derive(Clone, Copy, Debug, Default)]
struct Version {
    begin: Option<u64>,
    end: Option<u64>,
    token: Option<u64>,
}

/// A place in the facts, and the version or invalidation that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Bar {
    at: u64,
    by: u64,
}

/// What is known of one key.
#[derive(Debug, Default)]
struct Shelf {
    versions: HashMap<u64, Version>,
    /// The latest beginning of a version that was acknowledged.
    acknowledged: Option<Bar>,
    /// The latest beginning of a version that this judge has seen read.
    seen: Option<Bar>,
    /// The latest beginning of an acknowledged invalidation.
    fence: Option<Bar>,
}

/// What a get that begins now must meet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand {
    key: u32,
    acknowledged: Option<Bar>,
    seen: Option<Bar>,
    fence: Option<Bar>,
}

/// Follows the facts of one arena, and judges readings by them.
#[derive(Debug)]
pub(super) struct Judge {
    follower: Follower,
    corpus: Corpus,
    keys: Vec<(String, Key)>,
    shelves: Vec<Shelf>,
    /// What each process has begun and not ended: at most one version.
    open: HashMap<u32, (u32, u64)>,
    invalidations: HashMap<u64, u64>,
    /// Whether acknowledged documents must be there: nothing is invalidated in this arena.
    must_be_there: bool,
}

impl Judge {
    pub(super) fn open(arena: &Utf8Path, corpus: &Utf8Path) -> Result<Self, Failure> {
        let mut keys = Vec::new();
        for number in 0..KEYS {
            let text = key_text(number);
            let key = text.parse().doing("make a key")?;
            keys.push((text, key));
        }
        let shelves = keys.iter().map(|_| Shelf::default()).collect();
        Ok(Self {
            follower: Follower::open(arena)?,
            corpus: Corpus::open(corpus)?,
            keys,
            shelves,
            open: HashMap::new(),
            invalidations: HashMap::new(),
            must_be_there: arena.file_name() == Some("puts"),
        })
    }

    pub(super) fn corpus(&self) -> &Corpus {
        &self.corpus
    }

    /// The text of the key of a number, and the key.
    pub(super) fn key(&self, number: u32) -> Result<(String, Key), Failure> {
        let key = self.keys.get(usize::try_from(number).unwrap_or(usize::MAX));
        key.cloned().ok_or("no such key").doing("choose a key")
    }

    /// To be called right before a get begins: what it must meet.
    pub(super) fn demand(&mut self, key: u32) -> Result<Demand, Failure> {
        self.catch_up()?;
        let shelf = self.shelves.get(usize::try_from(key).unwrap_or(usize::MAX));
        let shelf = shelf.ok_or("no such key").doing("choose a key")?;
        Ok(Demand { key, acknowledged: shelf.acknowledged, seen: shelf.seen, fence: shelf.fence })
    }

    /// Whether an invalidation that was acknowledged by now covers what `version` of `key` was fetched in.
    pub(super) fn is_fenced(&mut self, key: u32, version: u64) -> Result<bool, Failure> {
        self.catch_up()?;
        let shelf = self.shelves.get(usize::try_from(key).unwrap_or(usize::MAX));
        Ok(shelf.is_some_and(|shelf| {
            let token = shelf.versions.get(&version).and_then(|version| version.token);
            matches!((token, shelf.fence), (Some(token), Some(fence)) if token < fence.at)
        }))
    }

    /// Judges what a get has read that began after `demand`.
    pub(super) fn judge(
        &mut self,
        worker: &mut Worker,
        demand: Demand,
        body: Option<&[u8]>,
        from_memory: bool,
    ) -> Result<(), Failure> {
        let (text, _) = self.key(demand.key)?;
        let Some(body) = body else {
            if self.must_be_there {
                let verdict = demand.acknowledged.map_or(Ok(()), |bar| {
                    Err((
                        format!("{} or a later one: it was acknowledged", document::name(bar.by)),
                        "absent".to_owned(),
                    ))
                });
                worker.judge(Promise::Kept, &text, verdict);
            }
            return Ok(());
        };
        if self.must_be_there {
            worker.judge(Promise::Kept, &text, Ok(()));
        }
        let version = match document::judge(&self.corpus, &text, body) {
            Ok(version) => version,
            Err(wrong) => {
                worker.judge(Promise::Whole, &text, Err(("a document that was put, whole".to_owned(), wrong)));
                return Ok(());
            }
        };
        // it may have begun after the demand was made
        self.catch_up()?;
        let shelf = self.shelves.get_mut(usize::try_from(demand.key).unwrap_or(usize::MAX));
        let shelf = shelf.ok_or("no such key").doing("choose a key")?;
        let known = shelf.versions.get(&version).copied().unwrap_or_default();
        let whole = match known.begin {
            Some(_) => Ok(()),
            None => Err(("a version that was put".to_owned(), format!("{}, which was not", document::name(version)))),
        };
        if let Some(at) = known.begin {
            shelf.seen = shelf.seen.max(Some(Bar { at, by: version }));
        }
        worker.judge(Promise::Whole, &text, whole);
        worker.judge(Promise::Order, &text, in_order(demand, known, version));
        let fenced = within_fence(demand, known, version);
        let coherent = in_order(demand, known, version).and(fenced.clone());
        if known.token.is_some() {
            worker.judge(Promise::Fence, &text, fenced);
        }
        if from_memory {
            worker.judge(Promise::Memory, &text, coherent);
        }
        Ok(())
    }

    fn catch_up(&mut self) -> Result<(), Failure> {
        let now = self.follower.now()?;
        let Self { follower, shelves, open, invalidations, .. } = self;
        follower.follow(now, |at, fact| hear(shelves, open, invalidations, at, fact))
    }
}

/// No version that had ended before a newer one began, which was acknowledged or seen before the get began.
fn in_order(demand: Demand, known: Version, version: u64) -> Result<(), (String, String)> {
    let Some(end) = known.end else { return Ok(()) };
    for (bar, why) in [(demand.acknowledged, "acknowledged"), (demand.seen, "seen")] {
        if let Some(bar) = bar.filter(|bar| end < bar.at) {
            let expected = format!("{} or a later one: it was {why} before this get began", document::name(bar.by));
            let seen = format!(
                "{}, which was over (fact {end}) before that one began (fact {})",
                document::name(version),
                bar.at
            );
            return Err((expected, seen));
        }
    }
    Ok(())
}

/// No version whose fetch began before an invalidation that was acknowledged before the get began.
fn within_fence(demand: Demand, known: Version, version: u64) -> Result<(), (String, String)> {
    match (known.token, demand.fence) {
        (Some(token), Some(fence)) if token < fence.at => Err((
            format!("nothing fetched before the invalidation that began at fact {} and is acknowledged", fence.at),
            format!("{}, whose token was taken before fact {token}", document::name(version)),
        )),
        _ => Ok(()),
    }
}

fn hear(
    shelves: &mut [Shelf],
    open: &mut HashMap<u32, (u32, u64)>,
    invalidations: &mut HashMap<u64, u64>,
    at: u64,
    fact: Fact,
) {
    let Fact { kind, worker, key, version, extra } = fact;
    if kind == Kind::Dead {
        if let Some((key, version)) = open.remove(&worker)
            && let Some(known) = version_of(shelves, key, version)
        {
            known.end.get_or_insert(at);
        }
        return;
    }
    match kind {
        Kind::Begin => {
            open.insert(worker, (key, version));
            if let Some(known) = version_of(shelves, key, version) {
                known.begin = Some(at);
            }
        }
        Kind::Acknowledged => {
            open.remove(&worker);
            let known = version_of(shelves, key, version);
            let begin = known.and_then(|known| {
                known.end = Some(at);
                known.begin
            });
            if let (Some(begin), Some(shelf)) = (begin, shelves.get_mut(usize::try_from(key).unwrap_or(usize::MAX))) {
                shelf.acknowledged = shelf.acknowledged.max(Some(Bar { at: begin, by: version }));
            }
        }
        Kind::Refused => {
            open.remove(&worker);
            if let Some(known) = version_of(shelves, key, version) {
                known.end = Some(at);
            }
        }
        Kind::Token => {
            if let Some(known) = version_of(shelves, key, version) {
                known.token = Some(at);
            }
        }
        Kind::Invalidating => _ = invalidations.insert(version, at),
        Kind::Invalidated => {
            if let Some(begin) = invalidations.remove(&version) {
                for (number, shelf) in (0..).zip(shelves.iter_mut()) {
                    if Reach::covers(extra, key, number) {
                        shelf.fence = shelf.fence.max(Some(Bar { at: begin, by: version }));
                    }
                }
            }
        }
        Kind::Enter | Kind::Leave | Kind::Dead | Kind::Counting | Kind::Counted => {}
    }
}

fn version_of(shelves: &mut [Shelf], key: u32, version: u64) -> Option<&mut Version> {
    let shelf = shelves.get_mut(usize::try_from(key).unwrap_or(usize::MAX))?;
    Some(shelf.versions.entry(version).or_default())
}
