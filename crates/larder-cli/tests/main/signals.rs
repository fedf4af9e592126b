//! Signals: the right exit code, and nothing left behind.

use rustix::process::Signal;

use crate::place::{Place, hear, is_alive, release, wait_until};

const SIGNALS: [(Signal, i32); 3] = [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)];

#[test]
fn a_run_that_is_signalled_ends_its_command_and_all_that_that_started() {
    for (signal, code) in SIGNALS {
        let place = Place::new("run-signal");
        let pids = place.fifo("pids");
        let mut larder = place.spawn(&Place::run(&[], "sleep 1000 & echo $$ $! > pids; wait"));
        let pids = hear(&pids);
        larder.signal(signal);
        assert_eq!(larder.done().code, Some(code));
        for pid in pids.split(' ') {
            // what it killed is still there until init has seen it
            wait_until("the end of what the command started", || !is_alive(pid));
        }
        place.larder(&["list"]).is(0, "");
        place.larder(&["locks"]).is(0, "");
    }
}

#[test]
fn what_a_command_has_started_and_does_not_listen_is_killed_after_it() {
    let place = Place::new("deaf-grandchild");
    let pid = place.fifo("pid");
    let script = "(trap '' TERM; exec sleep 1000) < /dev/null > /dev/null 2>&1 & echo $! > pid; wait";
    let mut larder = place.spawn(&Place::run(&[], script));
    let pid = hear(&pid);
    larder.signal(Signal::TERM);
    assert_eq!(larder.done().code, Some(143));
    wait_until("the end of what the command started", || !is_alive(&pid));
}

#[test]
fn a_command_may_tidy_up_and_say_so_before_it_ends() {
    let place = Place::new("tidy");
    let ready = place.fifo("ready");
    let mut larder =
        place.spawn(&Place::run(&[], "trap 'echo tidy >&2; exit 0' TERM; echo > ready; sleep 1000 & wait"));
    hear(&ready);
    larder.signal(Signal::TERM);
    let done = larder.done();
    done.says(143, &["tidy"]);
    place.larder(&["list"]).is(0, "");
}

#[test]
fn one_who_waits_and_is_signalled_goes_alone() {
    for (signal, code) in SIGNALS {
        let place = Place::new("wait-signal");
        let go = place.fifo("go");
        let script = "printf x >> calls; read line < go; echo doc";
        let leader = place.spawn(&Place::run(&[], script));
        place.wait_for_calls(1);
        let mut waiter = place.spawn(&Place::run(&[], script));
        waiter.wait_until_blocked();
        waiter.signal(signal);
        assert_eq!(waiter.done().code, Some(code));
        release(&go);
        leader.done().is(0, "doc\n");
    }
}

#[test]
fn one_who_waits_for_a_lock_and_is_signalled_goes() {
    for (signal, code) in SIGNALS {
        let place = Place::new("lock-wait-signal");
        let (go, ready) = (place.fifo("go"), place.fifo("ready"));
        let holder = place.spawn(&["lock", "n", "--", "sh", "-c", "echo > ready; read line < go"]);
        hear(&ready);
        let mut waiter = place.spawn(&["lock", "n", "--", "true"]);
        waiter.wait_until_blocked();
        waiter.signal(signal);
        assert_eq!(waiter.done().code, Some(code));
        release(&go);
        holder.done().is(0, "");
    }
}

#[test]
fn a_lock_passes_signals_to_its_command_and_its_code_back() {
    for (signal, code) in SIGNALS {
        let place = Place::new("lock-signal");
        let ready = place.fifo("ready");
        let mut larder = place.spawn(&["lock", "n", "--", "sh", "-c", "echo > ready; exec sleep 1000"]);
        hear(&ready);
        larder.signal(signal);
        assert_eq!(larder.done().code, Some(code));
    }
}

#[test]
fn a_command_under_a_lock_may_answer_a_signal_with_a_code_of_its_own() {
    let place = Place::new("lock-trap");
    let ready = place.fifo("ready");
    let script = "sleep 1000 & trap 'kill $!; exit 9' TERM; echo > ready; wait";
    let mut larder = place.spawn(&["lock", "n", "--", "sh", "-c", script]);
    let _ = hear(&ready);
    larder.signal(Signal::TERM);
    assert_eq!(larder.code(), Some(9));
}

#[test]
fn a_run_whose_reader_is_stuck_can_be_ended() {
    for (signal, code) in SIGNALS {
        let place = Place::new("stuck-signal");
        let mut larder = place.spawn(&Place::run(&[], "head -c 300000 /dev/zero"));
        let mut output = larder.output();
        crate::place::read_exactly(&mut output, 1);
        larder.signal(signal);
        assert_eq!(larder.code(), Some(code));
    }
}

#[test]
fn a_signal_that_was_ignored_from_the_start_stays_ignored() {
    let place = Place::new("nohup");
    let (go, ready) = (place.fifo("go"), place.fifo("ready"));
    let larder = env!("CARGO_BIN_EXE_larder");
    let script = format!("trap '' HUP; exec {larder} run -- sh -c 'echo > ready; read line < go; echo doc'");
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &script]).current_dir(place.path("")).env("LARDER_ROOT", place.root());
    shell.stdout(std::process::Stdio::piped());
    let child = shell.spawn().unwrap();
    hear(&ready);
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::HUP).unwrap();
    release(&go);
    let done = child.wait_with_output().unwrap();
    assert_eq!((done.status.code(), done.stdout), (Some(0), b"doc\n".to_vec()));
}
