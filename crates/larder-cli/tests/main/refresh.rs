//! The refresh worker, and its queue.

use rustix::process::Signal;
use serde_json::Value;

use crate::place::{Place, wait_until};

/// A source that says how often it was called, and fails while there is a file `down`.
const SOURCE: &str =
    r#"["sh", "-c", "if test -e down; then echo down >&2; exit 9; fi; printf x >> calls; wc -c < calls"]"#;

/// A place whose documents `docs/...` have such a source, fresh for so long.
fn place(name: &str, fresh: &str, more: &str) -> Place {
    let place = Place::new(name);
    place.write(
        "larder.yaml",
        &format!(
            "version: 1\nclasses: [{{match: docs/**, fresh: {fresh}, stale_while_revalidate: 0, stale_if_error: 30d}}]\n\
             sources: [{{match: docs/**, command: {SOURCE}}}]\n{more}"
        ),
    );
    place.larder(&["config", "trust"]).says(0, &[]);
    place
}

fn json(place: &Place, words: &[&str]) -> Value {
    let done = place.larder(words);
    let parsed = serde_json::from_str(&done.out);
    assert!(parsed.is_ok(), "{words:?}: {} {}", done.out, done.err);
    parsed.unwrap()
}

fn get(place: &Place, key: &str) -> String {
    place.larder(&["get", key]).out
}

#[test]
fn what_is_due_is_fetched_and_what_is_not_is_left_alone() {
    let place = place("refresh-due", "1ms", "");
    assert_eq!((get(&place, "docs/a"), get(&place, "docs/b")), ("1\n".to_owned(), "2\n".to_owned()));
    place.larder_reading(&["put", "docs/fresh", "--ttl", "365d"], b"fresh").is(0, "");
    place.larder_reading(&["put", "other", "--ttl", "1ms"], b"other").is(0, "");
    let report = json(&place, &["refresh", "--due", "--json"]);
    assert_eq!(
        (&report["found"], &report["refreshed"], &report["left"]),
        (&2.into(), &2.into(), &0.into()),
        "{report}"
    );
    assert_eq!(place.calls(), 4);
    let stats = json(&place, &["stats", "--json"]);
    assert!(stats.to_string().contains(r#""misses":2"#), "nobody asked but the two: {stats}");
    // no answer from the cache is taken for a refresh
    assert_eq!(json(&place, &["refresh", "--due", "--json"])["refreshed"], 2);
    assert_eq!(place.calls(), 6);
}

#[test]
fn a_key_and_a_prefix_are_fetched_also_when_they_are_fresh() {
    let place = place("refresh-named", "30d", "");
    for key in ["docs/a", "docs/b/c", "docs/b/d"] {
        get(&place, key);
    }
    place.larder(&["refresh", "docs/b/"]).says(0, &[]);
    assert_eq!(place.calls(), 5);
    place.larder(&["refresh", "docs/a"]).says(0, &[]);
    place.larder(&["refresh", "docs/new"]).says(0, &[]);
    assert_eq!((place.calls(), get(&place, "docs/new")), (7, "7\n".to_owned()));
    // nothing is due
    let report = json(&place, &["refresh", "--json"]);
    assert_eq!((&report["found"], place.calls()), (&0.into(), 7), "{report}");
}

#[test]
fn a_task_without_a_source_here_delays_nobody_and_is_left_for_others() {
    let place = place("refresh-unsourced", "30d", "");
    place.larder(&["queue", "add", "nothing/fetches/this", "--priority", "10"]).says(0, &[]);
    place.larder(&["queue", "add", "docs/a", "docs/b"]).says(0, &[]);
    let report = json(&place, &["refresh", "--jobs", "1", "--json"]);
    let told = ["refreshed", "failed", "dead", "left", "unsourced"].map(|name| report[name].as_u64().unwrap());
    assert_eq!((told, place.calls()), ([2, 0, 0, 1, 1], 2), "{report}");
    place.larder(&["refresh"]).is(0, "0 found, 0 refreshed, 0 failed, 1 left, 1 without a source here\n");
    let listed = json(&place, &["queue", "list", "--json"]);
    assert_eq!(
        (&listed["tasks"][0]["key"], &listed["tasks"][0]["standing"]),
        (&"nothing/fetches/this".into(), &"ready".into())
    );
    // another project has one
    place.write("elsewhere.yaml", "version: 1\nsources: [{match: nothing/**, command: [echo, found]}]\n");
    place.larder(&["refresh", "--config", "elsewhere.yaml"]).is(0, "0 found, 1 refreshed, 0 failed, 0 left\n");
    // asked for by its name, it cannot be overlooked
    let named = place.larder(&["refresh", "nothing/fetches/that"]);
    assert_eq!(named.code, Some(3));
    assert!(named.err.contains("has no source"), "{}", named.err);
}

#[test]
fn who_asks_again_after_a_fetch_has_it_fetched_again() {
    let place = place("refresh-again", "30d", "");
    place.larder(&["queue", "add", "docs/a"]).says(0, &[]);
    place.larder(&["get", "--refresh", "docs/a"]).is(0, "1\n");
    place.larder(&["refresh"]).is(0, "0 found, 0 refreshed, 0 failed, 0 left, 1 refreshed by others meanwhile\n");
    place.larder(&["queue", "add", "docs/a"]).says(0, &[]);
    place.larder(&["get", "--refresh", "docs/a"]).is(0, "2\n");
    place.larder(&["queue", "add", "docs/a", "--reason", "upstream changed"]).says(0, &[]);
    place.larder(&["refresh"]).is(0, "0 found, 1 refreshed, 0 failed, 0 left\n");
    assert_eq!((place.calls(), get(&place, "docs/a")), (3, "3\n".to_owned()));
}

#[test]
fn a_document_that_is_named_is_tried_also_when_its_task_is_left_alone_after_a_failure() {
    let place = place("refresh-named-held", "30d", "");
    place.write("down", "");
    assert_eq!(place.larder(&["refresh", "docs/a"]).code, Some(69));
    std::process::Command::new("rm").arg(place.path("down")).status().unwrap();
    place.larder(&["refresh"]).is(0, "0 found, 0 refreshed, 0 failed, 1 left\n");
    place.larder(&["refresh", "docs/a"]).is(0, "1 found, 1 refreshed, 0 failed, 0 left\n");
}

#[test]
fn a_configuration_that_breaks_meanwhile_costs_an_attempt_and_no_task() {
    let place = place("refresh-broken", "30d", "");
    place.larder(&["queue", "add", "docs/a"]).says(0, &[]);
    place.larder(&["queue", "add", "docs/breaks", "--priority", "9"]).says(0, &[]);
    let breaks = r#"["sh", "-c", "printf '[[[' >> larder.yaml; echo x"]"#;
    place.write("larder.yaml", &format!("version: 1\nsources: [{{match: docs/**, command: {breaks}}}]\n"));
    place.larder(&["config", "trust"]).says(0, &[]);
    let report = json(&place, &["refresh", "--jobs", "1", "--json"]);
    let told = ["refreshed", "failed", "dead", "left"].map(|name| report[name].as_u64().unwrap());
    assert_eq!(told, [1, 1, 0, 1], "{report}");
    place.write("larder.yaml", "version: 1\n");
    let task = json(&place, &["queue", "list", "--json"])["tasks"][0].clone();
    assert_eq!((&task["standing"], &task["attempts"]), (&"held".into(), &1.into()), "{task}");
}

#[test]
fn in_an_outage_tasks_are_held_and_tried_again_later() {
    let place = place("refresh-outage", "1ms", "");
    get(&place, "docs/a");
    place.write("down", "");
    let report = json(&place, &["refresh", "--due", "--json"]);
    assert_eq!(
        (&report["failed"], &report["left"], &report["refreshed"]),
        (&1.into(), &1.into(), &0.into()),
        "{report}"
    );
    let task = json(&place, &["queue", "list", "--json"])["tasks"][0].clone();
    assert_eq!((&task["standing"], &task["attempts"]), (&"held".into(), &1.into()), "{task}");
    assert!(task["error"].as_str().unwrap().contains("down"), "{task}");
    let explained = json(&place, &["explain", "docs/a", "--json"]);
    assert_eq!((&explained["queue"]["standing"], &explained["queue"]["key"]), (&"held".into(), &"docs/a".into()));
    let explained = place.larder(&["explain", "docs/a"]).out;
    assert!(explained.contains("queue       held, priority 7, overdue, for "), "{explained}");
    assert!(explained.contains("1 attempts failed: "), "{explained}");
    // the copy is still there, labelled
    place.larder(&["get", "docs/a", "--fail-on-stale"]).is(5, "1\n");
    std::process::Command::new("rm").arg(place.path("down")).status().unwrap();
    // held: nothing to do
    assert_eq!(json(&place, &["refresh", "--json"])["refreshed"], 0);
    place.larder(&["queue", "retry", "--all"]).says(0, &[]);
    assert_eq!(json(&place, &["refresh", "--json"])["refreshed"], 1);
}

#[test]
fn ten_thousand_keys_are_one_batch() {
    let place = Place::new("refresh-batch");
    let keys: Vec<String> = (0..10_000).map(|number| format!("some/key/{number}")).collect();
    let keys = keys.join("\n");
    place.larder_reading(&["queue", "add", "-"], keys.as_bytes()).is(0, "");
    let listed = json(&place, &["queue", "list", "--json"]);
    let tasks = listed["tasks"].as_array().unwrap();
    assert_eq!(tasks.len(), 10_000);
    assert_eq!((&tasks[9_999]["key"], &tasks[0]["priority"]), (&"some/key/9999".into(), &5.into()));
    // all or none
    let wrong = place.larder_reading(&["queue", "add", "-"], b"good\nbad//key\n");
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.err.contains("line 2"), "{}", wrong.err);
    let wrong = place.larder_reading(&["queue", "add", "-"], b"good\n\xff\n");
    assert_eq!(wrong.code, Some(2), "{}", wrong.err);
    assert_eq!(json(&place, &["queue", "list", "--json"])["tasks"].as_array().unwrap().len(), 10_000);
}

#[test]
fn what_is_no_task_is_refused_and_says_why() {
    let place = Place::new("refresh-bad");
    for (words, says) in [
        (&["queue", "add", "a", "--priority", "11"][..], "1 to 10"),
        (&["queue", "add", "a", "--priority", "0"], "1 to 10"),
        (&["queue", "add", "a", "--at", "whenever"], "moment"),
        (&["queue", "add", ""], "key"),
        (&["queue", "add", "a//b"], "segment"),
        (&["queue", "add"], "KEY"),
        (&["queue", "clear"], "required"),
        (&["queue", "retry", "a", "--all"], "cannot be used"),
        (&["refresh", "--jobs", "0"], "0"),
        (&["refresh", "/"], "key"),
    ] {
        let done = place.larder(words);
        assert_eq!(done.code, Some(2), "{words:?}: {}", done.err);
        assert!(done.err.contains(says), "{words:?}: {}", done.err);
    }
    assert!(!place.root().exists(), "nothing was made");
    for at in ["1970-01-01T00:00:00Z", "9000-12-31T23:59:59Z"] {
        place.larder(&["queue", "add", at, "--at", at]).says(0, &[]);
    }
    let listed = json(&place, &["queue", "list", "--json"]);
    let standings: Vec<_> = listed["tasks"].as_array().unwrap().iter().map(|task| task["standing"].clone()).collect();
    assert_eq!(standings, ["ready", "scheduled"]);
}

#[test]
fn a_worker_that_is_told_to_end_gives_back_what_it_has_not_done() {
    let place = Place::new("refresh-signal");
    place.write(
        "larder.yaml",
        "version: 1\nsources: [{match: docs/**, command: [sh, -c, 'printf x >> calls; until test -e open; do sleep 0.02; done']}]\n",
    );
    place.larder(&["config", "trust"]).says(0, &[]);
    place.larder(&["queue", "add", "docs/a", "docs/b", "docs/c"]).says(0, &[]);
    let mut worker = place.spawn(&["refresh", "--watch", "--jobs", "2", "--json"]);
    place.wait_for_calls(2);
    worker.signal(Signal::TERM);
    let done = worker.done();
    assert_eq!(done.code, Some(143), "{}", done.err);
    let report: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(
        (&report["given_back"], &report["left"], &report["failed"]),
        (&2.into(), &3.into(), &0.into()),
        "{report}"
    );
    let listed = json(&place, &["queue", "list", "--json"]);
    assert_eq!((&listed["counts"]["ready"], &listed["tasks"][0]["attempts"]), (&3.into(), &0.into()), "{listed}");
    // killed, its claims are free all the same
    let worker = place.spawn(&["refresh", "--jobs", "3"]);
    place.wait_for_calls(5);
    worker.kill();
    place.write("open", "");
    // what it had begun goes on, and is everybody's
    let report = json(&place, &["refresh", "--json"]);
    let done = report["refreshed"].as_u64().unwrap() + report["already"].as_u64().unwrap();
    assert_eq!((done, &report["left"]), (3, &0.into()), "{report}");
}

#[test]
fn what_becomes_due_or_is_added_is_done_by_one_who_watches() {
    let place = place("refresh-watch", "30d", "");
    let mut worker = place.spawn(&["refresh", "--watch"]);
    place.larder(&["queue", "add", "docs/a"]).says(0, &[]);
    place.wait_for_calls(1);
    place.larder(&["queue", "add", "docs/b", "--at", "200ms"]).says(0, &[]);
    place.wait_for_calls(2);
    wait_until("both are done", || json(&place, &["queue", "list", "--json"])["tasks"] == Value::Array(Vec::new()));
    worker.signal(Signal::INT);
    assert_eq!(worker.code(), Some(130));
}

#[test]
fn switched_off_nothing_is_called() {
    for more in ["refresh: {enabled: false}\n", "switches: {network: false}\n", "switches: {refresh: false}\n"] {
        let place = place("refresh-off", "30d", more);
        place.larder(&["queue", "add", "docs/a"]).says(0, &[]);
        place.larder(&["refresh"]).says(0, &["switched off"]);
        assert_eq!(place.calls(), 0, "{more}");
    }
}

#[test]
fn a_configuration_that_nobody_trusts_runs_nothing_and_keeps_the_tasks() {
    let place = Place::new("refresh-untrusted");
    place.write("larder.yaml", &format!("version: 1\nsources: [{{match: docs/**, command: {SOURCE}}}]\n"));
    place.larder(&["queue", "add", "docs/a"]).says(0, &[]);
    let done = place.larder(&["refresh"]);
    assert_eq!(done.code, Some(2));
    assert!(done.err.contains("larder config trust"), "{}", done.err);
    assert_eq!((place.calls(), &json(&place, &["queue", "list", "--json"])["counts"]["ready"]), (0, &1.into()));
}

#[test]
fn a_stale_answer_that_nobody_refreshes_is_queued_and_worked_off_if_the_configuration_says_so() {
    let place = place("refresh-access", "1ms", "refresh: {auto_process_on_startup: true}\n");
    get(&place, "docs/a");
    place.write("down", "");
    // the first tells of the failure, the second is told that it is remembered
    for _ in 0..2 {
        place.larder(&["get", "docs/a"]).is(0, "1\n");
    }
    let long_ago = ["-a", "-d", "2020-01-01"];
    let entry = place.root().join("entries/docs/a.entry");
    assert!(std::process::Command::new("touch").args(long_ago).arg(entry).status().unwrap().success());
    place.larder(&["get", "docs/a"]).is(0, "1\n");
    let task = || json(&place, &["queue", "list", "--json"])["tasks"][0].clone();
    assert_eq!((&task()["key"], &task()["priority"]), (&"docs/a".into(), &7.into()), "{}", task());
    wait_until("a helper's attempt", || task()["attempts"] == 1);
    wait_until("no helper", || place.helpers() == 0);
}

#[test]
fn what_is_queued_already_is_not_queued_again_by_a_look() {
    let place = place("refresh-queued", "1ms", "");
    get(&place, "docs/a");
    place.write("down", "");
    assert_eq!(json(&place, &["refresh", "--due", "--json"])["found"], 1);
    let task = || json(&place, &["queue", "list", "--json"])["tasks"][0].clone();
    let held = task();
    assert_eq!((&held["standing"], &held["attempts"]), (&"held".into(), &1.into()), "{held}");
    assert_eq!(json(&place, &["refresh", "--due", "--json"])["found"], 0);
    assert_eq!(task()["added_ms"], held["added_ms"]);
}

#[test]
fn what_a_source_leaves_in_the_background_holds_nobody_up() {
    let place = Place::new("refresh-background");
    let source = r#"["sh", "-c", "sleep 600 >/dev/null & echo $! > pid; echo x"]"#;
    place.write("larder.yaml", &format!("version: 1\nsources: [{{match: docs/**, command: {source}}}]\n"));
    place.larder(&["config", "trust"]).says(0, &[]);
    place.larder(&["queue", "add", "docs/a"]).says(0, &[]);
    let worker = place.spawn(&["refresh", "--timeout", "5s"]);
    wait_until("it is done", || json(&place, &["queue", "list", "--json"])["tasks"] == Value::Array(Vec::new()));
    drop(worker);
    std::process::Command::new("sh").args(["-c", "kill $(cat pid)"]).current_dir(place.path("")).status().unwrap();
}
