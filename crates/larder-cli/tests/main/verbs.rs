//! Storing, listing, explaining, invalidating, checking and sweeping.

use crate::place::Place;

fn stored(name: &str) -> Place {
    let place = Place::new(name);
    for (key, tag) in [("id/1", "odd"), ("id/10", "even"), ("id/1/x", "odd"), ("other", "even")] {
        place.larder_reading(&["put", key, "--tag", tag], key.as_bytes()).is(0, "");
    }
    place
}

#[test]
fn what_is_put_from_input_or_a_file_is_got() {
    let place = stored("put");
    place.larder(&["get", "id/10"]).is(0, "id/10");
    make_file(&place.path("file"), "from a file");
    place.larder(&["put", "k", "--from", "file", "--durability", "relaxed"]).is(0, "");
    place.larder(&["get", "--", "k"]).is(0, "from a file");
    place.larder(&["put", "k", "--from", "absent"]).says(74, &["absent", "No such file"]);
    place.larder(&["get", "k"]).is(0, "from a file");
    let json = place.larder(&["put", "k", "--from", "file", "--json"]).out;
    assert!(json.starts_with(r#"{"version":1,"key":"k","bytes":11,"durability":"full","#), "{json}");
}

#[expect(clippy::disallowed_methods, reason = "a file of the user's, outside the cache, or damage done on purpose")]
fn make_file(path: &std::path::Path, content: &str) {
    std::fs::write(path, content).unwrap();
}

#[test]
fn a_document_that_is_too_large_is_refused_with_the_limit() {
    let place = Place::new("too-large");
    let mut command = place.command(&["put", "k"]);
    let zeros = std::fs::File::open("/dev/zero").unwrap();
    let done = crate::place::Done::from(command.stdin(zeros).output().unwrap());
    done.says(1, &["67108864"]);
    place.larder(&["get", "k"]).says(3, &[]);
}

#[test]
fn a_key_alone_and_what_is_below_it_are_invalidated_apart() {
    let place = stored("invalidate");
    let is_there = |key: &str| place.larder(&["get", key]).code == Some(0);
    place.larder(&["invalidate", "id/1"]).is(0, "");
    assert_eq!(["id/1", "id/10", "id/1/x", "other"].map(is_there), [false, true, true, true]);
    place.larder(&["invalidate", "id/1/"]).is(0, "");
    assert_eq!(["id/10", "id/1/x", "other"].map(is_there), [true, false, true]);
    place.larder(&["invalidate", "--tag", "even", "--hard"]).is(0, "");
    assert_eq!(["id/10", "other"].map(is_there), [false, false]);
    place.larder(&["get", "--offline", "id/1"]).is(0, "id/1");
    place.larder(&["get", "--offline", "other"]).says(3, &[]);
    place.larder(&["invalidate", "--all", "--hard"]).is(0, "");
    place.larder(&["list"]).is(0, "");
}

#[test]
fn what_to_invalidate_must_be_said_in_one_way() {
    let place = Place::new("what");
    for words in [
        &["invalidate"][..],
        &["invalidate", "k", "--all"],
        &["invalidate", "--tag", "t", "--all"],
        &["invalidate", ""],
    ] {
        assert_eq!(place.larder(words).code, Some(2), "{words:?}");
    }
    assert!(!place.root().exists());
}

#[test]
fn a_list_has_what_is_below_a_prefix_and_no_control_characters() {
    let place = stored("list");
    let keys = |words: &[&str]| -> Vec<String> {
        let listed = place.larder(words).out;
        let mut keys: Vec<String> = listed.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect();
        keys.sort();
        keys
    };
    assert_eq!(keys(&["list"]), ["id/1", "id/1/x", "id/10", "other"]);
    assert_eq!(keys(&["list", "id/1/"]), ["id/1/x"]);
    place.larder(&["list", "id"]).says(2, &["id"]);
    place.larder_reading(&["put", "a\u{1b}[31m\nb"], b"").is(0, "");
    assert!(keys(&["list"]).contains(&"a\\u{1b}[31m\\nb".to_owned()));
    let json = place.larder(&["list", "id/1/", "--json"]).out;
    assert!(
        json.starts_with(r#"{"version":1,"entries":[{"key":"id/1/x","bytes":6,"#) && json.ends_with("}]}\n"),
        "{json}"
    );
    place.larder(&["list", "none/", "--json"]).is(0, "{\"version\":1,\"entries\":[]}\n");
}

#[test]
fn explaining_tells_the_verdict_and_its_reason() {
    let place = stored("explain");
    let verdict = |key: &str| {
        let done = place.larder(&["explain", key]);
        (done.code, done.out.lines().nth(1).unwrap_or_default().split(':').next().unwrap_or_default().to_owned())
    };
    assert_eq!(verdict("id/1"), (Some(0), "verdict     fresh".to_owned()));
    place.larder(&["invalidate", "id/1"]).is(0, "");
    assert_eq!(verdict("id/1"), (Some(0), "verdict     invalidated".to_owned()));
    place.larder_reading(&["put", "old", "--ttl", "0s"], b"").is(0, "");
    assert_eq!(verdict("old"), (Some(0), "verdict     stale".to_owned()));
    assert_eq!(verdict("absent"), (Some(3), "verdict     absent".to_owned()));
    let json = place.larder(&["explain", "other", "--json"]).out;
    assert!(json.starts_with(r#"{"version":1,"key":"other","verdict":"fresh","stored":{"bytes":5,"#), "{json}");
}

#[test]
fn an_age_can_be_bounded() {
    let place = stored("max-age");
    place.larder(&["get", "id/1", "--max-age", "1h"]).is(0, "id/1");
    // a millisecond has passed when another process has started
    let old = place.larder(&["get", "id/1", "--max-age", "0s"]);
    old.says(3, &["--max-age"]);
    assert!(!old.err.contains("is 0ms old"), "{}", old.err);
    place.larder(&["get", "id/1", "--refresh"]).says(3, &["--refresh"]);
}

#[test]
fn damage_is_found_set_aside_and_then_gone() {
    let place = stored("verify");
    place.larder(&["verify"]).says(0, &[]);
    make_file(&place.root().join("entries/other.entry"), "---\nnot an entry\n");
    let found = place.larder(&["verify"]);
    found.says(1, &[]);
    assert!(found.out.contains("other.entry"), "{}", found.out);
    // looking has changed nothing
    assert!(place.root().join("entries/other.entry").exists());
    let json = place.larder(&["verify", "--repair", "--json"]).out;
    assert!(json.contains(r#""damaged":1,"set_aside":1"#), "{json}");
    place.larder(&["verify"]).says(0, &[]);
    assert!(place.larder(&["stats", "--json"]).out.contains(r#""quarantined":1"#));
}

#[test]
fn a_sweep_removes_what_nobody_needs_and_leaves_the_rest() {
    let place = stored("gc");
    place.larder(&Place::run(&["--key", "k"], "echo doc")).is(0, "doc\n");
    place.larder(&["lock", "n", "--", "true"]).is(0, "");
    place.larder(&["invalidate", "other", "--hard"]).is(0, "");
    place.larder(&["gc"]).says(0, &[]);
    assert!(!place.root().join("entries/other.entry").exists());
    assert_eq!(std::fs::read_dir(place.root().join("tmp")).unwrap().count(), 0);
    let named = std::fs::read_dir(place.root().join("named")).unwrap();
    assert_eq!(named.filter(|file| file.as_ref().unwrap().path().is_file()).count(), 0);
    place.larder(&["get", "k"]).is(0, "doc\n");
    assert!(place.larder(&["gc", "--json"]).out.starts_with(r#"{"version":1,"evicted":0,"evicted_bytes":0,"#));
}

#[test]
fn completions_know_every_verb_in_every_shell() {
    let place = Place::new("completions");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = place.larder(&["completions", shell]).out;
        for verb in ["run", "invalidate", "verify", "completions"] {
            assert!(script.contains(verb), "{shell} does not know {verb}");
        }
    }
}
