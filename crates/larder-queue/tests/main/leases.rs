//! Claims: how they end, and who is told.

use std::os::unix::fs::MetadataExt as _;

use larder_queue::{Options, Standing};

use crate::shared::{Place, SECOND, claim, claim_all, task, wait};

#[test]
fn a_dead_workers_claims_are_free_at_once_and_a_live_ones_are_not() {
    let place = Place::new("leases-dead");
    let queue = place.queue();
    queue.add(&["a", "b"].map(task), &wait()).unwrap();
    let dead = place.queue().worker("the one that dies").unwrap();
    let _claims = dead.claim(2, &wait()).unwrap();
    let worker = queue.worker("w").unwrap();
    assert_eq!(claim_all(&worker), [""; 0]);
    assert_eq!(queue.find("a").unwrap().unwrap().worker.as_deref(), Some("the one that dies"));
    drop(dead);
    assert_eq!(claim_all(&worker), ["a", "b"]);
    let found = queue.find("a").unwrap().unwrap();
    assert_eq!((found.attempts, found.losses), (0, 1));
    assert!(found.error.unwrap().contains("the one that dies"));
}

#[test]
fn a_silent_worker_loses_its_claim_with_the_lease_and_is_told_so() {
    let place = Place::new("leases-silent");
    let queue = place.queue_with(Options::new().lease(SECOND * 30));
    queue.add(&[task("a")], &wait()).unwrap();
    let frozen = queue.worker("frozen").unwrap();
    let late = claim(&frozen).unwrap();
    let worker = place.queue().worker("awake").unwrap();
    place.clock.advance(std::time::Duration::from_millis(29_999));
    assert!(claim(&worker).is_none());
    place.clock.advance(SECOND / 1_000);
    let taken = claim(&worker).unwrap();
    assert!(taken.token() > late.token());
    assert!(!frozen.holds(&late).unwrap() && worker.holds(&taken).unwrap());
    let lost = frozen.complete(late.clone(), &wait()).unwrap().unwrap_err();
    assert_eq!((lost.key.as_str(), lost.holder.as_deref()), ("a", Some("awake")));
    assert!(lost.to_string().contains("awake"), "{lost}");
    assert!(frozen.fail(late.clone(), "late", &wait()).unwrap().is_err());
    assert_eq!(frozen.release(vec![late.clone()], &wait()).unwrap().len(), 1);
    assert_eq!(queue.find("a").unwrap().unwrap().standing, Standing::Claimed);
    worker.complete(taken, &wait()).unwrap().unwrap();
    let gone = frozen.complete(late, &wait()).unwrap().unwrap_err();
    assert_eq!(gone.holder, None);
}

#[test]
fn a_heartbeat_keeps_all_claims_of_a_worker() {
    let place = Place::new("leases-heartbeat");
    let queue = place.queue_with(Options::new().lease(SECOND * 30));
    queue.add(&["a", "b", "c"].map(task), &wait()).unwrap();
    let slow = queue.worker("slow").unwrap();
    let claims = slow.claim(2, &wait()).unwrap();
    let silent = queue.worker("silent").unwrap();
    let _c = claim(&silent).unwrap();
    let other = place.queue().worker("other").unwrap();
    for _ in 0..5 {
        place.clock.advance(SECOND * 20);
        slow.heartbeat(&wait()).unwrap();
    }
    assert_eq!(claim_all(&other), ["c"]);
    assert_eq!(slow.complete_all(claims, &wait()).unwrap(), []);
}

#[test]
fn no_lease_outlasts_its_boot_and_no_clock_makes_one_longer() {
    let place = Place::new("leases-boot");
    let queue = place.queue_with(Options::new().lease(SECOND * 1_000));
    queue.add(&["a", "b"].map(task), &wait()).unwrap();
    let worker = queue.worker("w").unwrap();
    let held = claim(&worker).unwrap();
    let failing = claim(&worker).unwrap();
    worker.fail(failing, "down", &wait()).unwrap().unwrap();
    place.clock.rewind_wall(SECOND * 100_000);
    let other = place.queue().worker("other").unwrap();
    assert_eq!(claim_all(&other), [""; 0]);
    place.clock.reboot();
    let after = place.queue().worker("after").unwrap();
    let mut all = claim_all(&after);
    all.sort();
    // neither the lease nor the time to leave alone what failed
    assert_eq!(all, ["a", "b"]);
    assert!(worker.complete(held, &wait()).unwrap().is_err());
}

#[test]
fn a_task_that_kills_its_workers_is_left_alone_and_is_a_dead_letter_in_the_end() {
    let place = Place::new("leases-killer");
    let queue = place.queue_with(Options::new().losses_max(4));
    queue.add(&[task("killer").due(place.wall())], &wait()).unwrap();
    let mut pauses = Vec::new();
    for loss in 1..=4u32 {
        let worker = place.queue_with(Options::new().losses_max(4)).worker("victim").unwrap();
        let claimed = claim(&worker).unwrap();
        assert_eq!(claimed.losses(), loss - 1);
        drop(worker);
        let next = place.queue_with(Options::new().losses_max(4)).worker("next").unwrap();
        let taken = claim(&next);
        let found = queue.find("killer").unwrap().unwrap();
        pauses.push((found.standing, found.left_ms.unwrap_or(0) / 1_000));
        next.release(taken.into_iter().collect(), &wait()).unwrap();
        place.clock.advance(SECOND * 31);
    }
    assert_eq!(pauses, [(Standing::Claimed, 60), (Standing::Claimed, 60), (Standing::Held, 30), (Standing::Dead, 0)]);
    assert!(queue.find("killer").unwrap().unwrap().error.unwrap().contains("died"));
}

#[test]
fn what_kills_its_worker_takes_no_others_with_it() {
    let place = Place::new("leases-poison");
    let queue = place.queue();
    queue.add(&["poison", "b", "c", "d"].map(task), &wait()).unwrap();
    let mut done = 0;
    for _ in 0..40 {
        let worker = place.queue().worker("w").unwrap();
        for claim in worker.claim(4, &wait()).unwrap() {
            if claim.key() == "poison" {
                break;
            }
            worker.complete(claim, &wait()).unwrap().unwrap();
            done += 1;
        }
        drop(worker);
        place.clock.advance(SECOND * 1_000);
    }
    assert_eq!(done, 3);
    assert_eq!(crate::shared::standings(&queue.snapshot().unwrap()), [("poison", Standing::Dead)]);
}

#[test]
fn a_worker_takes_only_what_it_can_do() {
    let place = Place::new("leases-wanted");
    let queue = place.queue();
    queue.add(&["a/1", "b/1", "a/2", "b/2"].map(task), &wait()).unwrap();
    let worker = queue.worker("w").unwrap();
    let claims = worker.claim_if(3, &wait(), |key| key.starts_with("b/")).unwrap();
    assert_eq!(claims.iter().map(larder_queue::Claim::key).collect::<Vec<_>>(), ["b/1", "b/2"]);
    assert!(worker.claim_if(3, &wait(), |_| false).unwrap().is_empty());
    assert_eq!(claim_all(&worker), ["a/1", "a/2"]);
}

#[test]
fn who_adds_a_task_again_has_added_it_now() {
    let place = Place::new("leases-again");
    let queue = place.queue();
    queue.add(&[task("k").due(place.wall())], &wait()).unwrap();
    place.clock.advance(SECOND * 5);
    let now = place.wall();
    queue.add(&[task("k")], &wait()).unwrap();
    let claimed = claim(&queue.worker("w").unwrap()).unwrap();
    assert_eq!((claimed.added(), claimed.due()), (now, std::time::SystemTime::UNIX_EPOCH));
}

#[test]
fn tokens_do_not_repeat_also_when_the_queue_is_compacted() {
    let place = Place::new("leases-tokens");
    let queue = place.queue();
    let worker = queue.worker("w").unwrap();
    let (mut last, mut shrunk) = (0, 0);
    let mut length = 0;
    for round in 0..400 {
        let payload = serde_json::json!("x".repeat(2_000));
        queue.add(&[task("a").payload(payload).unwrap()], &wait()).unwrap();
        let claimed = claim(&worker).unwrap();
        assert!(claimed.token() > last, "round {round}");
        last = claimed.token();
        worker.complete(claimed, &wait()).unwrap().unwrap();
        let now = place.file().metadata().unwrap().len();
        shrunk += u32::from(now < length);
        length = now;
    }
    assert!(shrunk >= 1, "it was never compacted");
    assert!(length < 600_000, "{length} bytes");
    assert_eq!(place.queue().counts().unwrap().open(), 0);
}

#[test]
fn a_claim_stands_through_a_compaction_by_others() {
    let place = Place::new("leases-compaction");
    let queue = place.queue();
    queue.add(&[task("kept"), task("again")], &wait()).unwrap();
    let worker = queue.worker("w").unwrap();
    let claims = worker.claim(2, &wait()).unwrap();
    queue.add(&[task("again").reason("once more")], &wait()).unwrap();
    let busy = place.queue();
    let other = busy.worker("busy").unwrap();
    let before = place.file().metadata().unwrap();
    for round in 0..300 {
        let payload = serde_json::json!("x".repeat(2_000));
        busy.add(&[task(&format!("t{round}")).payload(payload).unwrap()], &wait()).unwrap();
        let claimed = claim(&other).unwrap();
        other.complete(claimed, &wait()).unwrap().unwrap();
    }
    assert_ne!(before.ino(), place.file().metadata().unwrap().ino(), "it was not compacted");
    assert_eq!(worker.complete_all(claims, &wait()).unwrap(), []);
    assert_eq!(claim_all(&other), ["again"]);
}

#[test]
fn a_dead_worker_that_had_claimed_very_many_holds_nobody_up() {
    let place = Place::new("leases-many");
    let queue = place.queue();
    let tasks: Vec<_> = (0..60_000).map(|number| task(&format!("{number}/{}", "k".repeat(990)))).collect();
    queue.add(&tasks, &wait()).unwrap();
    let dead = queue.worker("dead").unwrap();
    let mut claimed = 0;
    while claimed < tasks.len() {
        claimed += dead.claim(10_000, &wait()).unwrap().len();
    }
    drop(dead);
    let worker = queue.worker("next").unwrap();
    assert!(claim(&worker).is_some());
}
