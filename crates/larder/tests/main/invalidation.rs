//! A get that begins after an invalidation has returned never gets an answer whose fetch began before it.

use larder::{Cache, Fetched, Invalidation, Scope, Tag, Terms};
use larder_storage::Store;

use crate::shared::{Fetching, Place, key, text, until_called, until_waiting};

/// What covers "a/b", when its terms have the tag "named" and its fetch the tag "brought".
fn scopes() -> [Scope; 5] {
    let tag = |name: &str| Scope::Tag(Tag::new(name).unwrap());
    [Scope::Key(key("a/b")), Scope::Prefix("a/".parse().unwrap()), tag("named"), tag("brought"), Scope::All]
}

fn terms() -> Terms {
    Terms::new().tag(Tag::new("named").unwrap())
}

/// As another process would.
fn invalidate(place: &Place, invalidation: Invalidation) {
    Store::open(place.root()).unwrap().invalidate(&[invalidation]).unwrap();
}

type Asking = tokio::task::JoinHandle<larder::Answer>;

/// Asks; the fetch brings the tag "brought".
fn ask(place: &Place, cache: &Cache) -> Asking {
    ask_for(place, cache, true)
}

fn ask_for(place: &Place, cache: &Cache, brings_tag: bool) -> Asking {
    let (cache, upstream) = (cache.clone(), place.upstream.clone());
    let fetch = move |context: larder::Context| -> Fetching {
        Box::pin(async move {
            let call = move || upstream.call(context.key.as_str());
            let answer = tokio::task::spawn_blocking(call).await??;
            let fetched = Fetched::new(answer.body);
            Ok(if brings_tag { fetched.tag(Tag::new("brought").unwrap()) } else { fetched })
        })
    };
    tokio::spawn(async move { cache.get_or_fetch_with(&key("a/b"), &terms(), fetch).await.unwrap() })
}

#[tokio::test]
async fn who_comes_after_an_invalidation_waits_for_the_older_fetch_and_makes_the_next() {
    for scope in scopes() {
        for invalidation in [scope.clone().soft(), scope.clone().hard()] {
            late(invalidation.clone(), true).await;
            if scope != Scope::Tag(Tag::new("brought").unwrap()) {
                late(invalidation, false).await;
            }
        }
    }
}

/// A caller, an invalidation, another caller, the answer.
async fn late(invalidation: Invalidation, brings_tag: bool) {
    let place = Place::new("invalidation-late");
    let cache = place.cache();
    let hold = place.upstream.hold();
    let early = ask_for(&place, &cache, brings_tag);
    until_called(&place.upstream, 1).await;
    invalidate(&place, invalidation.clone());
    let late = ask_for(&place, &cache, brings_tag);
    until_waiting(&cache, 2).await;
    drop(hold);
    let (early, late) = (early.await.unwrap(), late.await.unwrap());
    assert_eq!((text(&early), early.outcome.stored), ("a/b, call 1", Some(false)), "{invalidation:?}");
    assert!(early.outcome.to_string().contains("invalidated while"), "{}", early.outcome);
    assert_eq!((text(&late), late.outcome.stored), ("a/b, call 2", Some(true)), "{invalidation:?}");
    assert_eq!(place.upstream.in_flight_max(), 1);
}

/// Two callers that ask, an invalidation, the answer: which calls answered them, and whether it was stored.
async fn two_before(scope: Scope, brings_tag: bool) -> Vec<(String, Option<bool>)> {
    let place = Place::new("invalidation-early");
    let cache = place.cache();
    let hold = place.upstream.hold();
    let asking = [ask_for(&place, &cache, brings_tag), ask_for(&place, &cache, brings_tag)];
    until_called(&place.upstream, 1).await;
    until_waiting(&cache, 2).await;
    invalidate(&place, scope.hard());
    drop(hold);
    let mut answers = Vec::new();
    for asking in asking {
        let answer = asking.await.unwrap();
        answers.push((text(&answer).to_owned(), answer.outcome.stored));
    }
    answers.sort_unstable();
    answers
}

#[tokio::test]
async fn who_came_before_an_invalidation_gets_the_older_answer_marked_as_not_stored() {
    for scope in scopes().into_iter().filter(|scope| *scope != Scope::Tag(Tag::new("brought").unwrap())) {
        let older = ("a/b, call 1".to_owned(), Some(false));
        assert_eq!(two_before(scope, false).await, [older.clone(), older]);
    }
}

#[tokio::test]
async fn who_has_joined_takes_no_answer_with_tags_it_did_not_know_of_once_anything_is_invalidated() {
    for scope in scopes() {
        let (older, newer) = (("a/b, call 1".to_owned(), Some(false)), ("a/b, call 2".to_owned(), Some(true)));
        assert_eq!(two_before(scope, true).await, [older, newer]);
    }
}

#[tokio::test]
async fn an_invalidation_of_something_else_changes_nothing() {
    let place = Place::new("invalidation-other");
    let cache = place.cache();
    let hold = place.upstream.hold();
    let first = ask(&place, &cache);
    until_called(&place.upstream, 1).await;
    for scope in [Scope::Key(key("a")), Scope::Key(key("a/b/c")), Scope::Prefix("a/b/".parse().unwrap())] {
        invalidate(&place, scope.hard());
    }
    let second = ask(&place, &cache);
    until_waiting(&cache, 2).await;
    drop(hold);
    for answer in [first.await.unwrap(), second.await.unwrap()] {
        assert_eq!((text(&answer), answer.outcome.stored), ("a/b, call 1", Some(true)));
    }
}

#[tokio::test]
async fn a_hard_invalidation_is_seen_by_the_next_get_from_memory_and_a_soft_one_too() {
    let place = Place::new("invalidation-memory");
    let cache = place.cache();
    for scope in scopes() {
        for invalidation in [scope.clone().soft(), scope.clone().hard()] {
            ask(&place, &cache).await.unwrap();
            for _ in 0..2 {
                assert!(cache.get(&key("a/b")).await.unwrap().is_some());
            }
            cache.invalidate(&[invalidation]).await.unwrap();
            assert!(cache.get(&key("a/b")).await.unwrap().is_none(), "{scope:?}");
        }
    }
}
