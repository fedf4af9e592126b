//! Waiting terms as callers state them.

use std::time::Duration;

use larder_lock::{Bound, Origin, Wait};

#[test]
fn a_wait_of_zero_in_any_unit_is_no_wait() {
    assert_eq!(Wait::up_to(Duration::ZERO).bound(), Bound::None);
    for text in ["0", "0ms", "0s", "0m", "0h", "0d"] {
        assert_eq!(Wait::parse(text, Origin::Default).unwrap().bound(), Bound::None, "{text}");
    }
}

#[test]
fn a_wait_says_where_its_bound_came_from() {
    let said = |origin: Origin| Wait::parse("1s", origin).unwrap().origin().to_string();
    assert_eq!(said(Origin::Flag("--lock-timeout".to_owned())), "flag --lock-timeout");
    assert_eq!(said(Origin::Environment("LARDER_LOCK".to_owned())), "environment variable LARDER_LOCK");
    assert_eq!(said(Origin::Config("lock.timeout".to_owned())), "configuration lock.timeout");
    assert_eq!(said(Origin::Default), "the default");
}

#[test]
fn the_debug_form_of_a_wait_is_complete_without_its_observer() {
    let text = format!("{:?}", Wait::forever());
    assert!(text.contains("Infinite") && text.contains("observed: false"), "{text}");
}

#[test]
fn a_wait_without_holder_names_nobody_and_keeps_its_other_terms() {
    let folder = larder_testkit::Scratch::new("without-holder");
    let locks = larder_lock::Locks::open(folder.utf8_path(), larder_lock::Options::new()).unwrap();
    let _held = locks.acquire("x", larder_lock::Mode::Exclusive, &Wait::none()).unwrap();
    let wait = Wait::none().from(Origin::Default).without_holder();
    assert_eq!(
        (wait.origin(), wait.cancellation().is_some(), wait.observer().is_some()),
        (&Origin::Default, false, false)
    );
    let refused = locks.acquire("x", larder_lock::Mode::Exclusive, &wait).unwrap_err();
    assert_eq!(refused.holder(), Some(&larder_lock::Holder::unknown()));
}
