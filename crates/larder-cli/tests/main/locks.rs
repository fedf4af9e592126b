//! `lock` and `locks`: what flock(1) does, with bounds and holders.

use crate::place::{Place, hear, is_alive, release};

const HELD: [&str; 3] = ["sh", "-c", "echo > ready; read line < go; printf held; exit 5"];

#[test]
fn a_lock_excludes_and_names_its_holder_and_passes_the_code() {
    let place = Place::new("lock");
    let (go, ready) = (place.fifo("go"), place.fifo("ready"));
    let mut holder = place.spawn(&[&["lock", "build", "--"], &HELD[..]].concat());
    hear(&ready);
    let pid = format!("pid {}", holder.pid());
    for bound in ["0", "0ms", "0d", "20ms"] {
        place.larder(&["lock", "build", "--timeout", bound, "--", "true"]).says(75, &[&pid, "flag --timeout"]);
    }
    place.larder(&["lock", "build", "--lock-timeout", "0", "--", "true"]).says(75, &[&pid, "flag --lock-timeout"]);
    // another name, and a key of the same name, are other locks
    place.larder(&["lock", "other", "--", "echo", "in"]).is(0, "in\n");
    place.larder_reading(&["put", "build", "--lock-timeout", "0"], b"doc").is(0, "");
    let shown = place.larder(&["locks"]).out;
    assert!(shown.starts_with("lock\tbuild\texclusive\t") && shown.contains(&pid), "{shown}");
    assert_eq!(shown.matches("build").count(), 1, "{shown}");
    let json = place.larder(&["locks", "--json"]).out;
    assert!(
        json.starts_with(r#"{"version":1,"locks":[{"name":"build","mode":"exclusive","holders":[{"pid":"#),
        "{json}"
    );
    release(&go);
    holder.done().is(5, "held");
    place.larder(&["locks"]).is(0, "");
}

#[test]
fn shared_holders_hold_together_and_an_exclusive_one_waits() {
    let place = Place::new("shared");
    let (go, ready) = (place.fifo("go"), place.fifo("ready"));
    let holder = place.spawn(&[&["lock", "--shared", "n", "--"], &HELD[..]].concat());
    hear(&ready);
    place.larder(&["lock", "n", "--shared", "--timeout", "0", "--", "echo", "in"]).is(0, "in\n");
    place.larder(&["lock", "n", "--timeout", "0", "--", "true"]).says(75, &[]);
    let mut waiter = place.spawn(&["lock", "n", "--", "echo", "turn"]);
    waiter.wait_until_blocked();
    release(&go);
    holder.done().is(5, "held");
    waiter.done().is(0, "turn\n");
}

#[test]
fn the_lock_belongs_to_larder_and_what_the_command_leaves_behind_does_not_keep_it() {
    let place = Place::new("inherit");
    let script = "sleep 1000 > /dev/null 2>&1 < /dev/null & echo $! > pid";
    place.larder(&["lock", "n", "--", "sh", "-c", script]).is(0, "");
    let pid = std::fs::read_to_string(place.path("pid")).unwrap();
    assert!(is_alive(pid.trim()));
    place.larder(&["lock", "n", "--timeout", "0", "--", "echo", "free"]).is(0, "free\n");
    let _ = std::process::Command::new("kill").arg(pid.trim()).status();
}

#[test]
fn a_holder_that_is_killed_lets_go() {
    let place = Place::new("killed");
    let (go, ready) = (place.fifo("go"), place.fifo("ready"));
    let holder = place.spawn(&[&["lock", "n", "--"], &HELD[..]].concat());
    hear(&ready);
    let mut waiter = place.spawn(&["lock", "n", "--", "echo", "turn"]);
    waiter.wait_until_blocked();
    holder.kill();
    waiter.done().is(0, "turn\n");
    release(&go);
}

#[test]
fn the_command_has_the_streams_of_larder() {
    let place = Place::new("streams");
    let done = place.larder_reading(&["lock", "n", "--", "sh", "-c", "cat; echo told >&2"], b"given\n");
    done.is(0, "given\n");
    assert_eq!(done.err, "told\n");
}

#[test]
fn a_lock_needs_a_name_that_can_be_shown() {
    let place = Place::new("names");
    place.larder(&["lock", "", "--", "true"]).says(2, &["needs a name"]);
    place.larder(&["lock", "a\nb", "--", "true"]).says(2, &["needs a name"]);
    place.larder(&["lock", &"n".repeat(2_000), "--", "true"]).says(2, &["too long"]);
    place.larder(&["lock", "a/../ü b", "--", "echo", "in"]).is(0, "in\n");
}
