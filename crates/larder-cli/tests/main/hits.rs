//! `run` and `get` when the answer is there, and names of what is stored.

use crate::place::Place;

const SCRIPT: &str = "printf x >> calls; echo doc; echo told >&2";

#[test]
fn a_second_run_is_free_and_says_the_same() {
    let place = Place::new("hit");
    let first = place.larder(&Place::run(&[], SCRIPT));
    first.is(0, "doc\n");
    assert_eq!(first.err, "told\n");
    let second = place.larder(&Place::run(&[], SCRIPT));
    second.is(0, "doc\n");
    assert_eq!((second.err.as_str(), place.calls()), ("", 1));
}

#[test]
fn other_arguments_another_folder_and_other_variables_are_other_documents() {
    let place = Place::new("names");
    let run = |change: &dyn Fn(&mut std::process::Command)| {
        let calls = place.path("calls").display().to_string();
        let script = format!("printf x >> {calls}");
        let mut command = place.command(&Place::run(&["--env", "LARDER_TEST"], &script));
        command.env_remove("LARDER_TEST");
        change(&mut command);
        assert!(command.status().unwrap().success());
        place.calls()
    };
    assert_eq!(run(&|_| ()), 1);
    assert_eq!(
        run(&|command| {
            command.arg("more");
        }),
        2
    );
    assert_eq!(
        run(&|command| {
            command.current_dir("/");
        }),
        3
    );
    assert_eq!(
        run(&|command| {
            command.env("LARDER_TEST", "");
        }),
        4
    );
    assert_eq!(
        run(&|command| {
            command.env("LARDER_TEST", "a");
        }),
        5
    );
    assert_eq!(
        run(&|command| {
            command.env("LARDER_TEST", "unset");
        }),
        6
    );
    // each is kept by its own name
    assert_eq!(run(&|_| ()), 6);
    assert_eq!(
        run(&|command| {
            command.env("LARDER_TEST", "a");
        }),
        6
    );
}

#[test]
fn nothing_of_the_command_its_folder_or_its_variables_is_in_the_cache() {
    let place = Place::new("hush-folder");
    let mut command =
        place.command(&Place::run(&["--env", "HUSH_NAME", "--status", "-vv"], "echo doc; : hush-argument"));
    let done = command.env("HUSH_NAME", "hush-value").output().unwrap();
    assert!(done.status.success());
    let shown = String::from_utf8_lossy(&done.stderr).into_owned();
    let grep = std::process::Command::new("grep").args(["-rail", "hush"]).arg(place.root()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&grep.stdout), "");
    assert!(!shown.contains("hush"), "{shown}");
}

#[test]
fn who_wants_to_hear_what_is_done_hears_it() {
    let place = Place::new("verbose");
    let run = |flags: &[&str]| place.larder(&Place::run(flags, "echo doc")).err;
    assert!(run(&["-v", "--key", "k"]).contains("larder: info: the command is run, for all who ask key=k"));
    assert!(run(&["-v", "--key", "k"]).contains("larder: info: the stored copy is given key=k"));
    assert_eq!(run(&["--key", "k"]), "");
}

#[test]
fn a_secret_that_is_damaged_is_named_and_the_command_runs() {
    let place = Place::new("secret");
    place.larder(&Place::run(&[], SCRIPT)).is(0, "doc\n");
    let secret = place.root().join("secret/key");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&secret).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    damage(&secret);
    let done = place.larder(&Place::run(&[], SCRIPT));
    done.says(0, &["secret/key", "remove it", "runs without the cache"]);
    assert_eq!((done.out.as_str(), place.calls()), ("doc\n", 2));
}

#[expect(clippy::disallowed_methods, reason = "damage, done to a file on purpose")]
fn damage(path: &std::path::Path) {
    std::fs::write(path, "no secret").unwrap();
}

#[test]
fn what_is_not_fresh_is_run_again_and_given_offline() {
    let place = Place::new("stale");
    let run = |flags: &[&str]| place.larder(&Place::run(flags, "printf x >> calls; wc -c < calls"));
    run(&["--key", "k", "--offline"]).says(3, &["--offline"]);
    run(&["--key", "k", "--ttl", "0s"]).is(0, "1\n");
    run(&["--key", "k", "--ttl", "0s"]).is(0, "2\n");
    run(&["--key", "k", "--offline"]).is(0, "2\n");
    place.larder(&["get", "k"]).says(3, &["not fresh"]);
    place.larder(&["get", "k", "--offline"]).is(0, "2\n");
    run(&["--key", "k"]).is(0, "3\n");
    run(&["--key", "k", "--refresh"]).is(0, "4\n");
    run(&["--key", "k"]).is(0, "4\n");
    place.larder(&["invalidate", "k"]).is(0, "");
    place.larder(&["get", "k"]).says(3, &["invalidated"]);
    run(&["--key", "k", "--offline"]).is(0, "4\n");
    place.larder(&["invalidate", "k", "--hard"]).is(0, "");
    run(&["--key", "k", "--offline"]).says(3, &[]);
    assert_eq!(place.calls(), 4);
}

#[test]
fn the_status_says_how_each_answer_came_and_is_asked_for() {
    let place = Place::new("status");
    let run = |flags: &[&str]| place.larder(&Place::run(flags, "echo doc"));
    // thirty days, less however long this machine takes
    let parts = |flags: &[&str]| {
        let line = run(flags).err;
        let (start, rest) = line.split_once("; ttl=").unwrap();
        let (ttl, rest) = rest.split_once("; ").unwrap();
        assert!((2_500_000..=2_592_000).contains(&ttl.parse().unwrap()), "{line}");
        (start.to_owned(), rest.to_owned())
    };
    let (start, rest) = parts(&["--status"]);
    assert!(start == "Cache-Status: larder; fwd=uri-miss" && rest.starts_with("stored; "), "{start} {rest}");
    assert_eq!(parts(&["--status"]).0, "Cache-Status: larder; hit");
    assert!(run(&["--refresh", "--status"]).err.contains("fwd=request"));
    assert_eq!(run(&[]).err, "");
}

#[test]
fn answers_in_json_have_a_version_and_the_whole_document() {
    let place = Place::new("json");
    let run = |script: &str| place.larder(&Place::run(&["--json", "--key", "k"], script));
    let done = run("echo doc");
    assert!(done.out.starts_with(r#"{"version":1,"key":"k","exit":0,"outcome":{"hit":false,"#), "{}", done.out);
    assert!(done.out.ends_with("\"body\":\"doc\\n\"}\n"), "{}", done.out);
    assert!(run("echo doc").out.contains(r#""hit":true"#));
    place.larder_reading(&["put", "odd"], &[0xff, 0xfe]).is(0, "");
    assert!(place.larder(&["get", "odd", "--json"]).out.contains(r#""body_base64":"//4=""#));
    let absent = place.larder(&["--json", "get", "absent"]);
    absent.says(3, &[r#"{"version":1,"error":{"message":"nothing is stored under \"absent\"","exit":3}}"#]);
}

#[test]
fn counters_are_exact_across_processes() {
    let place = Place::new("counters");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    place.larder(&Place::run(&["--key", "k"], "echo doc"));
                }
            });
        }
    });
    let stats = place.larder(&["stats", "--json"]).out;
    let number = |name: &str| -> u64 {
        let at = stats.find(&format!("\"{name}\":")).map(|at| at + name.len() + 3);
        let digits = at.map(|at| stats[at..].chars().take_while(char::is_ascii_digit).collect::<String>());
        digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
    };
    assert_eq!(number("hits_disk") + number("misses"), 20, "{stats}");
    assert_eq!((number("fetches"), number("stored"), number("bytes_served")), (1, 1, 80), "{stats}");
}

#[test]
fn every_count_is_a_number_at_the_top_and_by_class() {
    let place = Place::new("stats");
    place.write("larder.yaml", "version: 1\nclasses: [{match: secret/**, class: critical}]\n");
    let stats = || serde_json::from_str::<serde_json::Value>(&place.larder(&["stats", "--json"]).out).unwrap();
    let before = stats();
    assert_eq!((&before["hits"], &before["hit_rate"], &before["fetch_ms_p50"]), (&0.into(), &().into(), &().into()));
    for _ in 0..3 {
        place.larder(&Place::run(&["--key", "secret/a"], "echo doc")).is(0, "doc\n");
    }
    assert_eq!(place.larder(&Place::run(&["--key", "b"], "exit 3")).code, Some(3));
    let after = stats();
    for (name, count) in [
        ("hits", 2),
        ("misses", 2),
        ("stale", 0),
        ("fetches", 2),
        ("collapsed", 0),
        ("errors", 1),
        ("evictions", 0),
        ("corrupt", 0),
        ("lock_waits", 0),
        ("lock_timeouts", 0),
    ] {
        assert_eq!(after[name], count, "{name}: {after}");
    }
    assert_eq!(after["hit_rate"], 0.5);
    for name in ["fetch_ms_p50", "fetch_ms_p90", "fetch_ms_p99", "fetch_ms_max"] {
        assert!(after[name].as_f64().is_some_and(|ms| ms > 0.0), "{name}: {after}");
    }
    assert_eq!(after["classes"]["critical"], serde_json::json!({"hits": 2, "misses": 1, "fetches": 1}));
    assert_eq!(after["classes"]["default"], serde_json::json!({"misses": 1, "fetches": 1, "errors": 1}));
    // what is damaged is set aside, and counted
    let entry = place.root().join("entries/secret/a.entry");
    assert!(std::process::Command::new("truncate").args(["-s", "20"]).arg(entry).status().unwrap().success());
    place.larder(&["get", "secret/a"]).says(3, &[]);
    assert_eq!(stats()["corrupt"], 1);
}

#[test]
fn who_waits_for_another_is_counted_also_when_it_is_in_vain() {
    let place = Place::new("stats-waits");
    let gate = place.fifo("gate");
    let mut leader = place.spawn(&Place::run(&["--key", "k"], "printf x >> calls; cat gate"));
    place.wait_for_calls(1);
    let in_vain = place.larder(&Place::run(&["--lock-timeout", "1ms", "--key", "k"], "echo never"));
    assert_eq!(in_vain.code, Some(75), "{}", in_vain.err);
    let mut waiter = place.spawn(&Place::run(&["--key", "k"], "echo never"));
    waiter.wait_until_blocked();
    crate::place::release(&gate);
    crate::place::wait_until("both", || !leader.is_running() && !waiter.is_running());
    let stats = place.larder(&["stats", "--json"]).out;
    let stats: serde_json::Value = serde_json::from_str(&stats).unwrap();
    assert_eq!((&stats["lock_waits"], &stats["lock_timeouts"], &stats["collapsed"]), (&1.into(), &1.into(), &1.into()));
    assert!(stats["lock_wait_ms_max"].as_f64().is_some_and(|ms| ms > 0.0), "{stats}");
}
