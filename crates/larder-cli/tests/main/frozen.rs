//! Processes that are frozen while others go on.

use rustix::process::Signal;

use crate::place::{Place, release};

#[test]
fn a_leader_that_is_frozen_holds_up_its_own_key_and_no_other() {
    let place = Place::new("frozen");
    let go = place.fifo("go");
    let script = "printf x >> calls; read line < go; echo doc";
    let mut leader = place.spawn(&Place::run(&["--key", "frozen"], script));
    place.wait_for_calls(1);
    leader.signal(Signal::STOP);
    place.larder(&Place::run(&["--key", "other"], "echo other")).is(0, "other\n");
    place.larder(&Place::run(&["--key", "other"], "echo other")).is(0, "other\n");
    place.larder(&["invalidate", "other"]).is(0, "");
    let refused = place.larder(&Place::run(&["--key", "frozen", "--lock-timeout", "20ms"], script));
    refused.says(75, &[&format!("pid {}", leader.pid())]);
    leader.signal(Signal::CONT);
    release(&go);
    leader.done().is(0, "doc\n");
}

#[test]
fn whoever_counts_and_is_frozen_keeps_no_answer_back() {
    let place = Place::new("frozen-count");
    place.larder(&Place::run(&["--key", "k"], "echo doc")).is(0, "doc\n");
    // somebody who counts holds the journal's lock, and does not go on
    let locks = std::fs::read_dir(place.root().join("locks")).unwrap();
    let lock = locks.map(|file| file.unwrap().path()).find(|path| path.display().to_string().contains("counters"));
    let file = std::fs::File::open(lock.unwrap()).unwrap();
    file.lock().unwrap();
    // it gives counting up after a second: on a busy machine that may pass unseen, but not always
    let answer_when_counting = || {
        let (mut reader, answer) = place.spawn_into_file(&["get", "k"], "answer");
        let answer = reader.is_blocked_before_its_end().then(|| std::fs::read_to_string(answer).unwrap());
        assert_eq!(reader.code(), Some(0));
        answer
    };
    let answer = (0..20).find_map(|_| answer_when_counting());
    assert_eq!(answer.as_deref(), Some("doc\n"), "it was to count after its answer");
}
