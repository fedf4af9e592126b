//! What must be true while several processes want the same download.

use larder_lock::Origin;
use larder_testkit::{Child, Hold};

use crate::criteria::{Outcome, check, same};
use crate::place::{Place, until_calls};
use crate::releases::Said;

const DISTRIBUTION: (&str, &str) = ("distribution", "temurin");
const WAITERS: usize = 5;
/// Long enough to see that it was waited at all.
const SHORT: &str = "200ms";

/// A process that downloads, held in its midst, until what is returned with it is dropped.
async fn leader(place: &Place) -> Outcome<(Child, Hold)> {
    let hold = place.upstream.hold();
    let mut leader = place.spawn("ask", &[DISTRIBUTION]);
    let calls = place.upstream.calls();
    leader.wait_for_line("downloading");
    until_calls(&place.upstream, calls + 1).await?;
    Ok((leader, hold))
}

/// Processes that wait for it, each of which has said so.
fn waiters(place: &Place, leader: &Child) -> Outcome<Vec<Child>> {
    let mut waiters: Vec<_> = (0..WAITERS).map(|_| place.spawn("ask", &[DISTRIBUTION])).collect();
    for waiter in &mut waiters {
        let said = waiter.next_line().unwrap_or_default();
        check(said.contains(&format!("pid {}", leader.pid())), || format!("a waiter says: {said}"))?;
    }
    Ok(waiters)
}

/// The last thing that it says.
fn last_word(child: &mut Child) -> String {
    let mut last = String::new();
    while let Some(said) = child.next_line() {
        last = said;
    }
    last
}

pub(crate) async fn one_download(place: &Place) -> Outcome<String> {
    let (mut leader, hold) = leader(place).await?;
    let mut waiters = waiters(place, &leader)?;
    drop(hold);
    for child in std::iter::once(&mut leader).chain(&mut waiters) {
        same("what a process got", last_word(child).as_str(), "answer releases/temurin, call 1")?;
    }
    same("calls", place.upstream.calls(), 1)?;
    Ok(format!("{} processes, 1 call", WAITERS + 1))
}

pub(crate) async fn feedback(place: &Place) -> Outcome<String> {
    let (mut leader, hold) = leader(place).await?;
    let mut waiter = place.spawn("ask", &[DISTRIBUTION]);
    let first = waiter.next_line().unwrap_or_default();
    drop(hold);
    last_word(&mut leader);
    last_word(&mut waiter);
    let pid = leader.pid();
    for part in [&format!("pid {pid} on "), " since 20", "waiting for `releases/temurin`"] {
        check(first.contains(part), || format!("{part:?} is not in: {first}"))?;
    }
    let said = waiter.said();
    let [_, done, answer] = said.as_slice() else { return Err(format!("a waiter says: {said:?}").into()) };
    check(done.starts_with("done waiting after") && answer.starts_with("answer"), || format!("{said:?}"))?;
    same("what the one says that need not wait", leader.said(), ["downloading", "answer releases/temurin, call 1"])?;
    // the metadata are there: nobody has to wait, or is told anything
    let mut later = place.spawn("ask", &[DISTRIBUTION]);
    last_word(&mut later);
    same("what one says that comes later", later.said(), ["answer releases/temurin, call 1"])?;
    Ok(format!("named pid {pid} and since when"))
}

pub(crate) async fn bounds(place: &Place) -> Outcome<String> {
    let (mut leader, hold) = leader(place).await?;
    let mut seen = Vec::new();
    for (bound, expected) in [("0", "not waited"), ("0ms", "not waited"), (SHORT, "gave up after")] {
        let mut waiter = place.spawn("ask", &[DISTRIBUTION, ("flag", bound)]);
        let error = last_word(&mut waiter);
        let names_holder = error.contains(&format!("pid {}", leader.pid()));
        check(error.starts_with("error") && error.contains(expected) && names_holder, || {
            format!("with {bound} it says: {error}")
        })?;
        seen.push(format!("{bound}: {expected}"));
    }
    drop(hold);
    last_word(&mut leader);
    same("calls", place.upstream.calls(), 1)?;
    Ok(seen.join(", "))
}

pub(crate) async fn origins(place: &Place) -> Outcome<String> {
    let (mut leader, hold) = leader(place).await?;
    let (flag, environment, config) = (("flag", SHORT), ("environment", SHORT), ("config", SHORT));
    let rows = [
        (vec![flag, ("environment", "7"), ("config", "9")], "the bound being 200ms as set by flag --lock-timeout"),
        (vec![environment, ("config", "9")], "as set by environment variable RELEASES_LOCK_TIMEOUT"),
        (vec![config], "as set by configuration locking.timeout in config.toml"),
    ];
    for (said, expected) in rows {
        let mut waiter = place.spawn("ask", &[&[DISTRIBUTION][..], &said].concat());
        let error = last_word(&mut waiter);
        check(error.contains(expected), || format!("{expected:?} is not in: {error}"))?;
    }
    // ten minutes are not waited for here: what is said at the beginning tells it too
    let mut waiter = place.spawn("ask", &[DISTRIBUTION]);
    let first = waiter.next_line().unwrap_or_default();
    check(first.contains("at most 600s, as set by the default"), || format!("by default it says: {first}"))?;
    drop(hold);
    last_word(&mut leader);
    let error = Said { flag: Some("ten"), ..Said::default() }.wait().err().ok_or("`ten` was taken for a time")?;
    check(error.to_string().contains("the word infinite"), || format!("a malformed one: {error}"))?;
    same("the default", Said::default().wait()?.origin(), &Origin::Default)?;
    Ok("4 origins, each named; the flag wins over environment and config".to_owned())
}

pub(crate) async fn cancelled(place: &Place) -> Outcome<String> {
    let (mut leader, hold) = leader(place).await?;
    let mut waiters = waiters(place, &leader)?;
    let cancelled = &mut waiters[0];
    cancelled.send_line("cancel");
    let error = last_word(cancelled);
    check(error.starts_with("error") && error.contains("was cancelled after"), || format!("it says: {error}"))?;
    drop(hold);
    last_word(&mut leader);
    for waiter in &mut waiters[1..] {
        same("what the others got", last_word(waiter).as_str(), "answer releases/temurin, call 1")?;
    }
    same("calls", place.upstream.calls(), 1)?;
    Ok(format!("1 cancelled, {} answered, 1 call", waiters.len()))
}

pub(crate) async fn successor(place: &Place) -> Outcome<String> {
    let (mut leader, hold) = leader(place).await?;
    let mut waiters = waiters(place, &leader)?;
    leader.kill();
    until_calls(&place.upstream, 2).await?;
    drop(hold);
    for waiter in &mut waiters {
        same("what a waiter got", last_word(waiter).as_str(), "answer releases/temurin, call 2")?;
    }
    let successors = waiters.iter().filter(|waiter| waiter.said().iter().any(|said| said == "downloading")).count();
    same("successors", successors, 1)?;
    same("calls", place.upstream.calls(), 2)?;
    same("calls at the same time, of the living", place.upstream.in_flight_max(), 1)?;
    Ok(format!("{WAITERS} waiters, 1 successor, 2 calls in all"))
}
