//! The list of checks, and how they are made: all at once, each on a thread of its own and within its bound.
//!
//! A check that asks a file system which has stopped answering never comes back. Its thread is left behind, and that it
//! did not answer is the finding.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use larder_system::{Clock as _, SystemClock};

use super::finding::{Finding, Seen, Subject};
use super::scene::Scene;
use super::{clock, config, credentials, entries, environment, file_system, holders, queue, root, shell, space};
use crate::text::span;

/// How long a check may take. A healthy one takes milliseconds; a disk that others keep busy takes a second to sync.
const BOUND: Duration = Duration::from_secs(10);

/// One thing that is looked at.
pub(super) struct Check {
    /// What is told of it when it does not answer.
    subject: Subject,
    bound: Duration,
    /// Whether it asks anybody beyond this machine: left out with `--offline`.
    pub(super) asks_others: bool,
    look: fn(&Scene, &mut Seen),
}

impl Check {
    /// One that asks nobody.
    const fn here(subject: Subject, look: fn(&Scene, &mut Seen)) -> Self {
        Self { subject, bound: BOUND, asks_others: false, look }
    }
}

/// All checks, in the order in which they are told.
pub(super) const CHECKS: &[Check] = &[
    Check::here(Subject::Root, root::check),
    Check::here(Subject::Format, root::format),
    Check::here(Subject::FileSystem, file_system::check),
    Check::here(Subject::Locks, file_system::locks),
    Check::here(Subject::Space, space::check),
    Check::here(Subject::Bounds, space::bounds),
    Check::here(Subject::Clock, clock::check),
    Check::here(Subject::Entries, entries::check),
    Check::here(Subject::Quarantine, entries::quarantine),
    Check::here(Subject::Leftovers, entries::leftovers),
    Check::here(Subject::Queue, queue::check),
    Check::here(Subject::Holders, holders::check),
    Check::here(Subject::Config, config::check),
    Check::here(Subject::Environment, environment::check),
    Check::here(Subject::Credentials, credentials::look),
    Check { asks_others: true, ..Check::here(Subject::Credentials, credentials::ask) },
];

/// Makes these checks; what they saw is in their order, each thing once.
pub(super) fn look<'a>(scene: &Arc<Scene>, checks: impl IntoIterator<Item = &'a Check>) -> Seen {
    let under_way: Vec<_> = checks.into_iter().map(|check| (check, begin(check, scene))).collect();
    let (clock, mut all) = (SystemClock::new(), Seen::default());
    let begun = clock.monotonic();
    for (check, answer) in under_way {
        let left = check.bound.saturating_sub(clock.monotonic().saturating_sub(begun));
        let seen = answer.and_then(|answer| answer.recv_timeout(left).ok()).unwrap_or_else(|| unanswered(check, scene));
        for finding in seen.findings {
            if !all.findings.iter().any(|told| told.is_same(&finding)) {
                all.add(finding);
            }
        }
        all.facts.extend(seen.facts);
    }
    all
}

fn begin(check: &Check, scene: &Arc<Scene>) -> Option<Receiver<Seen>> {
    let (look, scene) = (check.look, Arc::clone(scene));
    apart(move || {
        let mut seen = Seen::default();
        look(&scene, &mut seen);
        seen
    })
}

/// Does this on a thread that nobody has to wait for; `None` where the system gives none.
pub(super) fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<Receiver<T>> {
    let (tell, told) = mpsc::sync_channel(1);
    let spawned = std::thread::Builder::new().name("larder doctor".to_owned()).spawn(move || {
        // nobody listens any more when the bound has passed
        let _ = tell.send(work());
    });
    spawned.is_ok().then_some(told)
}

fn unanswered(check: &Check, scene: &Scene) -> Seen {
    let what = format!("this check did not end within {}: something that it asks does not answer", span(check.bound));
    let mut finding = Finding::error(check.subject, what);
    if let Ok(root) = &scene.root {
        finding = finding.command("see whether the disk answers", shell::command(["df", root.as_str()])).at(root);
    }
    let finding = finding.remedy("see whether this user may start threads (ulimit -u), and try again");
    Seen { findings: vec![finding], facts: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Global;
    use crate::doctor::finding::Severity;

    #[test]
    fn a_check_that_never_ends_is_a_finding_and_keeps_no_other_back() {
        fn hangs(_: &Scene, _: &mut Seen) {
            loop {
                std::thread::park();
            }
        }
        fn tells(_: &Scene, seen: &mut Seen) {
            seen.add(Finding::note(Subject::Queue, "seen"));
        }
        let scene =
            Arc::new(Scene::open(&Global { root: Some("/proc/larder-test".into()), ..Global::default() }, true));
        let stuck = Check { bound: Duration::from_millis(20), ..Check::here(Subject::Locks, hangs) };
        let seen = look(&scene, &[stuck, Check::here(Subject::Queue, tells), Check::here(Subject::Queue, tells)]);
        let told: Vec<_> = seen.findings.iter().map(|finding| (finding.severity, finding.subject)).collect();
        assert_eq!(told, [(Severity::Error, Subject::Locks), (Severity::Note, Subject::Queue)]);
        assert!(seen.findings[0].words().contains("did not end within 20ms"));
    }
}
