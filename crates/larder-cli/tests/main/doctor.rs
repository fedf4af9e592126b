//! `doctor`: what is wrong is found, named and remedied, and nothing is touched.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use larder_storage::{Key, Put, Store, Wait};
use larder_testkit::VirtualClock;
use rustix::process::Signal;
use serde_json::Value;

use crate::place::{Done, Place, hear, release, wait_until};

/// The command, with no variable of larder's but those of the place.
fn doctor(place: &Place, words: &[&str]) -> Command {
    let mut command = place.command(&[&["doctor"], words].concat());
    let is_theirs = |name: &OsStr| !["LARDER_ROOT", "LARDER_CONFIG"].iter().any(|ours| name == *ours);
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_theirs(name)) {
        if name.to_string_lossy().starts_with("LARDER_") {
            command.env_remove(name);
        }
    }
    command
}

fn told(place: &Place, words: &[&str]) -> Done {
    doctor(place, words).output().unwrap().into()
}

/// What is found, but for what is to be said of the disk that the tests happen to run on.
fn findings(place: &Place) -> Vec<Value> {
    let done = told(place, &["--json"]);
    let report = serde_json::from_str::<Value>(&done.out);
    assert!(report.is_ok(), "{} {}", done.out, done.err);
    let report = report.unwrap();
    assert_eq!(report["version"], 1);
    let counts = ["errors", "warnings", "notes"].map(|name| report[name].as_u64().unwrap());
    let all = report["findings"].as_array().unwrap();
    assert_eq!(counts.iter().sum::<u64>(), all.len() as u64);
    assert_eq!(done.code, Some(i32::from(counts[0] + counts[1] > 0)), "{report}");
    all.iter()
        .filter(|finding| !(finding["subject"] == "file_system" && finding["severity"] == "note"))
        .cloned()
        .collect()
}

/// The only finding: how bad, and about what.
#[track_caller]
fn only(place: &Place, severity: &str, subject: &str, words: &[&str]) -> Value {
    let found = findings(place);
    assert_eq!(found.len(), 1, "{found:?}");
    let finding = found.into_iter().next().unwrap();
    assert_eq!((&finding["severity"], &finding["subject"]), (&severity.into(), &subject.into()), "{finding}");
    for word in words {
        assert!(finding["what"].as_str().unwrap().contains(word), "{word:?} is not in {finding}");
    }
    // people are told the same
    let text = told(place, &[]).out;
    let subject = subject.replace('_', " ");
    assert!(text.contains(&format!("{severity}: {subject}: ")), "{text}");
    finding
}

/// The commands that a finding proposes.
fn commands(finding: &Value) -> Vec<String> {
    let remedies = finding["remedies"].as_array().unwrap().iter();
    remedies.filter_map(|remedy| Some(remedy["command"].as_str()?.to_owned())).collect()
}

/// Does what a finding says, as a person would.
#[track_caller]
fn mend(place: &Place, command: &str) {
    let larder = Path::new(env!("CARGO_BIN_EXE_larder")).parent().unwrap().to_owned();
    let path =
        std::env::join_paths([larder].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())));
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).current_dir(place.path("")).env("PATH", path.unwrap());
    shell
        .env("LARDER_ROOT", place.root())
        .env("XDG_CONFIG_HOME", place.path("configurations"))
        .env_remove("LARDER_CONFIG");
    let done = Done::from(shell.output().unwrap());
    assert!(matches!(done.code, Some(0 | 1)), "{command}: {:?} {} {}", done.code, done.out, done.err);
}

fn healthy(name: &str) -> Place {
    let place = Place::new(name);
    place.larder_reading(&["put", "docs/a"], b"one").is(0, "");
    place.larder_reading(&["put", "docs/b"], b"two").is(0, "");
    place
}

fn tree(place: &Place) -> Vec<PathBuf> {
    let listed = Command::new("find").arg(place.path("")).output().unwrap().stdout;
    let mut names: Vec<_> = String::from_utf8(listed).unwrap().lines().map(PathBuf::from).collect();
    names.sort();
    names
}

#[test]
fn a_healthy_root_is_not_worth_a_word_and_stays_as_it_is() {
    let place = healthy("doctor-healthy");
    let before = tree(&place);
    assert_eq!(findings(&place), Vec::<Value>::new());
    for words in [&[][..], &["--offline"], &["-q"]] {
        let done = told(&place, words);
        assert_eq!((done.code, done.err.as_str()), (Some(0), ""));
        assert!(done.out.is_empty() || done.out.starts_with("note: file system: "), "{}", done.out);
    }
    let done = told(&place, &["-v"]);
    done.says(0, &["2 documents (all) are whole", "comes back as it was", "its format is known"]);
    assert_eq!(tree(&place), before);
}

#[test]
fn without_a_root_nothing_is_made_and_that_is_said() {
    let place = Place::new("doctor-absent");
    let before = tree(&place);
    let finding = only(&place, "note", "root", &["there is no", "makes it"]);
    assert_eq!(tree(&place), before);
    mend(&place, &commands(&finding)[0]);
    assert_eq!(findings(&place), Vec::<Value>::new());
    // where nobody can make one, not even the super-user
    let mut command = doctor(&place, &[]);
    let done = Done::from(command.env("LARDER_ROOT", "/proc/larder-test").output().unwrap());
    assert_eq!(done.code, Some(1));
    assert!(done.out.contains("error: root: there is no /proc/larder-test"), "{}", done.out);
    let mut homeless = doctor(&place, &[]);
    homeless.env_remove("LARDER_ROOT").env_remove("XDG_CACHE_HOME").env_remove("HOME");
    let done = Done::from(homeless.output().unwrap());
    assert!(done.code == Some(1) && done.out.contains("--root"), "{} {}", done.out, done.err);
}

#[test]
fn modes_that_let_others_in_or_the_owner_not_are_found() {
    let place = healthy("doctor-modes");
    for (mode, severity, words) in
        [("0755", "warning", "0755"), ("0777", "error", "anybody"), ("0500", "error", "its owner")]
    {
        mend(&place, &format!("chmod {mode} root"));
        let finding = only(&place, severity, "root", &[words]);
        mend(&place, &commands(&finding)[0]);
        assert_eq!(findings(&place), Vec::<Value>::new(), "{mode}");
    }
    mend(&place, "chmod 0644 root/entries/docs/a.entry; chmod 0640 root/format.yaml");
    let finding = only(&place, "warning", "root", &["one of 2"]);
    mend(&place, &commands(&finding)[0]);
    assert_eq!(findings(&place), Vec::<Value>::new());
    mend(&place, "rm root/CACHEDIR.TAG");
    let finding = only(&place, "note", "root", &["backups"]);
    mend(&place, &commands(&finding)[0]);
    assert_eq!(findings(&place), Vec::<Value>::new());
    let tag = std::fs::read_to_string(place.root().join("CACHEDIR.TAG")).unwrap();
    assert!(tag.starts_with("Signature: 8a477f597d28d172789f06886806bc55\n"));
}

/// Runs a script as one who may mount in a view of the file systems of his own; `None` where the system lets nobody.
fn with_mounts(place: &Place, script: &str) -> Option<String> {
    let larder = env!("CARGO_BIN_EXE_larder");
    mend(place, "mkdir -p root && chmod 0700 root");
    for flags in ["-m", "-Urm"] {
        let mut command = Command::new("unshare");
        command
            .arg(flags)
            .args(["sh", "-c"])
            .arg(format!("mount -t tmpfs -o size=1m,mode=0700 tmpfs root || exit 99\n{script}"));
        command
            .current_dir(place.path(""))
            .env("LARDER_ROOT", place.root())
            .env("larder", larder)
            .env_remove("LARDER_CONFIG");
        command.env("XDG_CONFIG_HOME", place.path("configurations"));
        if let Ok(output) = command.output()
            && !matches!(output.status.code(), Some(1 | 99))
        {
            return Some(String::from_utf8_lossy(&output.stdout).into_owned());
        }
    }
    #[expect(clippy::print_stderr, reason = "whoever reads the tests' output is to know what was not tested")]
    {
        eprintln!("left out: this system lets nobody mount");
    }
    None
}

#[test]
fn a_full_disk_is_named_and_one_that_has_room_again_is_not() {
    let place = Place::new("doctor-full");
    let script = "echo x | $larder put k; cat /dev/zero > root/filler 2> /dev/null\n$larder doctor; echo code $?; rm root/filler; echo then; $larder doctor; exit 0";
    let Some(out) = with_mounts(&place, script) else { return };
    let (full, then) = out.split_once("then\n").unwrap();
    assert_eq!(full.matches("the disk is full").count(), 1, "{full}");
    assert!(
        full.contains("error: space: ") && full.contains("larder gc --bytes-max") && full.contains("code 1\n"),
        "{full}"
    );
    assert!(full.contains("note: file system: ") && full.contains("tmpfs"), "{full}");
    assert!(!then.contains("the disk is full"), "{then}");
    assert!(then.contains("warning: bounds: ") && then.contains("its disk has"), "{then}");
}

#[test]
fn a_file_system_that_is_mounted_for_reading_only_is_named() {
    let place = Place::new("doctor-read-only");
    let script = "echo x | $larder put k; mount -o remount,ro root || exit 99\n$larder doctor; echo code $?; exit 0";
    let Some(out) = with_mounts(&place, script) else { return };
    assert!(out.contains("error: file system: ") && out.contains("reading only") && out.contains("code 1\n"), "{out}");
    assert_eq!(out.matches("error: ").count(), 1, "{out}");
}

#[test]
fn a_corrupt_entry_is_named_with_its_key_and_what_was_set_aside_with_its_age() {
    let place = healthy("doctor-corrupt");
    mend(&place, "printf rot >> root/entries/docs/a.entry");
    let finding = only(&place, "error", "entries", &["docs/a", "damaged"]);
    assert_eq!(finding["key"], "docs/a");
    assert!(finding["path"].as_str().unwrap().ends_with("root/entries/docs/a.entry"));
    assert!(place.root().join("entries/docs/a.entry").exists(), "a doctor looks");
    assert_eq!(commands(&finding), ["larder verify --repair"]);
    mend(&place, "larder verify --repair");
    let finding = only(&place, "warning", "quarantine", &["1 damaged files", "ago"]);
    for command in commands(&finding) {
        mend(&place, &command);
    }
    assert_eq!(findings(&place), Vec::<Value>::new());
}

#[test]
fn leftovers_of_killed_writers_are_told_and_left_to_gc() {
    let place = healthy("doctor-leftovers");
    mend(&place, "printf half > root/tmp/00000000000000aa.7");
    let finding = only(&place, "note", "leftovers", &["1 files"]);
    assert!(place.root().join("tmp/00000000000000aa.7").exists());
    mend(&place, &commands(&finding)[0]);
    assert_eq!(findings(&place), Vec::<Value>::new());
}

#[test]
fn a_frozen_holder_is_named_and_keeps_no_doctor_waiting() {
    let place = healthy("doctor-frozen");
    let (go, ready) = (place.fifo("go"), place.fifo("ready"));
    let mut holder = place.spawn(&["lock", "deploy", "--", "sh", "-c", "echo > ready; read line < go"]);
    hear(&ready);
    assert_eq!(findings(&place), Vec::<Value>::new(), "to hold a lock is no fault");
    holder.signal(Signal::STOP);
    let pid = holder.pid();
    let is_stopped = || std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") T "));
    wait_until("the stop", is_stopped);
    let finding = only(&place, "warning", "holders", &["deploy", "stopped", &pid.to_string()]);
    assert_eq!(finding["holder"]["pid"], pid);
    assert_eq!(commands(&finding), [format!("kill -CONT {pid}"), format!("kill -KILL {pid}")]);
    mend(&place, &commands(&finding)[0]);
    wait_until("the end of the stop", || !is_stopped());
    assert_eq!(findings(&place), Vec::<Value>::new());
    release(&go);
    holder.done().is(0, "");
}

#[test]
fn a_frozen_fetch_is_named_with_its_key() {
    let place = healthy("doctor-fetch");
    let go = place.fifo("go");
    let mut leader = place.spawn(&Place::run(&["--key", "docs/slow"], "printf x >> calls; read line < go; echo doc"));
    place.wait_for_calls(1);
    leader.signal(Signal::STOP);
    let pid = leader.pid();
    wait_until("the stop", || {
        std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") T "))
    });
    let finding = only(&place, "warning", "holders", &["the fetch of docs/slow"]);
    assert_eq!((&finding["key"], &finding["holder"]["pid"]), (&"docs/slow".into(), &pid.into()));
    leader.signal(Signal::CONT);
    release(&go);
    leader.done().is(0, "doc\n");
}

#[test]
fn a_newer_format_is_left_alone_and_a_damaged_one_named() {
    let place = healthy("doctor-format");
    let file = place.root().join("format.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    for (from, to) in [("read_from: 1", "read_from: 9"), ("write_from: 1", "write_from: 9")] {
        place.write("root/format.yaml", &text.replace(from, to));
        let finding = only(&place, "error", "format", &["format 9"]);
        assert!(
            finding.to_string().contains("use a newer larder") && finding.to_string().contains("--root DIR"),
            "{finding}"
        );
    }
    place.write("root/format.yaml", "nonsense");
    let finding = only(&place, "error", "format", &["format.yaml", "cannot be understood"]);
    mend(&place, &commands(&finding)[0]);
    only(&place, "note", "root", &["no root yet"]);
}

#[test]
fn a_root_made_for_locks_that_lie_is_told_to_be_weaker() {
    let place = healthy("doctor-leases");
    mend(&place, "rm -r root; mkdir -m 0700 root");
    let store = larder_storage::Options::new().backend(larder_storage::Backend::LEASE);
    store.open(camino::Utf8Path::from_path(&place.root()).unwrap()).unwrap().token().unwrap();
    let finding = only(&place, "warning", "locks", &["leases", "weaker"]);
    mend(&place, &commands(&finding)[0]);
    place.larder_reading(&["put", "docs/a"], b"one").is(0, "");
    assert_eq!(findings(&place), Vec::<Value>::new());
}

fn store(place: &Place) -> Store {
    Store::open(camino::Utf8Path::from_path(&place.root()).unwrap()).unwrap()
}

#[test]
fn dead_letters_and_tasks_that_nobody_does_are_told() {
    let place = healthy("doctor-queue");
    place.larder(&["queue", "add", "docs/dead"]).is(0, "");
    let queue =
        larder_queue::Queue::in_home(store(&place).annex("queue").unwrap().home(), larder_queue::Options::new())
            .unwrap();
    let worker = queue.worker("test").unwrap();
    let claim = worker.claim(1, &Wait::none()).unwrap().pop().unwrap();
    worker.fail_for_good(claim, "no such page", &Wait::none()).unwrap().unwrap();
    drop(worker);
    let finding = only(&place, "warning", "queue", &["docs/dead", "no such page"]);
    assert_eq!(finding["key"], "docs/dead");
    assert_eq!(commands(&finding), ["larder queue list", "larder queue retry --dead", "larder queue clear --dead"]);
    for command in commands(&finding) {
        mend(&place, &command);
    }
    only_without_dead(&place);
    place.larder(&["queue", "clear", "--all"]).is(0, "");
    place.larder(&["queue", "add", "docs/old", "--at", "2020-01-01T00:00:00Z"]).is(0, "");
    let finding = only(&place, "warning", "queue", &["wait for somebody"]);
    assert_eq!((&finding["key"], commands(&finding)), (&"docs/old".into(), vec!["larder refresh".to_owned()]));
    place.larder(&["queue", "clear", "--all"]).is(0, "");
    assert_eq!(findings(&place), Vec::<Value>::new());
}

/// What is tried again is no dead letter, and not overdue yet.
#[track_caller]
fn only_without_dead(place: &Place) {
    assert_eq!(findings(place), Vec::<Value>::new());
}

#[test]
fn documents_from_the_future_are_found() {
    let place = healthy("doctor-future");
    let clock = Arc::new(VirtualClock::new());
    clock.set_wall(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000));
    let ahead = larder_storage::Options::new().clock(clock);
    let ahead = ahead.open(camino::Utf8Path::from_path(&place.root()).unwrap()).unwrap();
    ahead.put(&Key::new("docs/late").unwrap(), b"x", &Put::new()).unwrap();
    let finding = only(&place, "warning", "clock", &["from now"]);
    assert!(commands(&finding).contains(&"larder invalidate --all".to_owned()), "{finding}");
}

#[test]
fn what_is_wrong_with_the_configuration_is_told_with_its_place() {
    let place = healthy("doctor-config");
    place.write("larder.yaml", "version: 1\nlimits:\n  soft_timout: 2s\n");
    let finding = only(&place, "error", "config", &["larder.yaml:3:3", "soft_timeout"]);
    assert_eq!((&finding["path"], commands(&finding)), (&"larder.yaml".into(), vec!["larder config check".to_owned()]));
    let source = "version: 1\nsources:\n  - match: 'docs/**'\n    command: [larder-test-no-such-program, '{path}']\n";
    place.write("larder.yaml", source);
    let finding = only(&place, "warning", "config", &["not run before it is trusted"]);
    for command in commands(&finding) {
        mend(&place, &command);
    }
    let finding = only(&place, "error", "config", &["larder.yaml:3", "larder-test-no-such-program", "PATH"]);
    assert_eq!(commands(&finding), ["command -v larder-test-no-such-program"]);
    place.write("larder.yaml", &source.replace("larder-test-no-such-program", "cat"));
    mend(&place, "larder config trust");
    assert_eq!(findings(&place), Vec::<Value>::new());
    place.write("larder.yaml", "version: 1\nlimits: { lock_timeout: 2h }\n");
    only(&place, "warning", "config", &["larder.yaml:2"]);
}

#[test]
fn variables_that_say_nothing_are_noted_and_their_values_are_not_told() {
    let place = healthy("doctor-variables");
    let mut command = doctor(&place, &[]);
    let done = Done::from(command.env("LARDER_ROTO", "hush").output().unwrap());
    assert_eq!(done.code, Some(0));
    assert!(done.out.contains("did you mean LARDER_ROOT?") && done.out.contains("unset LARDER_ROTO"), "{}", done.out);
    assert!(!done.out.contains("hush"));
    let mut command = doctor(&place, &[]);
    let done = Done::from(command.env("LARDER_LOCK_TIMEOUT", "soon").output().unwrap());
    assert!(done.code == Some(1) && done.out.contains("error: environment: "), "{}", done.out);
}

#[test]
fn commands_that_are_proposed_lead_to_the_root_that_was_named() {
    let place = Place::new("doctor-named");
    place.larder_reading(&["--root", "my cache", "put", "docs/a"], b"x").is(0, "");
    mend(&place, "printf rot >> 'my cache/entries/docs/a.entry'");
    let done = told(&place, &["--root", "my cache"]);
    assert!(done.out.contains("larder --root 'my cache' verify --repair"), "{}", done.out);
}

#[test]
fn more_is_stored_than_is_allowed() {
    let place = healthy("doctor-bounds");
    place.write("larder.yaml", "version: 1\nlimits: { entries_max: 1 }\n");
    let finding = only(&place, "warning", "bounds", &["2 documents"]);
    mend(&place, &commands(&finding)[0]);
    assert_eq!(findings(&place), Vec::<Value>::new());
}
