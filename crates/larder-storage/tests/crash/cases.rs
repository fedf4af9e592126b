//! The operations that are killed, failed, frozen and cut off, with what may be seen before and after each.

use larder_storage::{
    Durability, Eviction, Invalidation, Metadata, Prefix, Put, Scope, Store, Summary, Tag, Wait, Worth, put,
};

use crate::place::{BOOT, Place, key};

/// Where [`Change`] looks most of the time.
const OLD: &str = "docs/old";
/// One less than makes the record of invalidations full.
const RECORDS_NEARLY_FULL: usize = 1_023;

/// A temporary file that a sweep finds.
pub(crate) const DEAD_WRITERS: &str = "0123456789abcdef.7";

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Done,
    /// Published, but not known to be durable.
    NotDurable,
    Failed(String),
}

/// What a key shows before and after an operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    pub(crate) key: &'static str,
    pub(crate) old: Option<&'static str>,
    pub(crate) new: Option<&'static str>,
}

/// What kind of promise an operation makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    /// Old or new; after an error old. With its entry's path below the root when a file is published.
    Publish(&'static str),
    Remove,
    /// Old or new, also after an error.
    Invalidate,
    /// Nothing changes for readers.
    Tidy,
}

/// One operation.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// What other processes did before.
    pub(crate) before: fn(&Place, &Store),
    /// What its own process did before.
    pub(crate) warm: fn(&Store),
    pub(crate) act: fn(&Store) -> Ended,
    pub(crate) changes: &'static [Change],
    pub(crate) promise: Promise,
    /// Whether it survives a power cut once it has returned.
    pub(crate) durable: bool,
    /// The boot that its own process runs in.
    pub(crate) boot: u128,
    /// Whether others have used the root before.
    pub(crate) rooted: bool,
}

impl<T> From<Result<T, put::Error>> for Ended {
    fn from(result: Result<T, put::Error>) -> Self {
        match result {
            Ok(_) => Self::Done,
            Err(put::Error::NotDurable { .. }) => Self::NotDurable,
            Err(other) => Self::Failed(format!("{other:?}")),
        }
    }
}

impl Case {
    /// The root before the operation.
    pub(crate) fn set_up(&self, place: &Place) {
        let other = place.open(BOOT);
        if self.rooted {
            other.put(&key("docs/stay"), b"stay", &Put::new()).unwrap();
            other.put(&key("gone/was"), b"was", &Put::new()).unwrap();
            other.invalidate(&[Scope::Key(key("gone/was")).hard()]).unwrap();
        }
        (self.before)(place, &other);
    }

    /// A case of this name.
    pub(crate) fn named(name: &str) -> Self {
        all().into_iter().find(|case| case.name == name).unwrap()
    }
}

fn store_old(store: &Store) {
    let tagged = Metadata::new().with_tag("t").unwrap();
    store.put(&key(OLD), b"old", &Put::new().metadata(tagged)).unwrap();
}

fn put_new(store: &Store, at: &str, durability: Durability) -> Ended {
    store.put(&key(at), b"new", &Put::new().durability(durability)).into()
}

fn invalidate(store: &Store, invalidations: &[Invalidation]) -> Ended {
    match store.invalidate(invalidations) {
        Ok(_) => Ended::Done,
        Err(error) => Ended::Failed(format!("{error:?}")),
    }
}

const REPLACED: &[Change] = &[Change { key: OLD, old: Some("old"), new: Some("new") }];
const ADDED: &[Change] = &[Change { key: "deep/er/new", old: None, new: Some("new") }];
const REMOVED: &[Change] = &[Change { key: OLD, old: Some("old"), new: None }];
const FALLBACK: &[Change] = &[Change { key: OLD, old: Some("old"), new: Some("old~") }];
const IN_OLDS_PLACE: Promise = Promise::Publish("entries/docs/old.entry");
const IN_NEW_FOLDERS: Promise = Promise::Publish("entries/deep/er/new.entry");

const NOTHING: fn(&Store) = |_| {};

/// A put; the others differ from it.
fn base() -> Case {
    Case {
        name: "put over one's own entry",
        before: |_, _| {},
        warm: store_old,
        act: |store| put_new(store, OLD, Durability::Full),
        changes: REPLACED,
        promise: IN_OLDS_PLACE,
        durable: true,
        boot: BOOT,
        rooted: true,
    }
}

/// Every put, by the process's own name for it.
pub(crate) fn puts() -> Vec<Case> {
    let add = || Case { warm: NOTHING, changes: ADDED, promise: IN_NEW_FOLDERS, ..base() };
    let over_others = || Case { before: |_, other| store_old(other), warm: NOTHING, ..base() };
    let relaxed = |store: &Store| put_new(store, OLD, Durability::Relaxed);
    vec![
        base(),
        Case { name: "relaxed put over one's own entry", act: relaxed, durable: false, ..base() },
        Case { name: "put over another's entry", ..over_others() },
        Case { name: "relaxed put over another's entry", act: relaxed, durable: false, ..over_others() },
        Case {
            name: "put that makes the root",
            act: |store| put_new(store, "deep/er/new", Durability::Full),
            rooted: false,
            ..add()
        },
        Case { name: "put into new folders", act: |store| put_new(store, "deep/er/new", Durability::Full), ..add() },
        Case {
            name: "relaxed put into new folders",
            act: |store| put_new(store, "deep/er/new", Durability::Relaxed),
            durable: false,
            ..add()
        },
        Case {
            name: "put of what was fetched",
            act: |store| match store.token() {
                Ok(token) => store.put(&key(OLD), b"new", &Put::new().fetched_in(token)).into(),
                Err(error) => Ended::Failed(format!("{error:?}")),
            },
            ..over_others()
        },
        Case {
            name: "renewal",
            act: |store| {
                let entry = match store.get(&key(OLD)) {
                    Ok(entry) => entry.unwrap(),
                    Err(error) => return Ended::Failed(format!("{error:?}")),
                };
                let metadata = Metadata::new().with_attributes("renewed").unwrap();
                store.renew(&entry, &Put::new().metadata(metadata)).into()
            },
            changes: &[Change { key: OLD, old: Some("old"), new: Some("old\"renewed\"") }],
            ..over_others()
        },
    ]
}

/// Every removal.
pub(crate) fn removals() -> Vec<Case> {
    let remove = || Case { changes: REMOVED, promise: Promise::Remove, ..base() };
    vec![
        Case {
            name: "removal",
            act: |store| store.remove(&key(OLD), Durability::Full, &Wait::none()).into(),
            ..remove()
        },
        Case {
            name: "relaxed removal",
            act: |store| store.remove(&key(OLD), Durability::Relaxed, &Wait::none()).into(),
            durable: false,
            ..remove()
        },
    ]
}

/// An invalidation of what was there before.
fn invalidation() -> Case {
    Case {
        before: |_, other| store_old(other),
        warm: NOTHING,
        changes: FALLBACK,
        promise: Promise::Invalidate,
        ..base()
    }
}

/// The one invalidation that most cases make.
fn soft(store: &Store) -> Ended {
    invalidate(store, &[Scope::Key(key(OLD)).soft()])
}

/// Every invalidation.
pub(crate) fn invalidations() -> Vec<Case> {
    let mut cases = vec![
        Case { name: "first invalidation of a process", act: soft, ..invalidation() },
        Case {
            name: "later invalidation of a process",
            warm: |store| _ = store.invalidate(&[Scope::Key(key("other")).soft()]).unwrap(),
            act: |store| invalidate(store, &[Scope::Key(key(OLD)).hard()]),
            changes: REMOVED,
            ..invalidation()
        },
        Case {
            name: "invalidation of a prefix",
            act: |store| invalidate(store, &[Scope::Prefix(Prefix::new("docs/").unwrap()).soft()]),
            changes: &[
                Change { key: OLD, old: Some("old"), new: Some("old~") },
                Change { key: "docs/stay", old: Some("stay"), new: Some("stay~") },
            ],
            ..invalidation()
        },
        Case {
            name: "invalidation of a tag",
            act: |store| invalidate(store, &[Scope::Tag(Tag::new("t").unwrap()).hard()]),
            changes: REMOVED,
            ..invalidation()
        },
        Case {
            name: "invalidation of everything",
            act: |store| invalidate(store, &[Scope::All.soft()]),
            changes: &[
                Change { key: OLD, old: Some("old"), new: Some("old~") },
                Change { key: "docs/stay", old: Some("stay"), new: Some("stay~") },
            ],
            ..invalidation()
        },
        Case {
            name: "several invalidations at once",
            act: |store| {
                let others = ["x", "y"].map(|other| Scope::Key(key(other)).hard());
                invalidate(store, &[&others[..], &[Scope::Key(key(OLD)).soft()], &others[..]].concat())
            },
            ..invalidation()
        },
    ];
    cases.extend(invalidations_that_succeed_the_file());
    cases
}

/// Invalidations that must begin another file of the record first, or afterwards.
fn invalidations_that_succeed_the_file() -> Vec<Case> {
    vec![
        Case {
            name: "invalidation that folds",
            before: |_, other| {
                store_old(other);
                other.invalidate(&vec![Scope::Key(key("other")).soft(); RECORDS_NEARLY_FULL - 1]).unwrap();
            },
            act: soft,
            ..invalidation()
        },
        Case { name: "invalidation after a reboot", act: soft, boot: BOOT + 1, ..invalidation() },
        Case {
            name: "invalidation in a copied root",
            before: |place, other| {
                store_old(other);
                place.copy_stamps();
            },
            act: soft,
            ..invalidation()
        },
    ]
}

/// What tidies: nothing changes for readers.
pub(crate) fn tidying() -> Vec<Case> {
    let tidy = || Case { promise: Promise::Tidy, warm: NOTHING, durable: false, ..base() };
    vec![
        Case {
            name: "get that sets a damaged file aside",
            before: |place, other| {
                store_old(other);
                let mut content = place.read("entries/docs", "old.entry");
                *content.last_mut().unwrap() ^= 1;
                place.write("entries/docs", "old.entry", &content);
            },
            act: |store| match store.get(&key(OLD)) {
                Ok(None) => Ended::Done,
                Ok(Some(entry)) => panic!("{entry:?} is damaged"),
                Err(error) => Ended::Failed(format!("{error:?}")),
            },
            changes: &[Change { key: OLD, old: None, new: None }],
            ..tidy()
        },
        Case {
            name: "sweep",
            before: |place, other| {
                store_old(other);
                other.put(&key("empty/folder/of"), b"x", &Put::new()).unwrap();
                other.remove(&key("empty/folder/of"), Durability::Full, &Wait::none()).unwrap();
                place.write("tmp", DEAD_WRITERS, b"left behind");
            },
            act: |store| store.sweep().into(),
            changes: &[Change { key: OLD, old: Some("old"), new: Some("old") }],
            ..tidy()
        },
        Case {
            name: "eviction",
            before: |_, other| {
                store_old(other);
                other.put(&key("junk/of/others"), b"x", &Put::new()).unwrap();
            },
            act: |store| {
                let judge = |summary: &Summary| {
                    if summary.key.as_str().starts_with("junk/") { Worth::Expendable } else { Worth::Kept }
                };
                store.evict(&Eviction::new(&judge).all_expendable()).into()
            },
            changes: &[Change { key: OLD, old: Some("old"), new: Some("old") }],
            ..tidy()
        },
    ]
}

/// Two puts into one folder at once; which call is whose differs between runs.
pub(crate) fn shared_sync() -> Case {
    Case {
        name: "two puts into one folder at once",
        act: |store| {
            let ends: Vec<Ended> = std::thread::scope(|scope| {
                let put = |at| scope.spawn(move || put_new(store, at, Durability::Full));
                [put("deep/er/new"), put("deep/er/newer")].map(|thread| thread.join().unwrap()).into()
            });
            ends.into_iter().find(|end| *end != Ended::Done).unwrap_or(Ended::Done)
        },
        changes: &[
            Change { key: "deep/er/new", old: None, new: Some("new") },
            Change { key: "deep/er/newer", old: None, new: Some("new") },
        ],
        warm: NOTHING,
        // an error of one leaves the other's success
        promise: Promise::Invalidate,
        ..base()
    }
}

/// All of them.
pub(crate) fn all() -> Vec<Case> {
    let mut all = puts();
    all.extend(removals());
    all.extend(invalidations());
    all.extend(tidying());
    all.push(shared_sync());
    all
}
