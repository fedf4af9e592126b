//! The stress program as its users run it: clean without a broken part, and not with one.
#![cfg(unix)]
#![expect(clippy::expect_used, reason = "what goes wrong here fails the test that called it")]

use std::process::{Command, Output};

use larder_testkit::Scratch;

fn stress(scratch: &Scratch, flags: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder-stress"));
    command.arg("--folder").arg(scratch.path()).args(flags);
    command.output().expect("the program was built with this test")
}

/// The exit code, with all that was said when it is another.
#[track_caller]
fn assert_ends_with(output: &Output, code: i32) {
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}\n{errors}");
}

/// Runs with a broken part; its report when it was caught.
#[track_caller]
fn caught(name: &str) -> String {
    caught_with(name, &[])
}

/// The same in one scene, which has the machine to itself then.
#[track_caller]
fn caught_alone(name: &str, scene: &str) -> String {
    caught_with(name, &["--only", scene])
}

#[track_caller]
fn caught_with(name: &str, flags: &[&str]) -> String {
    let scratch = Scratch::new("stress-caught");
    let common = ["--sabotage", name, "--duration", "30s", "--processes", "12"];
    let output = stress(&scratch, &[&common, flags].concat());
    assert_ends_with(&output, 1);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_list_of_broken_parts_has_one_name_on_a_line_and_nothing_else() {
    let scratch = Scratch::new("stress-list");
    let output = stress(&scratch, &["--list-sabotage"]);
    assert_ends_with(&output, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    let is_name = |line: &str| !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    assert!(text.lines().all(is_name), "{text}");
    assert!(text.lines().count() >= 8, "{text}");
    assert!(output.stderr.is_empty());
}

#[test]
fn an_unknown_broken_part_is_wrong_usage() {
    let scratch = Scratch::new("stress-unknown");
    let output = stress(&scratch, &["--sabotage", "nothing-of-this-name"]);
    assert_ends_with(&output, 2);
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing-of-this-name"));
}

#[test]
fn two_seconds_without_a_broken_part_are_clean_and_leave_nothing() {
    let scratch = Scratch::new("stress-clean");
    let output = stress(&scratch, &["--duration", "2s", "--processes", "12"]);
    assert_ends_with(&output, 0);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains(" 0 violations"), "{text}");
    assert!(text.contains("again: cargo xtask stress --seed 0x"), "{text}");
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0, "a clean run removes its folder");
}

#[test]
fn an_ignored_fence_is_caught_with_evidence() {
    let text = caught("fence-ignored");
    assert!(text.contains("expected  nothing fetched before the invalidation"), "{text}");
    assert!(text.contains("--sabotage fence-ignored"), "{text}");
}

#[test]
fn a_lock_file_removed_after_its_release_is_caught_with_evidence() {
    let text = caught("unlink-after-release");
    assert!(text.contains("violation of locks"), "{text}");
}

#[test]
fn a_herd_that_falls_through_an_outage_is_caught_with_evidence() {
    let text = caught("fall-through-herd");
    assert!(text.contains("violation of P5") && text.contains("calls, the first of which"), "{text}");
}

#[test]
fn an_age_that_an_error_has_reset_is_caught_with_evidence() {
    let text = caught("age-reset-by-error");
    assert!(text.contains("violation of P5") && text.contains("--sabotage age-reset-by-error"), "{text}");
}

#[test]
fn a_refresh_that_reads_its_own_cache_is_caught_with_evidence() {
    let text = caught("refresh-from-cache");
    assert!(text.contains("violation of P5") && text.contains("--sabotage refresh-from-cache"), "{text}");
}

#[test]
fn an_interrupted_run_says_what_it_has_and_ends_with_its_signal() {
    use std::process::Stdio;
    let scratch = Scratch::new("stress-interrupted");
    let mut command = larder_testkit::with_default_signals(env!("CARGO_BIN_EXE_larder-stress"));
    command.arg("--folder").arg(scratch.path()).args(["--duration", "5m", "--processes", "8"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it was built with this test");
    // its folder is made after it has begun to listen for nothing but its own work; the arenas, after it listens for signals
    let has_arena = || {
        let run = std::fs::read_dir(scratch.path()).ok()?.flatten().next()?;
        std::fs::read_dir(run.path()).ok()?.flatten().find(|entry| entry.file_name() != "corpus")
    };
    while has_arena().is_none() {
        std::thread::yield_now();
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_ends_with(&output, 130);
    assert!(String::from_utf8_lossy(&output.stdout).contains(" 0 violations"));
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0, "its folder is removed");
}

#[test]
fn a_link_that_is_followed_is_caught_with_evidence() {
    let text = caught_alone("followed-link", "hostile");
    assert!(text.contains("violation of P8"), "{text}");
}

#[test]
fn a_secret_that_is_logged_or_given_to_everybody_is_caught_with_evidence() {
    for name in ["secret-in-log", "secret-for-all"] {
        let text = caught_alone(name, "secrets");
        assert!(text.contains("violation of P9"), "{text}");
    }
}
