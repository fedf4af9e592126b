//! The queue of refresh work: what was given up, what waits, and what nobody can read.

use std::time::{Duration, SystemTime};

use larder_queue::{Snapshot, Standing, View};
use larder_system::{Clock as _, SystemClock};

use super::finding::{Finding, Seen, Subject};
use super::scene::Scene;
use crate::exit::Failed;
use crate::queue;
use crate::text::span;

/// How long a task that nothing keeps back may wait for somebody to do it.
const OVERDUE: Duration = Duration::from_secs(86_400);

pub(super) fn check(scene: &Scene, seen: &mut Seen) {
    let (Ok(root), Some(store)) = (&scene.root, scene.store()) else { return };
    let read = queue::find(store).and_then(|queue| queue.map(|queue| Ok(queue.snapshot()?)).transpose());
    match read {
        Ok(Some(snapshot)) => {
            seen.fact(format!("the queue has {} tasks", snapshot.counts.open()));
            let words = |words: &[&str]| scene.larder(words);
            let findings = judge(&snapshot, SystemClock::new().wall(), &words);
            seen.findings.extend(findings.into_iter().map(|finding| finding.at(root.join("queue"))));
        }
        Ok(None) => {}
        Err(failed) => seen.add(unreadable(scene, &failed).at(root.join("queue"))),
    }
}

fn unreadable(scene: &Scene, failed: &Failed) -> Finding {
    let what = format!("the queue cannot be read: {}", failed.message().unwrap_or_default());
    Finding::error(Subject::Queue, what).command("see what it says", scene.larder(&["queue", "list"]))
}

fn judge(snapshot: &Snapshot, now: SystemTime, larder: &dyn Fn(&[&str]) -> String) -> Vec<Finding> {
    let counts = &snapshot.counts;
    let first = |is: &dyn Fn(&View) -> bool| snapshot.tasks.iter().find(|task| is(task));
    let key = |task: Option<&View>| task.map(|task| task.key.clone());
    let mut findings = Vec::new();
    if counts.dead > 0 {
        let dead = first(&|task| task.standing == Standing::Dead);
        let why = dead.and_then(|task| Some(format!(", {} among them: {}", task.key, task.error.as_ref()?)));
        let what =
            format!("{} tasks have failed too often and are not tried again{}", counts.dead, why.unwrap_or_default());
        let finding = Finding::warning(Subject::Queue, what).of_key(key(dead));
        let finding = finding.command("see why", larder(&["queue", "list"]));
        let finding = finding.command("let them be tried again", larder(&["queue", "retry", "--dead"]));
        findings.push(finding.command("or give them up", larder(&["queue", "clear", "--dead"])));
    }
    let waited = |task: &View| now.duration_since(task.due).unwrap_or_default();
    let is_overdue = |task: &View| task.standing == Standing::Ready && waited(task) > OVERDUE;
    let overdue = snapshot.tasks.iter().filter(|task| is_overdue(task));
    if let Some(oldest) = overdue.clone().max_by_key(|task| waited(task)) {
        let (count, longest) = (overdue.count(), span(waited(oldest)));
        let what = format!("{count} tasks wait for somebody to do them, the longest for {longest}");
        let finding = Finding::warning(Subject::Queue, what).of_key(key(Some(oldest)));
        findings.push(finding.command("work through the queue", larder(&["refresh"])));
    }
    if counts.held > 0 {
        let held = first(&|task| task.standing == Standing::Held);
        let what = format!("{} tasks have failed, and are left alone for a while", counts.held);
        let finding = Finding::note(Subject::Queue, what).of_key(key(held));
        findings.push(finding.command("see why", larder(&["queue", "list"])));
    }
    if snapshot.lost_records > 0 {
        let what =
            format!("{} damaged records of the queue are passed over: what they said is lost", snapshot.lost_records);
        let finding = Finding::warning(Subject::Queue, what);
        let finding = finding.command("queue anew what is due", larder(&["refresh", "--due"]));
        findings.push(finding.remedy("they go when the queue is next shortened"));
    }
    if snapshot.foreign_records > 0 {
        let what =
            format!("{} records of the queue are of a newer larder, and are left to it", snapshot.foreign_records);
        findings.push(Finding::warning(Subject::Queue, what).remedy("use a newer larder"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_that_nobody_can_read_are_told() {
        let larder = |words: &[&str]| format!("larder {}", words.join(" "));
        let mut snapshot = Snapshot::default();
        assert!(judge(&snapshot, SystemTime::UNIX_EPOCH, &larder).is_empty());
        (snapshot.lost_records, snapshot.foreign_records) = (2, 3);
        let words: String = judge(&snapshot, SystemTime::UNIX_EPOCH, &larder).iter().map(Finding::words).collect();
        assert!(words.contains("2 damaged records") && words.contains("3 records"), "{words}");
        assert!(words.contains("newer larder") && words.contains("larder refresh --due"), "{words}");
    }
}
