//! Roots that are nowhere, closed, broken or removed: commands run all the same.

use std::os::unix::fs::PermissionsExt as _;

use crate::place::{Done, Place};

const SCRIPT: &str = "printf x >> calls; echo doc";

#[track_caller]
fn runs_uncached(place: &Place, done: &Done) {
    done.is(0, "doc\n");
    assert_eq!(done.err.matches("warning").count(), 1, "{}", done.err);
    assert!(done.err.contains("runs without the cache"), "{}", done.err);
    assert!(place.calls() > 0);
}

#[test]
fn without_a_home_the_command_runs_uncached_and_other_verbs_say_what_is_missing() {
    let place = Place::new("homeless");
    let homeless = |words: &[&str]| {
        let mut command = place.command(words);
        for name in ["LARDER_ROOT", "XDG_CACHE_HOME", "HOME"] {
            command.env_remove(name);
        }
        Done::from(command.output().unwrap())
    };
    runs_uncached(&place, &homeless(&Place::run(&[], SCRIPT)));
    assert_eq!(homeless(&Place::run(&["-q"], SCRIPT)).err, "");
    homeless(&["get", "k"]).says(2, &["--root", "LARDER_ROOT", "HOME"]);
    homeless(&["run", "--offline", "--", "echo"]).says(2, &["--root"]);
}

#[test]
fn the_cache_is_where_flag_variable_or_platform_say_in_this_order() {
    let place = Place::new("where");
    let put = |flag: Option<&str>, variables: &[(&str, &str)]| {
        let mut command = place.command(&["put", "k", "--from", "/dev/null"]);
        command.env_remove("LARDER_ROOT").env_remove("XDG_CACHE_HOME").env_remove("HOME");
        for (name, value) in variables {
            let value = if value.is_empty() { place.path("") } else { place.path(value) };
            command.env(name, value);
        }
        if let Some(flag) = flag {
            command.args(["--root", flag]);
        }
        Done::from(command.output().unwrap()).is(0, "");
    };
    put(Some("flag"), &[("LARDER_ROOT", "variable")]);
    put(None, &[("LARDER_ROOT", "variable"), ("XDG_CACHE_HOME", "xdg"), ("HOME", "home")]);
    put(None, &[("XDG_CACHE_HOME", "xdg"), ("HOME", "home")]);
    put(None, &[("HOME", "home")]);
    for root in ["flag", "variable", "xdg/larder", "home/.cache/larder"] {
        assert!(place.path(root).join("entries/k.entry").exists(), "{root}");
    }
}

#[test]
fn a_root_that_is_a_file_is_named_and_the_command_runs() {
    let place = Place::new("file-root");
    make_file(&place.root(), "not a folder");
    let done = place.larder(&Place::run(&[], SCRIPT));
    runs_uncached(&place, &done);
    assert!(done.err.contains("is not a folder"), "{}", done.err);
    for verb in [&["get", "k"][..], &["run", "--offline", "--", "echo"]] {
        place.larder(verb).says(1, &["is not a folder"]);
    }
}

#[test]
fn a_root_that_cannot_be_understood_is_named_and_the_command_runs() {
    let place = Place::new("broken-root");
    place.larder_reading(&["put", "k"], b"doc").is(0, "");
    make_file(&place.root().join("format.yaml"), "nonsense");
    runs_uncached(&place, &place.larder(&Place::run(&[], SCRIPT)));
}

#[expect(clippy::disallowed_methods, reason = "a stranger's file, put in the way on purpose")]
fn make_file(path: &std::path::Path, content: &str) {
    std::fs::write(path, content).unwrap();
}

#[test]
fn a_root_that_cannot_be_written_does_not_keep_the_command_from_running() {
    let place = Place::new("closed-root");
    // nobody, not even root, can make a folder there
    let mut command = place.command(&Place::run(&[], SCRIPT));
    let done = Done::from(command.env("LARDER_ROOT", "/proc/larder-test").output().unwrap());
    runs_uncached(&place, &done);
    let mut command = place.command(&["put", "k", "--from", "/dev/null"]);
    let done = Done::from(command.env("LARDER_ROOT", "/proc/larder-test").output().unwrap());
    done.says(74, &["/proc/larder-test"]);
}

#[test]
fn an_uncached_run_passes_code_timeout_and_json_like_any_other() {
    let place = Place::new("uncached");
    let uncached = |words: Vec<&str>| {
        let mut command = place.command(&words);
        Done::from(command.env("LARDER_ROOT", "/proc/larder-test").output().unwrap())
    };
    uncached(Place::run(&["-q"], "echo half; exit 7")).is(7, "half\n");
    uncached(Place::run(&["--timeout", "100ms"], "sleep 1000")).says(69, &["--timeout"]);
    uncached(vec!["run", "-q", "--", "larder-test-no-such-program"]).says(127, &[]);
    let json = uncached(Place::run(&["--json", "-q"], "echo doc"));
    assert!(json.out.starts_with(r#"{"version":1,"exit":0,"outcome":{"hit":false,"fwd":"bypass""#), "{}", json.out);
}

#[test]
fn reading_makes_nothing() {
    let place = Place::new("makes-nothing");
    place.larder(&["get", "k"]).says(3, &[]);
    place.larder(&["list"]).is(0, "");
    place.larder(&["explain", "k"]).says(3, &[]);
    place.larder(&["locks"]).is(0, "");
    place.larder(&["stats"]).says(0, &[]);
    place.larder(&["verify"]).says(0, &[]);
    place.larder(&["gc"]).says(0, &[]);
    place.larder(&["run", "--offline", "--", "echo"]).says(3, &[]);
    assert!(!place.root().exists());
}

#[test]
fn a_root_that_is_made_is_its_owners_alone() {
    let place = Place::new("modes");
    place.larder(&Place::run(&[], SCRIPT)).is(0, "doc\n");
    let mode = std::fs::metadata(place.root()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}
