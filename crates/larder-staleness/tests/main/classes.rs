//! Which class is whose.

use larder_staleness::{Classes, DAY, Pattern, Policy, Why};
use proptest::prelude::*;

const KEYS: [&str; 6] = ["a", "b", "a/b", "a/c", "docs/auth/x", "docs/y"];
const PATTERNS: [&str; 7] = ["a", "a/**", "**/b", "docs/*auth*/**", "docs/**", "*", "zzz"];
const NAMES: [&str; 4] = ["stable", "active", "critical", "default"];

fn any_rules() -> impl Strategy<Value = Vec<(Pattern, &'static str)>> {
    let pattern = prop::sample::select(&PATTERNS[..]).prop_map(|text| text.parse::<Pattern>().unwrap());
    proptest::collection::vec((pattern, prop::sample::select(&NAMES[..])), 0..6)
}

fn with_rules(rules: &[(Pattern, &str)]) -> Classes {
    let mut classes = Classes::default();
    for (pattern, name) in rules {
        classes.add_rule(pattern.clone(), name).unwrap();
    }
    classes
}

proptest! {
    #[test]
    fn an_explicit_class_beats_every_pattern(
        rules in any_rules(), key in prop::sample::select(&KEYS[..]), name in prop::sample::select(&NAMES[..]),
    ) {
        let classes = with_rules(&rules);
        let chosen = classes.choose(Some(name), key).unwrap();
        prop_assert_eq!((chosen.name, chosen.why), (name, Why::Explicit));
        prop_assert_eq!(Some(chosen.policy), classes.get(name));
    }

    #[test]
    fn the_first_rule_that_matches_wins_and_without_one_the_default(
        rules in any_rules(), key in prop::sample::select(&KEYS[..]),
    ) {
        let classes = with_rules(&rules);
        let chosen = classes.choose(None, key).unwrap();
        let wanted = rules.iter().find(|(pattern, _)| pattern.matches(key));
        let wanted = wanted.map_or(("default", Why::Default), |(pattern, name)| (*name, Why::Pattern(pattern)));
        prop_assert_eq!((chosen.name, chosen.why), wanted);
        prop_assert_eq!(Some(chosen.policy), classes.get(chosen.name));
        prop_assert_eq!(classes.of_key(key), chosen);
    }

    #[test]
    fn a_class_that_is_not_there_is_refused_with_those_that_are(name in "[a-z]{0,9}") {
        prop_assume!(!NAMES.contains(&name.as_str()));
        let mut classes = Classes::default();
        let refused = classes.choose(Some(&name), "a").unwrap_err();
        prop_assert_eq!(refused.known.clone(), ["default", "active", "critical", "stable"]);
        prop_assert_eq!(&refused.name, &name);
        prop_assert_eq!(classes.add_rule("**".parse().unwrap(), &name), Err(refused));
        prop_assert_eq!(classes.of_key("a").why, Why::Default);
    }
}

#[test]
fn three_classes_and_a_default_are_there_from_the_beginning() {
    let classes = Classes::default();
    let days = NAMES.map(|name| classes.get(name).unwrap().fresh.as_secs() / DAY.as_secs());
    assert_eq!(days, [30, 14, 7, 30]);
    assert_eq!(classes.default_policy(), &Policy::default());
}

#[test]
fn a_class_that_is_defined_again_is_replaced_and_so_is_the_default() {
    let mut classes = Classes::default();
    classes.add_rule("a".parse().unwrap(), "active").unwrap();
    classes.define("active", Policy::fresh_for(DAY));
    classes.define(Classes::DEFAULT, Policy::fresh_for(DAY * 2));
    assert_eq!((classes.of_key("a").policy.fresh, classes.of_key("b").policy.fresh), (DAY, DAY * 2));
    assert_eq!(classes.names().collect::<Vec<_>>(), ["default", "active", "critical", "stable"]);
}

#[test]
fn the_refusal_says_which_classes_there_are() {
    let refused = Classes::default().choose(Some("criticle"), "a").unwrap_err();
    let words = "there is no class \"criticle\": use one of default, active, critical, stable";
    assert_eq!(refused.to_string(), words);
}
