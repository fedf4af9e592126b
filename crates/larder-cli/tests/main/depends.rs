//! Outputs that depend on files.

use std::fs::{File, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, Timespec, Timestamps, futimens, mknodat};

use crate::place::{Place, Running, release};

/// Counts a call, and prints the file.
const SCRIPT: &str = "printf x >> calls; cat f; true";

fn run(place: &Place, flags: &[&str]) -> crate::place::Done {
    place.larder(&Place::run(&[&["--key", "k", "--status"], flags].concat(), SCRIPT))
}

/// That doing this makes the command run again, once.
#[track_caller]
fn runs_again(place: &Place, path: &str, act: impl FnOnce()) {
    let calls = place.calls();
    run(place, &["--depends", path]).says(0, &["hit"]);
    assert_eq!(place.calls(), calls, "before");
    act();
    run(place, &["--depends", path]).says(0, &["fwd=stale", "has changed"]);
    run(place, &["--depends", path]).says(0, &["hit"]);
    assert_eq!(place.calls(), calls + 1);
}

#[expect(clippy::disallowed_methods, reason = "the user's files, changed as a user changes them")]
fn remove(path: &Path) {
    std::fs::remove_file(path).unwrap();
}

#[expect(clippy::disallowed_methods, reason = "the user's files, changed as a user changes them")]
fn folder(path: &Path) {
    std::fs::create_dir(path).unwrap();
}

#[expect(clippy::disallowed_methods, reason = "the user's files, changed as a user changes them")]
fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_command_runs_again_when_the_file_that_it_depends_on_changes_and_not_before() {
    let place = Place::new("depends");
    place.write("f", "one\n");
    run(&place, &["--depends", "f"]).is(0, "one\n");
    run(&place, &["--depends", "f"]).is(0, "one\n");
    assert_eq!(place.calls(), 1);
    runs_again(&place, "f", || place.write("f", "two\n"));
    run(&place, &["--depends", "f"]).is(0, "two\n");
    // a touch
    place.write("f", "two\n");
    run(&place, &["--depends", "f"]).says(0, &["hit"]);
    assert_eq!(place.calls(), 2);
}

#[test]
fn each_change_of_a_folder_counts_and_what_is_beside_it_does_not() {
    let place = Place::new("depends-folder");
    place.write("f", "");
    folder(&place.path("d"));
    for number in 0..5_000 {
        place.write(&format!("d/{number:04}"), "text");
    }
    run(&place, &["--depends", "d"]).says(0, &["fwd=uri-miss"]);
    place.write("f", "beside");
    runs_again(&place, "d", || place.write("d/4999", "teXt"));
    runs_again(&place, "d", || place.write("d/new", ""));
    runs_again(&place, "d", || remove(&place.path("d/new")));
    runs_again(&place, "d", || set_mode(&place.path("d/0000"), 0o755));
    symlink("..", place.path("d/up")).unwrap();
    run(&place, &["--depends", "d"]).says(0, &["fwd=stale"]);
    runs_again(&place, "d", || {
        remove(&place.path("d/up"));
        symlink("../f", place.path("d/up")).unwrap();
    });
    mknodat(CWD, place.path("d/pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    run(&place, &["--depends", "d"]).says(0, &["fwd=stale"]);
    run(&place, &["--depends", "d"]).says(0, &["hit"]);
}

#[test]
fn a_rewrite_with_its_time_set_back_counts() {
    let place = Place::new("depends-back");
    place.write("f", "one");
    let before = std::fs::metadata(place.path("f")).unwrap();
    run(&place, &["--depends", "f"]).is(0, "one");
    runs_again(&place, "f", || {
        place.write("f", "two");
        let time = Timespec { tv_sec: before.mtime(), tv_nsec: before.mtime_nsec() };
        let times = Timestamps { last_access: time, last_modification: time };
        futimens(File::open(place.path("f")).unwrap(), &times).unwrap();
    });
}

#[test]
fn what_changes_while_the_command_runs_counts_next_time() {
    let place = Place::new("depends-meanwhile");
    place.write("f", "one\n");
    place.write("once", "");
    let script = "printf x >> calls; cat f; [ -e once ] && { echo two > f; rm once; }; true";
    let run = || place.larder(&Place::run(&["--key", "k", "--depends", "f"], script));
    run().is(0, "one\n");
    run().is(0, "two\n");
    run().is(0, "two\n");
    assert_eq!(place.calls(), 2);
}

#[test]
fn who_comes_after_a_change_gets_no_answer_of_a_run_that_began_before() {
    let place = Place::new("depends-join");
    let go = place.fifo("go");
    place.write("f", "one\n");
    let script = "text=$(cat f); printf x >> calls; [ $(wc -c < calls) = 1 ] && read line < go; echo $text";
    // with a short life the answer is handed on, without a place in the store
    for ttl in ["1h", "0s"] {
        let words = Place::run(&["--key", ttl, "--ttl", ttl, "--depends", "f"], script);
        let first = place.spawn(&words);
        place.wait_for_calls(1);
        place.write("f", "two\n");
        let mut second: Vec<Running> = (0..3).map(|_| place.spawn(&words)).collect();
        second.iter_mut().for_each(Running::wait_until_blocked);
        release(&go);
        first.done().is(0, "one\n");
        for second in second {
            second.done().is(0, "two\n");
        }
        remove(&place.path("calls"));
        place.write("f", "one\n");
    }
}

#[test]
fn a_path_may_be_missing_and_appear() {
    let place = Place::new("depends-missing");
    place.write("f", "");
    run(&place, &["--depends", "later/file"]).says(0, &["fwd=uri-miss"]);
    runs_again(&place, "later/file", || {
        folder(&place.path("later"));
        place.write("later/file", "");
    });
    runs_again(&place, "later/file", || remove(&place.path("later/file")));
}

#[test]
fn what_cannot_be_read_is_named_and_its_output_is_not_stored() {
    let place = Place::new("depends-unreadable");
    place.write("f", "one\n");
    symlink("loop", place.path("loop")).unwrap();
    for calls in 1..=2 {
        let done = run(&place, &["--depends", "loop/file"]);
        done.is(0, "one\n");
        done.says(0, &["not stored", "loop/file", "make it readable"]);
        assert_eq!(place.calls(), calls);
    }
    place.larder(&["get", "k", "--offline"]).says(3, &[]);
}

#[test]
fn the_caches_own_folder_is_left_out_of_the_folder_that_it_is_in() {
    let place = Place::new("depends-own");
    place.write("f", "one\n");
    place.write("calls", "");
    let run = |path: &str| place.larder(&Place::run(&["--key", "k", "--status", "--depends", path], "cat f"));
    run(".").is(0, "one\n");
    run(".").says(0, &["hit"]);
    place.write("g", "");
    run(".").says(0, &["fwd=stale"]);
    run("root/entries").says(0, &["not stored", "the cache's own folder"]);
}

#[test]
fn dependencies_that_cannot_be_are_refused_before_anything_runs() {
    let place = Place::new("depends-refused");
    let many: Vec<String> = (0..65).map(|number| number.to_string()).collect();
    let flags: Vec<&str> = many.iter().flat_map(|path| ["--depends", path]).collect();
    run(&place, &flags).says(2, &["at most 64"]);
    run(&place, &["--depends", ""]).says(2, &["path"]);
    assert!(!place.path("calls").exists());
}

#[test]
fn who_names_a_file_that_the_copy_was_not_stored_with_has_it_made_anew() {
    let place = Place::new("depends-more");
    place.write("f", "one\n");
    run(&place, &[]).says(0, &["uri-miss"]);
    run(&place, &["--depends", "f"]).says(0, &["fwd=stale", "not known when it was stored"]);
    run(&place, &["--depends", "f"]).says(0, &["hit"]);
    // who names none takes it as it is stored
    run(&place, &[]).says(0, &["hit"]);
    place.write("f", "two\n");
    run(&place, &[]).is(0, "two\n");
}

#[test]
fn an_old_copy_is_given_when_the_command_fails_or_nothing_is_to_be_run_and_says_what_has_changed() {
    let place = Place::new("depends-fallback");
    place.write("f", "one\n");
    let script = "printf x >> calls; [ -e down ] && { echo no route >&2; exit 7; }; cat f";
    let run = |flags: &[&str]| {
        let all = ["--key", "k", "--status", "--stale-if-error", "1h", "--depends", "f"];
        place.larder(&Place::run(&[&all, flags].concat(), script))
    };
    run(&[]).is(0, "one\n");
    place.write("f", "two\n");
    place.larder(&["get", "k"]).says(3, &["out of date", &place.path("f").display().to_string()]);
    place.write("down", "");
    let offline = run(&["--offline"]);
    offline.is(0, "one\n");
    offline.says(0, &["hit", "larder-stale", "offline"]);
    assert_eq!(place.calls(), 1);
    let failed = run(&[]);
    failed.is(0, "one\n");
    failed.says(0, &["larder-stale"]);
    let explained = place.larder(&["explain", "k"]);
    let file = place.path("f").display().to_string();
    for part in ["outdated: ", "depends on  ", "changed     ", &format!("{file} has changed")] {
        assert!(explained.out.contains(part), "{part}: {}", explained.out);
    }
    let json = place.larder(&["explain", "k", "--json"]).out;
    assert!(json.contains("\"changed\":") && json.contains(&format!("\"path\":\"{file}\"")), "{json}");
}

#[test]
fn a_helper_refreshes_what_was_made_from_files_that_have_changed() {
    let place = Place::new("depends-behind");
    place.write("f", "one\n");
    let run = |flags: &[&str]| {
        let all = ["--key", "k", "--ttl", "0s", "--stale", "1h", "--depends", "f"];
        place.larder(&Place::run(&[&all, flags].concat(), SCRIPT))
    };
    run(&[]).is(0, "one\n");
    // past its time and good enough while it is refreshed: not any more
    place.write("f", "two\n");
    run(&["--soft-timeout", "1h"]).is(0, "two\n");
    place.larder(&["explain", "k"]).says(0, &[]);
}

#[test]
fn a_failure_that_is_remembered_counts_for_the_files_that_it_was_made_from() {
    let place = Place::new("depends-failure");
    place.write("file", "bad");
    let words = ["run", "--key", "k", "--depends", "file", "--fail-ttl", "1h", "--", "sh", "-c"];
    let script = ["printf x >> calls; grep -q good file"];
    let ask = || place.larder(&[&words[..], &script].concat()).code;
    assert_eq!((ask(), ask(), place.calls()), (Some(1), Some(1), 1));
    place.write("file", "still bad");
    assert_eq!((ask(), ask(), place.calls()), (Some(1), Some(1), 2));
    place.write("file", "good");
    assert_eq!((ask(), ask(), place.calls()), (Some(0), Some(0), 3));
}

#[test]
fn a_comparison_takes_no_longer_than_the_call_may() {
    let place = Place::new("depends-time");
    // never at rest: read each time
    place.write("file", &"x".repeat(64 * 1024 * 1024));
    std::process::Command::new("touch").args(["-d", "2099-01-01"]).arg(place.path("file")).status().unwrap();
    let words = ["run", "--key", "k", "--depends", "file", "--timeout", "1ms", "--", "echo", "x"];
    let done = place.larder(&words);
    assert!(done.code == Some(69) || done.code == Some(0), "{} {}", done.out, done.err);
    assert!(place.larder(&["explain", "k"]).code == Some(3), "what was not looked at to its end is not stored");
}
