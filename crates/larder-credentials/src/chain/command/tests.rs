//! Commands that print, fail, hang and leave children behind, watched in both ways.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its own helpers too")]

use super::*;

type Way = (fn(&mut std::process::Command), fn(Child, Duration, &mut Output) -> End);

const WAYS: [Way; 2] = [(unix::lead_group, unix::watch), (portable::lead_group, portable::watch)];

fn run_in(way: usize, script: &str, timeout: Duration) -> Result<Secret, Failure> {
    let command = Command::new(["/bin/sh", "-c", script]).unwrap().timeout(timeout);
    let environment = |name: &str| (name == "PATH").then(|| std::env::var_os("PATH")).flatten();
    command.run_by(&environment, WAYS[way].0, WAYS[way].1)
}

fn each(script: &str, check: impl Fn(Result<Secret, Failure>)) {
    (0..WAYS.len()).for_each(|way| check(run_in(way, script, Duration::from_secs(60))));
}

fn fails(script: &str, reason: &str) {
    each(script, |answer| assert_eq!(answer.unwrap_err().to_string(), reason, "{script}"));
}

#[test]
fn what_it_prints_is_the_secret() {
    each("echo sk-1234", |answer| assert_eq!(answer.unwrap().expose(), "sk-1234"));
    each("printf sk; sleep 0.05; printf '%s' -1234", |answer| assert_eq!(answer.unwrap().expose(), "sk-1234"));
    each("echo oh >&2; exec 2>&-; echo sk-1234", |answer| assert_eq!(answer.unwrap().expose(), "sk-1234"));
}

#[test]
fn what_is_as_long_as_a_secret_may_be_is_taken_whole_also_with_much_beside_it() {
    let script = "head -c 100000 /dev/zero | tr '\\0' e >&2; head -c 16384 /dev/zero | tr '\\0' x; echo";
    each(script, |answer| assert_eq!(answer.unwrap().expose().len(), 16_384));
}

#[test]
fn one_that_fails_tells_its_code_and_nothing_of_what_it_said() {
    fails(
        "echo CANARY >&2; exit 3",
        "it ended with exit status: 3 and a message, which may hold the secret and is not shown: run it by hand to see",
    );
    fails("exit 1", "it ended with exit status: 1");
    fails("kill -9 $$", "it ended with signal: 9 (SIGKILL)");
    each("echo CANARY; echo bad: CANARY >&2; exit 1", |answer| {
        let error = answer.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("CANARY"), "{error:?}");
    });
}

#[test]
fn one_that_prints_no_secret_fails_without_showing_it() {
    fails("true", "it printed nothing");
    fails("echo; echo", "it printed nothing");
    each("echo CANARY; echo CANARY", |answer| {
        let error = answer.unwrap_err();
        assert!(matches!(error, Failure::NoSecret(secret::Error::SeveralLines)), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("CANARY"));
    });
}

#[test]
fn one_that_prints_without_end_is_killed() {
    fails("exec yes", "it printed more than 16386 bytes, and was killed");
    for way in 0..WAYS.len() {
        let error = run_in(way, "exec yes >&2", Duration::from_millis(200)).unwrap_err();
        assert!(matches!(error, Failure::TimedOut(_)), "{error:?}");
    }
}

#[test]
fn a_child_of_it_that_keeps_the_pipes_holds_nobody_up() {
    // the marker file would appear if this waited for the child
    each("sleep 600 & echo sk-1234", |answer| assert_eq!(answer.unwrap().expose(), "sk-1234"));
}

#[test]
fn one_that_hangs_is_killed_with_its_whole_group() {
    let scratch = larder_testkit::Scratch::new("command-group");
    let file = scratch.join("pid");
    let script = format!("sleep 600 & echo $! > '{}'; wait", file.display());
    let error = run_in(0, &script, Duration::from_millis(500)).unwrap_err();
    assert!(matches!(error, Failure::TimedOut(_)), "{error:?}");
    let pid: i32 = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    // its own parent is gone, so it stays a zombie or is gone, but no longer runs
    let is_gone = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
        stat.is_empty() || stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with(['Z', 'X']))
    };
    let gone = (0..1_000_000).any(|_| {
        is_gone() || {
            std::thread::yield_now();
            false
        }
    });
    assert!(gone, "the child of the command still runs");
}

#[test]
fn one_that_does_not_exist_is_a_failure_with_a_cause() {
    let command = Command::new(["/nowhere/at/all"]).unwrap();
    let error = command.run(&|_| None).unwrap_err();
    assert!(matches!(error, Failure::NotStarted(_)), "{error:?}");
}

#[test]
fn a_command_needs_a_program() {
    assert_eq!(Command::new([""; 0]).unwrap_err(), NoProgram);
    assert_eq!(Command::new([""]).unwrap_err(), NoProgram);
}

#[test]
fn it_gets_what_it_needs_of_the_environment_and_nothing_else() {
    let all = |name: &str| Some(OsString::from(format!("value of {name}")));
    let command = Command::new(["/bin/sh", "-c", "echo \"$HOME|$SECRET|$NAMED\""]).unwrap().pass("NAMED");
    assert_eq!(command.run(&all).unwrap().expose(), "value of HOME||value of NAMED");
}
