//! Credentials: found in their order, given to those who ask, stored, checked, and never shown.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::Value;

use crate::place::{Done, Place};

const CONFIG: &str = "version: 1
credentials:
  docs: {env: DOCS_TOKEN, prefix: dk-, length: 6-40, characters: A-Za-z0-9-}
  other: {env: OTHER_TOKEN, optional: true}
sources:
  - {match: docs/**, command: [sh, -c, 'printf %s \"$DOCS_TOKEN,$OTHER_TOKEN\" >> calls; echo whole'], credentials: [docs]}
  - {match: both/**, command: [sh, -c, 'echo \"$DOCS_TOKEN,$OTHER_TOKEN\"'], credentials: [docs, other]}
  - {match: free/**, command: [sh, -c, 'echo \"[$DOCS_TOKEN]\"']}
";

fn place(name: &str, config: &str) -> Place {
    let place = Place::new(name);
    place.write("larder.yaml", config);
    place.larder(&["config", "trust"]).says(0, &[]);
    place
}

fn with(place: &Place, variables: &[(&str, &str)], words: &[&str]) -> Done {
    place.command(words).envs(variables.iter().copied()).output().unwrap().into()
}

fn json(done: &Done) -> Value {
    serde_json::from_str(&done.out).expect("an answer is JSON")
}

fn file(place: &Place) -> std::path::PathBuf {
    place.path("configurations/larder/credentials.json")
}

#[test]
fn a_source_gets_the_credentials_that_it_asks_for_and_no_others() {
    let place = place("auth-given", CONFIG);
    let variables = [("DOCS_TOKEN", "dk-from-env"), ("OTHER_TOKEN", "other")];
    let done = with(&place, &variables, &["get", "both/a"]);
    assert_eq!((done.code, done.out.as_str()), (Some(0), "dk-from-env,other\n"));
    // one that may be done without is left out
    let done = with(&place, &variables[..1], &["get", "both/b"]);
    assert_eq!((done.code, done.out.as_str()), (Some(0), "dk-from-env,\n"));
    with(&place, &variables, &["get", "docs/a"]).says(0, &[]);
    assert_eq!(
        std::fs::read_to_string(place.path("calls")).unwrap(),
        "dk-from-env,",
        "the other one was not asked for"
    );
    assert_eq!(with(&place, &variables, &["get", "free/a"]).out, "[]\n");
}

#[test]
fn who_has_none_is_told_where_it_was_looked_for_and_what_to_do_and_takes_it_from_nobody_who_has() {
    let place = place("auth-missing", CONFIG);
    let done = place.larder(&["get", "docs/a"]);
    let told = ["credential `docs` missing", "environment variable DOCS_TOKEN: absent", "credentials.json: absent"];
    done.says(4, &told);
    assert!(done.out.is_empty() && done.err.contains("larder auth set docs"), "{}", done.err);
    // it is no failure of the upstream: nobody remembers it, and what needs none goes on
    with(&place, &[("DOCS_TOKEN", "dk-from-env")], &["get", "docs/a"]).says(0, &[]);
    place.larder(&["get", "free/a"]).says(0, &[]);
    // a copy that is fresh needs no credential
    place.larder(&["get", "docs/a"]).says(0, &[]);
    place.larder(&["get", "docs/a", "--refresh"]).says(4, &[]);
    place.larder(&["get", "docs/a", "--offline"]).says(0, &[]);
}

#[test]
fn what_is_stored_is_found_and_the_variable_comes_before_it() {
    let place = place("auth-stored", CONFIG);
    let done = place.larder_reading(&["auth", "set", "docs"], b"dk-stored-1\n");
    done.says(0, &["docs is stored in", "its fingerprint is"]);
    assert_eq!(file(&place).metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(place.larder(&["get", "both/a"]).out, "dk-stored-1,\n");
    let done = with(&place, &[("DOCS_TOKEN", "dk-variable")], &["get", "both/a", "--refresh"]);
    assert_eq!(done.out, "dk-variable,\n");
    // an empty one counts as none, and says so
    let done = with(&place, &[("DOCS_TOKEN", "")], &["auth", "status", "docs"]);
    assert!(done.code == Some(0) && done.out.contains("set, but empty"), "{}", done.out);
    let status = json(&place.larder(&["auth", "status", "docs", "--json"]));
    let before = status["credentials"][0]["found"]["fingerprint"].clone();
    assert_eq!((&status["version"], &status["credentials"][0]["usable"]), (&1.into(), &true.into()));
    assert!(status["credentials"][0]["stored_ms"].as_u64().unwrap() > 1_700_000_000_000);
    let mut command = place.command(&["auth", "set", "docs"]);
    let mut child = command.env("DOCS_TOKEN", "dk-variable").stdin(std::process::Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"dk-stored-2").unwrap();
    let done = Done::from(child.wait_with_output().unwrap());
    done.says(0, &["docs is replaced in", "the variable DOCS_TOKEN is set here, and comes before what is stored"]);
    let after = json(&place.larder(&["auth", "status", "--json"]))["credentials"][0]["found"]["fingerprint"].clone();
    assert!(before.is_string() && after.is_string() && before != after);
    place.larder(&["auth", "remove", "docs"]).says(0, &["docs is removed from"]);
    place.larder(&["auth", "remove", "docs"]).says(3, &["nothing is stored for docs"]);
    place.larder(&["auth", "status"]).says(4, &[]);
}

#[test]
fn looking_makes_nothing() {
    let place = place("auth-looking", CONFIG);
    for words in [&["auth", "status"][..], &["auth", "check", "docs"], &["auth", "remove", "docs"], &["get", "docs/a"]]
    {
        place.larder(words);
    }
    let folder = place.path("configurations/larder");
    let made: Vec<_> = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(made, ["trusted"], "the trust of the configuration was asked for");
}

#[test]
fn what_is_no_credential_is_not_stored_and_not_repeated() {
    let place = place("auth-wrong", CONFIG);
    for (input, code, says) in [
        (&b""[..], 2, "empty"),
        (b" \n", 2, "empty"),
        (b"dk-CANARY\nsecond", 2, "line"),
        (b"dk-CANARY\xff", 2, "UTF-8"),
        (b"sk-CANARY", 4, "does not begin with `dk-`"),
        (b"dk-CANARY!", 4, "other characters"),
        (b"dk-1", 4, "4 characters"),
    ] {
        let done = place.larder_reading(&["auth", "set", "docs"], input);
        done.says(code, &[says]);
        assert!(!done.err.contains("CANARY"), "{}", done.err);
    }
    assert!(!file(&place).exists());
    for words in [
        &["auth", "set", "docs", "dk-CANARY"][..],
        &["auth", "set", "docs", "--dk-CANARY"],
        &["auth", "set", "dk-CANARY!"],
        &["auth", "check", "dk-CANARY!"],
        &["auth", "status", "docs", "dk-CANARY", "--json"],
    ] {
        let done = place.larder(words);
        assert_eq!(done.code, Some(2), "{}", done.err);
        assert!(!done.err.contains("CANARY") && !done.out.contains("CANARY"), "{}", done.err);
    }
    let done = with(&place, &[("DOCS_TOKEN", "dk-CANARY\nsecond")], &["get", "docs/a"]);
    done.says(4, &["DOCS_TOKEN is set, but not to a secret"]);
    assert!(!done.err.contains("CANARY"), "{}", done.err);
}

#[test]
fn a_configuration_that_was_found_gives_no_credential_to_anybody_before_it_is_trusted() {
    let place = Place::new("auth-untrusted");
    place.write("larder.yaml", CONFIG);
    for words in [&["auth", "status"][..], &["auth", "check", "docs"], &["auth", "remove", "docs"], &["get", "docs/a"]]
    {
        with(&place, &[("DOCS_TOKEN", "dk-variable")], words).says(2, &["larder config trust"]);
    }
    assert_eq!(place.calls(), 0);
}

#[test]
fn a_file_that_others_may_read_is_refused_with_what_to_run() {
    let place = place("auth-loose", CONFIG);
    place.larder_reading(&["auth", "set", "docs"], b"dk-stored").says(0, &[]);
    #[expect(clippy::disallowed_methods, reason = "the test loosens the file")]
    std::fs::set_permissions(file(&place), std::fs::Permissions::from_mode(0o640)).unwrap();
    let done = place.larder(&["get", "docs/a"]);
    done.says(4, &["chmod 600"]);
    let command = done.err.split('`').find(|part| part.starts_with("chmod")).unwrap().to_owned();
    assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success());
    place.larder(&["get", "docs/a"]).says(0, &[]);
}

#[test]
fn what_is_switched_off_is_not_looked_for_and_nobody_is_asked() {
    let config = "version: 1
credentials:
  docs: {env: DOCS_TOKEN, command: [sh, -c, 'touch asked; echo x'], enabled: false, check: {url: 'http://127.0.0.1:1/'}}
sources: [{match: '**', command: [sh, -c, 'echo \"[$DOCS_TOKEN]\"'], credentials: [docs]}]
";
    let place = place("auth-off", config);
    let done = with(&place, &[("DOCS_TOKEN", "token")], &["get", "a"]);
    assert_eq!((done.code, done.out.as_str()), (Some(0), "[]\n"));
    let done = place.larder(&["auth", "check", "docs"]);
    assert!(done.code == Some(0) && done.out.contains("switched off"), "{}", done.out);
    assert!(!place.path("asked").exists());
}

#[test]
fn a_command_that_prints_it_is_asked_only_when_it_is_needed_and_its_faults_are_told() {
    let config = |script: &str| {
        format!(
            "version: 1\ncredentials: {{docs: {{env: DOCS_TOKEN, command: [sh, -c, \"{script}\"], command_timeout: 1s}}}}\n\
             sources: [{{match: '**', command: [sh, -c, 'echo \"$DOCS_TOKEN\"'], credentials: [docs]}}]\n"
        )
    };
    let place = place("auth-command", &config("printf x >> calls; echo from-command; echo CANARY >&2"));
    assert_eq!(place.larder(&["get", "a"]).out, "from-command\n");
    place.larder(&["get", "a"]).says(0, &[]);
    assert_eq!(place.calls(), 1, "a hit asks for no credential");
    for (script, says) in [
        ("true", "it printed nothing"),
        ("echo CANARY >&2; exit 3", "exit status: 3"),
        ("sleep 600", "did not end within 1s"),
        ("printf 'CANARY\\\\nCANARY'", "what it printed is no secret"),
    ] {
        place.write("larder.yaml", &config(script));
        place.larder(&["config", "trust"]).says(0, &[]);
        let done = place.larder(&["get", "b"]);
        done.says(4, &["command `sh`: failed", says]);
        assert!(!done.err.contains("CANARY"), "{}", done.err);
    }
}

/// Answers each request with what it is told next; the requests come back as they were.
fn serve(answers: &[&'static str]) -> (u16, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answers = answers.to_vec();
    let served = std::thread::spawn(move || {
        let one = |answer: &&str| {
            let (mut stream, _) = listener.accept().unwrap();
            let request = head(&stream);
            stream
                .write_all(format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").as_bytes())
                .unwrap();
            request
        };
        answers.iter().map(one).collect()
    });
    (port, served)
}

fn head(stream: &TcpStream) -> String {
    let lines = BufReader::new(stream).lines().map(Result::unwrap);
    lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

#[test]
fn six_things_that_may_be_true_of_a_key_have_six_reports() {
    let (port, served) = serve(&[
        "200 OK",
        "401 Unauthorized",
        "429 Too Many Requests\r\nretry-after: 120",
        "200 OK",
        "401 Unauthorized",
    ]);
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = |port: u16| {
        format!(
            "version: 1\ncredentials: {{docs: {{env: DOCS_TOKEN, prefix: dk-, check: {{url: 'http://127.0.0.1:{port}/me', header: 'X-Key: {{}}', timeout: 5s}}}}}}\n"
        )
    };
    let place = place("auth-six", &config(port));
    let check = |value: &str| with(&place, &[("DOCS_TOKEN", value)], &["auth", "check", "docs"]);
    let valid = check("dk-CANARY");
    let invalid = check("dk-CANARY");
    let limited = check("dk-CANARY");
    let missing = place.larder(&["auth", "check", "docs"]);
    let malformed = check("sk-CANARY");
    // a status tells what was learned last, and asks nobody
    with(&place, &[("DOCS_TOKEN", "dk-CANARY")], &["auth", "check", "docs"]).says(0, &[]);
    let status = with(&place, &[("DOCS_TOKEN", "dk-CANARY")], &["auth", "status", "docs"]);
    assert!(status.out.contains("valid") && status.out.contains("was not asked again"), "{}", status.out);
    check("dk-CANARY").says(4, &[]);
    let requests = served.join().unwrap();
    assert!(requests.iter().all(|request| request.to_lowercase().contains("x-key: dk-canary")), "{requests:?}");
    place.write("larder.yaml", &config(free));
    place.larder(&["config", "trust"]).says(0, &[]);
    let unreachable = check("dk-CANARY");
    let all = [
        (&valid, 0, "valid"),
        (&invalid, 4, "invalid"),
        (&limited, 69, "limits the rate of calls until"),
        (&missing, 4, "missing"),
        (&malformed, 4, "malformed"),
        (&unreachable, 69, "cannot be reached"),
    ];
    for (done, code, says) in all {
        assert_eq!(done.code, Some(code), "{}{}", done.out, done.err);
        assert!(
            done.out.contains(says) && !done.out.contains("CANARY") && !done.err.contains("CANARY"),
            "{}",
            done.out
        );
        assert_eq!(done.out.contains("what to do"), code != 0, "{}", done.out);
    }
}

#[test]
fn the_doctor_finds_keys_that_are_missing_refused_or_misformed_and_ends_with_their_code() {
    let (port, served) = serve(&["401 Unauthorized"]);
    let config = format!(
        "version: 1\ncredentials: {{docs: {{env: DOCS_TOKEN, prefix: dk-, check: {{url: 'http://127.0.0.1:{port}/'}}}}}}\n"
    );
    let place = place("auth-doctor", &config);
    place.larder_reading(&["put", "a"], b"x").says(0, &[]);
    let subjects = |done: &Done| {
        let findings = json(done)["findings"].as_array().unwrap().clone();
        let told: Vec<_> = findings.iter().map(|finding| finding["subject"].as_str().unwrap().to_owned()).collect();
        assert!(findings.iter().all(|finding| !finding["remedies"].as_array().unwrap().is_empty()), "{findings:?}");
        told
    };
    for (value, flags, says) in [
        (None, &["--offline"][..], "missing"),
        (Some("sk-CANARY"), &["--offline"], "malformed"),
        (Some("dk-CANARY"), &[], "invalid"),
    ] {
        let variables: Vec<_> = value.iter().map(|value| ("DOCS_TOKEN", *value)).collect();
        let done = with(&place, &variables, &[&["doctor", "--json"], flags].concat());
        assert_eq!((done.code, subjects(&done)), (Some(4), vec!["credentials".to_owned()]), "{}", done.out);
        assert!(done.out.contains(says) && !done.out.contains("CANARY"), "{}", done.out);
    }
    #[expect(clippy::disallowed_methods, reason = "the test damages the file")]
    std::fs::create_dir_all(file(&place).parent().unwrap()).unwrap();
    place.write("configurations/larder/credentials.json", "x");
    Command::new("chmod").arg("600").arg(file(&place)).status().unwrap();
    let damaged = place.larder(&["doctor", "--offline"]);
    damaged.says(4, &[]);
    assert!(format!("{}{}", damaged.out, damaged.err).contains("credentials.json is damaged"), "{}", damaged.out);
    let healthy = with(&place, &[("DOCS_TOKEN", "dk-good")], &["doctor", "--offline"]);
    assert_eq!((healthy.code, healthy.out.as_str(), healthy.err.as_str()), (Some(0), "", ""));
    assert_eq!(served.join().unwrap().len(), 1);
}

#[test]
fn a_helper_and_a_worker_find_the_credential_that_their_source_asks_for() {
    let config = "version: 1
defaults: {fresh: 1ms, stale_while_revalidate: 1d}
credentials: {docs: {env: DOCS_TOKEN}}
sources: [{match: '**', command: [sh, -c, 'printf %s \"$DOCS_TOKEN\" >> calls; echo x'], credentials: [docs]}]
";
    let place = place("auth-helper", config);
    let variables = [("DOCS_TOKEN", "k")];
    with(&place, &variables, &["get", "a"]).says(0, &[]);
    // stale by now: it is given, and a helper fetches
    with(&place, &variables, &["get", "a"]).says(0, &[]);
    place.wait_for_calls(2);
    place.larder(&["queue", "add", "b"]).says(0, &[]);
    place.larder(&["refresh", "b"]).says(69, &["credential `docs` missing"]);
    with(&place, &variables, &["refresh", "b"]).says(0, &[]);
    assert_eq!(std::fs::read_to_string(place.path("calls")).unwrap(), "kkk");
}

#[test]
fn what_a_source_repeats_of_its_credential_is_taken_out_of_what_it_says() {
    let config = "version: 1
credentials: {docs: {env: DOCS_TOKEN}}
sources: [{match: '**', command: [sh, -c, 'printf \"auth: Bearer $DOCS_TOKEN\\n\" >&2; exit 22'], credentials: [docs]}]
";
    let place = place("auth-repeated", config);
    let variables = [("DOCS_TOKEN", "dk-CANARY-1")];
    let done = with(&place, &variables, &["get", "a"]);
    assert_eq!((done.code, done.err.as_str()), (Some(22), "auth: Bearer ***\n"));
    place.larder(&["queue", "add", "b"]).says(0, &[]);
    with(&place, &variables, &["refresh", "--json"]);
    let queue = place.larder(&["queue", "list", "--json"]);
    assert!(queue.out.contains("Bearer ***") && !queue.out.contains("CANARY"), "{}", queue.out);
    let found = Command::new("grep").args(["-rla", "CANARY"]).arg(place.root()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
}

#[test]
fn one_that_may_be_done_without_is_not_done_without_where_nobody_knows_whether_it_is_there() {
    let config = "version: 1
credentials: {docs: {env: DOCS_TOKEN, command: [sh, -c, 'exit 1'], optional: true}}
sources: [{match: '**', command: [sh, -c, 'printf x >> calls; echo \"[$DOCS_TOKEN]\"'], credentials: [docs]}]
";
    let place = place("auth-unknown", config);
    place
        .larder(&["get", "a"])
        .says(4, &["whether there is a credential `docs` cannot be told", "command `sh`: failed"]);
    assert_eq!(place.calls(), 0);
    assert_eq!(with(&place, &[("DOCS_TOKEN", "good")], &["get", "a"]).out, "[good]\n");
}

#[test]
fn a_place_that_does_not_answer_takes_no_old_copy_away_and_one_that_has_nothing_does() {
    let config = |script: &str| {
        format!(
            "version: 1\ndefaults: {{fresh: 1ms, stale_if_error: 30d}}\n\
             credentials: {{docs: {{command: [sh, -c, '{script}'], env: DOCS_TOKEN}}}}\n\
             sources: [{{match: '**', command: [echo, old], credentials: [docs]}}]\n"
        )
    };
    let place = place("auth-outage", &config("echo key"));
    place.larder(&["get", "a"]).says(0, &[]);
    place.write("larder.yaml", &config("exit 1"));
    place.larder(&["config", "trust"]).says(0, &[]);
    let done = place.larder(&["--status", "get", "a"]);
    assert_eq!((done.code, done.out.as_str()), (Some(0), "old\n"), "{}", done.err);
    assert!(done.err.contains("stale"), "{}", done.err);
    place.write("larder.yaml", &config("exit 1").replace("command: [sh, -c, 'exit 1'], ", ""));
    place.larder(&["config", "trust"]).says(0, &[]);
    place.larder(&["get", "a"]).says(4, &["credential `docs` missing"]);
}

#[test]
fn a_search_for_a_credential_keeps_to_the_bound_of_the_call_and_ends_with_a_signal() {
    let config = "version: 1
credentials: {docs: {env: DOCS_TOKEN, command: [sh, -c, 'echo $$ > asked; exec sleep 600'], command_timeout: 10m}}
sources: [{match: '**', command: [echo, x], credentials: [docs]}]
";
    let place = place("auth-bound", config);
    // what was left of the call's time, and not the command's own
    place.larder(&["get", "a", "--timeout", "300ms"]).says(4, &["did not end within", "ms, and was killed"]);
    #[expect(clippy::disallowed_methods, reason = "a file of the test's, outside any cache")]
    std::fs::remove_file(place.path("asked")).unwrap();
    let mut running = place.spawn(&["get", "a"]);
    crate::place::wait_until("it looks for the credential", || place.path("asked").exists());
    running.signal(rustix::process::Signal::TERM);
    assert_eq!(running.done().code, Some(143));
    assert!(
        Command::new("sh").args(["-c", "kill $(cat asked)"]).current_dir(place.path("")).status().unwrap().success()
    );
}

#[test]
fn a_configuration_that_was_found_does_not_hide_the_users_own() {
    let place = Place::new("auth-hidden");
    #[expect(clippy::disallowed_methods, reason = "a folder of the test's, outside any cache")]
    std::fs::create_dir_all(place.path("configurations/larder")).unwrap();
    place.write(
        "configurations/larder/larder.yaml",
        "version: 1\ncredentials: {docs: {env: DOCS_TOKEN, prefix: dk-}}\n",
    );
    place.write("larder.yaml", "version: 1\n");
    place.larder_reading(&["auth", "set", "docs"], b"nonsense").says(4, &["does not begin with `dk-`"]);
    place.larder_reading(&["auth", "set", "docs"], b"dk-1").says(0, &[]);
}

#[test]
fn a_check_that_cannot_be_made_is_found_with_the_configuration_and_hinders_no_get() {
    let config = "version: 1
credentials: {docs: {env: DOCS_TOKEN, check: {url: 'http://user:CANARY@intranet.example/'}}}
sources: [{match: '**', command: [sh, -c, 'echo \"$DOCS_TOKEN\"'], credentials: [docs]}]
";
    let place = place("auth-check", config);
    let variables = [("DOCS_TOKEN", "key")];
    assert_eq!(with(&place, &variables, &["get", "a"]).out, "key\n");
    with(&place, &variables, &["auth", "status"]).says(0, &[]);
    for words in [&["config", "check"][..], &["auth", "check", "docs"]] {
        let done = with(&place, &variables, words);
        done.says(2, &["the credential docs cannot be checked so"]);
        assert!(!done.err.contains("CANARY"), "{}", done.err);
    }
}

#[test]
fn nothing_that_stands_where_a_word_of_auth_does_is_repeated() {
    let place = place("auth-words", CONFIG);
    for words in
        [&["auth", "CANARY"][..], &["auth", "set", "docs", "--quiet=CANARY"], &["auth", "remove", "docs", "CANARY"]]
    {
        let done = place.larder(words);
        assert_eq!(done.code, Some(2), "{}", done.err);
        assert!(!done.err.contains("CANARY") && !done.out.contains("CANARY"), "{}", done.err);
    }
}

#[test]
fn who_was_started_to_ignore_the_end_of_children_waits_for_them_all_the_same() {
    let config = "version: 1\ncredentials: {docs: {env: DOCS_TOKEN, command: [echo, key]}}\n";
    let place = place("auth-children", config);
    for (words, code) in [(&["auth", "status", "docs"][..], 0), (&["run", "--", "sh", "-c", "exit 3"], 3)] {
        let larder = place.command(words);
        let mut ignoring = Command::new("env");
        ignoring.arg("--ignore-signal=CHLD").arg(larder.get_program()).args(larder.get_args());
        ignoring.current_dir(place.path("")).envs(larder.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let done = Done::from(ignoring.output().unwrap());
        assert_eq!(done.code, Some(code), "{}{}", done.out, done.err);
    }
}

#[test]
fn what_is_asked_on_this_machine_goes_through_no_proxy() {
    let (port, served) = serve(&["200 OK"]);
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", proxy.local_addr().unwrap());
    let check = format!("{{url: 'http://127.0.0.1:{port}/me'}}");
    let place =
        place("auth-proxy", &format!("version: 1\ncredentials: {{docs: {{env: DOCS_TOKEN, check: {check}}}}}\n"));
    let variables = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"].map(|name| (name, address.as_str()));
    let done = with(&place, &[&variables[..], &[("DOCS_TOKEN", "key")]].concat(), &["auth", "check", "docs"]);
    assert_eq!(done.code, Some(0), "{}", done.out);
    assert_eq!(served.join().unwrap().len(), 1);
    proxy.set_nonblocking(true).unwrap();
    assert!(proxy.accept().is_err(), "the proxy was asked");
}
