//! The configuration: sources, trust, classes, switches, and what is wrong with a file.

use crate::place::{Place, Running, release, wait_until};

const SOURCE: &str = "version: 1\nsources:\n  - match: \"docs/**\"\n    command: [sh, -c, 'printf x >> calls; echo \"page $0\"', \"{path}\"]\n";

#[test]
fn a_file_found_in_a_folder_runs_nothing_until_it_is_trusted() {
    let place = Place::new("config-trust");
    place.write("larder.yaml", SOURCE);
    for _ in 0..2 {
        place.larder(&["get", "docs/a"]).says(2, &["larder.yaml", "\"sh\"", "larder config trust"]);
    }
    place.larder(&["get", "docs/a", "--offline"]).says(3, &[]);
    assert_eq!(place.calls(), 0);
    place.larder(&["config", "trust"]).says(0, &[]);
    place.larder(&["get", "docs/a"]).is(0, "page a\n");
    place.larder(&["get", "docs/a"]).is(0, "page a\n");
    assert_eq!(place.calls(), 1);
    // other words are other words
    place.write("larder.yaml", &format!("{SOURCE}# changed\n"));
    place.larder(&["get", "docs/b"]).says(2, &["larder config trust"]);
    // and the same words elsewhere would run other programs
    std::process::Command::new("mkdir").arg(place.path("elsewhere")).status().unwrap();
    place.write("elsewhere/larder.yaml", SOURCE);
    let elsewhere = place.command(&["get", "docs/b"]).current_dir(place.path("elsewhere")).output().unwrap();
    assert_eq!(elsewhere.status.code(), Some(2));
    assert_eq!(place.calls(), 1);
    // whoever names a file has chosen it
    place.larder(&["get", "docs/b", "--config", "larder.yaml"]).is(0, "page b\n");
}

#[test]
fn the_users_own_file_needs_no_trust() {
    let place = Place::new("config-user");
    std::process::Command::new("mkdir").args(["-p"]).arg(place.path("configurations/larder")).status().unwrap();
    place.write("configurations/larder/larder.yaml", SOURCE);
    place.larder(&["get", "docs/a"]).is(0, "page a\n");
    place.larder(&["get", "other/a"]).says(3, &["nothing is stored"]);
}

#[test]
fn a_sources_command_gets_a_clean_environment_and_what_it_names() {
    let place = Place::new("config-env");
    let text = "version: 1\nsources:\n  - match: '**'\n    command: [env]\n    env: [LARDER_TEST_NAMED]\n";
    place.write("c.yaml", text);
    let mut command = place.command(&["get", "a", "--config", "c.yaml"]);
    command.env("LARDER_TEST_NAMED", "yes").env("LARDER_TEST_SECRET", "hush");
    let out = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert!(out.contains("LARDER_TEST_NAMED=yes\n") && out.contains("PATH="), "{out}");
    assert!(!out.contains("hush"), "{out}");
}

#[test]
fn no_part_of_a_key_becomes_a_flag_or_chooses_the_program() {
    let place = Place::new("config-flag");
    place.write("c.yaml", SOURCE);
    place.larder(&["get", "--config", "c.yaml", "--", "docs/-rf"]).says(2, &["c.yaml:3", "\"-rf\"", "\"--\""]);
    place.larder(&["get", "--config", "c.yaml", "docs"]).says(2, &["{path}", "no value"]);
    assert_eq!(place.calls(), 0);
    place.write("p.yaml", "version: 1\nsources: [{ match: 'x/**', command: ['{path}'] }]\n");
    place.larder(&["get", "--config", "p.yaml", "x/ls"]).says(2, &["p.yaml:2", "program"]);
}

#[test]
fn many_who_ask_a_failing_source_with_nothing_to_serve_make_one_call() {
    let place = Place::new("config-outage");
    place.write(
        "c.yaml",
        "version: 1\nsources: [{ match: '**', command: [sh, -c, 'printf x >> calls; echo no >&2; exit 9'] }]\n",
    );
    let all: Vec<Running> = (0..25).map(|_| place.spawn(&["get", "a", "--config", "c.yaml"])).collect();
    for one in all {
        one.done().says(9, &["no"]);
    }
    for _ in 0..5 {
        place.larder(&["get", "a", "--config", "c.yaml", "--status"]).says(9, &["remembered"]);
    }
    assert_eq!(place.calls(), 1);
    // and one more at the next step
    place.write("s.yaml", "version: 1\nlimits: { backoff_first: 1ms, backoff_cap: 1ms }\nsources: [{ match: '**', command: [sh, -c, 'printf x >> calls; exit 9'] }]\n");
    place.larder(&["get", "b", "--config", "s.yaml"]).says(9, &[]);
    wait_until("the next step", || {
        place.larder(&["get", "b", "--config", "s.yaml"]).says(9, &[]);
        place.calls() == 3
    });
}

#[test]
fn a_stale_copy_of_a_source_is_given_at_once_and_refreshed_by_a_helper() {
    let place = Place::new("config-stale");
    let go = place.fifo("go");
    place.write(
        "c.yaml",
        "version: 1\nclasses: [{ match: 'docs/**', fresh: 0s, stale_while_revalidate: 1h }]\nsources:\n  - match: 'docs/**'\n    \
         command: [sh, -c, 'printf x >> calls; [ $(wc -c < calls) = 2 ] && read line < go; echo page $(wc -c < calls)']\n",
    );
    let get = || place.larder(&["get", "docs/a", "--config", "c.yaml", "--status"]);
    get().is(0, "page 1\n");
    for _ in 0..3 {
        let done = get();
        done.is(0, "page 1\n");
        done.says(0, &["larder-stale"]);
    }
    place.wait_for_calls(2);
    release(&go);
    wait_until("the refresh", || place.larder(&["get", "docs/a", "--offline"]).out == "page 2\n");
    assert_eq!(place.calls(), 2);
}

#[test]
fn classes_say_how_long_what_is_put_is_fresh_and_explain_says_which() {
    let place = Place::new("config-classes");
    place.write(
        "larder.yaml",
        "version: 1\nclasses:\n  - { match: '**/auth/**', class: critical }\n  - { match: 'a/**', fresh: 2h }\n",
    );
    for key in ["x/auth/y", "a/b", "c"] {
        place.larder_reading(&["put", key], b"x").is(0, "");
    }
    let explained = |key: &str| place.larder(&["explain", key]).out;
    assert!(explained("x/auth/y").contains("critical, fresh for 7d (pattern **/auth/**)"), "{}", explained("x/auth/y"));
    assert!(explained("a/b").contains("match:a/**, fresh for 2h (pattern a/**)"), "{}", explained("a/b"));
    assert!(explained("c").contains("default, fresh for 30d (no pattern matches)"), "{}", explained("c"));
    place.larder_reading(&["put", "d", "--class", "active"], b"x").is(0, "");
    assert!(explained("d").contains("active, fresh for 14d (named when it was stored)"), "{}", explained("d"));
    place.larder_reading(&["put", "d", "--class", "actve"], b"x").says(2, &["actve", "active"]);
    place.larder(&["run", "--class", "nope", "--", "true"]).says(2, &["nope", "stable"]);
}

#[test]
fn explain_decides_for_other_moments_too() {
    let place = Place::new("config-at");
    place.larder_reading(&["put", "k", "--ttl", "1h", "--stale", "1h", "--stale-if-error", "1d"], b"x").is(0, "");
    let at = |moment: &str| place.larder(&["explain", "k", "--at", moment]).out;
    assert!(at("30m").contains("fresh: it is fresh"), "{}", at("30m"));
    assert!(at("90m").contains("given, and refreshed meanwhile"), "{}", at("90m"));
    assert!(at("5h").contains("given if it fails"), "{}", at("5h"));
    assert!(at("30d").contains("the upstream is asked and waited for"), "{}", at("30d"));
    assert!(at("2001-01-01T00:00:00Z").contains("from the future"), "{}", at("2001-01-01T00:00:00Z"));
    place.larder(&["explain", "k", "--at", "soon"]).says(2, &["soon"]);
    let json = place.larder(&["explain", "k", "--json"]).out;
    for part in
        [r#""decision":{"do":"give","refresh":false,"reason":"fresh","verdict":"fresh"}"#, r#""advice":"consider""#]
    {
        assert!(json.contains(part), "{json}");
    }
}

#[test]
fn each_part_can_be_switched_off_and_reading_goes_on() {
    let place = Place::new("config-switches");
    let script = "printf x >> calls; echo doc";
    let run = |switch: &str, flags: &[&str]| {
        place.write("larder.yaml", &format!("version: 1\nswitches: {{ {switch}: false }}\n"));
        place.larder(&Place::run(&[&["--key", "k"], flags].concat(), script))
    };
    run("locking", &[]).is(0, "doc\n");
    run("locking", &[]).is(0, "doc\n");
    assert_eq!(place.calls(), 1, "what is fetched without locks is stored too");
    run("network", &["--ttl", "0s"]).is(0, "doc\n");
    place.larder(&Place::run(&["--key", "other"], script)).says(3, &[]);
    assert_eq!(place.calls(), 1);
    run("disk", &[]).is(0, "doc\n");
    run("disk", &[]).is(0, "doc\n");
    assert_eq!(place.calls(), 3);
    place.larder_reading(&["put", "k"], b"x").says(2, &["disk"]);
    place.write("larder.yaml", "version: 1\n");
    place.larder(&Place::run(&["--key", "r", "--ttl", "0s"], script)).is(0, "doc\n");
    let refreshed = place.calls();
    place.write("larder.yaml", "version: 1\nrefresh: { enabled: false }\n");
    place.larder(&Place::run(&["--key", "r", "--stale", "1h"], script)).is(0, "doc\n");
    assert_eq!((place.calls(), place.helpers()), (refreshed, 0));
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_remedy() {
    let place = Place::new("config-wrong");
    for (text, words) in [
        ("version: 1\nlimits:\n  soft_timout: 2s\n", &["larder.yaml:3:3", "did you mean `soft_timeout`"][..]),
        ("version: 1\nlimits: { timeout: 0 }\n", &["larder.yaml:2", "limits.timeout", "more than 0"]),
        ("version: 1\ndefaults: { fresh: 99999999999999999999d }\n", &["larder.yaml:2", "defaults.fresh", "3650000d"]),
        ("version: 2\n", &["larder.yaml:1", "newer"]),
        ("limits: {}\n", &["larder.yaml", "version: 1"]),
        (
            "version: 1\ndefaults:\n  stale_while_revalidate: 2d\n  stale_if_error: 1d\n",
            &["larder.yaml:4", "stale_if_error", "larder.yaml:3"],
        ),
        ("version: 1\nclasses: [{ match: 'a/**', class: critcal }]\n", &["larder.yaml:2", "did you mean `critical`"]),
        ("version: 1\nclasses: [{ match: 'a//b' }]\n", &["larder.yaml:2", "a//b"]),
        ("version: 1\nsources: [{ match: 'a', command: [x, '{2}'] }]\n", &["larder.yaml:2", "{2}"]),
        ("version: 1\nsources: [{ match: 'a/**', command: [x, '{pth}'] }]\n", &["larder.yaml:2", "{pth}"]),
    ] {
        place.write("larder.yaml", text);
        for verb in [&["config", "check"][..], &["get", "a"], &["run", "--", "true"]] {
            place.larder(verb).says(2, words);
        }
    }
    place.larder(&["get", "a", "--config", "none.yaml"]).says(2, &["none.yaml", "--config"]);
}

#[test]
fn what_is_odd_is_advised_and_used() {
    let place = Place::new("config-odd");
    place.write("larder.yaml", "version: 1\nlimits: { lock_timeout: 2h }\nclasses:\n  - { match: '**', fresh: 1d }\n  - { match: 'a/**', fresh: 1h }\n");
    place.larder(&["config", "check"]).says(0, &["larder.yaml:2", "more than an hour", "larder.yaml:5", "never used"]);
}

#[test]
fn hostile_files_are_refused_whole() {
    let place = Place::new("config-hostile");
    let deep = "{a: ".repeat(65_536);
    let aliases = format!("version: 1\na: &a [{}]\nb: [{}]\n", "x,".repeat(50_000), "*a,".repeat(10_000));
    let lists = "[".repeat(200_000);
    for text in [&deep, &aliases, &lists] {
        place.write("larder.yaml", text);
        let done = place.larder(&["get", "a"]);
        assert_eq!(done.code, Some(2), "{}", done.err);
        assert!(done.err.contains("larder.yaml") && done.err.len() < 2_000, "{}", done.err.len());
    }
    let grown = std::process::Command::new("truncate").args(["-s", "100M"]).arg(place.path("larder.yaml")).status();
    assert!(grown.unwrap().success());
    place.larder(&["get", "a"]).says(2, &["larder.yaml", "larger"]);
    std::process::Command::new("rm").arg(place.path("larder.yaml")).status().unwrap();
    place.fifo("larder.yaml");
    place.larder(&["get", "a"]).says(2, &["larder.yaml", "regular"]);
}

#[test]
fn every_value_is_shown_with_its_origin_and_the_schema_is_json() {
    let place = Place::new("config-show");
    place.write("larder.yaml", "version: 1\nlimits:\n  soft_timeout: 1500ms\nrefresh: { default_max_age_days: 20 }\n");
    let shown = place.larder(&["config", "show"]).out;
    let line =
        |name: &str| shown.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap_or("none").to_owned();
    assert!(line("limits.soft_timeout").ends_with("1500ms  # larder.yaml:3"), "{shown}");
    assert!(line("limits.timeout").ends_with("15m  # built in"), "{shown}");
    assert!(line("defaults.fresh").ends_with("20d  # larder.yaml:4"), "{shown}");
    assert!(line("types.critical.fresh").ends_with("7d  # built in"), "{shown}");
    let schema = place.larder(&["config", "schema"]).out;
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    assert_eq!(schema["additionalProperties"], false);
    assert!(schema["properties"]["sources"].is_object(), "{schema}");
}
