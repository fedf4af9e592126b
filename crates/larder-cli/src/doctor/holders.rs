//! Who holds what, whether it has been stopped, and whether it has been at it for too long.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use larder_lock::Holder;
use larder_system::{Clock as _, SystemClock, host_name};
use larder_upstream::Flights;

use super::finding::{Finding, Seen, Subject};
use super::process::{State, state};
use super::scene::Scene;
use crate::lock::{self, FOLDER};
use crate::locks;
use crate::text::span;

/// The most holders that are looked at.
const HOLDERS_MAX: usize = 10_000;
/// How many of the things that one process holds are named.
const NAMED_MAX: usize = 5;

/// Something that is held.
struct Hold {
    /// What, in words.
    what: String,
    /// The document that it is for, where it is for one.
    key: Option<String>,
    holder: Holder,
    /// After how long it is worth a look; `None` where holding on is what it is for.
    long: Option<Duration>,
}

const FLIGHT_LONG: Duration = Duration::from_secs(3_600);
const LOCK_LONG: Duration = Duration::from_secs(86_400);

pub(super) fn check(scene: &Scene, seen: &mut Seen) {
    let mut holds = Vec::new();
    // where one kind cannot be read, the others are told all the same
    if let Err(said) = collect(scene, &mut holds) {
        let finding = Finding::error(Subject::Holders, format!("who holds locks cannot be told: {said}"));
        seen.add(finding.command("see what it says", scene.larder(&["locks"])));
    }
    let own = std::process::id();
    holds.retain(|hold| hold.holder.pid != Some(own));
    holds.truncate(HOLDERS_MAX);
    seen.fact(format!("{} locks and flights are held", holds.len()));
    let host = host_name();
    let fate = |holder: &Holder| {
        let is_here = holder.host.as_ref().is_none_or(|there| *there == host);
        holder.pid.filter(|_| is_here).map_or(State::Unknown, state)
    };
    seen.findings.extend(judge(&holds, SystemClock::new().wall(), &fate));
}

fn collect(scene: &Scene, holds: &mut Vec<Hold>) -> Result<(), String> {
    let Some(store) = scene.store() else { return Ok(()) };
    let told = |error: &dyn std::error::Error| crate::exit::chain(error);
    if let Some(annex) = store.annex_if_present(FOLDER).map_err(|error| told(&error))? {
        let named = lock::locks(store, annex.locks().backend(), "").map_err(|error| told(&error))?;
        for held in named.holders().map_err(|error| told(&error))? {
            let what = format!("lock {}", locks::name(&held));
            let hold = |holder| Hold { what: what.clone(), key: None, holder, long: Some(LOCK_LONG) };
            holds.extend(held.holders.iter().cloned().map(hold));
        }
    }
    let flights = Flights::new(std::sync::Arc::clone(store)).under_way().map_err(|error| told(&error))?;
    for flight in flights.into_iter().filter(|flight| flight.alive == Some(true)) {
        let (what, key) = (format!("the fetch of {}", flight.key), Some(flight.key.to_string()));
        holds.push(Hold { what, key, holder: flight.holder, long: Some(FLIGHT_LONG) });
    }
    for held in store.lock_holders().map_err(|error| told(&error))? {
        let hold = |holder| Hold { what: held.file.clone(), key: None, holder, long: None };
        holds.extend(held.holders.iter().cloned().map(hold));
    }
    Ok(())
}

fn judge(holds: &[Hold], now: SystemTime, fate: &dyn Fn(&Holder) -> State) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut stopped: BTreeMap<u32, Vec<&Hold>> = BTreeMap::new();
    for hold in holds {
        let age = hold.holder.since.and_then(|since| now.duration_since(since).ok());
        match (hold.holder.pid, fate(&hold.holder)) {
            (Some(pid), State::Stopped) => stopped.entry(pid).or_default().push(hold),
            // an advisory lock dies with its holder: what is held by nobody is a lease, or belongs to another container
            (Some(_), State::Gone) => findings.push(gone(hold)),
            _ => findings.extend(age.and_then(|age| long(hold, age))),
        }
    }
    let stopped: Vec<_> = stopped.iter().map(|(pid, holds)| frozen(*pid, holds, now)).collect();
    stopped.into_iter().flatten().chain(findings).collect()
}

/// One finding for a process, however much it holds.
fn frozen(pid: u32, holds: &[&Hold], now: SystemTime) -> Option<Finding> {
    // the one that tells most: others know only that there is a holder
    let first = holds.iter().find(|hold| hold.holder.since.is_some()).or(holds.first())?;
    let names: Vec<_> = holds.iter().take(NAMED_MAX).map(|hold| hold.what.as_str()).collect();
    let more = holds.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    let since = first.holder.since.and_then(|since| now.duration_since(since).ok());
    let since = since.map(|age| format!(" for {}", span(age))).unwrap_or_default();
    let what =
        format!("process {pid} is stopped and has held {}{more}{since}: whoever needs it waits", names.join(", "));
    let key = holds.iter().find_map(|hold| hold.key.clone());
    let finding = Finding::warning(Subject::Holders, what).of_key(key).held_by(&first.holder);
    let finding = finding.command("let it go on", format!("kill -CONT {pid}"));
    Some(finding.command("or end it", format!("kill -KILL {pid}")))
}

fn gone(hold: &Hold) -> Finding {
    let what = format!("{} is held by {}, which is not there any more, or not on this machine", hold.what, hold.holder);
    let finding = Finding::note(Subject::Holders, what).of_key(hold.key.clone()).held_by(&hold.holder);
    finding.remedy("nothing: a lease ends by itself some seconds after its holder, and whoever asks next takes it")
}

fn long(hold: &Hold, age: Duration) -> Option<Finding> {
    let pid = hold.holder.pid.filter(|_| hold.long.is_some_and(|long| age > long))?;
    let what = format!("{} has been held for {} by {}", hold.what, span(age), hold.holder);
    let finding = match hold.key {
        // a command may run for days; a fetch that takes hours is stuck
        None => Finding::note(Subject::Holders, what),
        Some(_) => Finding::warning(Subject::Holders, what),
    };
    let finding = finding.of_key(hold.key.clone()).held_by(&hold.holder);
    let finding = finding.command("see what it does", format!("ps -o pid,stat,etime,args -p {pid}"));
    Some(finding.command("end it, if it does nothing", format!("kill {pid}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(pid: u32, what: &str, age: u64, long: Option<Duration>) -> Hold {
        let mut holder = Holder::unknown();
        (holder.pid, holder.since) = (Some(pid), Some(now() - Duration::from_secs(age)));
        Hold { what: what.to_owned(), key: (long == Some(FLIGHT_LONG)).then(|| "k".to_owned()), holder, long }
    }

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    fn words(holds: &[Hold], state: State) -> Vec<String> {
        judge(holds, now(), &|_| state).iter().map(Finding::words).collect()
    }

    #[test]
    fn a_stopped_process_is_told_once_with_all_that_it_holds() {
        let holds: Vec<_> = (0..7).map(|at| hold(9, &format!("lock {at}"), 60, None)).collect();
        let words = words(&holds, State::Stopped);
        assert_eq!(words.len(), 1);
        assert!(words[0].contains("lock 0") && words[0].contains("2 more for 1m"), "{}", words[0]);
        assert!(words[0].contains("kill -CONT 9") && words[0].contains("kill -KILL 9"), "{}", words[0]);
    }

    #[test]
    fn who_runs_is_told_only_when_it_takes_too_long() {
        let soon = [
            hold(9, "a", 3_600, Some(FLIGHT_LONG)),
            hold(9, "b", 86_400, Some(LOCK_LONG)),
            hold(9, "c", 999_999, None),
        ];
        assert!(words(&soon, State::Running).is_empty());
        let late = [hold(9, "the fetch of k", 3_601, Some(FLIGHT_LONG)), hold(9, "lock b", 86_401, Some(LOCK_LONG))];
        let words = words(&late, State::Running);
        assert!(
            words[0].starts_with("warning") && words[0].contains("kill 9") && words[0].contains("1h"),
            "{}",
            words[0]
        );
        assert!(words[1].starts_with("note"), "{}", words[1]);
    }

    #[test]
    fn a_holder_that_is_gone_is_a_note() {
        let words = words(&[hold(9, "lock a", 1, None)], State::Gone);
        assert!(words[0].starts_with("note") && words[0].contains("lease"), "{}", words[0]);
    }
}
