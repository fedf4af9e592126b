//! Views: they say what is stored and counted, also of hostile keys, and nothing depends on them.

use larder::counters::Totals;
use larder::{Terms, views};
use larder_lock::Wait;
use larder_storage::Store;
use larder_testkit::{Child, child};
use serde_json::Value;

use crate::shared::{Place, key, no_fetch, until};

const CHILD: &str = "views::child_entry";

fn read(place: &Place, path: &str) -> Value {
    let text = std::fs::read_to_string(place.root().join(path)).unwrap();
    serde_yaml::from_str(&text).unwrap()
}

fn store(place: &Place) -> Store {
    Store::open(place.root()).unwrap()
}

#[tokio::test]
async fn the_index_names_each_document_by_library_and_topic() {
    let place = Place::new("views");
    let cache = place.cache();
    let tagged = Terms::new().tag(larder::Tag::new("a tag: [x]").unwrap()).class("critical");
    cache.put(&key("react/hooks"), "# Hooks", &tagged).await.unwrap();
    cache.put(&key("react/a/b"), "b", &Terms::new()).await.unwrap();
    cache.put(&key("alone"), "alone", &Terms::new()).await.unwrap();
    let indexed = views::index(&store(&place), &Wait::none()).unwrap();
    assert_eq!((indexed.entries, indexed.bytes, indexed.libraries, indexed.written), (3, 13, 2, 2));
    let index = read(&place, "index.yaml");
    assert_eq!((&index["version"], &index["total_entries"], &index["total_bytes"]), (&1.into(), &3.into(), &13.into()));
    let hooks = &index["libraries"]["react"]["topics"]["hooks"];
    assert_eq!((&hooks["bytes"], &hooks["stale"], &hooks["class"]), (&7.into(), &false.into(), &"critical".into()));
    assert_eq!(hooks["tags"][0], "a tag: [x]");
    assert_eq!(index["libraries"]["alone"]["topics"]["alone"]["bytes"], 5);
    let meta = read(&place, "entries/react/meta.yaml");
    assert_eq!(
        (&meta["library"], &meta["total_docs"], &meta["total_size_bytes"]),
        (&"react".into(), &2.into(), &8.into())
    );
    assert_eq!(meta["topics"]["a/b"]["bytes"], 1);
    // they are in nobody's way
    let verified = store(&place).verify(false).unwrap();
    assert_eq!((verified.whole, verified.damaged), (3, 0));
    assert_eq!(cache.list(&"react/".parse().unwrap(), 10).await.unwrap().len(), 2);
    // and go with what they tell of
    cache.invalidate(&[larder::Scope::All.hard()]).await.unwrap();
    store(&place).sweep().unwrap();
    assert!(!place.root().join("entries/react").exists());
}

#[tokio::test]
async fn hostile_keys_are_told_as_they_are_and_come_before_any_view() {
    let place = Place::new("views-hostile");
    let cache = place.cache();
    let hostile = [
        "index.yaml",
        "metrics.yaml",
        "lib/meta.yaml",
        "folder/meta.yaml/below",
        "a: b/\"c\" # d",
        "- x/{y}",
        "é\u{85}\u{2028}/\u{1f600}",
        "tab\t/new\nline",
        "~/null",
        "CON/true",
    ];
    for name in hostile {
        cache.put(&key(name), name.to_owned(), &Terms::new()).await.unwrap();
    }
    let indexed = views::index(&store(&place), &Wait::none()).unwrap();
    assert_eq!(indexed.entries, hostile.len() as u64);
    let index = read(&place, "index.yaml");
    for name in hostile {
        let (library, topic) = name.split_once('/').unwrap_or((name, name));
        assert_eq!(index["libraries"][library]["topics"][topic]["bytes"], name.len(), "{name:?}");
    }
    let views_again = views::index(&store(&place), &Wait::none()).unwrap();
    assert_eq!(views_again, indexed);
    // also when the views were there first
    cache.put(&key("lib/meta.yaml/below"), "below", &Terms::new()).await.unwrap();
    for name in hostile.iter().chain(&["lib/meta.yaml/below"]) {
        assert!(cache.get_or_fetch(&key(name), no_fetch).await.is_ok(), "{name:?}");
    }
    assert_eq!(store(&place).verify(false).unwrap().damaged, 0);
}

#[tokio::test]
async fn a_view_that_is_damaged_or_cannot_be_written_changes_no_answer() {
    let place = Place::new("views-damaged");
    let cache = place.cache();
    cache.put(&key("a/b"), "b", &Terms::new()).await.unwrap();
    views::index(&store(&place), &Wait::none()).unwrap();
    for path in ["index.yaml", "entries/a/meta.yaml"] {
        #[expect(clippy::disallowed_methods, reason = "the test damages a view")]
        std::fs::write(place.root().join(path), b"\x00 }{ - nonsense").unwrap();
    }
    assert_eq!(cache.get(&key("a/b")).await.unwrap().unwrap().body, "b");
    assert_eq!(store(&place).verify(false).unwrap().damaged, 0);
    #[expect(clippy::disallowed_methods, reason = "a folder in a view's place")]
    {
        std::fs::remove_file(place.root().join("index.yaml")).unwrap();
        std::fs::create_dir(place.root().join("index.yaml")).unwrap();
    }
    assert!(views::index(&store(&place), &Wait::none()).unwrap_err().to_string().contains("index.yaml"));
    // nothing is made where nothing is
    let none = Store::open(place.scratch.utf8_path().join("none")).unwrap();
    assert_eq!(views::index(&none, &Wait::none()).unwrap().written, 0);
    assert!(!views::metrics(&none).unwrap());
    assert!(!place.scratch.path().join("none").exists());
}

#[tokio::test]
async fn kept_up_to_date_the_index_follows_and_a_put_does_not_wait_for_it() {
    let place = Place::new("views-auto");
    let cache = place.builder().views(true).build().unwrap();
    cache.put(&key("a/1"), "1", &Terms::new()).await.unwrap();
    until(async || place.root().join("index.yaml").exists()).await;
    // within a minute it is not written again, but at the end
    cache.put(&key("a/2"), "2", &Terms::new()).await.unwrap();
    drop(cache);
    until(async || read(&place, "index.yaml")["total_entries"] == 2).await;
    // and without the switch it is not made at all
    let other = Place::new("views-none");
    let cache = other.cache();
    cache.put(&key("a"), "1", &Terms::new()).await.unwrap();
    drop(cache);
    assert!(!other.root().join("index.yaml").exists());
    assert!(other.root().join("metrics.yaml").exists(), "what was counted is always told at the end");
}

#[test]
#[ignore = "a child of other tests"]
fn child_entry() {
    child::run(|_, args| hit(args));
}

/// Hits one document a thousand times, and perhaps waits to be killed.
fn hit(args: &child::Args) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let cache = larder::Cache::builder(args.get("root")).build().unwrap();
    runtime.block_on(async {
        for _ in 0..1_000 {
            cache.get(&key("secret/a")).await.unwrap().unwrap();
        }
        cache.flush().await.unwrap();
        child::say("counted");
        if args.get("stays") == "true" {
            cache.get(&key("secret/a")).await.unwrap().unwrap();
            child::hear();
        }
    });
}

#[test]
fn eight_processes_count_a_thousand_hits_each_exactly_and_the_metrics_say_the_same() {
    let place = Place::new("views-counts");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let cache = place.cache();
    runtime.block_on(cache.put(&key("secret/a"), "doc", &Terms::new())).unwrap();
    drop(cache);
    let spawn = |stays: &str| Child::spawn_through(CHILD, "hit", &[("root", place.root().as_str()), ("stays", stays)]);
    let mut children: Vec<_> = (0..8).map(|number| spawn(if number % 2 == 0 { "false" } else { "true" })).collect();
    for child in &mut children {
        child.wait_for_line("counted");
    }
    // killed, they lose what they had counted since the last flush: one hit each, at most
    for child in children.iter_mut().skip(1).step_by(2) {
        child.kill();
    }
    for child in children.iter_mut().step_by(2) {
        child.wait_for_success();
    }
    let store = store(&place);
    let totals = Totals::read(&store).unwrap();
    let hits = totals.hits_memory + totals.hits_disk;
    assert!((8_000..=8_004).contains(&hits), "{totals:?}");
    let class = totals.classes.get("critical").or_else(|| totals.classes.values().next()).unwrap();
    assert_eq!((class.hits, totals.misses), (hits, 0), "{totals:?}");
    assert!(views::metrics(&store).unwrap());
    let metrics = read(&place, "metrics.yaml");
    assert_eq!(metrics["hits"], hits);
    assert!(metrics["folded_to"]["sequence"].as_u64().unwrap() >= 8);
}

#[tokio::test]
async fn a_library_that_is_a_document_too_and_the_longest_keys_are_told_apart() {
    let place = Place::new("views-same");
    let cache = place.cache();
    let long = "k".repeat(1_024);
    let escaped = format!("l/{}", "\u{1}".repeat(200));
    for name in ["react", "react/react", "alone", &long, &escaped] {
        cache.put(&key(name), name.to_owned(), &Terms::new()).await.unwrap();
    }
    assert_eq!(views::index(&store(&place), &Wait::none()).unwrap().entries, 5);
    let libraries = &read(&place, "index.yaml")["libraries"];
    let bytes = |library: &str, topic: &str| libraries[library]["topics"][topic]["bytes"].as_u64().unwrap();
    assert_eq!((bytes("react", "/react"), bytes("react", "react"), bytes("alone", "alone")), (5, 11, 5));
    assert_eq!((bytes(&long, &long), bytes("l", &"\u{1}".repeat(200))), (1_024, 202));
}

#[tokio::test]
async fn who_writes_views_keeps_others_from_writing_older_ones() {
    let place = Place::new("views-one");
    let cache = place.cache();
    cache.put(&key("a/b"), "b", &Terms::new()).await.unwrap();
    let writing = store(&place).views(&Wait::none()).unwrap().unwrap();
    let indexed = views::index(&store(&place), &Wait::none()).unwrap();
    assert!(indexed.elsewhere && indexed.written == 0, "{indexed:?}");
    assert!(!views::metrics(&store(&place)).unwrap());
    drop(writing);
    assert!(!views::index(&store(&place), &Wait::none()).unwrap().elsewhere);
}
