//! Commands that fail, take too long, or cannot be run.

use crate::place::{Place, Running, is_alive, release, wait_until};

const GATED: &str = "printf x >> calls; echo half; read line < go; echo why >&2; exit 7";

fn herd(place: &Place, flags: &[&str], waiters: usize) -> (Running, Vec<Running>) {
    let leader = place.spawn(&Place::run(flags, GATED));
    place.wait_for_calls(1);
    let mut others: Vec<Running> = (0..waiters).map(|_| place.spawn(&Place::run(flags, GATED))).collect();
    others.iter_mut().for_each(Running::wait_until_blocked);
    (leader, others)
}

#[test]
fn a_failure_is_shared_by_all_who_waited_and_nothing_is_stored() {
    let place = Place::new("shared");
    let go = place.fifo("go");
    let (leader, others) = herd(&place, &["--key", "k"], 15);
    release(&go);
    let leader = leader.done();
    leader.is(7, "half\n");
    assert_eq!(leader.err, "why\n");
    for other in others {
        let other = other.done();
        other.is(7, "");
        assert_eq!(other.err, "why\n");
    }
    assert_eq!(place.calls(), 1);
    place.larder(&["list"]).is(0, "");
}

#[test]
fn a_newcomer_runs_the_command_again_unless_failures_are_remembered() {
    let place = Place::new("remembered");
    let script = "printf x >> calls; echo why >&2; exit 7";
    let run = |flags: &[&str]| place.larder(&Place::run(flags, script));
    run(&[]).says(7, &["why"]);
    run(&[]).says(7, &["why"]);
    assert_eq!(place.calls(), 2);
    run(&["--fail-ttl", "1h"]).says(7, &["why"]);
    run(&[]).says(7, &["why"]);
    assert_eq!(place.calls(), 3);
    run(&["--refresh"]).says(7, &["why"]);
    assert_eq!(place.calls(), 4);
}

#[test]
fn a_command_that_a_signal_ends_gives_128_and_the_signal() {
    let place = Place::new("signalled");
    assert_eq!(place.larder(&Place::run(&[], "kill -KILL $$")).code, Some(137));
    place.larder(&["list"]).is(0, "");
}

#[test]
fn a_command_that_does_not_exist_is_127_and_one_that_cannot_be_executed_126() {
    let place = Place::new("exec");
    place.larder(&["run", "--", "larder-test-no-such-program", "hush"]).says(127, &["was not found"]);
    place.larder(&["run", "--", ""]).says(127, &[]);
    place.larder(&["run", "--", "/etc/passwd"]).says(126, &["cannot be executed", "may execute"]);
    let mut made = std::process::Command::new("sh");
    made.args(["-c", "echo true > script; chmod +x script"]);
    assert!(made.current_dir(place.path("")).status().unwrap().success());
    place.larder(&["run", "--", "./script"]).says(126, &["cannot be executed", "`#!` line"]);
    place.larder(&["lock", "n", "--", "larder-test-no-such-program"]).says(127, &["was not found"]);
    place.larder(&["lock", "n", "--", "/etc/passwd"]).says(126, &["cannot be executed"]);
    place.larder(&["list"]).is(0, "");
}

#[test]
fn a_command_line_where_a_program_was_to_stand_is_neither_shown_nor_kept() {
    let place = Place::new("quoted");
    for (word, arguments) in [("curl -H hush http://127.0.0.1", &[][..]), ("TOKEN=hush", &["env"]), ("hush", &[])] {
        let run = [&["run", "-vv", "--status", "--fail-ttl", "1h", "--", word], arguments].concat();
        let first = place.larder(&run);
        let second = place.larder(&run);
        first.says(127, &["was not found"]);
        second.says(127, &["was not found", "remembered"]);
        let shown = [place.larder(&["locks"]), place.larder(&["locks", "--json"]), second];
        assert!(shown.iter().all(|done| !done.out.contains("hush") && !done.err.contains("hush")), "{word}");
        if word != "hush" {
            first.says(127, &["words of their own"]);
            place.larder(&["lock", "n", "--", word]).says(127, &["words of their own"]);
            assert!(!first.err.contains("hush"), "{}", first.err);
        }
    }
    let found = std::process::Command::new("grep").args(["-ra", "hush"]).arg(place.root()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
}

#[test]
fn a_remembered_failure_is_no_fetch() {
    let place = Place::new("remembered-status");
    place.larder(&Place::run(&["--fail-ttl", "1h"], "exit 7")).says(7, &[]);
    place.larder(&Place::run(&["--status"], "exit 7")).says(7, &["detail=\"upstream: remembered\""]);
}

#[test]
fn a_command_that_takes_too_long_is_ended_with_all_that_it_started() {
    let place = Place::new("timeout");
    let script = "sleep 1000 & echo $! > grandchild; printf x >> calls; wait";
    let flags = |timeout| ["--timeout", timeout, "--fail-ttl", "1h", "--key", timeout];
    // a machine that is busy may need longer to start it at all
    let (grandchild, key) = ["300ms", "3s", "30s"]
        .into_iter()
        .find_map(|timeout| {
            let done = place.larder(&Place::run(&flags(timeout), script));
            done.says(69, &["did not end within", "--timeout"]);
            let grandchild = std::fs::read_to_string(place.path("grandchild")).ok()?;
            grandchild.ends_with('\n').then_some((grandchild, timeout))
        })
        .expect("the command starts within half a minute");
    // what was killed is there until the kernel is done with it
    wait_until("the end of what the command started", || !is_alive(grandchild.trim()));
    // the failure is one of those that can be remembered
    let calls = place.calls();
    place.larder(&Place::run(&["--timeout", "20s", "--key", key], script)).says(69, &["remembered"]);
    assert_eq!(place.calls(), calls);
}

#[test]
fn a_command_that_does_not_listen_is_killed() {
    let place = Place::new("deaf");
    let script = "trap '' TERM; sleep 1000 & wait; wait";
    place.larder(&Place::run(&["--timeout", "100ms"], script)).says(69, &["did not end within"]);
}

#[test]
fn what_a_command_reads_is_empty() {
    let place = Place::new("stdin");
    place.larder_reading(&Place::run(&[], "cat; echo end"), b"not for the command").is(0, "end\n");
}
