//! A queue that has come to its greatest length.

use larder_queue::{Error, Options, Queue, Selection};

use crate::shared::{Place, claim, keys, task, wait};

const LENGTH: u64 = 600 * 1024;

/// A queue to which nothing can be added any more; how many tasks it has.
fn full(place: &Place) -> (Queue, usize) {
    let queue = place.queue_with(Options::new().length_max(LENGTH));
    let mut tasks = 0;
    for step in [100, 1] {
        loop {
            let batch: Vec<_> = (tasks..tasks + step).map(|number| task(&format!("k{number}"))).collect();
            match queue.add(&batch, &wait()) {
                Ok(_) => tasks += step,
                Err(Error::Append(_)) => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
    (queue, tasks)
}

#[test]
fn a_full_queue_is_worked_off() {
    let place = Place::new("full-work");
    let (queue, tasks) = full(&place);
    let worker = queue.worker("w").unwrap();
    let mut done = 0;
    loop {
        let claims = worker.claim(50, &wait()).unwrap();
        if claims.is_empty() {
            break;
        }
        done += claims.len();
        assert_eq!(worker.complete_all(claims, &wait()).unwrap(), []);
    }
    assert_eq!((done, queue.counts().unwrap().open()), (tasks, 0));
    queue.add(&[task("new")], &wait()).unwrap();
    assert!(std::fs::metadata(place.file()).unwrap().len() <= LENGTH);
}

#[test]
fn what_is_claimed_when_there_is_no_room_at_all_can_be_ended_and_removed() {
    let place = Place::new("full-end");
    let (queue, tasks) = full(&place);
    let worker = queue.worker("w").unwrap();
    // until not even a claim has room
    let mut claims = Vec::new();
    while let Some(claim) = worker.claim(1, &wait()).unwrap_or_default().pop() {
        claims.push(claim);
    }
    assert!(claims.len() < tasks, "there was room for all");
    let (first, second, third) = (claims.remove(0), claims.remove(0), claims.remove(0));
    worker.complete(first, &wait()).unwrap().unwrap();
    worker.fail(second, "no", &wait()).unwrap().unwrap();
    assert_eq!(worker.release(vec![third], &wait()).unwrap(), []);
    worker.heartbeat(&wait()).unwrap();
    let counts = queue.counts().unwrap();
    assert_eq!((counts.held, counts.claimed), (1, claims.len() as u64));
    // another process reads the same
    assert_eq!(place.queue().counts().unwrap(), counts);
    assert_eq!(queue.remove(&keys(&["k0", "k3", "k4"]), &wait()).unwrap(), 2);
    assert_eq!(queue.remove(&Selection::All, &wait()).unwrap(), tasks as u64 - 3);
    queue.add(&[task("new")], &wait()).unwrap();
    assert_eq!(claim(&worker).unwrap().key(), "new");
}

#[test]
fn errors_full_of_control_characters_do_not_make_each_step_rewrite_the_queue() {
    let place = Place::new("full-escapes");
    let queue = place.queue_with(Options::new().attempts_max(1));
    let error = "\u{1b}".repeat(4_096);
    let worker = queue.worker("w").unwrap();
    let tasks: Vec<_> = (0..40).map(|number| task(&format!("d{number}"))).collect();
    queue.add(&tasks, &wait()).unwrap();
    for claim in worker.claim(40, &wait()).unwrap() {
        worker.fail(claim, &error, &wait()).unwrap().unwrap();
    }
    let generation = || std::fs::read(place.file()).unwrap()[32..40].to_vec();
    let (mut last, mut rewritten) = (generation(), 0);
    for number in 0..50 {
        queue.add(&[task(&format!("k{number}"))], &wait()).unwrap();
        worker.complete(claim(&worker).unwrap(), &wait()).unwrap().unwrap();
        let now = generation();
        rewritten += u32::from(now != last);
        last = now;
    }
    assert!(rewritten <= 1, "50 tasks have rewritten the journal {rewritten} times");
}
