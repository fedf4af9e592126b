//! Each mistake has its own error, with its place and what to do.

use larder_config::{Config, Error};

fn error(text: &str) -> Error {
    Config::parse(text, "c.yaml".into()).unwrap_err()
}

/// An error and its causes.
fn told(text: &str) -> String {
    let error = error(text);
    let mut told = error.to_string();
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(&error);
    while let Some(next) = cause {
        told = format!("{told}: {next}");
        cause = next.source();
    }
    told
}

#[test]
fn contradictions_name_both_places() {
    for (text, first, second) in [
        ("version: 1\ndefaults:\n  stale_if_error: 1d\n  stale_while_revalidate: 2d\n", "c.yaml:3:", "c.yaml:4"),
        ("version: 1\ndefaults:\n  fresh_min: 2d\n  fresh_max: 1d\n", "c.yaml:4:", "c.yaml:3"),
        ("version: 1\ndefaults:\n  fresh: 1d\n  fresh_min: 2d\n", "c.yaml:4:", "c.yaml:4"),
        ("version: 1\ntypes:\n  critical:\n    fresh_max: 1d\n", "c.yaml:4:", "types.critical.fresh"),
        ("version: 1\ndefaults: {fresh: 1d}\nrefresh: {default_max_age_days: 3}\n", "c.yaml:3:", "c.yaml:2"),
        ("version: 1\nlimits:\n  backoff_first: 20m\n", "c.yaml:3:", "backoff_cap"),
    ] {
        assert!(matches!(error(text), Error::Contradiction { .. }), "{}", told(text));
        assert!(told(text).starts_with(first) && told(text).contains(second), "{}", told(text));
    }
}

#[test]
fn a_window_that_is_off_contradicts_nothing() {
    for text in [
        "version: 1\ndefaults: {fresh: 0}\n",
        "version: 1\ndefaults: {stale_while_revalidate: 1d}\n",
        "version: 1\ndefaults: {stale_if_error: 1d}\n",
        "version: 1\ndefaults: {fresh: 0, stale_while_revalidate: 365000d, stale_if_error: 365000d}\n",
    ] {
        assert!(Config::parse(text, "c.yaml".into()).is_ok(), "{text}");
    }
}

#[test]
fn names_that_nobody_knows_come_with_the_nearest_or_all_that_there_are() {
    for (text, says) in [
        ("version: 1\nclases: []\n", "unknown key `clases`: did you mean `classes`?"),
        ("version: 1\nclasses: [{match: a, fres: 1d}]\n", "did you mean `fresh`?"),
        ("version: 1\nlimits: {zzz: 1}\n", "use one of body_bytes_max, bytes_max, entries_max, memory_bytes_max"),
        ("version: 1\nclasses: [{match: a, class: stabel}]\n", "there is no class `stabel`: did you mean `stable`?"),
        ("version: 1\nclasses: [{match: a, class: zzz}]\n", "use one of active, critical, stable"),
    ] {
        assert!(told(text).starts_with("c.yaml:2:") && told(text).contains(says), "{}", told(text));
    }
}

#[test]
fn no_name_of_a_file_gives_instructions_to_a_terminal() {
    for text in ["version: 1\n\"\\e[31mx\": 1\n", "version: 1\nclasses: [{match: a, class: \"\\e[31m\"}]\n"] {
        assert!(!told(text).contains('\u{1b}'), "{:?}", told(text));
    }
}

#[test]
fn values_that_are_none_are_named() {
    for (text, says) in [
        ("version: 1\nlimits: {timeout: soon}\n", "limits.timeout cannot be used: \"soon\" is no duration"),
        ("version: 1\nlimits: {timeout: infinite}\n", "must come to an end"),
        ("version: 1\nlimits: {body_bytes_max: 0}\n", "more than 0"),
        ("version: 1\nlimits: {body_bytes_max: -1}\n", "less than nothing"),
        ("version: 1\ndefaults: {early: often}\n", "no time of an early refresh"),
        ("version: 1\nrefresh: {default_max_age_days: 0}\n", "no number of days"),
        ("version: 1\nswitches: {disk: yes}\n", "true` or `false"),
        ("version: 1\nclasses: [{fresh: 1d}]\n", "`match` is missing"),
        ("version: 1\nclasses: [{match: a/../b}]\n", "no key has a segment `..`"),
        ("version: 1\nclasses: [{match: 'a/b**'}]\n", "segment of its own"),
        ("version: 1\ntypes: {default: {fresh: 1d}}\n", "under `defaults`"),
        ("version: 1\nsources: [{match: a, command: []}]\n", "needs a program"),
        ("version: 1\nsources: [{match: a, command: ['']}]\n", "needs a program"),
        ("version: 1\nsources: [{match: a, command: [x], env: ['A=b']}]\n", "no name of a variable"),
        ("version: 1\nsources: [{match: a, command: [x], timeout: 0}]\n", "more than 0"),
        ("version: 1\nversion: 1\n", "there twice"),
    ] {
        assert!(told(text).starts_with("c.yaml:") && told(text).contains(says), "{}", told(text));
    }
}

#[test]
fn versions_that_are_not_this_one_say_so_before_anything_else_is_read() {
    assert!(matches!(error("version: 2\nnews: [1]\n"), Error::UnknownVersion { .. }));
    assert!(told("version: 2\n").contains("newer"));
    assert!(told("version: one\n").contains("is no version"));
    for text in ["", "# nothing\n", "limits: {}\n", "version:\n"] {
        assert!(matches!(error(text), Error::MissingVersion { .. }), "{text:?}: {}", told(text));
    }
}
