//! Verdicts, what is remembered of them, and advice that works as it is written.
#![expect(clippy::disallowed_methods, reason = "files as their users and strangers change them")]

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use larder_credentials::check::{Advice, Ask, Checker, Place as Where, Probe, Probed, Report, Verdict};
use larder_credentials::form::Malformed;
use larder_credentials::{Chain, Form, Link, Secret};
use larder_system::Clock as _;
use larder_testkit::{Scratch, VirtualClock};

use crate::chain::{Fake, chain_with};
use crate::place::{Place, mode, name, secret, set_mode};

const CANARY: &str = "CANARY-6f1c";
const MINUTE: Duration = Duration::from_secs(60);

/// An upstream that says what it is told to, and counts.
#[derive(Debug)]
struct Upstream {
    label: &'static str,
    says: Mutex<Probed>,
    asked: Mutex<Vec<usize>>,
}

impl Upstream {
    fn new(says: Probed) -> Arc<Self> {
        Arc::new(Self { label: "docs", says: Mutex::new(says), asked: Mutex::default() })
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

impl Probe for Upstream {
    fn label(&self) -> String {
        self.label.to_owned()
    }

    fn probe(&self, secret: &Secret, deadline: Duration) -> Probed {
        assert!(deadline <= MINUTE);
        self.asked.lock().unwrap().push(secret.expose().len());
        self.says.lock().unwrap().clone()
    }
}

/// A checker with a memory, and its clock.
struct Bench {
    scratch: Scratch,
    clock: Arc<VirtualClock>,
}

impl Bench {
    fn new() -> Self {
        Self { scratch: Scratch::new("check"), clock: Arc::new(VirtualClock::new()) }
    }

    fn memory(&self) -> std::path::PathBuf {
        self.scratch.join("state/verdicts.json")
    }

    fn checker(&self, value: &str, upstream: &Arc<Upstream>) -> Checker {
        Checker::new(chain_with(&[("DOCS_TOKEN", value)]).variable("DOCS_TOKEN"), Advice::new("tool"))
            .probe(Arc::clone(upstream) as Arc<dyn Probe>)
            .memory(self.scratch.utf8_path().join("state/verdicts.json"))
            .clock(Arc::clone(&self.clock) as Arc<dyn larder_system::Clock>)
    }

    fn ask(&self, value: &str, upstream: &Arc<Upstream>) -> Verdict {
        self.checker(value, upstream).check(&name("docs"), Ask::IfNotRemembered).unwrap().verdict
    }
}

fn remembered(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Valid { remembered: true, .. })
}

#[test]
fn what_the_upstream_says_is_the_verdict() {
    let bench = Bench::new();
    let now: SystemTime = bench.clock.wall();
    let said = |says: Probed| bench.ask("key", &Upstream::new(says));
    assert_eq!(said(Probed::Refused { status: 403, expired: false }), Verdict::Invalid { status: 403 });
    assert_eq!(said(Probed::Refused { status: 401, expired: true }), Verdict::Expired { since: now });
    assert_eq!(said(Probed::RateLimited { retry_after: None }), Verdict::RateLimited { until: None });
    let until = Verdict::RateLimited { until: Some(now + MINUTE) };
    assert_eq!(said(Probed::RateLimited { retry_after: Some(MINUTE) }), until);
    assert_eq!(said(Probed::RateLimited { retry_after: Some(Duration::MAX) }), Verdict::RateLimited { until: None });
    let cause = "timed out".to_owned();
    assert_eq!(said(Probed::Unreachable { cause: cause.clone() }), Verdict::Unreachable { cause });
    assert_eq!(said(Probed::Accepted), Verdict::Valid { at: now, remembered: false });
}

#[test]
fn what_cannot_be_right_is_not_sent_to_anybody() {
    let bench = Bench::new();
    let upstream = Upstream::new(Probed::Accepted);
    let form = Form { prefix: Some("sk-".to_owned()), ..Form::default() };
    let report = bench.checker(CANARY, &upstream).form(form).check(&name("docs"), Ask::Always).unwrap();
    assert_eq!(report.verdict, Verdict::Malformed(Malformed::Prefix { expected: "sk-".to_owned() }));
    assert_eq!(upstream.asked(), 0);
}

#[test]
fn that_it_was_taken_is_remembered_for_a_time_and_for_this_secret_alone() {
    let bench = Bench::new();
    let upstream = Upstream::new(Probed::Accepted);
    assert!(!remembered(&bench.ask("key", &upstream)));
    bench.clock.advance(15 * MINUTE);
    assert!(remembered(&bench.ask("key", &upstream)) && upstream.asked() == 1);
    assert!(!remembered(&bench.ask("other", &upstream)), "another secret");
    assert!(remembered(&bench.ask("key", &upstream)), "both are remembered");
    let elsewhere =
        Arc::new(Upstream { label: "elsewhere", says: Mutex::new(Probed::Accepted), asked: Mutex::default() });
    assert!(!remembered(&bench.ask("key", &elsewhere)), "another upstream");
    let again = bench.checker("key", &upstream).check(&name("docs"), Ask::Always).unwrap().verdict;
    assert!(!remembered(&again) && upstream.asked() == 3);
    bench.clock.advance(15 * MINUTE + Duration::from_millis(1));
    assert!(!remembered(&bench.ask("key", &upstream)) && upstream.asked() == 4);
}

#[test]
fn what_was_not_taken_is_asked_again_and_remembered_for_those_who_may_not_ask() {
    let bench = Bench::new();
    let upstream = Upstream::new(Probed::Refused { status: 401, expired: false });
    assert!(bench.ask("key", &upstream).is_bad() && bench.ask("key", &upstream).is_bad());
    assert_eq!(upstream.asked(), 2);
    let offline = |upstream: &Arc<Upstream>| bench.checker("key", upstream).check(&name("docs"), Ask::Never).unwrap();
    assert_eq!((offline(&upstream).verdict, upstream.asked()), (Verdict::Invalid { status: 401 }, 2));
    *upstream.says.lock().unwrap() = Probed::Accepted;
    assert!(!remembered(&bench.ask("key", &upstream)));
    *upstream.says.lock().unwrap() = Probed::Refused { status: 401, expired: false };
    assert!(remembered(&bench.ask("key", &upstream)));
    assert!(bench.checker("key", &upstream).check(&name("docs"), Ask::Always).unwrap().verdict.is_bad());
    assert!(bench.ask("key", &upstream).is_bad(), "it is no longer remembered as valid");
    *upstream.says.lock().unwrap() = Probed::Refused { status: 401, expired: true };
    assert!(bench.ask("key", &upstream).is_bad());
    assert!(matches!(offline(&upstream).verdict, Verdict::Expired { .. }));
    bench.clock.advance(15 * MINUTE + Duration::from_millis(1));
    assert_eq!(offline(&upstream).verdict, Verdict::Unchecked);
}

#[test]
fn offline_nobody_is_asked_and_what_is_remembered_counts() {
    let bench = Bench::new();
    let upstream = Upstream::new(Probed::Accepted);
    let offline = || bench.checker("key", &upstream).check(&name("docs"), Ask::Never).unwrap().verdict;
    assert_eq!(offline(), Verdict::Unchecked);
    let _ = bench.ask("key", &upstream);
    assert!(remembered(&offline()) && upstream.asked() == 1);
}

#[test]
fn a_memory_from_the_future_damaged_or_open_to_others_counts_as_absent() {
    let bench = Bench::new();
    let upstream = Upstream::new(Probed::Accepted);
    let _ = bench.ask("key", &upstream);
    assert_eq!(mode(&bench.memory()), 0o600);
    bench.clock.rewind_wall(MINUTE);
    assert!(!remembered(&bench.ask("key", &upstream)));
    assert!(remembered(&bench.ask("key", &upstream)));
    set_mode(&bench.memory(), 0o620);
    assert!(!remembered(&bench.ask("key", &upstream)));
    set_mode(&bench.memory(), 0o600);
    assert!(remembered(&bench.ask("key", &upstream)));
    std::fs::write(bench.memory(), "{\"version\":1,\"valid\":[{").unwrap();
    assert!(!remembered(&bench.ask("key", &upstream)));
    assert!(remembered(&bench.ask("key", &upstream)), "and is made anew");
}

#[test]
fn the_memory_has_a_bound_and_no_secret() {
    let bench = Bench::new();
    let upstream = Upstream::new(Probed::Accepted);
    for number in 0..230 {
        let _ = bench.ask(&format!("{CANARY}{number}"), &upstream);
    }
    let text = std::fs::read_to_string(bench.memory()).unwrap();
    assert_eq!(text.matches("fingerprint").count(), 200);
    assert!(!text.contains("CANARY"));
    assert!(remembered(&bench.ask(&format!("{CANARY}229"), &upstream)));
}

#[test]
fn without_a_probe_it_is_found_and_unchecked_and_without_need_anonymous() {
    let check = |chain: Chain| Checker::new(chain, Advice::new("tool")).check(&name("docs"), Ask::Always).unwrap();
    let report = check(chain_with(&[("DOCS_TOKEN", "key")]).variable("DOCS_TOKEN"));
    assert_eq!(report.verdict, Verdict::Unchecked);
    assert_eq!(report.found.unwrap().fingerprint, secret("key").fingerprint());
    let report = check(chain_with(&[]).variable("DOCS_TOKEN").anonymous());
    assert_eq!((report.verdict, report.remedies.len()), (Verdict::Anonymous, 0));
}

/// A report of a chain that has every place, with nothing in any of them.
fn missing(place: &Place) -> Report {
    let chain = chain_with(&[("DOCS_TOKEN_OLD", "")])
        .variable("DOCS_TOKEN")
        .variable("DOCS_TOKEN_OLD")
        .command(larder_credentials::chain::Command::new(["/bin/false"]).unwrap())
        .keyring("tool", Arc::new(Fake::default()))
        .store(place.store.clone());
    let advice = Advice::new("tool").set_command("tool auth set");
    Checker::new(chain, advice).check(&name("docs"), Ask::Always).unwrap()
}

#[test]
fn a_report_for_people_has_the_verdict_the_places_in_order_and_what_to_do() {
    let place = Place::new("report");
    let report = missing(&place);
    let text = report.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "credential `docs` missing: no credential was found");
    let file = format!("  - file {}: absent", place.store.path());
    let looked = [
        "looked, in this order:",
        "  - environment variable DOCS_TOKEN: absent",
        "  - environment variable DOCS_TOKEN_OLD: set, but empty, which counts as absent",
        "  - command `/bin/false`: failed: it ended with exit status: 1",
        "  - keyring, service `tool`: absent",
        &file,
        "what to do, one of these:",
    ];
    assert_eq!(lines[1..8], looked);
    let places: Vec<Where> = report.remedies.iter().map(|remedy| remedy.place).collect();
    assert_eq!(places, [Where::Shell, Where::Ci, Where::Keyring, Where::Command]);
    let ci = "add a secret named DOCS_TOKEN to the CI and pass it to the job as the variable DOCS_TOKEN";
    assert_eq!(report.remedies[1].text, ci);
    assert!(report.remedies[3].text.contains("`tool auth set docs`"), "{text}");
}

#[test]
#[cfg(not(target_vendor = "apple"))]
fn the_step_for_the_shell_works_as_it_is_written() {
    let place = Place::new("shell");
    let text = missing(&place).remedies[0].text.clone();
    let command = text.split('`').nth(1).unwrap();
    let script = format!("{command} && env | grep '^DOCS_TOKEN='");
    let mut shell = Command::new("bash");
    shell.args(["-c", &script]).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut shell = shell.spawn().unwrap();
    std::io::Write::write_all(&mut shell.stdin.take().unwrap(), b"sk-1234\n").unwrap();
    assert_eq!(shell.wait_with_output().unwrap().stdout, b"DOCS_TOKEN=sk-1234\n");
}

#[test]
fn what_was_found_is_replaced_where_it_was_found_and_what_is_not_its_fault_is_left() {
    let bench = Bench::new();
    let refused = Upstream::new(Probed::Refused { status: 401, expired: false });
    let report = bench.checker("key", &refused).check(&name("docs"), Ask::Always).unwrap();
    assert_eq!(report.found.as_ref().unwrap().link, Link::Environment { variable: "DOCS_TOKEN".to_owned() });
    assert!(report.remedies.iter().any(|remedy| remedy.text.contains("export DOCS_TOKEN")), "{report}");
    for (says, remedy) in [
        (Probed::RateLimited { retry_after: None }, Some("wait a few minutes, leave the credential as it is")),
        (Probed::RateLimited { retry_after: Some(MINUTE) }, Some("wait until 20")),
        (Probed::Unreachable { cause: "x".to_owned() }, Some("see whether the upstream answers")),
        (Probed::Accepted, None),
    ] {
        let report = bench.checker("key", &Upstream::new(says)).check(&name("docs"), Ask::Always).unwrap();
        let told = report.remedies.first().map(|remedy| remedy.text.as_str());
        assert!(report.remedies.len() <= 1, "{report}");
        assert_eq!(told.is_some_and(|told| told.starts_with(remedy.unwrap_or("-"))), remedy.is_some(), "{report}");
    }
    let place = Place::with("found", "docs", "key");
    let chain = chain_with(&[]).variable("DOCS_TOKEN").store(place.store.clone());
    let checker = Checker::new(chain, Advice::new("tool").set_command("tool auth set")).probe(refused);
    let report = checker.check(&name("docs"), Ask::Always).unwrap();
    let [only] = &report.remedies[..] else { panic!("{report}") };
    assert!(only.text.contains("`tool auth set docs`"), "{report}");
}

#[test]
fn a_report_for_programs_is_one_object() {
    let bench = Bench::new();
    let upstream = Upstream::new(Probed::Refused { status: 401, expired: false });
    let report = bench.checker("key", &upstream).check(&name("docs"), Ask::Always).unwrap();
    let json: serde_json::Value = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    assert_eq!((&json["name"], &json["verdict"], &json["status"]), (&"docs".into(), &"invalid".into(), &401.into()));
    assert_eq!(json["found"]["link"]["variable"], "DOCS_TOKEN");
    assert_eq!(json["found"]["fingerprint"], secret("key").fingerprint().to_string());
    assert_eq!(json["remedies"][0]["place"], "shell");
    let json = serde_json::to_value(missing(&Place::new("json"))).unwrap();
    assert_eq!((&json["tried"][0]["looked"], &json["found"]), (&"absent".into(), &serde_json::Value::Null));
}

#[test]
fn no_report_shows_the_secret() {
    let bench = Bench::new();
    for says in
        [Probed::Accepted, Probed::Refused { status: 401, expired: true }, Probed::RateLimited { retry_after: None }]
    {
        let checker = bench.checker(CANARY, &Upstream::new(says));
        let (report, found) = checker.check_found(&name("docs"), Ask::Always).unwrap();
        let told = format!("{report} {report:?} {found:?} {checker:?} {}", serde_json::to_string(&report).unwrap());
        assert!(!told.contains("CANARY"), "{told}");
        assert_eq!(found.unwrap().secret.expose(), CANARY);
    }
}
