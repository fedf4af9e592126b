//! Documents that are made from files.

use std::time::Duration;

use larder::{Cache, Fetched, Level, Paths, Prefix, Scope, Tag, Terms};

use crate::shared::{Place, fetch_from, key, no_fetch, text, until, until_called, until_waiting};

/// A file, and terms that name it.
struct Made {
    place: Place,
    terms: Terms,
}

impl Made {
    fn new(name: &str) -> Self {
        let place = Place::new(name);
        let paths = Paths::new([place.scratch.join("file")]).unwrap();
        let made = Self { place, terms: Terms::new().depends(&paths) };
        made.write("one");
        made
    }

    #[expect(clippy::disallowed_methods, reason = "the user's file")]
    fn write(&self, text: &str) {
        std::fs::write(self.place.scratch.join("file"), text).unwrap();
    }

    async fn ask(&self, cache: &Cache) -> larder::Answer {
        self.place.ask_with(cache, "k", &self.terms).await
    }
}

#[tokio::test]
async fn a_document_is_fetched_anew_when_a_file_changes_and_not_before() {
    let made = Made::new("depends");
    let cache = made.place.cache();
    assert_eq!(text(&made.ask(&cache).await), "k, call 1");
    for level in [Level::Disk, Level::Memory, Level::Memory] {
        let hit = made.ask(&cache).await;
        assert_eq!((text(&hit), hit.outcome.is_hit(), hit.outcome.level), ("k, call 1", true, level));
    }
    // a touch
    made.write("one");
    assert_eq!(text(&made.ask(&cache).await), "k, call 1");
    made.write("two");
    let fetched = made.ask(&cache).await;
    assert_eq!(text(&fetched), "k, call 2");
    assert!(fetched.outcome.to_string().contains("file has changed"), "{}", fetched.outcome);
    assert_eq!(text(&made.ask(&cache).await), "k, call 2");
}

#[tokio::test]
async fn who_names_no_files_gets_no_copy_whose_files_have_changed_either() {
    let made = Made::new("depends-unnamed");
    let cache = made.place.cache();
    made.ask(&cache).await;
    for _ in 0..3 {
        assert_eq!(text(&made.place.ask(&cache, "k").await), "k, call 1");
        assert!(cache.get(&key("k")).await.unwrap().is_some());
    }
    made.write("two");
    assert!(cache.get(&key("k")).await.unwrap().is_none());
    assert_eq!(text(&made.place.ask(&cache, "k").await), "k, call 2");
}

#[tokio::test]
async fn who_names_a_file_gets_no_copy_that_was_stored_without_it_also_from_memory() {
    let made = Made::new("depends-more");
    let cache = made.place.cache();
    for _ in 0..3 {
        assert_eq!(text(&made.place.ask(&cache, "k").await), "k, call 1");
    }
    assert_eq!(text(&made.ask(&cache).await), "k, call 2");
    assert_eq!(text(&made.ask(&cache).await), "k, call 2");
}

#[tokio::test]
async fn what_changes_while_it_is_fetched_counts() {
    let made = Made::new("depends-meanwhile");
    let cache = made.place.cache();
    let file = made.place.scratch.join("file");
    let fetch = |_| async move {
        #[expect(clippy::disallowed_methods, reason = "the user's file")]
        std::fs::write(file, "two").unwrap();
        Ok(Fetched::new("made from one"))
    };
    cache.get_or_fetch_with(&key("k"), &made.terms, fetch).await.unwrap();
    assert_eq!(text(&made.ask(&cache).await), "k, call 1");
    assert_eq!(text(&made.ask(&cache).await), "k, call 1");
}

#[tokio::test]
async fn who_comes_after_a_change_joins_no_fetch_that_began_before() {
    let made = Made::new("depends-join");
    let (cache, upstream) = (made.place.cache(), made.place.upstream.clone());
    let hold = upstream.hold();
    let first = tokio::spawn({
        let (cache, terms, fetch) = (cache.clone(), made.terms.clone(), made.place.fetch());
        async move { cache.get_or_fetch_with(&key("k"), &terms, fetch).await.unwrap() }
    });
    until_called(&upstream, 1).await;
    made.write("two");
    let second = tokio::spawn({
        let (cache, terms, fetch) = (cache.clone(), made.terms.clone(), made.place.fetch());
        async move { cache.get_or_fetch_with(&key("k"), &terms, fetch).await.unwrap() }
    });
    until_waiting(&cache, 2).await;
    drop(hold);
    assert_eq!(text(&first.await.unwrap()), "k, call 1");
    assert_eq!(text(&second.await.unwrap()), "k, call 2");
}

#[tokio::test]
async fn what_another_process_fetched_counts_by_its_files() {
    let made = Made::new("depends-other");
    let (one, other) = (made.place.cache(), made.place.cache());
    made.ask(&one).await;
    made.ask(&other).await;
    made.ask(&other).await;
    made.write("two");
    assert_eq!(text(&made.ask(&one).await), "k, call 2");
    assert_eq!(text(&made.ask(&other).await), "k, call 2");
}

#[tokio::test]
async fn a_document_whose_files_cannot_be_read_is_given_and_not_stored() {
    let made = Made::new("depends-unreadable");
    let cache = made.place.cache();
    let own = Paths::new([made.place.root().join("entries")]).unwrap();
    let terms = Terms::new().depends(&own);
    for call in 1..=2 {
        let answer = made.place.ask_with(&cache, "k", &terms).await;
        assert_eq!(text(&answer), format!("k, call {call}"));
        let outcome = answer.outcome.to_string();
        assert!(answer.outcome.stored == Some(false) && outcome.contains("the cache's own folder"), "{outcome}");
    }
    assert!(cache.put(&key("k"), "text", &terms).await.is_err());
}

#[tokio::test]
async fn an_old_copy_is_given_offline_and_in_an_outage_and_says_so() {
    let made = Made::new("depends-fallback");
    let cache = made.place.cache();
    let terms = made.terms.clone().stale_if_error(Duration::from_secs(3_600));
    made.place.ask_with(&cache, "k", &terms).await;
    made.write("two");
    let offline = cache.get_or_fetch_with(&key("k"), &terms.clone().offline(), no_fetch).await.unwrap();
    assert!(offline.outcome.stale && text(&offline) == "k, call 1");
    made.place.upstream.fails("no route");
    let fallen = made.place.ask_with(&cache, "k", &terms).await;
    assert!(fallen.outcome.stale && text(&fallen) == "k, call 1");
}

#[tokio::test]
async fn a_document_that_is_put_depends_on_files_as_they_are_then() {
    let made = Made::new("depends-put");
    let cache = made.place.cache();
    cache.put(&key("k"), "mine", &made.terms).await.unwrap();
    assert_eq!(text(&made.ask(&cache).await), "mine");
    made.write("two");
    assert_eq!(text(&made.ask(&cache).await), "k, call 1");
}

#[tokio::test]
async fn who_comes_after_a_change_takes_nothing_from_another_process_that_began_before() {
    // stored for a while, and handed on without a place in the store
    for ttl in [Duration::from_secs(3_600), Duration::ZERO] {
        let made = Made::new("depends-elsewhere");
        let (one, other, upstream) = (made.place.cache(), made.place.cache(), made.place.upstream.clone());
        let terms = made.terms.clone().ttl(ttl);
        let ask = |cache: &Cache| {
            let (cache, terms, fetch) = (cache.clone(), terms.clone(), made.place.fetch());
            tokio::spawn(async move { cache.get_or_fetch_with(&key("k"), &terms, fetch).await.unwrap() })
        };
        let hold = upstream.hold();
        let first = ask(&one);
        until_called(&upstream, 1).await;
        made.write("two");
        let second = ask(&other);
        until(async || other.stats().await.unwrap().elsewhere == 1).await;
        drop(hold);
        assert_eq!(text(&first.await.unwrap()), "k, call 1");
        assert_eq!(text(&second.await.unwrap()), "k, call 2", "{ttl:?}");
    }
}

#[tokio::test]
async fn a_refresher_finds_what_has_changed_and_what_it_brings_has_tags_class_and_files_of_the_copy() {
    let made = Made::new("depends-refresher");
    let cache = made.place.builder().memory_bytes_max(0).build().unwrap();
    let terms = made.terms.clone().tag(Tag::new("t").unwrap()).class("stable").ttl(Duration::from_secs(1 << 30));
    made.place.ask_with(&cache, "k", &terms).await;
    made.place.ask_with(&cache, "other", &Terms::new()).await;
    let upstream = std::sync::Arc::clone(&made.place.upstream);
    let refresher = cache.refresher(move |context| fetch_from(&upstream)(context));
    assert_eq!(refresher.add_due(&Prefix::new("").unwrap()).await.unwrap(), 0);
    made.write("two");
    assert_eq!(refresher.add_due(&Prefix::new("").unwrap()).await.unwrap(), 1);
    let report = refresher.run(u64::MAX, std::future::pending()).await.unwrap();
    assert_eq!((report.refreshed, report.already, made.place.upstream.calls()), (1, 0, 3), "{report:?}");
    assert_eq!(text(&made.ask(&cache).await), "k, call 3");
    // it depends on the file as the one before did
    made.write("three");
    assert!(cache.get(&key("k")).await.unwrap().is_none());
    made.write("two");
    let answer = cache.get(&key("k")).await.unwrap().unwrap();
    let about: larder_upstream::About = answer.metadata.attributes().unwrap().unwrap();
    assert_eq!(about.class.as_deref(), Some("stable"));
    cache.invalidate(&[Scope::Tag(Tag::new("t").unwrap()).hard()]).await.unwrap();
    assert!(cache.get(&key("k")).await.unwrap().is_none());
    assert!(cache.get(&key("other")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_failure_that_is_remembered_counts_for_the_files_that_it_was_made_from() {
    let made = Made::new("depends-failure");
    let cache = made.place.cache();
    made.place.upstream.fails("down");
    let ask = async || cache.get_or_fetch_with(&key("k"), &made.terms, fetch_from(&made.place.upstream)).await;
    for _ in 0..3 {
        assert!(ask().await.is_err());
        assert_eq!(made.place.upstream.calls(), 1);
    }
    made.write("two");
    assert!(ask().await.is_err());
    assert_eq!(made.place.upstream.calls(), 2);
    assert!(ask().await.is_err());
    assert_eq!(made.place.upstream.calls(), 2);
}
