//! A watch makes things happen sooner, and changes no answer, however it fails.

use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder::watch::{Backend, Events, Native, Options, Polling, Source, Then, Watching};
use larder::{Cache, Key, Level, Paths, Terms};

use crate::shared::{Place, key, text, until};

/// How long a test waits for what must come.
const WAIT_MAX: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_millis(10);

struct Watched {
    place: Place,
    terms: Terms,
}

impl Watched {
    fn new(name: &str) -> Self {
        let place = Place::new(name);
        let folder = place.scratch.join("folder");
        #[expect(clippy::disallowed_methods, reason = "the user's folder")]
        std::fs::create_dir(&folder).unwrap();
        let terms = Terms::new().depends(&Paths::new([folder]).unwrap());
        let watched = Self { place, terms };
        watched.write("one");
        watched
    }

    #[expect(clippy::disallowed_methods, reason = "the user's file")]
    fn write(&self, text: &str) {
        std::fs::write(self.place.scratch.join("folder/file"), text).unwrap();
    }

    async fn ask(&self, cache: &Cache) -> larder::Answer {
        self.place.ask_with(cache, "k", &self.terms).await
    }
}

fn soon() -> Options {
    Options::default().poll(SOON).rescan(SOON).retry(SOON).debounce(Duration::from_millis(1))
}

fn watch(cache: &Cache, source: impl Source + 'static, then: Then) -> (Watching, Receiver<Key>) {
    let (sender, changed) = channel();
    let watching = cache.watch(source, soon(), then, move |key, _| drop(sender.send(key.clone()))).unwrap();
    (watching, changed)
}

/// How a source that a test plays fails.
#[derive(Clone, Copy)]
enum Fails {
    AtStart,
    Midway,
    ToTellAnything,
}

struct Failing(Fails);

impl Source for Failing {
    fn start(&self, events: Events) -> io::Result<Box<dyn Backend>> {
        match self.0 {
            Fails::AtStart => Err(io::Error::other("no more instances")),
            fails => Ok(Box::new(Started { fails, events: Arc::new(Mutex::new(events)) })),
        }
    }
}

struct Started {
    fails: Fails,
    events: Arc<Mutex<Events>>,
}

impl Backend for Started {
    fn watch(&mut self, _path: &Path) -> io::Result<()> {
        if matches!(self.fails, Fails::Midway) {
            self.events.lock().unwrap().failed("gone");
        }
        Ok(())
    }

    fn unwatch(&mut self, _path: &Path) {}
}

/// Begins to watch.
type Begin = Box<dyn FnOnce(&Cache) -> (Watching, Receiver<Key>)>;

/// What is answered while a file changes, changes back, and is touched.
async fn answers(name: &str, source: Option<Begin>) -> Vec<String> {
    let watched = Watched::new(name);
    let cache = watched.place.cache();
    let watching = source.map(|watch| watch(&cache));
    let mut answers = Vec::new();
    for contents in ["one", "two", "two", "one", "three", "three", "two"] {
        watched.write(contents);
        for _ in 0..3 {
            let answer = watched.ask(&cache).await;
            answers.push(format!("{} {} {}", text(&answer), answer.outcome.is_hit(), answer.outcome.stale));
        }
    }
    drop(watching);
    answers
}

#[tokio::test]
async fn every_answer_is_the_same_with_a_watch_without_one_and_with_each_that_fails() {
    let without = answers("watch-none", None).await;
    assert_eq!(without.iter().filter(|answer| answer.contains("false false")).count(), 5, "{without:#?}");
    let with = |source: Begin| answers("watch-some", Some(source));
    assert_eq!(with(Box::new(|cache| watch(cache, Native, Then::Nothing))).await, without);
    assert_eq!(with(Box::new(|cache| watch(cache, Polling, Then::Nothing))).await, without);
    for fails in [Fails::AtStart, Fails::Midway, Fails::ToTellAnything] {
        assert_eq!(with(Box::new(move |cache| watch(cache, Failing(fails), Then::Nothing))).await, without);
    }
    // it was dropped at once
    let dropped = |cache: &Cache| {
        drop(watch(cache, Native, Then::Nothing));
        watch(cache, Failing(Fails::AtStart), Then::Nothing)
    };
    assert_eq!(with(Box::new(dropped)).await, without);
}

#[tokio::test]
async fn a_change_is_told_once_and_the_copy_leaves_memory() {
    for source in ["native", "polling", "failing"] {
        let watched = Watched::new("watch-told");
        let cache = watched.place.cache();
        let (_watching, changed) = match source {
            "native" => watch(&cache, Native, Then::Nothing),
            "polling" => watch(&cache, Polling, Then::Nothing),
            _ => watch(&cache, Failing(Fails::Midway), Then::Nothing),
        };
        watched.ask(&cache).await;
        watched.ask(&cache).await;
        assert_eq!(watched.ask(&cache).await.outcome.level, Level::Memory, "{source}");
        assert_eq!(cache.stats().await.unwrap().memory_entries, 1);
        watched.write("two");
        let told = tokio::task::spawn_blocking(move || (changed.recv_timeout(WAIT_MAX), changed)).await.unwrap();
        assert_eq!(told.0, Ok(key("k")), "{source}");
        until(async || cache.stats().await.unwrap().memory_entries == 0).await;
        // the same change again is no news
        watched.write("three");
        assert_eq!(text(&watched.ask(&cache).await), "k, call 2", "{source}");
        assert!(told.1.try_recv().is_err(), "{source}");
        watched.write("four");
        let told = tokio::task::spawn_blocking(move || (told.1.recv_timeout(WAIT_MAX), told.1)).await.unwrap();
        assert_eq!(told.0, Ok(key("k")), "{source}");
    }
}

#[tokio::test]
async fn who_wants_it_invalidated_has_it_invalidated_in_all_processes() {
    let watched = Watched::new("watch-invalidate");
    let (cache, other) = (watched.place.cache(), watched.place.cache());
    let (_watching, changed) = watch(&cache, Native, Then::Invalidate);
    watched.ask(&cache).await;
    watched.write("two");
    tokio::task::spawn_blocking(move || changed.recv_timeout(WAIT_MAX).unwrap()).await.unwrap();
    // changed back
    watched.write("one");
    assert_eq!(text(&watched.ask(&other).await), "k, call 2");
}

#[tokio::test]
async fn a_cache_that_is_dropped_first_leaves_a_watch_that_does_nothing() {
    let watched = Watched::new("watch-first");
    let cache = watched.place.cache();
    let (watching, changed) = watch(&cache, Polling, Then::Nothing);
    watched.ask(&cache).await;
    drop(cache);
    watched.write("two");
    drop(watching);
    // the thread ends, and tells nobody
    assert!(tokio::task::spawn_blocking(move || changed.recv_timeout(WAIT_MAX)).await.unwrap().is_err());
}
