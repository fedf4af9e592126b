//! Random operations against a plain map: the store does what the map does.

use std::collections::BTreeMap;

use larder_storage::{Durability, Invalidation, Metadata, Prefix, Scope, Severity, Standing, Store, Tag, Token, Wait};
use larder_testkit::Scratch;
use proptest::prelude::*;

use crate::shared::{key, relaxed};

const KEYS: [&str; 7] = ["a", "a/b", "a/b/c", "A", "a/bc", "x.entry/y", "é"];
const PREFIXES: [&str; 4] = ["", "a/", "a/b/", "x.entry/"];
const TAGS: [&str; 2] = ["one", "two"];

#[derive(Clone, Debug)]
enum Step {
    Put { key: usize, body: Vec<u8>, tag: Option<usize> },
    PutFetched { key: usize, body: Vec<u8>, token: usize },
    TakeToken,
    Renew { key: usize },
    Remove { key: usize },
    Invalidate { what: usize, hard: bool },
    Reopen,
    Sweep,
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..KEYS.len();
    let body = prop::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        4 => (key.clone(), body.clone(), prop::option::of(0..TAGS.len())).prop_map(|(key, body, tag)| Step::Put { key, body, tag }),
        2 => (key.clone(), body, 0..4_usize).prop_map(|(key, body, token)| Step::PutFetched { key, body, token }),
        1 => Just(Step::TakeToken),
        1 => key.clone().prop_map(|key| Step::Renew { key }),
        1 => key.prop_map(|key| Step::Remove { key }),
        3 => (0..KEYS.len() + PREFIXES.len() + TAGS.len(), any::<bool>()).prop_map(|(what, hard)| Step::Invalidate { what, hard }),
        1 => Just(Step::Reopen),
        1 => Just(Step::Sweep),
    ]
}

#[derive(Clone)]
struct Modelled {
    body: Vec<u8>,
    tag: Option<usize>,
    standing: Standing,
}

/// The invalidations so far, and how many of them a token has seen.
#[derive(Default)]
struct Model {
    entries: BTreeMap<usize, Modelled>,
    said: Vec<(usize, bool)>,
    tokens: Vec<(Token, usize)>,
}

fn covers(what: usize, key: usize, tag: Option<usize>) -> bool {
    if what < KEYS.len() {
        what == key
    } else if what < KEYS.len() + PREFIXES.len() {
        KEYS[key].starts_with(PREFIXES[what - KEYS.len()])
    } else {
        tag == Some(what - KEYS.len() - PREFIXES.len())
    }
}

fn scope(what: usize) -> Scope {
    if what < KEYS.len() {
        Scope::Key(key(KEYS[what]))
    } else if what < KEYS.len() + PREFIXES.len() {
        Scope::Prefix(Prefix::new(PREFIXES[what - KEYS.len()]).unwrap())
    } else {
        Scope::Tag(Tag::new(TAGS[what - KEYS.len() - PREFIXES.len()]).unwrap())
    }
}

fn run(store: &mut Store, model: &mut Model, path: &camino::Utf8Path, step: Step) {
    match step {
        Step::Put { key: at, body, tag } => {
            let metadata = tag.map_or_else(Metadata::new, |tag| Metadata::new().with_tag(TAGS[tag]).unwrap());
            store.put(&key(KEYS[at]), &body, &relaxed().metadata(metadata)).unwrap();
            model.entries.insert(at, Modelled { body, tag, standing: Standing::Current });
        }
        Step::PutFetched { key: at, body, token } => {
            let Some(&(token, seen)) = model.tokens.get(token) else { return };
            let fenced = model.said[seen..].iter().any(|&(what, _)| covers(what, at, None));
            let result = store.put(&key(KEYS[at]), &body, &relaxed().fetched_in(token));
            assert_eq!(result.is_err(), fenced, "{result:?}");
            if !fenced {
                model.entries.insert(at, Modelled { body, tag: None, standing: Standing::Current });
            }
        }
        Step::TakeToken => model.tokens.insert(0, (store.token().unwrap(), model.said.len())),
        Step::Renew { key: at } => {
            let Some(entry) = store.get_with_invalidated(&key(KEYS[at])).unwrap() else { return };
            store.renew(&entry, &relaxed()).unwrap();
            let known = model.entries.get_mut(&at).unwrap();
            (known.standing, known.tag) = (Standing::Current, None);
        }
        Step::Remove { key: at } => {
            let removed = store.remove(&key(KEYS[at]), Durability::Relaxed, &Wait::none()).unwrap();
            let known = model.entries.remove(&at);
            assert!(removed || known.is_none_or(|known| known.standing == Standing::Gone));
        }
        Step::Invalidate { what, hard } => {
            let severity = if hard { Severity::Hard } else { Severity::Soft };
            store.invalidate(&[Invalidation { scope: scope(what), severity }]).unwrap();
            model.said.push((what, hard));
            for (&at, known) in &mut model.entries {
                if covers(what, at, known.tag) && known.standing != Standing::Gone {
                    known.standing = if hard { Standing::Gone } else { Standing::Invalidated };
                }
            }
        }
        Step::Reopen => *store = Store::open(path).unwrap(),
        Step::Sweep => {
            store.sweep().unwrap();
        }
    }
}

fn compare(store: &Store, model: &Model) {
    for (at, text) in KEYS.iter().enumerate() {
        let expected = model.entries.get(&at).filter(|known| known.standing != Standing::Gone);
        let found = store.get_with_invalidated(&key(text)).unwrap();
        let found = found.as_ref().map(|entry| (entry.body().to_vec(), entry.standing()));
        assert_eq!(found, expected.map(|known| (known.body.clone(), known.standing)), "{text}");
    }
    for prefix in PREFIXES {
        let mut listed: Vec<String> = store
            .list(&Prefix::new(prefix).unwrap())
            .unwrap()
            .map(|summary| summary.unwrap().key.to_string())
            .collect();
        listed.sort();
        let mut expected: Vec<String> = model
            .entries
            .iter()
            .filter(|(at, known)| KEYS[**at].starts_with(prefix) && known.standing != Standing::Gone)
            .map(|(at, _)| KEYS[*at].to_owned())
            .collect();
        expected.sort();
        assert_eq!(listed, expected, "{prefix:?}");
    }
    assert_eq!(store.verify(false).unwrap().damaged, 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn the_store_does_what_a_map_does(steps in prop::collection::vec(step(), 1..40)) {
        let scratch = Scratch::new("model");
        let path = scratch.utf8_path().to_owned();
        let mut store = Store::open(&path).unwrap();
        let mut model = Model::default();
        let other = Store::open(&path).unwrap();
        for step in steps {
            run(&mut store, &mut model, &path, step);
        }
        compare(&store, &model);
        compare(&other, &model);
    }
}
