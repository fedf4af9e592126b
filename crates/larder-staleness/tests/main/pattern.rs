//! Patterns, against the plainest way to match.

use larder_staleness::{Pattern, PatternError};
use proptest::prelude::*;

/// One segment, character by character.
fn is_segment(pattern: &[char], text: &[char]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some(('*', rest)), _) => {
            is_segment(rest, text) || text.split_first().is_some_and(|(_, t)| is_segment(pattern, t))
        }
        (Some((piece, rest)), Some((letter, text))) => (*piece == '?' || piece == letter) && is_segment(rest, text),
        _ => false,
    }
}

/// A key, segment by segment.
fn is_key(pattern: &[&str], key: &[&str]) -> bool {
    let letters = |text: &str| text.chars().collect::<Vec<char>>();
    match (pattern.split_first(), key.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), _) => is_key(rest, key) || key.split_first().is_some_and(|(_, key)| is_key(pattern, key)),
        (Some((piece, rest)), Some((segment, key))) => {
            is_segment(&letters(piece), &letters(segment)) && is_key(rest, key)
        }
        _ => false,
    }
}

fn split(text: &str) -> Vec<&str> {
    text.split('/').collect()
}

fn any_pattern() -> impl Strategy<Value = String> {
    let segment = prop_oneof![2 => Just("**".to_owned()), 3 => "[abü?]{1,3}", 3 => "\\*?[ab?]{1,2}(\\*[ab])?\\*?", 1 => Just("*".to_owned())];
    proptest::collection::vec(segment, 1..6).prop_map(|segments| segments.join("/"))
}

fn any_key() -> impl Strategy<Value = String> {
    proptest::collection::vec("[abü]{1,4}", 1..7).prop_map(|segments| segments.join("/"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn a_pattern_matches_what_the_plainest_way_matches(pattern in any_pattern(), key in any_key()) {
        let parsed: Pattern = pattern.parse().unwrap();
        prop_assert_eq!(parsed.matches(&key), is_key(&split(&pattern), &split(&key)));
    }
}

proptest! {
    #[test]
    fn a_key_is_a_pattern_for_itself_alone(key in any_key(), other in any_key()) {
        let pattern: Pattern = key.parse().unwrap();
        prop_assert!(pattern.is_literal() && pattern.matches(&key));
        prop_assert_eq!(pattern.matches(&other), key == other);
        prop_assert_eq!(pattern.literal_prefix(), key);
    }

    #[test]
    fn what_matches_begins_with_the_literal_prefix_or_is_it_without_the_slash(
        head in any_key(), tail in any_pattern(), key in any_key(), is_below: bool,
    ) {
        let pattern: Pattern = format!("{head}/{tail}").parse().unwrap();
        let prefix = pattern.literal_prefix();
        prop_assert!(pattern.as_str().starts_with(prefix));
        for key in [head.clone(), if is_below { format!("{head}/{key}") } else { key }] {
            let begins_so = key.starts_with(prefix) || prefix.strip_suffix('/') == Some(&key);
            prop_assert!(begins_so || !pattern.matches(&key));
        }
    }

    #[test]
    fn no_text_breaks_the_parser_or_the_matcher(text in any::<String>(), key in any::<String>()) {
        if let Ok(pattern) = text.parse::<Pattern>() {
            prop_assert_eq!(pattern.to_string(), text);
            let _ = (pattern.matches(&key), pattern.literal_prefix());
        }
    }

    #[test]
    fn a_text_is_a_pattern_if_its_segments_are(text in "[a*/]{0,8}") {
        let is_one = |segment: &str| segment == "**" || (!segment.is_empty() && !segment.contains("**"));
        prop_assert_eq!(text.parse::<Pattern>().is_ok(), text.split('/').all(is_one));
    }
}

#[test]
fn a_pattern_may_be_as_long_as_a_key_and_no_longer() {
    assert!("x".repeat(1_024).parse::<Pattern>().is_ok());
    assert_eq!("x".repeat(1_025).parse::<Pattern>(), Err(PatternError::TooLong));
}

#[test]
fn what_is_below_a_folder_and_the_folder_match_but_not_its_neighbour() {
    let pattern: Pattern = "docs/**".parse().unwrap();
    assert!(pattern.matches("docs") && pattern.matches("docs/a/b") && !pattern.matches("docsx"));
    assert!(!pattern.matches("Docs/a"));
    assert_eq!(pattern.literal_prefix(), "docs/");
}

#[test]
fn every_refusal_says_what_to_do() {
    let words = |text: &str| text.parse::<Pattern>().unwrap_err().to_string();
    assert!(words("a//b").ends_with("remove a slash"));
    assert!(words("a**").contains("write `*` within one"));
    assert!(words(&"x".repeat(2_000)).contains("shorten it"));
}
