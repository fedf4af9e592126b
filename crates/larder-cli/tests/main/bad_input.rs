//! Mistakes: each clear, none a panic.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use crate::place::{Done, Place};

#[test]
fn mistakes_in_the_command_line_are_usage_errors() {
    let place = Place::new("usage");
    for words in [
        &[][..],
        &["nonsense"],
        &["get"],
        &["get", "--nonsense", "k"],
        &["run"],
        &["run", "--"],
        &["run", "echo"],
        &["run", "--ttl", "soon", "--", "echo"],
        &["run", "--ttl", "infinite", "--", "echo"],
        &["run", "--timeout", "0s", "--", "echo"],
        &["run", "--offline", "--refresh", "--", "echo"],
        &["run", "--durability", "some", "--", "echo"],
        &["run", "--tag", "", "--", "echo"],
        &["lock", "n", "--"],
        &["lock", "n"],
        &["completions", "nonsense"],
        &["get", "k", "--root", ""],
        &["get", "k", "--lock-timeout", "-1s"],
    ] {
        let done = place.larder(words);
        done.says(2, &[]);
        assert!(!done.err.is_empty(), "{words:?} is refused without a word");
        assert_eq!(done.out, "");
    }
    assert!(!place.root().exists());
}

#[test]
fn mistakes_in_the_command_line_are_json_if_that_is_wanted() {
    let place = Place::new("usage-json");
    for words in [
        &["--json"][..],
        &["nonsense", "--json"],
        &["get", "--json"],
        &["run", "--json", "--"],
        &["run", "--ttl", "soon", "--json", "--", "echo"],
        &["run", "--json", "echo"],
        &["run", "--json", "--env", "A=B", "--", "echo"],
    ] {
        let done = place.larder(words);
        done.is(2, "");
        let is_object = done.err.starts_with(r#"{"version":1,"error":{"message":""#);
        assert!(is_object && done.err.ends_with("\",\"exit\":2}}\n"), "{words:?}: {}", done.err);
        assert_eq!(done.err.lines().count(), 1, "{}", done.err);
        assert!(!done.err.contains("Usage:") && !done.err.contains("\":\"error: "), "{}", done.err);
    }
    // that one is the command's
    let done = place.larder(&["run", "--ttl", "soon", "--", "echo", "--json"]);
    done.says(2, &["error: invalid value"]);
}

#[test]
fn a_command_without_its_two_dashes_is_told_of_them_and_not_repeated() {
    let place = Place::new("dashes");
    for words in [&["run", "curl -H hush"][..], &["run", "--key", "k", "hush"], &["lock", "n", "hush", "x"]] {
        let done = place.larder(words);
        done.says(2, &["two dashes"]);
        assert!(!done.err.contains("hush"), "{}", done.err);
    }
    place.larder(&["get", "a", "b"]).says(2, &["unexpected argument 'b'"]);
}

#[test]
fn more_tags_than_a_document_has_are_refused_before_the_command_runs() {
    let place = Place::new("tags");
    let tags: Vec<String> = (0..65).map(|number| format!("t{number}")).collect();
    let flags: Vec<&str> = tags.iter().flat_map(|tag| ["--tag", tag]).collect();
    place.larder(&Place::run(&flags, "printf x >> calls")).says(2, &["at most 64 tags"]);
    assert_eq!(place.calls(), 0);
    place.larder(&Place::run(&flags[2..], "echo doc")).is(0, "doc\n");
}

#[test]
fn refused_keys_are_told_why() {
    let place = Place::new("keys");
    for (key, why) in [
        ("", "empty"),
        ("a//b", "empty segment"),
        ("/a", "empty segment"),
        ("a/", "empty segment"),
        ("a/../b", ".."),
        (".", "."),
    ] {
        place.larder(&["get", "--", key]).says(2, &[why]);
    }
    place.larder(&["get", &"k".repeat(1_025)]).says(2, &["1024"]);
}

#[test]
fn keys_of_any_spelling_are_taken_also_after_two_dashes() {
    let place = Place::new("spelling");
    for key in ["--status", "-", "CON", "a:b", "index.yaml", "tmp/x", "Ü 🥫", "a%2fb"] {
        place.larder_reading(&["put", "--", key], key.as_bytes()).is(0, "");
    }
    for key in ["--status", "-", "CON", "a:b", "index.yaml", "tmp/x", "Ü 🥫", "a%2fb"] {
        place.larder(&["get", "--", key]).is(0, key);
    }
}

#[test]
fn arguments_that_are_no_text_are_refused_as_keys_and_passed_on_to_commands() {
    let place = Place::new("bytes");
    let odd = OsString::from_vec(vec![b'a', 0xff]);
    for words in [&["get", "--"][..], &["put"], &["explain"], &["invalidate"], &["list"], &["lock"]] {
        let done = Done::from(place.command(words).arg(&odd).output().unwrap());
        done.says(2, &["UTF-8"]);
    }
    let mut command = place.command(&["run", "--", "printf", "%s"]);
    let done = command.arg(&odd).output().unwrap();
    assert_eq!((done.status.code(), done.stdout), (Some(0), vec![b'a', 0xff]));
    let done = Done::from(place.command(&["get", "k", "--root"]).arg(&odd).output().unwrap());
    done.says(2, &["not UTF-8"]);
    let mut command = place.command(&["run", "--root"]);
    let done = Done::from(command.arg(&odd).args(["--", "echo", "doc"]).output().unwrap());
    done.is(0, "doc\n");
    done.says(0, &["runs without the cache"]);
}

#[test]
fn a_variable_given_with_its_value_is_refused_without_repeating_it() {
    let place = Place::new("env");
    let done = place.larder(&["run", "--env", "TOKEN=hush", "--", "echo"]);
    done.says(2, &["environment variable"]);
    assert!(!done.err.contains("hush"), "{}", done.err);
    place.larder(&["run", "--env", "", "--", "echo"]).says(2, &["environment variable"]);
}

#[test]
fn a_waiting_time_in_the_environment_that_is_none_is_named() {
    let place = Place::new("env-wait");
    let mut command = place.command(&["run", "--", "echo"]);
    let done = Done::from(command.env("LARDER_LOCK_TIMEOUT", "soon").output().unwrap());
    done.says(2, &["LARDER_LOCK_TIMEOUT", "soon"]);
}

#[test]
fn global_flags_work_before_and_after_the_verb() {
    let place = Place::new("global");
    place.larder_reading(&["put", "k"], b"doc").is(0, "");
    for words in [&["--status", "get", "k"][..], &["get", "--status", "k"], &["get", "k", "--status"]] {
        place.larder(words).says(0, &["Cache-Status: larder; hit"]);
    }
}

#[test]
fn colours_are_for_terminals_only() {
    let place = Place::new("colour");
    assert!(!place.larder(&["get", "absent"]).err.contains('\u{1b}'));
    let mut command = place.command(&["get", "absent"]);
    let done = Done::from(command.env("NO_COLOR", "1").env("CLICOLOR_FORCE", "1").output().unwrap());
    assert!(!done.err.contains('\u{1b}'), "{}", done.err);
}

#[test]
fn help_and_version_are_answers() {
    let place = Place::new("help");
    let help = place.larder(&["--help"]);
    assert_eq!(help.code, Some(0));
    for verb in ["run", "get", "put", "list", "explain", "invalidate", "lock", "locks", "verify", "gc", "stats"] {
        assert!(help.out.contains(&format!("\n  {verb} ")), "{verb} is missing from {}", help.out);
    }
    place.larder(&["--version"]).is(0, &format!("larder {}\n", env!("CARGO_PKG_VERSION")));
}
