//! Output that is too large, too slow, closed or full.

use std::fs::File;
use std::io::Read as _;
use std::process::Stdio;

use crate::place::{Place, Running, read_exactly};

#[test]
fn a_gigabyte_passes_in_bounded_memory_is_not_stored_and_that_is_said_once() {
    let place = Place::new("gigabyte");
    let mut larder = place.spawn(&["run", "--key", "k", "--", "head", "-c", "1000000000", "/dev/zero"]);
    let mut output = larder.output();
    let mut buffer = vec![0; 1 << 20];
    let mut total = 0;
    while total < 900_000_000 {
        total += output.read(&mut buffer).unwrap();
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", larder.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak_kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak_kib < 220 * 1024, "it took {peak_kib} KiB for a document of at most 64 MiB");
    loop {
        match output.read(&mut buffer).unwrap() {
            0 => break,
            count => total += count,
        }
    }
    assert_eq!(total, 1_000_000_000);
    let done = larder.done();
    done.says(0, &["not stored"]);
    assert_eq!(done.err.matches("not stored").count(), 1);
    place.larder(&["list"]).is(0, "");
}

#[test]
fn output_that_is_too_large_is_whole_in_json_too() {
    let place = Place::new("large-json");
    let done = place.larder(&["run", "--json", "--", "head", "-c", "67108866", "/dev/zero"]);
    assert_eq!(done.code, Some(0));
    let (start, rest) = done.out.split_at(29);
    assert_eq!(start, "{\"version\":1,\"body_base64\":\"A");
    let (body, end) = rest.split_once('"').unwrap();
    assert_eq!(body.len() + 1, 67_108_866 / 3 * 4);
    assert!(end.starts_with(",\"exit\":0,") && end.ends_with("}\n"), "{end}");
}

#[test]
fn a_closed_reader_ends_it_quietly_and_the_document_is_stored() {
    let place = Place::new("closed");
    let script = "printf x >> calls; echo doc";
    for verb in [Place::run(&["--key", "k"], script), vec!["get", "k"], vec!["list"], vec!["completions", "bash"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let done = place.command(&verb).stdout(writer).output().unwrap();
        assert_eq!((done.status.code(), String::from_utf8_lossy(&done.stderr).as_ref()), (Some(141), ""), "{verb:?}");
    }
    place.larder(&["get", "k"]).is(0, "doc\n");
    assert_eq!(place.calls(), 1);
}

#[test]
fn a_full_disk_behind_standard_output_is_an_input_output_error() {
    let place = Place::new("full");
    place.larder_reading(&["put", "k"], b"doc\n").is(0, "");
    let verbs = [
        Place::run(&[], "echo doc"),
        vec!["get", "k"],
        vec!["list"],
        vec!["explain", "k"],
        vec!["stats"],
        vec!["verify"],
        vec!["gc"],
        vec!["--help"],
        vec!["completions", "bash"],
    ];
    for verb in verbs {
        let full = full();
        let done = place.command(&verb).stdout(full).output().unwrap();
        assert_eq!(done.status.code(), Some(74), "{verb:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

#[test]
fn a_full_disk_behind_output_that_is_not_kept_is_told_and_not_taken_for_a_closed_reader() {
    let place = Place::new("full-large");
    for end in ["", "; exit 3"] {
        let script = format!("head -c 67108866 /dev/zero{end}");
        let mut command = place.command(&Place::run(&[], &script));
        let done = crate::place::Done::from(command.stdout(full()).output().unwrap());
        done.says(74, &["cannot write to standard output: No space left"]);
    }
    let done = crate::place::Done::from(place.command(&["--help"]).stdout(full()).output().unwrap());
    done.says(74, &["cannot write to standard output: No space left"]);
}

#[test]
fn a_limit_on_the_size_of_files_keeps_no_command_from_running() {
    let place = Place::new("file-limit");
    let larder = env!("CARGO_BIN_EXE_larder");
    let limited = |words: &str| {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &format!("ulimit -f 0; exec {larder} {words}")]);
        shell.current_dir(place.path("")).env("LARDER_ROOT", place.root()).stdin(Stdio::null());
        crate::place::Done::from(shell.output().unwrap())
    };
    let run = limited("run --key k -- echo doc");
    run.is(0, "doc\n");
    run.says(0, &["runs without the cache"]);
    limited("put k --from /dev/null").says(74, &["cannot"]);
    // the command has the limit too, and ends as it would without larder
    let ended = 128 + rustix::process::Signal::XFSZ.as_raw();
    assert_eq!(limited("run -- sh -c 'echo > file'").code, Some(ended));
}

#[expect(clippy::disallowed_methods, reason = "a device, outside any cache")]
fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

#[test]
fn streams_that_are_closed_or_full_from_the_start_are_survived_by_every_verb() {
    let place = Place::new("no-streams");
    let larder = env!("CARGO_BIN_EXE_larder");
    let verbs = [
        "run -- echo doc",
        "run -- sh -c 'echo told >&2; exit 7'",
        "run -- larder-test-no-such-program",
        "put k",
        "get k",
        "list",
        "explain k",
        "invalidate k",
        "lock n -- true",
        "locks",
        "verify",
        "gc",
        "stats",
        "completions bash",
        "nonsense",
        "--help",
    ];
    for verb in verbs {
        for streams in ["<&- >&- 2>&-", "2>&-", ">/dev/full 2>/dev/full"] {
            let script = format!("{larder} {verb} {streams}; echo $? > code");
            let status = place_shell(&place, &script);
            assert!(status.success());
            let code = std::fs::read_to_string(place.path("code")).unwrap();
            assert!(!["101", "134"].contains(&code.trim()), "{verb} {streams}: {code}");
        }
    }
}

fn place_shell(place: &Place, script: &str) -> std::process::ExitStatus {
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", script]).current_dir(place.path("")).env("LARDER_ROOT", place.root());
    shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap()
}

#[test]
fn a_reader_of_standard_error_who_does_not_read_delays_nobody() {
    let place = Place::new("stuck-errors");
    let script = "printf x >> calls; head -c 2000000 /dev/zero >&2; echo doc";
    let mut stuck = place.spawn(&Place::run(&["--key", "k"], script));
    let mut output = stuck.output();
    // the document is out, although its standard error is not
    read_exactly(&mut output, 4);
    place.larder(&["get", "k"]).is(0, "doc\n");
    assert!(Running::is_running(&mut stuck), "standard error was to hold it up");
    let done = stuck.done();
    assert_eq!((done.code, done.err.len()), (Some(0), 2_000_000));
}

#[test]
fn more_than_can_wait_for_a_stuck_reader_of_standard_error_is_dropped_and_counted() {
    let place = Place::new("dropped-errors");
    let mut stuck = place.spawn(&Place::run(&["--key", "k"], "head -c 20000000 /dev/zero >&2; echo doc"));
    let mut output = stuck.output();
    // the command is not held up
    read_exactly(&mut output, 4);
    let done = stuck.done();
    done.says(0, &["bytes of the command's standard error are missing above"]);
    let missing: usize = done.err.rsplit("larder: ").next().unwrap().split(' ').next().unwrap().parse().unwrap();
    assert_eq!(done.err.matches('\0').count() + missing, 20_000_000);
}

#[test]
fn a_background_process_that_keeps_standard_error_does_not_hold_the_run_up() {
    let place = Place::new("daemon");
    let done = place.larder(&Place::run(&[], "sleep 1000 > /dev/null & echo $! > pid; echo doc"));
    let pid = std::fs::read_to_string(place.path("pid")).unwrap();
    let _ = std::process::Command::new("kill").arg(pid.trim()).status();
    done.is(0, "doc\n");
}
