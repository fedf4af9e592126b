//! Stale copies from the shell: given while a helper refreshes them, and when the command fails or takes long.

use rustix::process::Signal;

use crate::place::{Place, Running, release, wait_until};

/// Counts a call, and prints its number.
const COUNTED: &str = "printf x >> calls; echo doc $(wc -c < calls)";
/// The same; the second call waits to be released.
const GATED: &str = "printf x >> calls; [ $(wc -c < calls) = 2 ] && read line < go; echo doc $(wc -c < calls)";
/// The same, failing as long as there is a file `down`.
const FAILING: &str = "printf x >> calls; [ -e down ] && { echo no route >&2; exit 7; }; echo doc";

/// Past its time at once, and good for an hour while it is refreshed.
const WHILE: &[&str] = &["--key", "k", "--ttl", "0s", "--stale", "1h"];
/// Past its time at once, and good for an hour if the command fails.
const IF_ERROR: &[&str] = &["--key", "k", "--ttl", "0s", "--stale-if-error", "1h"];

fn with<'a>(flags: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [flags, more].concat()
}

/// What is stored, whatever its age.
fn stored(place: &Place) -> String {
    place.larder(&["get", "k", "--offline"]).out
}

#[test]
fn twenty_who_find_it_stale_are_answered_at_once_and_one_helper_refreshes_it() {
    let place = Place::new("stale-herd");
    let go = place.fifo("go");
    place.larder(&Place::run(WHILE, GATED)).is(0, "doc 1\n");
    let all: Vec<Running> = (0..20).map(|_| place.spawn(&Place::run(&with(WHILE, &["--status"]), GATED))).collect();
    for one in all {
        // its streams have ended although the helper has not
        let done = one.done();
        done.is(0, "doc 1\n");
        done.says(0, &["hit", "ttl=-", "larder-stale", "larder-age="]);
    }
    place.wait_for_calls(2);
    assert!(place.helpers() <= 2, "{} helpers", place.helpers());
    release(&go);
    wait_until("the refresh", || stored(&place) == "doc 2\n");
    assert_eq!(place.calls(), 2);
    wait_until("the end of the helper", || place.helpers() == 0);
}

#[test]
fn a_helper_keeps_nothing_open_that_the_shell_had_open() {
    let place = Place::new("stale-descriptors");
    let go = place.fifo("go");
    place.larder(&Place::run(WHILE, GATED)).is(0, "doc 1\n");
    // the end of descriptor 7 is the end of everybody who has it
    let script =
        format!("{{ '{}' run {} -- sh -c '{GATED}'; }} 7>&1 | cat", env!("CARGO_BIN_EXE_larder"), WHILE.join(" "));
    let mut shell = place.command(&[]);
    let environment: Vec<_> =
        shell.get_envs().map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned))).collect();
    let folder = shell.get_current_dir().unwrap().to_owned();
    shell = std::process::Command::new("sh");
    shell.args(["-c", &script]).current_dir(folder);
    for (name, value) in environment {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let output = shell.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "doc 1\n");
    place.wait_for_calls(2);
    release(&go);
    wait_until("the refresh", || stored(&place) == "doc 2\n");
}

#[test]
fn in_an_outage_thirty_callers_get_the_last_good_copy_for_one_call() {
    for flags in [WHILE, IF_ERROR] {
        let place = Place::new("stale-outage");
        place.larder(&Place::run(flags, FAILING)).is(0, "doc\n");
        place.write("down", "");
        for _ in 0..30 {
            let done = place.larder(&Place::run(&with(flags, &["--status"]), FAILING));
            done.is(0, "doc\n");
            done.says(0, &["stale", "larder-age="]);
        }
        wait_until("the failure to be remembered", || place.larder(&["locks"]).out.contains("still remembered"));
        place.larder(&Place::run(&with(flags, &["--status"]), FAILING)).says(0, &["failed lately"]);
        assert_eq!(place.calls(), 2, "{flags:?}");
        assert_eq!(place.larder(&Place::run(&with(flags, &["--fail-on-stale"]), FAILING)).code, Some(5));
    }
}

#[test]
fn who_waited_for_a_failing_command_hears_what_it_said() {
    let place = Place::new("stale-said");
    place.larder(&Place::run(IF_ERROR, FAILING)).is(0, "doc\n");
    place.write("down", "");
    let flags = with(IF_ERROR, &["--status", "--soft-timeout", "1h"]);
    place.larder(&Place::run(&flags, FAILING)).says(0, &["no route", "fwd=stale", "exit code 7", "larder-stale"]);
}

#[test]
fn a_failure_with_nothing_to_fall_back_on_is_nobody_elses() {
    let place = Place::new("stale-nothing");
    place.write("down", "");
    for calls in 1..=2 {
        place.larder(&Place::run(IF_ERROR, FAILING)).says(7, &["no route"]);
        assert_eq!(place.calls(), calls);
    }
}

#[test]
fn who_insists_on_a_new_one_asks_all_the_same_and_has_the_old_one_to_fall_back_on() {
    let place = Place::new("stale-refresh");
    place.larder(&Place::run(IF_ERROR, FAILING)).is(0, "doc\n");
    place.write("down", "");
    for calls in 2..=3 {
        let done = place.larder(&Place::run(&with(IF_ERROR, &["--refresh", "--status"]), FAILING));
        done.says(0, &["no route", "fwd=request", "larder-stale"]);
        assert_eq!((done.out.as_str(), place.calls()), ("doc\n", calls));
    }
    // without a window there is nothing to fall back on
    place.larder(&Place::run(&["--key", "k", "--ttl", "0s", "--stale-if-error", "0s", "--refresh"], FAILING)).is(7, "");
}

#[test]
fn with_a_copy_in_hand_nobody_waits_for_a_slow_command_whose_output_is_stored_later() {
    let place = Place::new("stale-soft");
    let go = place.fifo("go");
    place.larder(&Place::run(IF_ERROR, GATED)).is(0, "doc 1\n");
    for soft in ["0", "10ms"] {
        let flags = with(IF_ERROR, &["--soft-timeout", soft, "--status"]);
        let done = place.larder(&Place::run(&flags, GATED));
        done.is(0, "doc 1\n");
        done.says(0, &["soft timeout", "larder-stale"]);
    }
    place.wait_for_calls(2);
    release(&go);
    wait_until("the new one", || stored(&place) == "doc 2\n");
    assert_eq!(place.calls(), 2);
}

#[test]
fn who_waits_a_little_gets_the_new_one_if_it_comes_in_time() {
    let place = Place::new("stale-in-time");
    place.larder(&Place::run(IF_ERROR, COUNTED)).is(0, "doc 1\n");
    let done = place.larder(&Place::run(&with(IF_ERROR, &["--soft-timeout", "1h", "--status"]), COUNTED));
    done.is(0, "doc 2\n");
    done.says(0, &["fwd=stale", "stored"]);
    assert!(!done.err.contains("larder-stale"), "{}", done.err);
}

#[test]
fn a_frozen_leader_holds_nobody_who_has_a_copy() {
    let place = Place::new("stale-frozen");
    place.fifo("go");
    place.larder(&Place::run(IF_ERROR, GATED)).is(0, "doc 1\n");
    let mut leader = place.spawn(&Place::run(&with(IF_ERROR, &["--refresh"]), GATED));
    place.wait_for_calls(2);
    leader.signal(Signal::STOP);
    for _ in 0..3 {
        place.larder(&Place::run(&with(IF_ERROR, &["--soft-timeout", "10ms"]), GATED)).is(0, "doc 1\n");
        place.larder(&Place::run(WHILE, GATED)).is(0, "doc 1\n");
    }
    assert_eq!(place.calls(), 2);
    leader.kill();
    place.larder(&["invalidate", "k", "--hard"]).is(0, "");
    release(&place.path("go"));
    wait_until("the end of the helper", || place.helpers() == 0);
}

#[test]
fn a_killed_helper_is_nobodys_loss() {
    let place = Place::new("stale-killed");
    place.fifo("go");
    place.larder(&Place::run(WHILE, GATED)).is(0, "doc 1\n");
    place.larder(&Place::run(WHILE, GATED)).is(0, "doc 1\n");
    place.wait_for_calls(2);
    let script = format!(
        "for p in /proc/[0-9]*; do [ \"$(readlink $p/cwd)\" = '{}' ] && tr '\\0' ' ' < $p/cmdline | grep -q -- '--behind' && \
         kill -9 ${{p#/proc/}} && exit 0; done; exit 1",
        place.path("").display().to_string().trim_end_matches('/')
    );
    let mut killed = std::process::Command::new("sh");
    killed.args(["-c", &script]);
    assert!(killed.status().unwrap().success());
    wait_until("its end", || place.helpers() == 0);
    release(&place.path("go"));
    place.larder(&Place::run(WHILE, GATED)).is(0, "doc 1\n");
    wait_until("another refresh", || stored(&place) == "doc 3\n");
}

#[test]
fn a_fresh_copy_near_its_end_is_refreshed_early_by_a_helper() {
    let place = Place::new("stale-early");
    place.write("larder.yaml", "version: 1\ndefaults: { early: 0.000001 }\n");
    place.larder(&Place::run(&["--key", "k", "--ttl", "1h"], COUNTED)).is(0, "doc 1\n");
    // a few milliseconds later a millionth of the hour is over
    wait_until("the refresh", || {
        place.larder(&Place::run(&["--key", "k", "--ttl", "1h"], COUNTED)).code == Some(0)
            && stored(&place) != "doc 1\n"
    });
}

#[test]
fn a_copy_invalidated_softly_is_a_fallback_and_nothing_else() {
    let place = Place::new("stale-invalidated");
    let flags = ["--key", "k", "--ttl", "1h", "--stale", "1h"];
    place.larder(&Place::run(&flags, FAILING)).is(0, "doc\n");
    place.larder(&["invalidate", "k"]).is(0, "");
    place.write("down", "");
    let done = place.larder(&Place::run(&with(&flags, &["--status", "--soft-timeout", "1h"]), FAILING));
    done.is(0, "doc\n");
    done.says(0, &["larder-stale"]);
    place.larder(&["invalidate", "k", "--hard"]).is(0, "");
    place.larder(&Place::run(&flags, FAILING)).is(7, "");
}
