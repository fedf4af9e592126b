//! The clock: wrong ones make documents look older or younger than they are.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use larder_system::{Clock as _, SystemClock};

use super::finding::{Finding, Seen, Subject};
use super::scene::Scene;
use crate::text::span;

/// The beginning of 2024, in seconds since 1970: larder is younger.
const EARLIEST: u64 = 1_704_067_200;
/// By how much the clocks of machines that share a root, or one clock before and after it was set, may differ.
const TOLERANCE: Duration = Duration::from_secs(300);

pub(super) fn check(_: &Scene, seen: &mut Seen) {
    let clock = SystemClock::new();
    seen.findings.extend(judge(clock.wall(), clock.boot().is_some() || !cfg!(target_os = "linux")));
}

fn judge(now: SystemTime, boots_are_known: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    if now < UNIX_EPOCH + Duration::from_secs(EARLIEST) {
        let finding = Finding::warning(Subject::Clock, "the clock says that it is before 2024, so no age can be right");
        findings.push(set(finding));
    }
    if !boots_are_known {
        let what = "the system does not tell one boot from another: failures are not remembered across processes";
        let look = "cat /proc/sys/kernel/random/boot_id";
        findings.push(Finding::warning(Subject::Clock, what).command("see why, and mount /proc", look));
    }
    findings
}

/// Something was stored at a time that has not come yet.
pub(super) fn ahead(now: SystemTime, latest: SystemTime) -> Option<Finding> {
    let ahead = latest.duration_since(now).ok().filter(|ahead| *ahead > TOLERANCE)?;
    let what = format!(
        "a document was stored {} from now: the clock was wrong then, or is now. Such documents count as stale",
        span(ahead)
    );
    Some(set(Finding::warning(Subject::Clock, what)))
}

fn set(finding: Finding) -> Finding {
    if cfg!(target_os = "linux") {
        finding.command("look at the clock, and set it", "timedatectl")
    } else {
        finding.command("look at the clock, and set it", "date")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_before_2024_and_boots_that_cannot_be_told_apart_are_found() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert!(judge(at(EARLIEST), true).is_empty());
        assert_eq!(judge(at(EARLIEST - 1), true).len(), 1);
        assert_eq!(judge(at(0), false).len(), 2);
    }

    #[test]
    fn what_was_stored_in_the_future_is_found_beyond_what_clocks_differ_by() {
        let now = UNIX_EPOCH + Duration::from_secs(EARLIEST);
        assert!(ahead(now, now).is_none() && ahead(now, now + TOLERANCE).is_none());
        assert!(ahead(now, now + TOLERANCE * 2).unwrap().words().contains("10m from now"));
    }
}
