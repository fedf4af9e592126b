//! Files that were made to hurt cost no more than their length.

use camino::Utf8Path;
use larder_config::{BYTES_MAX, Config, Error, Excess};
use larder_testkit::Scratch;
use proptest::prelude::*;

fn error(text: &str) -> Error {
    Config::parse(text, "c.yaml".into()).unwrap_err()
}

#[test]
fn maps_within_maps_and_lists_within_lists_are_too_deep() {
    for text in [
        "{a: ".repeat(65_536),
        format!("limits: {}", "[".repeat(200_000)),
        format!("limits:\n{}x\n", "- ".repeat(100_000)),
    ] {
        // flow collections are refused by the reader itself, some levels in
        let error = error(&text);
        assert!(matches!(error, Error::Excess { excess: Excess::Depth, .. } | Error::Yaml { .. }), "{error}");
    }
    let lines = (0..300).map(|depth| format!("{}a:", " ".repeat(depth))).collect::<Vec<_>>().join("\n");
    assert!(matches!(error(&lines), Error::Excess { excess: Excess::Depth, .. }), "{}", error(&lines));
}

#[test]
fn what_stands_for_more_than_it_is_is_not_read() {
    let bomb = format!("version: 1\na: &a [{}]\nb: [{}]\n", "x,".repeat(50_000), "*a,".repeat(10_000));
    assert!(matches!(error(&bomb), Error::Excess { excess: Excess::References, .. }), "{}", error(&bomb));
    let laughs = "version: &v 1\na: *v\n";
    assert!(matches!(error(laughs), Error::Excess { excess: Excess::References, .. }), "{}", error(laughs));
    let merged = "version: 1\nlimits:\n  <<: {timeout: 3}\n";
    assert!(matches!(error(merged), Error::Excess { .. } | Error::UnknownField { .. }), "{}", error(merged));
}

#[test]
fn more_values_than_anybody_writes_are_too_many() {
    let many = format!("version: 1\nclasses: [{}]\n", "1,".repeat(150_000));
    assert!(matches!(error(&many), Error::Excess { .. } | Error::WrongKind { .. }), "{}", error(&many));
    let rules = format!("version: 1\nclasses: [{}]\n", "{match: a},".repeat(2_000));
    assert!(matches!(error(&rules), Error::TooMany { .. }), "{}", error(&rules));
}

#[test]
fn a_long_file_is_not_read_at_all() {
    let long = " ".repeat(usize::try_from(BYTES_MAX).unwrap() + 1);
    assert!(matches!(error(&long), Error::TooLarge { .. }));
    let scratch = Scratch::new("config-long");
    let path = scratch.utf8_path().join("c.yaml");
    let made = std::process::Command::new("truncate").args(["-s", "100M", path.as_str()]).status();
    assert!(made.unwrap().success());
    assert!(matches!(Config::read(&path), Err(Error::TooLarge { .. })));
}

#[test]
fn what_is_no_file_is_refused_and_what_is_not_there_is_none() {
    let scratch = Scratch::new("config-kinds");
    let path = scratch.utf8_path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(path.as_str()).status().unwrap().success());
    assert!(matches!(Config::read(&path), Err(Error::NotRegular { .. })));
    assert!(matches!(Config::read(scratch.utf8_path()), Err(Error::NotRegular { .. })));
    assert!(Config::read(&scratch.utf8_path().join("none.yaml")).unwrap().is_none());
    assert!(Config::read(&path.join("c.yaml")).unwrap().is_none());
}

#[test]
fn what_is_no_text_says_in_which_line() {
    let error = Config::parse_bytes(b"version: 1\n\xff\n", Utf8Path::new("c.yaml")).unwrap_err();
    assert!(matches!(&error, Error::NotUtf8 { place, .. } if place.line == 2), "{error}");
}

#[test]
fn no_error_repeats_a_whole_file() {
    for text in [format!("version: 1\n{}: 1\n", "k".repeat(100_000)), format!("version: {}\n", "1".repeat(100_000))] {
        // the key itself is named, once
        assert!(error(&text).to_string().len() < 210_000);
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let _ = Config::parse(&text, "c.yaml".into());
    }

    #[test]
    fn nothing_that_looks_like_a_configuration_panics(
        part in "limits|switches|defaults|types|classes|sources|refresh|version",
        inner in "[a-z_]{1,12}",
        value in "(\\[|\\{|-|[0-9]{1,20}|[a-z*/{}]{0,8}|\\}|\\]|: |, ){0,6}",
    ) {
        let _ = Config::parse(&format!("version: 1\n{part}:\n  {inner}: {value}\n"), "c.yaml".into());
        let _ = Config::parse(&format!("version: 1\n{part}: [{{ match: {inner}, command: [{value}] }}]\n"), "c.yaml".into());
    }
}
