//! What is explained is what is done: the decision that `explain` shows and what a caller gets, in many random states.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use larder::{Cache, Class, Durability, Failure, Fetched, Options, Scope, Terms, fetch};
use larder_staleness::{Action, Copy, Life, Policy, Verdict, Wish};
use larder_storage::{Entry, Put, Standing};
use larder_system::Clock as _;
use larder_testkit::{Seed, VirtualClock};
use larder_upstream::{About, Turn};

use crate::shared::{Place, key, text};

const STATES: u32 = 10_000;
/// How often each way must be seen: far below what any seed gives.
const SEEN_MIN: u32 = 20;

/// One state of the world, and one caller.
struct State {
    terms: Terms,
    wish: Wish,
    describes: String,
}

struct World {
    cache: Cache,
    clock: Arc<VirtualClock>,
    seed: Seed,
}

impl World {
    fn length(&mut self) -> Duration {
        Duration::from_millis(self.one_of(&[0, 1, 500, 1_000, 30_000, 3_600_000]))
    }

    fn one_of<T: Clone>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.seed.below(all.len() as u64)).unwrap()].clone()
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.seed.below(one_in) == 0
    }

    /// Stores a copy with times around now, perhaps invalidated; lets the upstream have failed, perhaps.
    fn set(&mut self, name: &str) -> State {
        let key = key(name);
        // each state has its own jump, from the same year
        self.clock.set_wall(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        let mut describes = String::new();
        if !self.chance(5) {
            let mut policy = Policy::fresh_for(self.length());
            (policy.stale_while_revalidate, policy.stale_if_error) = (self.length(), self.length());
            policy.keep = self.length();
            let life = Life::new(self.clock.wall(), &policy, Duration::ZERO);
            let put = Put::new().durability(Durability::Relaxed).metadata(About::new(life).metadata(&[]).unwrap());
            self.cache.store().put(&key, b"old", &put).unwrap();
            describes = format!("{life:?}");
        }
        if self.chance(4) {
            let scope = Scope::Key(key.clone());
            let invalidation = if self.chance(2) { scope.soft() } else { scope.hard() };
            self.cache.store().invalidate(&[invalidation]).unwrap();
            describes.push_str(" invalidated");
        }
        if self.chance(3) {
            let terms = larder_upstream::Terms::new();
            if let Ok(Turn::Lead(flight)) = self.cache.flights().begin::<()>(&key, &terms, || Ok(None)) {
                let class = self.one_of(&[Class::Unavailable, Class::Absent, Class::Throttled]);
                flight.fail(&Failure::new(class, "remembered"), Some(self.length()));
                describes = format!("{describes} failed {class}");
            }
        }
        match self.seed.below(8) {
            0 => self.clock.rewind_wall(Duration::from_secs(10 * 365 * 86_400)),
            1 => self.clock.advance_wall(Duration::from_secs(10 * 365 * 86_400)),
            _ => {
                let by = self.length();
                self.clock.advance(by);
            }
        }
        self.caller(describes)
    }

    fn caller(&mut self, describes: String) -> State {
        let (mut terms, mut wish) = (Terms::new(), Wish::default());
        if self.chance(6) {
            (terms, wish.offline) = (terms.offline(), true);
        }
        if self.chance(6) {
            (terms, wish.refresh) = (terms.refresh(), true);
        }
        if self.chance(4) {
            (terms, wish.fresh_only) = (terms.fresh_only(), true);
        }
        if self.chance(4) {
            let most = self.length();
            (terms, wish.max_age) = (terms.max_age(most), Some(most));
        }
        if self.chance(4) {
            let window = self.length();
            (terms, wish.stale_while_revalidate) = (terms.stale_while_revalidate(window), Some(window));
        }
        if self.chance(4) {
            let window = self.length();
            (terms, wish.stale_if_error) = (terms.stale_if_error(window), Some(window));
        }
        State { terms, wish, describes }
    }
}

fn copy_of(entry: &Entry) -> Copy {
    let (life, is_invalidated) = (About::of_or_default(entry).life, entry.standing() != Standing::Current);
    Copy { life, is_invalidated, is_outdated: false }
}

#[tokio::test]
async fn what_is_explained_is_what_is_done_in_ten_thousand_states() {
    let (place, clock) = (Place::new("agreement"), Arc::new(VirtualClock::new()));
    let options = Options::new().clock(clock.clone());
    // without memory, whose coarse clock is tested beside it, and without refreshes that nobody waits for
    let builder = place.builder().memory_bytes_max(0).store_options(options).soft_timeout(Duration::from_secs(3_600));
    let cache = builder.build().unwrap();
    let mut world = World { cache, clock, seed: Seed::new() };
    let mut seen = std::collections::BTreeMap::<String, u32>::new();
    for number in 0..STATES {
        let name = format!("state/{number}");
        let state = world.set(&name);
        let (cache, name) = (world.cache.clone(), key(&name));
        // as `explain` decides
        let found = cache.store().get_with_invalidated(&name).unwrap();
        let copy = found.as_ref().map(copy_of);
        let now = cache.store().clock().wall();
        let decision = cache.flights().decide(&name, &[], copy.as_ref(), &state.wish, now).decision;
        // as it is done, by an upstream that fails
        let calls = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&calls);
        let fetch = move |_| async move {
            counted.fetch_add(1, Ordering::Relaxed);
            Err::<Fetched, _>(Failure::new(Class::Unavailable, "down"))
        };
        let done = cache.get_or_fetch_with(&name, &state.terms, fetch).await;
        let at = format!("state {number}: {}, {:?}, {decision:?}, {done:?}", state.describes, state.wish);
        let is_fresh = decision.verdict == Some(Verdict::Fresh) && !copy.unwrap().is_invalidated;
        match (decision.action, &done) {
            (Action::Give { refresh }, Ok(answer)) => {
                assert_eq!((text(answer), answer.outcome.stale), ("old", !is_fresh), "{at}");
                // what goes on behind the caller may have begun, and must not where nothing is to be refreshed
                assert!(refresh || calls.load(Ordering::Relaxed) == 0, "{at}");
            }
            (Action::Ask { fallback: true }, Ok(answer)) => {
                assert_eq!(
                    (text(answer), answer.outcome.stale, calls.load(Ordering::Relaxed)),
                    ("old", true, 1),
                    "{at}"
                );
            }
            (Action::Ask { fallback: false }, Err(fetch::Error::Failed { remembered: false, .. })) => {
                assert_eq!(calls.load(Ordering::Relaxed), 1, "{at}");
            }
            (Action::Fail, Err(fetch::Error::Failed { remembered: true, .. }))
            | (Action::Absent, Err(fetch::Error::Absent { .. })) => {
                assert_eq!(calls.load(Ordering::Relaxed), 0, "{at}");
            }
            _ => panic!("{at}"),
        }
        *seen.entry(format!("{:?} {:?}", decision.action, decision.reason)).or_default() += 1;
    }
    // every way of it was seen often enough to mean something
    for action in [
        "Give { refresh: false } Fresh",
        "Give { refresh: true } WhileRevalidate",
        "Give { refresh: false } IfError",
        "Give { refresh: false } Offline",
        "Ask { fallback: true } Invalidated",
        "Ask { fallback: true } Stale",
        "Ask { fallback: false } NoCopy",
        "Ask { fallback: false } Future",
        "Fail FailedLately",
        "Absent Offline",
    ] {
        assert!(seen.get(action).is_some_and(|seen| *seen >= SEEN_MIN), "{action}: {seen:#?}");
    }
}
