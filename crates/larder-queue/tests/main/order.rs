//! Whose turn it is, what is merged, and what comes back.

use larder_lock::Cancellation;
use larder_queue::{Options, Priority, Queue, Selection, Standing, task};
use serde_json::json;

use crate::shared::{Place, SECOND, claim, claim_all, keys, standings, task, urgent, wait};

#[test]
fn the_most_urgent_come_first_and_of_these_the_oldest() {
    let place = Place::new("order");
    let queue = place.queue();
    queue.add(&[urgent("b", 5), urgent("a", 5), urgent("low", 1), urgent("high", 10)], &wait()).unwrap();
    place.queue().add(&[urgent("c", 5), urgent("high too", 10)], &wait()).unwrap();
    let worker = place.queue().worker("w").unwrap();
    assert_eq!(claim_all(&worker), ["high", "high too", "b", "a", "c", "low"]);
}

#[test]
fn a_task_added_twice_is_done_once_the_higher_priority_the_earlier_time_the_newer_reason() {
    let place = Place::new("order-merged");
    let queue = place.queue();
    let later = place.wall() + SECOND * 100;
    queue.add(&[urgent("a", 3).due(later).reason("old").payload(json!(1)).unwrap()], &wait()).unwrap();
    queue.add(&[urgent("a", 7).due(later + SECOND).reason("new").payload(json!([2])).unwrap()], &wait()).unwrap();
    queue.add(&[urgent("a", 1).due(later)], &wait()).unwrap();
    let found = queue.find("a").unwrap().unwrap();
    assert_eq!((found.priority.number(), found.due, found.standing), (7, later, Standing::Scheduled));
    assert_eq!((found.reason.as_str(), found.payload), ("new", Some(json!([2]))));
    place.clock.advance(SECOND * 100);
    let worker = queue.worker("w").unwrap();
    let claimed = claim(&worker).unwrap();
    assert_eq!((claimed.key(), claimed.reason(), claimed.priority().number()), ("a", "new", 7));
    worker.complete(claimed, &wait()).unwrap().unwrap();
    assert_eq!(queue.snapshot().unwrap().tasks, []);
    assert_eq!(place.queue().snapshot().unwrap().tasks, []);
}

#[test]
fn a_task_added_while_it_is_done_is_done_once_more() {
    let place = Place::new("order-again");
    let queue = place.queue();
    queue.add(&[urgent("a", 2), task("b")], &wait()).unwrap();
    let worker = queue.worker("w").unwrap();
    let claims = worker.claim(2, &wait()).unwrap();
    queue.add(&[urgent("a", 4).reason("more")], &wait()).unwrap();
    queue.add(&[urgent("a", 3)], &wait()).unwrap();
    assert!(claim(&worker).is_none(), "it is being done");
    assert_eq!(worker.complete_all(claims, &wait()).unwrap(), []);
    let again = claim(&worker).unwrap();
    assert_eq!((again.key(), again.priority().number(), again.reason()), ("a", 4, "more"));
    worker.complete(again, &wait()).unwrap().unwrap();
    assert_eq!(queue.counts().unwrap().open(), 0);
}

#[test]
fn a_poisoned_task_delays_nobody_and_ends_as_a_dead_letter_with_its_last_error() {
    let place = Place::new("order-poisoned");
    let queue = place.queue_with(Options::new().attempts_max(3));
    queue.add(&[urgent("poison", 10), task("a"), task("b")], &wait()).unwrap();
    let worker = queue.worker("w").unwrap();
    let mut pauses = Vec::new();
    for attempt in 1..=3 {
        let poison = claim(&worker).unwrap();
        assert_eq!((poison.key(), poison.attempts()), ("poison", attempt - 1));
        worker.fail(poison, &format!("attempt {attempt}"), &wait()).unwrap().unwrap();
        let found = queue.find("poison").unwrap().unwrap();
        pauses.push(found.left_ms.unwrap_or(0) / 1_000);
        if attempt == 1 {
            let others = worker.claim(2, &wait()).unwrap();
            assert_eq!([others[0].key(), others[1].key()], ["a", "b"]);
            worker.complete_all(others, &wait()).unwrap();
        }
        assert!(claim(&worker).is_none());
        place.clock.advance(SECOND * 60);
    }
    assert_eq!(pauses, [30, 60, 0]);
    let dead = queue.find("poison").unwrap().unwrap();
    assert_eq!((dead.standing, dead.error.as_deref(), dead.attempts), (Standing::Dead, Some("attempt 3"), 3));
    place.clock.advance(SECOND * 100_000);
    assert!(worker.claim(9, &wait()).unwrap().iter().all(|claim| claim.key() != "poison"));
}

#[test]
fn dead_letters_are_retried_added_again_or_removed() {
    let place = Place::new("order-dead");
    let queue = place.queue();
    queue.add(&["a", "b", "c", "d"].map(task), &wait()).unwrap();
    let worker = queue.worker("w").unwrap();
    for claim in worker.claim(4, &wait()).unwrap() {
        worker.fail_for_good(claim, "no such thing", &wait()).unwrap().unwrap();
    }
    let counts = queue.counts().unwrap();
    assert_eq!((counts.dead, counts.open()), (4, 0));
    assert_eq!(queue.retry(&keys(&["a", "none"]), &wait()).unwrap(), 1);
    queue.add(&[urgent("b", 1)], &wait()).unwrap();
    assert_eq!(queue.remove(&keys(&["c", "none"]), &wait()).unwrap(), 1);
    let snapshot = place.queue().snapshot().unwrap();
    assert_eq!(
        standings(&snapshot),
        [("a", Standing::Ready), ("b", Standing::Ready), ("d", Standing::Dead)],
        "dead letters last"
    );
    assert_eq!(snapshot.tasks[1].priority.number(), 1, "what it was before is over");
    assert_eq!(queue.remove(&Selection::Dead, &wait()).unwrap(), 1);
    assert_eq!(queue.remove(&Selection::All, &wait()).unwrap(), 2);
    assert_eq!(queue.remove(&Selection::All, &wait()).unwrap(), 0);
    assert_eq!(place.queue().snapshot().unwrap().tasks, []);
}

#[test]
fn a_retry_ends_the_time_for_which_a_task_is_left_alone() {
    let place = Place::new("order-retry");
    let queue = place.queue();
    queue.add(&[task("a"), task("fresh")], &wait()).unwrap();
    let worker = queue.worker("w").unwrap();
    let failing = claim(&worker).unwrap();
    worker.fail(failing, "down", &wait()).unwrap().unwrap();
    // another wish for it does not make a failing task fail more often
    queue.add(&[task("a")], &wait()).unwrap();
    assert_eq!(queue.find("a").unwrap().unwrap().standing, Standing::Held);
    assert_eq!(queue.retry(&Selection::All, &wait()).unwrap(), 1);
    let found = queue.find("a").unwrap().unwrap();
    assert_eq!((found.standing, found.attempts), (Standing::Ready, 0));
}

#[test]
fn schedules_in_the_far_past_are_now_and_those_in_the_far_future_wait() {
    let place = Place::new("order-schedule");
    let queue = place.queue();
    let past = std::time::SystemTime::UNIX_EPOCH;
    let future = past + SECOND * 3_600 * 24 * 365 * 10_000;
    queue.add(&[task("past").due(past - SECOND * 3_600), task("future").due(future)], &wait()).unwrap();
    queue.add(&[task("soon").due(place.wall() + SECOND)], &wait()).unwrap();
    let worker = queue.worker("w").unwrap();
    assert_eq!(claim_all(&worker), ["past"]);
    assert_eq!(queue.find("future").unwrap().unwrap().due, future);
    place.clock.advance(SECOND);
    assert_eq!(claim_all(&worker), ["soon"]);
    // the wall clock alone decides what is due, and may go back
    place.clock.rewind_wall(SECOND * 1_000);
    queue.add(&[task("now")], &wait()).unwrap();
    assert_eq!(claim_all(&worker), ["now"]);
}

#[test]
fn what_is_given_back_stands_where_it_stood() {
    let place = Place::new("order-release");
    let queue = place.queue();
    queue.add(&["a", "b", "c"].map(task), &wait()).unwrap();
    let worker = queue.worker("w").unwrap();
    let claims = worker.claim(2, &wait()).unwrap();
    assert_eq!(worker.release(claims, &wait()).unwrap(), []);
    assert_eq!(claim_all(&worker), ["a", "b", "c"]);
    assert_eq!(queue.find("a").unwrap().unwrap().attempts, 0);
}

#[test]
fn whoever_waits_is_told_of_tasks_of_their_time_and_of_the_end() {
    let place = Place::new("order-wait");
    let queue = place.queue();
    let worker = queue.worker("w").unwrap();
    assert!(!worker.wait(SECOND, &Cancellation::new()).unwrap());
    queue.add(&[task("a").due(place.wall() + SECOND * 3)], &wait()).unwrap();
    // the virtual clock sleeps in no time
    assert!(worker.wait(SECOND * 10, &Cancellation::new()).unwrap());
    assert_eq!(claim_all(&worker), ["a"]);
    let cancelled = Cancellation::new();
    cancelled.cancel();
    assert!(!worker.wait(SECOND * 1_000_000, &cancelled).unwrap());
}

#[test]
fn looking_makes_nothing() {
    let place = Place::new("order-nothing");
    let queue = place.queue();
    assert_eq!(queue.snapshot().unwrap().tasks, []);
    assert_eq!(queue.counts().unwrap().open(), 0);
    assert_eq!(queue.remove(&Selection::All, &wait()).unwrap() + queue.retry(&Selection::All, &wait()).unwrap(), 0);
    assert_eq!(queue.add(&[], &wait()).unwrap().tasks, 0);
    assert!(!place.scratch.path().join("queue").exists());
    // a queue is made in folders that are missing, too
    let deep = place.scratch.utf8_path().join("a/b/c");
    Queue::open(&deep).add(&[task("x")], &wait()).unwrap();
    assert_eq!(Queue::open(&deep).counts().unwrap().ready, 1);
}

#[test]
fn what_cannot_be_a_task_is_refused_before_anything_is_written() {
    assert!(matches!(Priority::new(11), Err(task::Error::Priority { number: 11 })));
    let says = larder_queue::Task::new("").unwrap_err().to_string();
    assert!(says.contains("empty"), "{says}");
    let place = Place::new("order-file");
    let queue = Queue::open(place.scratch.utf8_path().join("Cargo.toml/x"));
    #[expect(clippy::disallowed_methods, reason = "a file in the folder's place")]
    std::fs::write(place.scratch.path().join("Cargo.toml"), "").unwrap();
    let error = queue.add(&[task("a")], &wait()).unwrap_err();
    assert!(error.to_string().contains("Cargo.toml"), "{error}");
}

#[test]
fn a_task_that_always_fails_and_is_added_meanwhile_is_left_alone_in_between() {
    let place = Place::new("order-again");
    let queue = place.queue();
    let worker = queue.worker("w").unwrap();
    queue.add(&[task("k")], &wait()).unwrap();
    for _ in 0..3 {
        let claimed = claim(&worker).unwrap();
        queue.add(&[task("k")], &wait()).unwrap();
        worker.fail_for_good(claimed, "no", &wait()).unwrap().unwrap();
        assert!(claim(&worker).is_none());
        place.clock.advance(SECOND * 1_000);
    }
}

#[test]
fn many_large_tasks_are_added_at_once() {
    let place = Place::new("order-large");
    let queue = place.queue();
    let large = |number| task(&format!("{number}")).payload(serde_json::json!("x".repeat(60_000))).unwrap();
    let tasks: Vec<_> = (0..1_200).map(large).collect();
    assert_eq!(queue.add(&tasks, &wait()).unwrap().tasks, 1_200);
    assert_eq!(place.queue().counts().unwrap().ready, 1_200);
}
